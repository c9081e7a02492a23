"""Metrics as instruments of OpenTelemetry."""

from __future__ import annotations

import re
import threading

import pytest
from every_metric import durations, every_metric
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, Sum

from ohlcache.telemetry import registry
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.export import instrument
from ohlcache.telemetry.export.opentelemetry import instrument_name
from ohlcache.telemetry.vocabulary import METRICS


class Reporter:
    """Reports what it is given, under labels that no other part of the process has."""

    def __init__(self, *readings):
        self.readings = readings
        self.asked = 0
        registry.register(self.report)

    def report(self, readings):
        self.asked += 1
        for metric, value, *labels in self.readings:
            readings.add(metric, value, *labels)


class Exporter:
    def __init__(self):
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def export(self):
        """{name: metric}"""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for of_resource in data.resource_metrics
            for scope in of_resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name):
        """{attributes: value} of one more export."""
        found = self.export().get(name)
        points = found.data.data_points if found is not None else []
        return {frozenset(point.attributes.items()): point.value for point in points}


@pytest.fixture
def exporter():
    made = Exporter()
    made.instrumentation = instrument(made.provider)
    yield made
    made.instrumentation.close()
    made.provider.shutdown()


def attributes(**named):
    return frozenset({name.replace("__", "."): value for name, value in named.items()}.items())


def test_every_metric_becomes_instruments_of_the_right_kind_and_unit(exporter):
    everything = [
        (metric, value, *labels) for (metric, labels), value in every_metric().values.items()
    ]
    reporter = Reporter(*everything)
    found = exporter.export()
    for metric in METRICS.values():
        name = instrument_name(metric)
        if metric.kind == "histogram":
            units = {suffix: found.pop(f"{name}.{suffix}").unit for suffix in ("sum", "p50", "p99")}
            assert set(units.values()) == {"s"}
            assert found.pop(f"{name}.count").data.is_monotonic
            continue
        exported = found.pop(name)
        assert exported.description == metric.help
        if metric.kind == "counter":
            assert exported.data.is_monotonic
        else:
            kind = Sum if metric.across == "sum" else Gauge  # what can be added up is added up
            assert isinstance(exported.data, kind)
        if metric.unit:
            assert exported.unit == {"bytes": "By", "ratio": "1"}[metric.unit]
    assert found == {}
    assert reporter.asked == 1


def test_names_and_units_are_those_of_the_conventions(exporter):
    reporter = Reporter(
        (metrics.CACHE_HITS, 1, "l1", "default"),
        (metrics.CACHE_MISSES, 1, "l1", "default"),
        (metrics.CACHE_ENTRIES, 1, "default"),
        (metrics.CACHE_BYTES, 1, "default"),
        (metrics.CACHE_STALE, 1, "default"),
    )
    units = {name: exported.unit for name, exported in exporter.export().items()}
    assert units["ohlcache.cache.hits"] == "{hit}"
    assert units["ohlcache.cache.misses"] == "{miss}"
    assert units["ohlcache.cache.entries"] == "{entry}"
    assert units["ohlcache.cache.usage"] == "By"
    assert units["ohlcache.cache.stale"] == "1"
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", name) for name in units)
    assert reporter.asked == 1


def test_no_name_stands_for_two_instruments_or_is_another_ones_namespace():
    names = {instrument_name(metric) for metric in METRICS.values()}
    assert len(names) == len(METRICS)
    assert not any(one != other and other.startswith(f"{one}.") for one in names for other in names)


def test_attributes_are_those_of_the_conventions_where_they_have_one(exporter):
    reporter = Reporter(
        (metrics.CACHE_BREAKER_OPENINGS, 3, "l2"),
        (metrics.CACHE_BREAKER_OPENINGS, 4, "l3"),
        (metrics.HISTORY_REQUEST_ERRORS, 2, "TestTimeout"),
        (metrics.POOL_WAIT_SECONDS, durations(1.0), "trading_db"),
        (metrics.QUERY_SECONDS, durations(1.0), "trades"),
    )
    openings = exporter.values("ohlcache.cache.breaker_openings")
    assert openings[attributes(ohlcache__tier="l2", db__system__name="redis")] == 3
    assert openings[attributes(ohlcache__tier="l3")] == 4
    errors = exporter.values("ohlcache.history.request_errors")
    assert errors[attributes(error__type="TestTimeout")] == 2
    pool = attributes(db__client__connection__pool__name="trading_db")
    assert exporter.values("ohlcache.pool.wait.duration.count")[pool] == 1
    database = attributes(db__namespace="trades")
    assert exporter.values("ohlcache.query.duration.count")[database] == 1
    assert reporter.asked == 4


def test_quantiles_are_of_what_came_since_the_export_before(exporter):
    series = attributes(db__namespace="of the test")
    slow, fast = [2.0] * 100, [0.001] * 100
    reporter = Reporter((metrics.QUERY_SECONDS, durations(*slow), "of the test"))
    assert exporter.values("ohlcache.query.duration.p99")[series] == pytest.approx(2, rel=0.19)
    reporter.readings = [(metrics.QUERY_SECONDS, durations(*slow, *fast), "of the test")]
    found = exporter.export()
    values = {
        name.rpartition(".")[2]: exported.data.data_points[0].value
        for name, exported in found.items()
        if name.startswith("ohlcache.query.duration.")
    }
    assert values["p99"] == pytest.approx(0.001, rel=0.19)
    assert (values["count"], values["sum"]) == (200, pytest.approx(200.1))
    assert series not in exporter.values("ohlcache.query.duration.p99")  # nothing came


def test_exporters_in_several_threads_do_not_take_from_each_other(exporter):
    reporter = Reporter((metrics.QUERY_SECONDS, durations(2.0), "of the test"))
    found = []

    def export():
        found.append(exporter.values("ohlcache.query.duration.p50"))

    for _ in range(2):
        thread = threading.Thread(target=export)
        thread.start()
        thread.join()
    assert found[0] == found[1]
    assert len(found[0]) == 1
    assert reporter.asked == 2


def test_after_closing_nothing_is_told_or_asked(exporter):
    reporter = Reporter((metrics.HISTORY_SERIES_READS, 1, "of the test"))
    exporter.instrumentation.close()
    assert exporter.export() == {}
    assert reporter.asked == 0


def test_without_a_provider_nothing_is_spent():
    reporter = Reporter((metrics.HISTORY_SERIES_READS, 1, "of the test"))
    instrument().close()
    assert reporter.asked == 0
