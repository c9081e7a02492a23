"""Metrics in the text format of Prometheus."""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
import subprocess
import sys

import prometheus_client
import pytest
from every_metric import DURATIONS, durations, every_metric
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ohlcache.telemetry import Readings, export, registry
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.export import collector, prometheus_text
from ohlcache.telemetry.vocabulary import METRICS

# As promtool checks them.
ABBREVIATED = {"s", "sec", "ms", "us", "ns", "min", "b", "kb", "mb", "gb", "kib", "mib", "pct"}
NOT_BASE = {"milliseconds", "microseconds", "minutes", "hours", "days", "kilobytes", "megabytes"}
NOT_BASE |= {"bits", "percent", "percents"}
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def parsed(readings):
    return {
        family.name: family for family in text_string_to_metric_families(prometheus_text(readings))
    }


def samples(readings, name):
    """{(label values in the order of the metric's labels): value}"""
    return {
        tuple(
            sample.labels[label]
            for label in (*METRICS[family.name].labels, "le")
            if label in sample.labels
        ): sample.value
        for family in parsed(readings).values()
        for sample in family.samples
        if sample.name == name
    }


def test_every_metric_comes_with_its_kind_its_help_and_its_values():
    readings = every_metric()
    found = parsed(readings)
    assert set(found) == set(METRICS)
    for name, metric in METRICS.items():
        assert (found[name].type, found[name].documentation) == (metric.kind, metric.help)
        suffix = {"counter": "_total", "gauge": "", "histogram": "_count"}[metric.kind]
        values = {
            labels: len(DURATIONS) if metric.kind == "histogram" else value
            for labels, value in readings.of(metric)
        }
        assert samples(readings, name + suffix) == values
        if metric.kind == "histogram":
            assert set(samples(readings, f"{name}_sum").values()) == {sum(DURATIONS)}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_are_as_prometheus_wants_them(metric):
    words = metric.name.split("_")
    assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", metric.name)
    assert metric.name.startswith("ohlcache_")
    assert not metric.name.endswith(("_total", "_bucket", "_sum", "_count", "_info", "_created"))
    assert not set(words) & (ABBREVIATED | NOT_BASE | TYPES)
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert (metric.unit or "-") == next(
        (unit for unit in ("bytes", "ratio", "seconds") if unit == words[-1]), "-"
    )
    assert len(set(metric.labels)) == len(metric.labels)
    assert not set(metric.labels) & {"le", "quantile", "job", "instance"}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in metric.labels)


def test_no_two_metrics_have_a_name_in_common():
    names = [
        metric.name + suffix for metric in METRICS.values() for suffix in SUFFIXES[metric.kind]
    ]
    assert len(set(names)) == len(names)


def test_no_series_occurs_twice():
    lines = [
        line.rpartition(" ")[0]
        for line in prometheus_text(every_metric()).splitlines()
        if not line.startswith("#")
    ]
    assert len(set(lines)) == len(lines)


def off_the_bounds(seconds):
    """Bounds are told to the last digit of a float, not beyond."""
    octaves = math.log2(seconds / 1e-7)
    return abs(octaves - round(octaves)) > 1e-9


@given(st.lists(st.floats(1e-9, 1e4).filter(off_the_bounds), max_size=50))
def test_buckets_count_what_is_not_longer_than_their_bound(seconds):
    readings = Readings()
    readings.add(metrics.QUERY_SECONDS, durations(*seconds), "trades")
    buckets = samples(readings, "ohlcache_query_seconds_bucket")
    assert len(buckets) == 33
    for (_, bound), count in buckets.items():
        assert count == sum(each <= float(bound) for each in seconds)
    assert samples(readings, "ohlcache_query_seconds_count") == {("trades",): len(seconds)}


def test_bounds_double_from_100_ns_on():
    readings = Readings()
    readings.add(metrics.TELEMETRY_SECONDS, durations(1.0))
    bounds = [bound for (bound,) in samples(readings, "ohlcache_telemetry_collect_seconds_bucket")]
    assert bounds[:4] == ["1e-07", "2e-07", "4e-07", "8e-07"]
    assert bounds[-2:] == ["214.7483648", "+Inf"]


@given(st.text())
def test_any_text_can_be_a_label(text):
    readings = Readings()
    readings.add(metrics.HISTORY_SERIES_READS, 7, text)
    assert samples(readings, "ohlcache_history_series_reads_total") == {(text,): 7}


class Reporter:
    def __init__(self, labels=("of the test",)):
        self.labels = labels
        self.asked = 0
        registry.register(self.report)

    def report(self, readings):
        self.asked += 1
        readings.add(metrics.HISTORY_SERIES_READS, 12, *self.labels)


def test_the_process_tells_what_its_parts_report_while_they_live():
    reporter = Reporter()
    line = 'ohlcache_history_series_reads_total{series="of the test"} 12.0\n'
    assert line in prometheus_text()
    del reporter
    assert line not in prometheus_text()


def test_a_registry_of_ones_own_can_have_the_metrics_too():
    reporter = Reporter()
    theirs = prometheus_client.CollectorRegistry(auto_describe=True)
    prometheus_client.Counter("orders", "Orders sent.", registry=theirs).inc()
    theirs.register(collector())
    assert reporter.asked == 0  # only who asks for metrics has them collected
    text = prometheus_client.generate_latest(theirs).decode()
    assert "orders_total 1.0" in text
    assert 'series="of the test"} 12.0' in text
    assert reporter.asked == 1


def test_the_names_are_taken_even_where_there_is_no_data_yet():
    theirs = prometheus_client.CollectorRegistry(auto_describe=True)
    ours = collector()
    theirs.register(ours)
    with pytest.raises(ValueError, match="ohlcache_cache_hits"):
        prometheus_client.Counter("ohlcache_cache_hits", "Ours.", registry=theirs)
    with pytest.raises(ValueError, match="ohlcache"):
        theirs.register(collector())
    theirs.unregister(ours)
    theirs.register(collector())


def test_openmetrics_of_such_a_registry_has_units():
    from prometheus_client.openmetrics.exposition import generate_latest
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as read

    reporter = Reporter()
    theirs = prometheus_client.CollectorRegistry()
    theirs.register(collector())
    found = {family.name: family.unit for family in read(generate_latest(theirs).decode())}
    assert found["ohlcache_history_series_reads"] == ""
    assert all(METRICS[name].unit == unit for name, unit in found.items())
    assert reporter.asked == 1


def test_no_module_takes_the_place_of_what_has_its_name():
    for module in pkgutil.iter_modules(export.__path__, f"{export.__name__}."):
        importlib.import_module(module.name)
    assert all(callable(getattr(export, name)) for name in export.__all__)


def test_client_libraries_are_loaded_when_they_are_used():
    code = (
        "import sys, ohlcache.telemetry.export as export\n"
        "export.grafana_dashboard()\n"
        "names = ('prometheus_client', 'opentelemetry', 'yaml', 'numpy')\n"
        "print([name for name in names if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
