"""The health score: monotone, complete in its reasons, and in the order of an operator."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.health import ComponentHealth, Finding, Reason, assess
from ohlcache.telemetry.health.components import STAKES
from ohlcache.telemetry.health.deductions import DEDUCTIONS
from ohlcache.telemetry.indicators import INDICATORS

DOCS = Path(__file__).parents[2] / "docs" / "health.md"
RATINGS = ("Critical", "Warning", "Good", "Excellent")
JUDGED = {deduction.indicator: deduction for deduction in DEDUCTIONS}
PERFECT = {name: deduction.good for name, deduction in JUDGED.items()}
DEAD = {name: deduction.bad for name, deduction in JUDGED.items()}


def values_of(name):
    """Values of an indicator: within what is judged, at its edges, and far beyond."""
    deduction = JUDGED.get(name)
    edges = (0.0, 1.0) if deduction is None else (0.0, deduction.good, deduction.bad)
    return st.one_of(
        st.sampled_from(edges), st.floats(0, 2 * max(edges)), st.floats(0, 1e9, allow_nan=False)
    )


situations = st.fixed_dictionaries({}, optional={name: values_of(name) for name in INDICATORS})
findings = st.lists(
    st.builds(
        Finding,
        st.sampled_from(sorted(STAKES)),
        st.floats(0.001, 50),
        st.just("something was found"),
        st.just("do something"),
    ),
    max_size=6,
)


def is_worse_or_equal(name, value, than):
    deduction = JUDGED.get(name)
    falls = deduction is not None and deduction.bad < deduction.good
    return value <= than if falls else value >= than


@st.composite
def one_worse(draw):
    """A situation and the same with one indicator worse."""
    before = draw(situations)
    name = draw(st.sampled_from(sorted(INDICATORS)))
    pair = [draw(values_of(name)), draw(values_of(name))]
    worse, better = pair if is_worse_or_equal(name, *pair) else reversed(pair)
    return before | {name: better}, before | {name: worse}


def never_higher(after, before):
    assert after.score <= before.score
    assert RATINGS.index(after.rating) <= RATINGS.index(before.rating)
    assert before.components.keys() <= after.components.keys()
    for name, health in before.components.items():
        assert after.components[name].score <= health.score


class TestMonotone:
    @given(one_worse(), findings)
    def test_a_worse_indicator_never_raises_any_score(self, pair, found):
        better, worse = pair
        never_higher(assess(worse, found), assess(better, found))

    @given(situations, situations, findings)
    def test_many_worse_at_once_neither(self, one, other, found):
        both = one.keys() & other.keys()
        worse = one | {
            name: max(one[name], other[name], key=lambda value: _badness(name, value))
            for name in both
        }
        never_higher(assess(worse, found), assess(one, found))

    @given(situations, findings, findings)
    def test_more_findings_never_raise_any_score(self, indicators, found, more):
        never_higher(assess(indicators, found + more), assess(indicators, found))

    @given(situations, st.data(), findings)
    def test_to_know_more_never_raises_any_score(self, indicators, data, found):
        hidden = data.draw(st.sets(st.sampled_from(sorted(INDICATORS))))
        known = {name: value for name, value in indicators.items() if name not in hidden}
        never_higher(assess(indicators, found), assess(known, found))

    @given(situations, findings)
    def test_what_is_well_changes_nothing(self, indicators, found):
        """A component that is there and perfect counts as if it were not there."""
        assert assess(PERFECT | indicators, found).score == assess(indicators, found).score

    @given(st.floats(0, 100), st.floats(0, 100))
    def test_ratings_follow_the_score(self, one, other):
        low, high = (assess({"memory_used_ratio": 0.8 + lost / 500}) for lost in (one, other))
        if low.score > high.score:
            low, high = high, low
        assert RATINGS.index(low.rating) <= RATINGS.index(high.rating)


def _badness(name, value):
    return value if is_worse_or_equal(name, 1, 0) else -value


class TestSums:
    @given(situations, findings)
    def test_every_point_lost_has_a_reason(self, indicators, found):
        report = assess(indicators, found)
        for health in report.components.values():
            assert 0 <= health.score <= 100
            assert in_tenths(100 - health.score) == sum(
                in_tenths(reason.points) for reason in health.reasons
            )
            assert all(reason.points > 0 for reason in health.reasons)
            assert all(reason.message and reason.remedy for reason in health.reasons)

    @given(situations, findings)
    def test_every_point_of_the_whole_belongs_to_a_component(self, indicators, found):
        report = assess(indicators, found)
        assert 0 <= report.score <= 100
        assert report.costs.keys() == report.components.keys()
        assert in_tenths(100 - report.score) == sum(map(in_tenths, report.costs.values()))
        for name, cost in report.costs.items():
            assert cost >= 0
            if report.components[name].score == 100:
                assert cost == 0

    def test_reasons_beyond_everything_are_cut_in_proportion(self):
        found = [Finding("gc", 50, f"number {place}", "rest") for place in range(3)]
        health = assess({"gc_pause_p99_seconds": 0.5}, found).components["gc"]
        assert health.score == 0
        assert [reason.points for reason in health.reasons] == [40, 20, 20, 20]

    def test_the_most_expensive_reason_comes_first(self):
        health = assess(DEAD).components["l2"]
        assert health.reasons[0].message == "Redis is out of order"
        points = [reason.points for reason in health.reasons]
        assert points == sorted(points, reverse=True)


def in_tenths(points):
    """Points as whole tenths: they are nothing else."""
    assert points == pytest.approx(round(10 * points) / 10, abs=1e-9)
    return round(10 * points)


class TestScore:
    def test_nothing_known_is_nothing_to_complain_of(self):
        report = assess({})
        assert (report.score, report.rating, report.components) == (100, "Excellent", {})

    def test_only_what_is_known_of_is_in_the_report(self):
        report = assess({"l1_hit_rate": 0.95, "memory_used_ratio": 0.5})
        assert list(report.components) == ["l1", "memory"]
        assert report.score == 100

    def test_all_that_is_dead(self):
        report = assess(DEAD)
        assert report.score == 0
        assert report.rating == "Critical"
        assert list(report.components) == list(STAKES)

    @pytest.mark.parametrize("component", STAKES)
    def test_one_dead_component_is_not_averaged_away(self, component):
        of_it = {d.indicator: d.bad for d in DEDUCTIONS if d.component == component}
        report = assess(PERFECT | of_it)
        assert report.components[component].score <= 5
        assert report.score <= 100 - 95 * STAKES[component]
        assert report.rating in ("Warning", "Critical")
        assert report.costs[component] == pytest.approx(100 - report.score)

    @pytest.mark.parametrize("tier", ["l2", "l3"])
    def test_an_open_breaker_takes_most_of_its_tier(self, tier):
        health = assess({f"{tier}_breaker_open": 1, f"{tier}_hit_rate": 1}).components[tier]
        assert health.score <= 40

    def test_the_formula_of_the_documentation(self):
        report = assess({"l2_breaker_open": 1, "gc_pause_p99_seconds": 0.5})
        assert report.score == 35.0  # 100 * (1 - 0.5 * 1.0) * (1 - 0.3 * 1.0)
        assert report.costs == {"l2": 40.6, "gc": 24.4}  # 65 points, 50 to 30

    def test_durations_are_compared_by_their_logarithm(self):
        lost = [
            100 - assess({"pool_wait_p99_seconds": seconds}).score
            for seconds in (0.05, 0.05 * 40**0.5, 2.0)
        ]
        assert lost == [0, 25, 50]

    def test_the_score_and_the_alerts_do_not_contradict_each_other(self):
        """Where a default rule fires, points are lost, and not yet where all is far from it."""
        for rule in DEFAULT_RULES:
            if rule["metric"] in JUDGED:
                fires = rule["below"] - 0.02 if "below" in rule else rule["above"] * 1.1 + 0.01
                assert assess({rule["metric"]: fires}).score < 100, rule["name"]

    def test_every_indicator_is_judged_or_left_out_on_purpose(self):
        # How many evictions are too many depends on how many values come: eviction_ratio says it.
        assert set(INDICATORS) - set(JUDGED) == {"evictions_per_second"}

    def test_an_operator_would_rank_them_like_this(self):
        well = PERFECT | {"l1_hit_rate": 0.97, "memory_used_ratio": 0.55}
        redis_out = {"l2_breaker_open": 1}
        ranked = {
            "healthy": well,
            "hits a little below what they should be": well | {"l1_hit_rate": 0.87},
            "Redis a little slow": well | {"l2_p99_seconds": 0.030},
            "callers queue for connections": well | {"pool_wait_p99_seconds": 0.200},
            "memory much too small for what is asked": well
            | {"l1_hit_rate": 0.55, "eviction_ratio": 0.97, "l2_p99_seconds": 0.015},
            "Redis out": well | redis_out,
            "memory past its critical mark": well | {"memory_used_ratio": 0.93},
            "Redis out, and a quarter of the loads fail": well
            | redis_out
            | {"load_error_ratio": 0.25},
            "nothing gets through any more": well
            | {"load_error_ratio": 0.9, "source_error_ratio": 0.9, "load_p99_seconds": 30},
            "everything bad": DEAD,
        }
        scores = [assess(indicators).score for indicators in ranked.values()]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) == len(scores)
        ratings = [assess(indicators).rating for indicators in ranked.values()]
        assert ratings == ["Excellent"] * 3 + ["Good"] + ["Warning"] * 2 + ["Critical"] * 4


class TestReport:
    def test_the_shape(self):
        report = assess({"l1_hit_rate": 0.842})
        component = report.components["l1"]
        assert component == ComponentHealth(
            91.3,
            [
                Reason(
                    8.7,
                    "process memory answers 84.2% of requests, 90% would be good",
                    "where it has been filled already: raise cache.l1.max_size_mb, or the "
                    "ttl_seconds of the categories that miss most",
                )
            ],
        )
        score, reasons = component
        points, message, remedy = reasons[0]
        assert (score, points, message[:7], remedy[:5]) == (91.3, 8.7, "process", "where")
        with pytest.raises(AttributeError):
            report.score = 100

    @pytest.mark.parametrize("indicators", [{}, PERFECT, DEAD])
    def test_as_dict_is_json_and_complete(self, indicators):
        report = assess(indicators, [Finding("memory", 10, "leaking", "look for it")])
        plain = json.loads(json.dumps(report.as_dict()))
        assert plain["score"] == report.score
        assert plain["rating"] == report.rating
        assert plain["components"]["memory"]["reasons"] == [
            reason._asdict() for reason in report.components["memory"].reasons
        ]
        assert {name: one["costs"] for name, one in plain["components"].items()} == report.costs

    def test_it_reads_well(self):
        report = assess({"l1_hit_rate": 0.95, "l2_breaker_open": 1})
        lines = str(report).splitlines()
        assert lines[:3] == [
            "health 50 of 100, Warning",
            "  l2 0, costs 50",
            "    -100: Redis is out of order",
        ]
        assert lines[3].startswith("      look at the tier's `errors`")
        assert lines[4:] == ["  l1 100"]

    def test_of_nothing_it_says_so(self):
        assert "nothing to judge by yet" in str(assess({}))

    @pytest.mark.parametrize("deduction", DEDUCTIONS, ids=lambda one: one.indicator)
    def test_messages_are_whole_sentences_of_one_line(self, deduction):
        (reason,) = (
            assess({deduction.indicator: deduction.bad}).components[deduction.component].reasons
        )
        assert reason.message.isprintable()
        assert reason.remedy.isprintable()
        assert "{" not in reason.message


class TestBadInput:
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, None, "0.9"])
    def test_a_value_that_cannot_be_judged_is_refused(self, value):
        with pytest.raises(InvalidArgument, match="l1_hit_rate .* cannot be judged: give"):
            assess({"l1_hit_rate": value})

    def test_an_unknown_indicator_is_refused(self):
        with pytest.raises(
            InvalidArgument, match="'l1_hits' is not known: use one of .*l1_hit_rate"
        ):
            assess({"l1_hits": 0.9})

    def test_memory_beyond_its_limit_counts_as_at_its_limit(self):
        assert assess({"memory_used_ratio": 1.4}).score == assess({"memory_used_ratio": 1}).score

    @pytest.mark.parametrize("points", [0, -1, 50.1, math.nan, math.inf])
    def test_findings_are_limited(self, points):
        with pytest.raises(InvalidArgument, match="points .* give more than 0 and at most 50"):
            Finding("memory", points, "leaking", "look for it")

    def test_a_finding_of_an_unknown_component_is_refused(self):
        with pytest.raises(InvalidArgument, match="'ram' is not known: use one of l1, .*memory"):
            Finding("ram", 10, "leaking", "look for it")


class TestDocumentation:
    def test_the_table_of_deductions_is_that_of_the_code(self):
        rows = table("| component | indicator")
        assert rows == [
            [d.component, f"`{d.indicator}`", f"{d.good:g}", f"{d.bad:g}", f"{d.points:g}"]
            for d in DEDUCTIONS
        ]

    def test_the_stakes_are_those_of_the_code(self):
        rows = table("| component | stake")
        assert {name: float(stake) for name, stake, _ in rows} == STAKES


def table(heading):
    lines = DOCS.read_text().splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(heading))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
