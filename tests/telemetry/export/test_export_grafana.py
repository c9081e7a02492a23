"""The dashboard for Grafana."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
from promql_names import check, exposed

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.export import grafana_dashboard
from ohlcache.telemetry.indicators import INDICATORS, SCRAPED_WINDOW
from ohlcache.telemetry.vocabulary import METRICS

UNITS = {"short", "s", "bytes", "percentunit", "reqps", "ops", "binBps"}


@pytest.fixture(scope="module")
def dashboard():
    return json.loads(json.dumps(grafana_dashboard(), allow_nan=False))


def drawn(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard):
    return [target["expr"] for panel in drawn(dashboard) for target in panel["targets"]]


def panel_of(dashboard, indicator):
    """The chart of an indicator."""
    asked = INDICATORS[indicator].measure.promql(SCRAPED_WINDOW)
    (found,) = (
        panel
        for panel in drawn(dashboard)
        if panel["type"] == "timeseries" and panel["targets"][0]["expr"] == asked
    )
    return found


def colours(panel):
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return [(step["value"], step["color"]) for step in steps]


def test_every_expression_asks_for_metrics_that_there_are(dashboard):
    known = exposed()
    for expression in expressions(dashboard):
        check(expression, known)


def test_everything_that_is_measured_or_judged_has_a_place(dashboard):
    known = exposed()
    asked = set().union(*(check(expression, known) for expression in expressions(dashboard)))
    base = {name.rpartition("_")[0] for name in asked} | asked
    assert METRICS.keys() <= base, "give it a place in grafana_rows.py"
    for name in INDICATORS:
        assert panel_of(dashboard, name)["description"] == INDICATORS[name].help


def test_each_tier_has_a_row_with_its_own_series_only(dashboard):
    tier = None
    rows = {"Process memory (L1)": "l1", "Redis (L2)": "l2", "Database tier (L3)": "l3"}
    seen = set()
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            tier = rows.get(panel["title"])
        elif tier is not None:
            for target in panel["targets"]:
                if "cache_hits" in target["expr"]:
                    seen.add(tier)
                    assert f'tier="{tier}"' in target["expr"]
    assert seen == {"l1", "l2", "l3"}


def test_panels_lie_side_by_side(dashboard):
    grids = [panel["gridPos"] for panel in dashboard["panels"]]
    for grid in grids:
        assert 0 <= grid["x"] < grid["x"] + grid["w"] <= 24
        assert min(grid["w"], grid["h"]) > 0
    for one, other in combinations(grids, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_panels_keep_their_ids_whatever_is_added_elsewhere(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(number, int) and number > 0 for number in ids)
    assert [panel["id"] for panel in grafana_dashboard([])["panels"]] == ids
    assert dashboard["panels"][0]["id"] == 515224557  # "Overview", for ever


def test_grafana_finds_what_it_needs(dashboard):
    (variable,) = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    for panel in drawn(dashboard):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["title"]
        assert panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


@pytest.mark.parametrize("name", INDICATORS)
def test_indicators_are_shown_in_their_unit(dashboard, name):
    unit = panel_of(dashboard, name)["fieldConfig"]["defaults"]["unit"]
    expected = {"ratio": {"percentunit"}, "seconds": {"s"}, "bytes": {"bytes"}}
    assert unit in expected.get(INDICATORS[name].unit, {"short", "ops"})


def test_panels_change_colour_where_rules_alert(dashboard):
    assert colours(panel_of(dashboard, "memory_used_ratio")) == [
        (None, "green"),
        (0.8, "orange"),
        (0.9, "red"),
    ]
    assert colours(panel_of(dashboard, "l1_hit_rate")) == [(None, "orange"), (0.9, "green")]
    assert colours(panel_of(dashboard, "l3_hit_rate")) == [(None, "green")]
    lines = panel_of(dashboard, "l1_hit_rate")["fieldConfig"]["defaults"]["custom"]
    assert lines["thresholdsStyle"] == {"mode": "line"}


def test_a_breaker_that_is_closed_is_not_red(dashboard):
    (_, below), (at, above) = colours(panel_of(dashboard, "l2_breaker_open"))
    assert (below, above) == ("green", "red")
    assert 0 < at < 1


def test_rules_of_ones_own_draw_the_thresholds():
    rules = [
        {"name": "a", "metric": "l2_p99_seconds", "above": 0.1, "severity": "critical"},
        {"name": "b", "metric": "l2_p99_seconds", "below": 0.001, "severity": "info"},
    ]
    made = grafana_dashboard([*DEFAULT_RULES[4:], *rules])
    assert colours(panel_of(made, "l2_p99_seconds")) == [
        (None, "blue"),
        (0.001, "green"),
        (0.1, "red"),
    ]


def test_rules_that_the_engine_would_refuse_are_refused():
    with pytest.raises(InvalidArgument, match="metric 'x' is not known"):
        grafana_dashboard([{"name": "a", "metric": "x", "above": 1}])
