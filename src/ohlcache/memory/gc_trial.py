"""Whether a setting of the garbage collector is better than another: paired windows, judged.

The two take turns, a window of work each, and the order within a pair changes, so that what else
happens to the process meets both alike. Of each pair only its direction counts (the *sign test*:
Dixon and Mood, The Statistical Sign Test, JASA 41, 1946), which assumes nothing about how times are
distributed, and no single outlier decides. With 12 pairs, 10 must agree: chance alone does that
in 2% of all trials.

What is compared is a *share of time* and the *longest pause of a window*. A quantile over
collections would compare unlike things, since a larger threshold makes fewer and longer ones; of
two windows equally long, the longest pause is what a request may be held up by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import NamedTuple

PAIRS = 12

_BY_CHANCE = 0.02  # how often chance may pass for a difference
_LEAST_SHARE = 0.005  # of time in pauses; below this there is nothing to gain
_LEAST_GAIN = 0.10  # of the share of time in pauses, or of the longest pause
_LEAST_WORK_GAIN = 0.03
_UNNOTICED_SECONDS = 1e-3  # pauses up to this length count as equally long
_MOST_GROWTH = 0.10  # of RSS


class Window(NamedTuple):
    """What happened in a stretch of time. work: in units of the caller, None where uncounted."""

    seconds: float
    collections: int
    pause_seconds: float
    longest_pause_seconds: float
    rss_bytes: int
    work: float | None = None

    @property
    def pause_share(self) -> float:
        """The share of time in pauses."""
        return self.pause_seconds / self.seconds

    @property
    def work_rate(self) -> float | None:
        """Work per second."""
        return None if self.work is None else self.work / self.seconds


class Pair(NamedTuple):
    """A window with the setting in force, and one with the candidate, next to each other."""

    before: Window
    after: Window


@dataclass(frozen=True, slots=True)
class Figures:
    """The medians over the windows of one setting."""

    pause_share: float
    longest_pause_seconds: float
    rss_bytes: int
    work_rate: float | None

    @classmethod
    def of(cls, windows: Sequence[Window]) -> Figures:
        """Of at least one window."""
        rates = [window.work_rate for window in windows if window.work_rate is not None]
        return cls(
            median(window.pause_share for window in windows),
            median(window.longest_pause_seconds for window in windows),
            int(median(window.rss_bytes for window in windows)),
            median(rates) if rates else None,
        )


class Verdict(NamedTuple):
    """Whether to keep the candidate, and why, in words."""

    is_kept: bool
    why: str


def is_worth_trying(window: Window) -> bool:
    """Whether so much time goes into pauses that another setting could gain anything."""
    return window.pause_share >= _LEAST_SHARE


def grew_too_much(pair: Pair) -> bool:
    """Whether the candidate's memory is so much larger that the trial should end at once."""
    return pair.after.rss_bytes > (1 + 2 * _MOST_GROWTH) * pair.before.rss_bytes


def judge(pairs: Sequence[Pair]) -> Verdict:
    """The verdict on a candidate after all its pairs."""
    before = Figures.of([pair.before for pair in pairs])
    after = Figures.of([pair.after for pair in pairs])
    if after.rss_bytes > (1 + _MOST_GROWTH) * before.rss_bytes:
        growth = after.rss_bytes / before.rss_bytes - 1
        return Verdict(False, f"memory grew by {growth:.0%}, more than {_MOST_GROWTH:.0%}")
    share, longest, work = _shares(pairs), _longest(pairs), _rates(pairs)
    if _is_better(longest.reversed(), _LEAST_GAIN):
        return Verdict(False, f"the longest pauses became longer: {longest}")
    if _is_better(work.reversed(), _LEAST_WORK_GAIN):
        return Verdict(False, f"less work was done; its time: {work}")
    if _is_better(share.reversed(), _LEAST_GAIN):
        return Verdict(False, f"more time went into pauses: {share}")
    if _is_better(work, _LEAST_WORK_GAIN):
        return Verdict(True, f"more work was done; its time: {work}")
    if _is_better(share, _LEAST_GAIN):
        return Verdict(True, f"less time went into pauses: {share}")
    if _is_better(longest, _LEAST_GAIN):
        return Verdict(True, f"the longest pauses became shorter: {longest}")
    return Verdict(False, f"no clear difference: time in pauses {share}")


class _Comparison(NamedTuple):
    """Costs of both sides, pair by pair: less is better."""

    before: tuple[float, ...]
    after: tuple[float, ...]

    def reversed(self) -> _Comparison:
        return _Comparison(self.after, self.before)

    def wins(self) -> tuple[int, int]:
        """In how many pairs the candidate cost less, and in how many they differed."""
        pairs = list(zip(self.before, self.after, strict=True))
        return (
            sum(after < before for before, after in pairs),
            sum(after != before for before, after in pairs),
        )

    def gain(self) -> float:
        """The share of the cost that the candidate saves, in the median."""
        ratios = [
            after / before for before, after in zip(self.before, self.after, strict=True) if before
        ]
        return 1 - median(ratios) if ratios else 0.0

    def __str__(self) -> str:
        wins, differing = self.wins()
        return f"{-self.gain():+.0%} in the median, less in {wins} of {differing} pairs"


def _is_better(costs: _Comparison, least_gain: float) -> bool:
    wins, differing = costs.wins()
    return costs.gain() >= least_gain and _chance(wins, differing) <= _BY_CHANCE


def _chance(wins: int, differing: int) -> float:
    """The probability of so many wins or more where both sides are alike."""
    return sum(comb(differing, count) for count in range(wins, differing + 1)) / (1 << differing)


def _shares(pairs: Iterable[Pair]) -> _Comparison:
    return _compare([(pair.before.pause_share, pair.after.pause_share) for pair in pairs])


def _longest(pairs: Iterable[Pair]) -> _Comparison:
    return _compare([(_noticed(pair.before), _noticed(pair.after)) for pair in pairs])


def _noticed(window: Window) -> float:
    return max(window.longest_pause_seconds, _UNNOTICED_SECONDS)


def _rates(pairs: Iterable[Pair]) -> _Comparison:
    """Seconds per unit of work, of the pairs in which both sides did any."""
    return _compare(
        [
            (1 / pair.before.work_rate, 1 / pair.after.work_rate)
            for pair in pairs
            if pair.before.work_rate and pair.after.work_rate
        ]
    )


def _compare(pairs: Sequence[tuple[float, float]]) -> _Comparison:
    return _Comparison(tuple(each[0] for each in pairs), tuple(each[1] for each in pairs))
