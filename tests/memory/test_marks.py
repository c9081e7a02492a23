from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ohlcache.memory.marks import Level, Marks
from ohlcache.memory.pacing import LEAST_AT_REST, LEAST_SECONDS, Pacing
from ohlcache.memory.samples import OLDER, RECENT, Sample, Samples

MB = 2**20
MARKS = Marks.of(1000 * MB, 0.8, 0.9)


def levels(sizes_mb):
    found, level = [], Level.NORMAL
    for size in sizes_mb:
        level = MARKS.level(size * MB, level)
        found.append(level.name.lower())
    return found


def test_a_level_begins_at_its_mark_and_ends_clearly_below():
    assert levels([799, 800, 760, 721, 719]) == [
        "normal",
        "warning",
        "warning",
        "warning",
        "normal",
    ]
    assert levels([900, 820, 811, 809, 719]) == [
        "critical", "critical", "critical", "warning", "normal"
    ]  # fmt: skip
    assert levels([950, 100]) == ["critical", "normal"]


@given(st.lists(st.integers(760, 840), min_size=2))
def test_noise_around_a_mark_is_one_event(sizes):
    found = levels(sizes)

    assert sum(one != other for one, other in pairwise(found)) <= 1


@given(st.floats(0.01, 0.99), st.integers(1, 2**44))
def test_reclaiming_goes_below_the_mark_and_little_further(share, limit):
    marks = Marks.of(limit, share, 1.0)

    assert 0.95 * marks.warning - 1 <= marks.target <= marks.warning


# -- when to look ---------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=30),
    st.floats(0.1, 60),
)
def test_looks_are_within_their_bounds(sizes, interval):
    pacing, at = Pacing(interval), 0.0
    for size in sizes:
        delay = pacing.next_delay(at, size * MB, 800 * MB)
        assert min(interval, LEAST_SECONDS) <= delay <= interval
        at += delay


@given(st.integers(1, 2000), st.integers(1, 700))
def test_steady_growth_is_looked_at_before_it_reaches_the_mark(rate_mb, begin_mb):
    pacing, at, mark = Pacing(10.0), 0.0, 800 * MB
    pacing.next_delay(at, begin_mb * MB, mark)
    rss, last = begin_mb, 0
    while rss < 800:
        at += 0.1
        rss += rate_mb * 0.1
        last = rss
        delay = pacing.next_delay(at, int(rss * MB), mark)
        reaches_mark_in = (800 - rss) / rate_mb
        bound = max(LEAST_SECONDS if rate_mb > 10 else LEAST_AT_REST, reaches_mark_in / 2)
        assert delay <= bound + 1e-6
    assert last >= 800


def test_at_rest_looks_are_seldom_and_less_seldom_near_the_mark():
    def at_rest(rss_mb):
        pacing = Pacing(10.0)
        return [pacing.next_delay(10.0 * look, rss_mb * MB, 8000 * MB) for look in range(5)][-1]

    assert at_rest(200) == 10.0
    delays = [at_rest(rss) for rss in range(0, 9000, 500)]
    assert delays == sorted(delays, reverse=True)
    assert at_rest(7990) == LEAST_AT_REST


# -- samples --------------------------------------------------------------------------------------


def test_samples_of_days_take_bounded_memory_and_keep_the_recent_ones():
    samples = Samples()
    total = 30_000
    for number in range(total):
        samples.add(Sample(float(number), number))

    kept = samples.all()

    assert len(kept) == RECENT + OLDER
    assert kept == sorted(set(kept))
    assert kept[-RECENT:] == samples.recent() == [
        Sample(float(number), number) for number in range(total - RECENT, total)
    ]  # fmt: skip
    assert kept[-1].at - kept[0].at > 8_000


def test_few_samples_are_all_kept():
    samples = Samples()
    for number in range(RECENT):
        samples.add(Sample(float(number), number))

    assert [sample.rss for sample in samples.all()] == list(range(RECENT))
