from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ohlcache.memory import LeakAssessment
from ohlcache.memory.health import Condition, Growth, judged, stability_of
from ohlcache.memory.limits import Limit
from ohlcache.memory.marks import Marks
from ohlcache.memory.samples import Sample

MB = 2**20
MARKS = Marks.of(1000 * MB, 0.8, 0.9)
NO_LEAK = LeakAssessment(leaking=False, bytes_per_hour=0.0, confidence=0.9, why="steady")
LEAK = LeakAssessment(leaking=True, bytes_per_hour=5e7, confidence=0.9, why="grows by 50 MB/h")
RATINGS = ["Excellent", "Good", "Warning", "Critical"]


def findings(rss_mb=100, time_to_limit=None, **other):
    rss = rss_mb * MB
    growth = Growth(0.0 if time_to_limit is None else 1e6, time_to_limit)
    defaults = {"stability": 1.0, "leak": NO_LEAK}
    limit = Limit(1000 * MB, "setting memory.limit_mb")
    return Condition(
        rss=rss,
        limit=limit,
        marks=MARKS,
        level=MARKS.level(rss),
        growth=growth,
        **(defaults | other),
    )


def test_ratings():
    for found, rating in [
        (findings(100), "Excellent"),
        (findings(650), "Good"),
        (findings(820), "Warning"),
        (findings(950), "Critical"),
        (findings(leak=LEAK), "Warning"),
        (findings(stability=0.5), "Good"),
        (findings(time_to_limit=300.0), "Critical"),
        (findings(time_to_limit=3600.0), "Warning"),
        (findings(time_to_limit=36000.0), "Good"),
        (findings(time_to_limit=1e7), "Excellent"),
        (findings(850, in_vain=True), "Warning"),
        (findings(hanging=["mine"]), "Warning"),
    ]:
        health = judged(found)
        assert health.rating == rating, found
        assert (health.reasons == ()) == (rating == "Excellent")
        assert all(reason.message and reason.remedy for reason in health.reasons)


def test_reasons_are_for_operators():
    health = judged(findings(850, time_to_limit=5400.0, leak=LEAK, in_vain=True, hanging=["mine"]))

    words = " | ".join(f"{one.message}: {one.remedy}" for one in health.reasons)
    for expected in (
        "850 MB of 1,000 MB are in use (85%); the limit is the setting memory.limit_mb",
        "will reach the limit in about 90 min",
        "grows by 50 MB/h",
        "nobody who was asked has any to give",
        "'mine'",
    ):
        assert expected in words


@st.composite
def found_and_worse(draw):
    found = findings(
        draw(st.integers(1, 1100)),
        draw(st.none() | st.floats(1, 2e5)),
        stability=draw(st.floats(0, 1)),
        leak=draw(st.sampled_from([NO_LEAK, LEAK])),
        in_vain=draw(st.booleans()),
    )
    left = found.growth.time_to_limit_seconds
    rss = found.rss + draw(st.integers(0, 500)) * MB
    changes = {
        "rss": {"rss": rss, "level": MARKS.level(rss)},
        "stability": {"stability": draw(st.floats(0, found.stability))},
        "leak": {"leak": LEAK},
        "in_vain": {"in_vain": True},
        "hanging": {"hanging": ["mine"]},
        "growth": {"growth": Growth(1e6, draw(st.floats(0, left or 2e5)))},
    }
    return found, replace(found, **changes[draw(st.sampled_from(sorted(changes)))])


@given(found_and_worse())
def test_what_gets_worse_never_betters_the_rating(pair):
    found, worse = map(judged, pair)

    assert RATINGS.index(worse.rating) >= RATINGS.index(found.rating)


@given(st.lists(st.integers(0, 1000), max_size=50))
def test_stability_is_between_nothing_and_one(sizes):
    samples = [Sample(float(at), size * MB) for at, size in enumerate(sizes)]

    stability = stability_of(samples, 1000 * MB)

    assert 0 <= stability <= 1
    if len(set(sizes)) <= 1:
        assert stability == 1
