"""Settings of the garbage collector, tried on the running process and kept only where they pay.

It begins with CPython's own thresholds. One candidate after the other then takes turns with what
is in force, a window of time each, until there are enough pairs to judge (``gc_trial``). Windows
without enough collections say nothing and are not counted; a process that spends next to no time
in collections is left alone. While the settings change, the young generations are collected once,
so that no window pays for the garbage of the one before.

Harm is bounded: a candidate is in force every other window only, and is taken back at once when
memory grows.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass

from ohlcache.memory import gc_settings
from ohlcache.memory.gc_meter import Meter
from ohlcache.memory.gc_settings import STARTING, GcSettings
from ohlcache.memory.gc_trial import (
    PAIRS,
    Figures,
    Pair,
    Verdict,
    Window,
    grew_too_much,
    is_worth_trying,
    judge,
)

_LEAST_COLLECTIONS = 5  # in a window with the setting in force
_YOUNG = 1  # collects the young generation and the middle one


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that was tried against what was in force, with the medians of both."""

    candidate: str
    against: str
    is_kept: bool
    why: str
    pairs: int
    before: Figures
    after: Figures

    def __str__(self) -> str:
        verdict = "kept" if self.is_kept else f"reverted to {self.against}"
        return f"thresholds {self.candidate}: {verdict}; {self.why}"


@dataclass(frozen=True, slots=True)
class GcReport:
    """What is in force and why: the trials, oldest first."""

    found: str
    in_force: str
    state: str
    trials: tuple[Trial, ...]


_MOST_TRIALS = 50  # in the report


class GcTuning:
    """Tries settings of the garbage collector. Nothing runs by itself: somebody calls ``step``.

    freeze_after_warmup: also try ``gc.freeze()``; garbage that is frozen with what lives is never
    collected, so it is an option.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        freeze_after_warmup: bool = False,
        warmup_seconds: float = 60.0,
        window_seconds: float = 10.0,
        again_after_seconds: float = 3600.0,
    ) -> None:
        self._meter = meter
        self._freeze_wanted = freeze_after_warmup
        self._may_freeze = False
        self._warmup = warmup_seconds
        self._window = window_seconds
        self._again_after = again_after_seconds
        self._lock = threading.RLock()  # what is collected may ask for the report
        self._found: GcSettings | None = None  # None: not started
        self._kept = self._set = STARTING
        self._waiting_until = 0.0
        self._began: float | None = None  # of the window under way
        self._untried: list[GcSettings] = []
        self._tried: set[GcSettings] = set()  # in this round
        self._pairs: list[Pair] = []
        self._first: Window | None = None  # of the pair under way
        self._trials: list[Trial] = []
        self._state = "not started"

    def start(self, now: float) -> GcTuning:
        """Set the starting thresholds; the first trial begins after warm-up. now: in seconds."""
        with self._lock:
            if self._found is None:
                self._found = self._set = gc_settings.in_force()
                self._may_freeze = self._freeze_wanted and not gc_settings.is_frozen()
                self._kept = STARTING
                self._apply(STARTING)
                self._rest(now + self._warmup, "warming up")
        return self

    def stop(self) -> None:
        """Set again what was found at the start, unless someone else has set it since."""
        with self._lock:
            if self._found is None:
                return
            if self._is_overruled():
                self._give_way()
                return
            self._apply(self._found)
            self._found = None
            self._state = "not started"

    def stop_in_child(self) -> None:
        """Stop after a fork, where the lock may be held by a thread that there is no more."""
        self._lock = threading.RLock()
        self.stop()

    @property
    def report(self) -> GcReport:
        """What is in force, and what was tried."""
        with self._lock:
            return GcReport(
                found=str(self._found or self._set),
                in_force=str(self._set),
                state=self._state,
                trials=tuple(self._trials),
            )

    def stats(self) -> dict[str, object]:
        """The report as plain values."""
        report = self.report
        return {
            "found": report.found,
            "in_force": report.in_force,
            "state": report.state,
            "trials": [
                {"kept": trial.is_kept, "pairs": trial.pairs, "words": str(trial)}
                for trial in report.trials
            ],
        }

    def step(self, now: float) -> None:
        """Go on, if it is time: called every few seconds, at ``now`` seconds of any clock."""
        with self._lock:
            if self._found is None or now < self._waiting_until:
                return
            if self._is_overruled():
                self._give_way()
            elif self._began is None:
                if not self._untried:
                    self._begin_round()
                self._begin_window(now)
            elif now - self._began >= self._window:
                self._end_window(now)

    # -- a round of trials ------------------------------------------------------------------------

    def _begin_round(self) -> None:
        self._tried = set()
        self._untried = self._candidates()
        self._begin_trial()

    def _candidates(self) -> list[GcSettings]:
        assert self._found is not None
        found = gc_settings.candidates(self._kept, self._found, may_freeze=self._may_freeze)
        return [each for each in found if each not in self._tried]

    def _begin_trial(self) -> None:
        self._pairs = []
        self._first = None
        self._state = f"trying {self._untried[0]} against {self._kept}"

    def _begin_window(self, now: float) -> None:
        self._apply(self._of_next_window())
        self._began = now
        self._meter.begin(now)

    def _of_next_window(self) -> GcSettings:
        """Odd pairs begin with the candidate."""
        is_candidate = (self._first is None) == (len(self._pairs) % 2 == 1)
        return self._untried[0] if is_candidate else self._kept

    def _end_window(self, now: float) -> None:
        window = self._meter.end(now)
        if self._set == self._kept and not self._is_telling(window, now):
            return
        if self._first is None:
            self._first = window
        else:
            self._end_pair(self._first, window)
            self._first = None
        if self._untried:
            self._begin_window(now)
        else:
            self._rest(now + self._again_after, "resting: all candidates were tried")

    def _is_telling(self, window: Window, now: float) -> bool:
        """Whether a window with the setting in force shows something that could be improved."""
        if window.collections >= _LEAST_COLLECTIONS and is_worth_trying(window):
            return True
        self._first = None
        self._rest(
            now + self._window,
            f"waiting: {window.pause_share:.2%} of the time goes into pauses, little to gain",
        )
        return False

    def _end_pair(self, first: Window, second: Window) -> None:
        began_with_candidate = self._set == self._kept
        pair = Pair(second, first) if began_with_candidate else Pair(first, second)
        self._pairs.append(pair)
        if grew_too_much(pair):
            growth = pair.after.rss_bytes / pair.before.rss_bytes - 1
            self._decide(Verdict(False, f"ended early: memory grew by {growth:.0%}"))
        elif len(self._pairs) >= PAIRS:
            self._decide(judge(self._pairs))

    def _decide(self, verdict: Verdict) -> None:
        candidate = self._untried.pop(0)
        self._trials.append(
            Trial(
                candidate=str(candidate),
                against=str(self._kept),
                is_kept=verdict.is_kept,
                why=verdict.why,
                pairs=len(self._pairs),
                before=Figures.of([pair.before for pair in self._pairs]),
                after=Figures.of([pair.after for pair in self._pairs]),
            )
        )
        del self._trials[:-_MOST_TRIALS]
        self._tried |= {candidate, self._kept}
        if verdict.is_kept:
            self._keep(candidate)
        if self._untried:
            self._begin_trial()

    def _keep(self, candidate: GcSettings) -> None:
        """What remains to be tried is compared with, and built upon, what was just kept."""
        if candidate.freeze and not self._kept.freeze:
            self._apply(self._kept)
            gc.collect()  # garbage that is frozen would stay for ever
        self._kept = candidate
        self._untried = self._candidates()

    def _rest(self, until: float, state: str) -> None:
        self._apply(self._kept)
        self._waiting_until = until
        self._began = None
        self._state = state

    def _is_overruled(self) -> bool:
        return gc_settings.in_force().thresholds != self._set.thresholds

    def _give_way(self) -> None:
        """Someone else has set thresholds meanwhile, who will know why."""
        self._found = None
        if self._set.freeze:
            gc.unfreeze()
        self._state = f"ended: someone else set the thresholds to {gc.get_threshold()}"

    def _apply(self, settings: GcSettings) -> None:
        if settings != self._set:
            gc.collect(_YOUNG)
            gc_settings.switch(self._set, settings)
            self._set = settings
