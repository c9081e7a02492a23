"""A dashboard for Grafana (classic model), made of the definitions that rule everything else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from ohlcache.telemetry.alerts.rule import Rule
from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.export.grafana_rows import OVERVIEW, ROWS, Chart, Row
from ohlcache.telemetry.export.grafana_thresholds import (
    ALERT_STEPS,
    HEALTH_STEPS,
    NO_STEPS,
    Step,
    steps,
)
from ohlcache.telemetry.export.prometheus_alerts import Rules, checked
from ohlcache.telemetry.export.promql import chart, other_labels, quantile
from ohlcache.telemetry.indicators import INDICATORS, SCRAPED_WINDOW, Indicator
from ohlcache.telemetry.measures import Rate, selector
from ohlcache.telemetry.metric import Metric, Unit
from ohlcache.telemetry.vocabulary import ALERT_FIRING, HEALTH_SCORE
from ohlcache.telemetry.windows import Selection

_SCHEMA_VERSION = 41  # of Grafana 12; newer ones migrate it
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24  # of Grafana's grid
_CHART, _NUMBER = (8, 7), (4, 4)  # width and height of panels
_QUANTILES = (0.5, 0.99)
_UNITS: dict[Unit, str] = {"": "short", "bytes": "bytes", "ratio": "percentunit", "seconds": "s"}
_RATES: dict[Unit, str] = {"": "ops", "bytes": "binBps", "ratio": "short", "seconds": "short"}
_REQUESTS = ("_hits", "_misses", "_reads", "_requests")  # counters whose rate is of requests

Panel = dict[str, Any]


def grafana_dashboard(rules: Rules = DEFAULT_RULES) -> dict[str, Any]:
    """A dashboard to import into Grafana, or to provision; it asks for a Prometheus data source.

    rules: thresholds are drawn where these alert. Raises InvalidArgument for rules that the alert
    engine would refuse.
    """
    known = checked(rules)
    rows = [("Overview", _NUMBER, _overview(known))]
    rows += [(row.title, _CHART, _panels(row, known)) for row in ROWS]
    return {
        "uid": "ohlcache",
        "title": "ohlcache",
        "description": "The market data layer: cache tiers, loads, history, memory, alerts. "
        f"Numbers that alerts judge look back {SCRAPED_WINDOW} s: scrape at least every minute.",
        "tags": ["ohlcache"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # the crosshair is shared
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_datasource_variable()]},
        "annotations": {"list": []},
        "panels": _laid_out(rows),
    }


def _overview(rules: Sequence[Rule]) -> list[Panel]:
    score = f"min({selector(Selection.of(HEALTH_SCORE, component='overall'))})"
    firing = f"sum({selector(Selection(ALERT_FIRING))}) or vector(0)"
    health = _panel("stat", "Health", HEALTH_SCORE.help, "short", HEALTH_STEPS)
    alerts = _panel("stat", "Alerts that fire", ALERT_FIRING.help, "short", ALERT_STEPS)
    numbers = [_with_targets(health, [(score, "")]), _with_targets(alerts, [(firing, "")])]
    return numbers + [_indicator(INDICATORS[name], "stat", rules) for name in OVERVIEW]


def _panels(row: Row, rules: Sequence[Rule]) -> list[Panel]:
    judged = [_indicator(INDICATORS[name], "timeseries", rules) for name in row.indicators]
    return judged + [_chart(each, row.tier) for each in row.charts]


def _indicator(indicator: Indicator, kind: str, rules: Sequence[Rule]) -> Panel:
    per_second = isinstance(indicator.measure, Rate)
    unit = _RATES[indicator.unit] if per_second else _UNITS[indicator.unit]
    thresholds = steps(
        rule for rule in rules if rule.metric == indicator.name and rule.rate_over_seconds is None
    )
    panel = _panel(kind, _title(indicator.name), indicator.help, unit, thresholds)
    return _with_targets(panel, [(indicator.measure.promql(SCRAPED_WINDOW), indicator.name)])


def _chart(drawn: Chart, tier: str | None) -> Panel:
    described = " ".join(metric.help for metric in drawn.metrics)
    panel = _panel("timeseries", drawn.title, described, _unit(drawn.metrics[0]), NO_STEPS)
    return _with_targets(
        panel, [target for metric in drawn.metrics for target in _targets(metric, tier)]
    )


def _targets(metric: Metric, tier: str | None) -> list[tuple[str, str]]:
    """Expressions and what their lines are called."""
    of_tier = tier is not None and "tier" in metric.labels
    selection = Selection(metric, (("tier", str(tier)),) if of_tier else ())
    by = other_labels(metric, selection)
    called = " ".join([_title(metric.name), *(f"{{{{{label}}}}}" for label in by)])
    if metric.kind != "histogram":
        return [(chart(selection, by), called)]
    return [(quantile(selection, share, by), f"{called} p{100 * share:g}") for share in _QUANTILES]


def _unit(metric: Metric) -> str:
    if metric.kind != "counter":
        return _UNITS[metric.unit]
    return "reqps" if metric.name.endswith(_REQUESTS) else _RATES[metric.unit]


def _title(name: str) -> str:
    """``ohlcache_cache_bytes``: Cache bytes; ``l1_p99_seconds``: L1 p99."""
    words = name.removeprefix("ohlcache_").removesuffix("_seconds").replace("_", " ")
    return words[0].upper() + words[1:]


def _panel(kind: str, title: str, description: str, unit: str, thresholds: list[Step]) -> Panel:
    drawn = "off" if thresholds is NO_STEPS or kind == "stat" else "line"
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}}
    custom: dict[str, Any] = {"fillOpacity": 5, "thresholdsStyle": {"mode": drawn}}
    if kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
        custom = {}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _DATASOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "custom": custom,
                "thresholds": {"mode": "absolute", "steps": thresholds},
            },
            "overrides": [],
        },
        "options": options,
    }


def _with_targets(panel: Panel, targets: Iterable[tuple[str, str]]) -> Panel:
    panel["targets"] = [
        {
            "refId": chr(ord("A") + place),
            "datasource": _DATASOURCE,
            "expr": expression,
            "legendFormat": called,
        }
        for place, (expression, called) in enumerate(targets)
    ]
    return panel


def _laid_out(rows: Iterable[tuple[str, tuple[int, int], list[Panel]]]) -> list[Panel]:
    """Headings with their panels below, from left to right and from top to bottom."""
    panels: list[Panel] = []
    y = 0
    for title, (width, height), of_row in rows:
        heading: Panel = {"type": "row", "title": title, "collapsed": False, "panels": []}
        panels.append(_placed(heading, title, (0, y), (_COLUMNS, 1)))
        y += 1
        each_line = _COLUMNS // width
        for place, panel in enumerate(of_row):
            line, column = divmod(place, each_line)
            corner = (column * width, y + line * height)
            panels.append(_placed(panel, f"{title}/{panel['title']}", corner, (width, height)))
        y += -(-len(of_row) // each_line) * height
    return panels


def _placed(panel: Panel, path: str, corner: tuple[int, int], size: tuple[int, int]) -> Panel:
    """The id follows from the titles, so that links to a panel outlive a new dashboard."""
    x, y = corner
    width, height = size
    grid = {"x": x, "y": y, "w": width, "h": height}
    return {"id": crc32(path.encode()) & 0x7FFFFFFF, **panel, "gridPos": grid}


def _datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "refresh": 1,
    }
