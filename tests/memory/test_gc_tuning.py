"""Garbage collector settings: tried in turns, kept where they pay, reverted otherwise."""

from __future__ import annotations

import gc
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.alone import alone
from ohlcache.memory.gc_meter import PauseMeter
from ohlcache.memory.gc_pauses import GcPauses
from ohlcache.memory.gc_trial import PAIRS, Pair, Window, judge
from ohlcache.memory.gc_tuning import GcTuning
from ohlcache.memory.usage import Usage

MB = 1 << 20


class Workload:
    """A meter whose windows follow from the settings that are really in force.

    share, longest, rss, work: functions of the young threshold and the full one.
    """

    def __init__(
        self,
        *,
        share=lambda young, full: 0.05,
        longest=lambda young, full: 0.02,
        rss=lambda young, full: 500 * MB,
        work=None,
        noise=0.3,
        seed=0,
        collections=100,
    ) -> None:
        self.share, self.longest, self.rss, self.work = share, longest, rss, work
        self.noise, self.collections = noise, collections
        self.random = random.Random(seed)

    def begin(self, now) -> None:
        self.began = now

    def _noisy(self, value):
        return value * self.random.lognormvariate(0, self.noise)

    def end(self, now):
        young, _, full = gc.get_threshold()
        seconds = now - self.began
        return Window(
            seconds,
            self.collections,
            self._noisy(self.share(young, full)) * seconds,
            self._noisy(self.longest(young, full)),
            int(self.rss(young, full)),
            None if self.work is None else self._noisy(self.work(young, full)) * seconds,
        )


@pytest.fixture(autouse=True)
def _as_found():
    found = gc.get_threshold()
    yield
    gc.set_threshold(*found)
    gc.unfreeze()


def tuned(workload, *, rounds=1, **options):
    """A tuning that has tried all candidates (or has found nothing to try)."""
    tuning = GcTuning(workload, warmup_seconds=60, window_seconds=10, **options).start(0)
    for now in range(0, 2_500 * rounds, 5):
        tuning.step(now)
    return tuning


def verdicts(tuning):
    return {trial.candidate: trial.is_kept for trial in tuning.report.trials}


def test_a_candidate_that_pays_is_kept_and_stays_in_force():
    tuning = tuned(Workload(share=lambda young, full: 0.1 if young < 10_000 else 0.04))
    assert verdicts(tuning) == {
        "(10000, 10, 10)": True,
        "(50000, 10, 10)": False,
        "(10000, 10, 50)": False,
    }
    assert gc.get_threshold() == (10_000, 10, 10)
    first = tuning.report.trials[0]
    assert first.why.startswith("less time went into pauses: -")
    assert first.before.pause_share > 2 * first.after.pause_share
    assert first.pairs == PAIRS
    tuning.stop()


def test_what_makes_pauses_longer_is_reverted_though_it_saves_time():
    workload = Workload(
        share=lambda young, full: 50 / young, longest=lambda young, full: young * 20e-6
    )
    tuning = tuned(workload)
    assert not any(verdicts(tuning).values())
    assert "longest pauses became longer" in tuning.report.trials[0].why
    assert gc.get_threshold() == (700, 10, 10)
    tuning.stop()


def test_pauses_too_short_to_notice_are_no_reason_against():
    workload = Workload(
        share=lambda young, full: 50 / young, longest=lambda young, full: young * 1e-9
    )
    tuning = tuned(workload)
    assert verdicts(tuning)["(10000, 10, 10)"]
    tuning.stop()


def test_a_trial_whose_memory_grows_ends_at_once():
    tuning = tuned(
        Workload(
            share=lambda young, full: 0.1 if young < 10_000 else 0.01,
            rss=lambda young, full: (500 if young < 10_000 else 700) * MB,
        )
    )
    trial = tuning.report.trials[0]
    assert (trial.is_kept, trial.pairs) == (False, 1)
    assert trial.why == "ended early: memory grew by 40%"
    tuning.stop()


def test_memory_that_grows_by_more_than_a_tenth_reverts():
    tuning = tuned(
        Workload(
            share=lambda young, full: 0.1 if young < 10_000 else 0.01,
            rss=lambda young, full: (500 if young < 10_000 else 575) * MB,
        )
    )
    assert "memory grew by 15%" in tuning.report.trials[0].why
    tuning.stop()


def test_throughput_decides_where_it_is_counted():
    better = tuned(Workload(work=lambda young, full: 200 if full == 50 else 100, noise=0.05))
    assert [name for name, kept in verdicts(better).items() if kept] == ["(700, 10, 50)"]
    better.stop()
    worse = tuned(
        Workload(
            share=lambda young, full: 0.1 if young == 700 else 0.02,
            work=lambda young, full: 100 if young == 700 else 80,
            noise=0.05,
        )
    )
    assert not any(verdicts(worse).values())
    assert "less work was done" in worse.report.trials[0].why
    worse.stop()


def test_a_process_without_much_to_gain_is_left_alone():
    for idle in (Workload(share=lambda young, full: 0.001), Workload(collections=2)):
        tuning = tuned(idle)
        assert tuning.report.trials == ()
        assert tuning.report.state.startswith("waiting")
        assert gc.get_threshold() == (700, 10, 10)
        tuning.stop()


def test_chance_is_seldom_taken_for_a_difference():
    kept = [kept for seed in range(60) for kept in verdicts(tuned_alike(seed)).values()]
    assert len(kept) == 180
    assert sum(kept) <= 0.08 * len(kept)


def tuned_alike(seed):
    """A workload that no setting helps."""
    tuning = tuned(Workload(noise=0.5, seed=seed))
    tuning.stop()
    return tuning


def test_what_was_kept_is_reverted_when_it_does_not_pay_any_more():
    workload = Workload(share=lambda young, full: 0.1 if young < 10_000 else 0.04)
    tuning = tuned(workload, again_after_seconds=3_600)
    assert gc.get_threshold() == (10_000, 10, 10)
    workload.share = lambda young, full: 0.04 if young < 10_000 else 0.1
    for now in range(2_500, 6_000, 5):
        tuning.step(now)
    assert gc.get_threshold() == (700, 10, 10)
    tuning.stop()


def test_it_begins_with_the_starting_thresholds_and_stop_restores_what_it_found():
    gc.set_threshold(123, 4, 5)
    tuning = GcTuning(Workload()).start(0)
    assert gc.get_threshold() == (700, 10, 10)
    tuning.stop()
    assert gc.get_threshold() == (123, 4, 5)


def test_what_was_found_is_a_candidate():
    gc.set_threshold(30_000, 20, 20)
    tuning = tuned(Workload(share=lambda young, full: 0.01 if young == 30_000 else 0.1))
    assert verdicts(tuning)["(30000, 20, 20)"]
    assert gc.get_threshold() == (30_000, 20, 20)
    tuning.stop()


def test_it_gives_way_to_who_sets_thresholds_meanwhile():
    tuning = tuned(Workload())
    gc.set_threshold(5_000, 10, 10)
    for now in range(6_100, 12_000, 5):
        tuning.step(now)
    assert tuning.report.state == ("ended: someone else set the thresholds to (5000, 10, 10)")
    tuning.stop()
    assert gc.get_threshold() == (5_000, 10, 10)


def test_freezing_is_tried_only_when_asked_for_and_reverted_where_it_does_not_help():
    assert not any("freeze" in candidate for candidate in verdicts(tuned(Workload())))
    gc.set_threshold(700, 10, 10)
    tuning = tuned(Workload(), freeze_after_warmup=True)
    assert verdicts(tuning)["(700, 10, 10) and freeze"] is False
    assert gc.get_freeze_count() == 0
    tuning.stop()


def test_freezing_is_kept_where_it_helps():
    workload = Workload(share=lambda young, full: 0.02 if gc.get_freeze_count() else 0.1)
    tuning = tuned(workload, freeze_after_warmup=True)
    assert verdicts(tuning)["(700, 10, 10) and freeze"]
    assert gc.get_freeze_count() > 0
    tuning.stop()
    assert gc.get_freeze_count() == 0


def test_what_others_froze_stays_frozen():
    gc.freeze()
    tuning = tuned(Workload(), freeze_after_warmup=True)
    assert not any("freeze" in candidate for candidate in verdicts(tuning))
    tuning.stop()
    assert gc.get_freeze_count() > 0


WINDOWS = st.builds(
    Window,
    seconds=st.just(10.0),
    collections=st.just(50),
    pause_seconds=st.floats(0.05, 5),
    longest_pause_seconds=st.floats(0.001, 1),
    rss_bytes=st.just(500 * MB),
)


@given(st.lists(st.builds(Pair, WINDOWS, WINDOWS), min_size=PAIRS, max_size=PAIRS))
@settings(max_examples=200)
def test_never_are_a_candidate_and_its_opposite_both_kept(pairs):
    opposite = [Pair(pair.after, pair.before) for pair in pairs]
    assert not (judge(pairs).is_kept and judge(opposite).is_kept)


class Examined:
    """Collections measured by how many objects they look at: a clock that is the same each run."""

    SECONDS_PER_OBJECT = 1e-6

    def __init__(self) -> None:
        self._is_start = False

    def notice(self, phase, info) -> None:
        """The callback of the collector, before the one that is tested."""
        self._generation = info["generation"]

    def __call__(self) -> float:
        self._is_start = not self._is_start
        if not self._is_start:
            return self._cost
        looked_at = sum(
            len(gc.get_objects(generation)) for generation in range(self._generation + 1)
        )
        self._cost = looked_at * self.SECONDS_PER_OBJECT
        return 0.0


def growing():
    """Work that keeps what it makes: each object is looked at in many collections."""
    return [[number] for number in range(30_000)]


def calculating():
    """Work whose objects die at once: there are no collections to speak of."""
    for number in range(30_000):
        [number]  # noqa: B018


class Node:
    """Garbage that only a collection frees."""

    alive = 0

    def __init__(self) -> None:
        self.me = self
        Node.alive += 1

    def __del__(self) -> None:
        Node.alive -= 1


def making_cycles():
    """Work whose garbage takes much memory until it is collected."""
    for _ in range(30_000):
        Node()


@pytest.mark.parametrize(
    ("work", "is_kept", "told"),
    [
        (growing, True, "kept; less time went into pauses"),
        (making_cycles, False, "memory grew"),
        (calculating, None, "waiting: 0.00% of the time goes into pauses, little to gain"),
    ],
)
@alone
def test_real_work(work, is_kept, told):
    clock = Examined()
    gc.collect()
    gc.callbacks.insert(0, clock.notice)
    try:
        with GcPauses(clock) as pauses:
            meter = PauseMeter(pauses, read=lambda: Usage(100 * MB + Node.alive * MB))
            tuning = GcTuning(meter, warmup_seconds=0, window_seconds=1).start(0)
            for now in range(1 + 2 * PAIRS + 2):
                tuning.step(now)
                work()
            report = tuning.report
            tuning.stop()
    finally:
        gc.callbacks.remove(clock.notice)
    verdict = {trial.candidate: trial.is_kept for trial in report.trials}.get("(10000, 10, 10)")
    assert verdict is is_kept
    assert told in " ".join([report.state, *map(str, report.trials)])
