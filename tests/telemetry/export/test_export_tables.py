"""Readings as JSON, which can be read again, and as CSV."""

from __future__ import annotations

import csv
import json
import math

import msgspec
import pytest
from every_metric import DURATIONS, durations, every_metric
from hypothesis import given
from hypothesis import strategies as st

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry import Readings
from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.distribution import BUCKETS, Distribution
from ohlcache.telemetry.export import as_dict, csv_text, from_dict
from ohlcache.telemetry.vocabulary import METRICS

numbers = st.integers(0, 2**63) | st.floats(allow_nan=False)
distributions = st.builds(
    Distribution,
    st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 2**40), max_size=BUCKETS),
    st.floats(0, 1e9),
)


@st.composite
def some_readings(draw):
    readings = Readings()
    for metric in draw(st.lists(st.sampled_from(list(METRICS.values())), unique=True, max_size=8)):
        labels = st.tuples(*[st.text(max_size=5)] * len(metric.labels))
        for of_series in draw(st.lists(labels, unique=True, max_size=3)):
            value = draw(distributions if metric.kind == "histogram" else numbers)
            readings.add(metric, value, *of_series)
    return readings


@given(some_readings())
def test_json_and_msgpack_bring_back_what_was_put_in(readings):
    document = as_dict(readings)
    for sent in (
        json.loads(json.dumps(document, allow_nan=False)),
        msgspec.msgpack.decode(msgspec.msgpack.encode(document)),
    ):
        found = from_dict(sent)
        assert found.values == readings.values
        assert found.left_out == 0


def test_a_number_that_json_lacks_is_given_by_name():
    readings = Readings()
    readings.add(metrics.MEMORY_USED_RATIO, math.nan)
    document = json.loads(json.dumps(as_dict(readings), allow_nan=False))
    (series,) = document["ohlcache_memory_used_ratio"]["series"]
    assert series["value"] == "NaN"
    ((_, value),) = from_dict(document).of(metrics.MEMORY_USED_RATIO)
    assert math.isnan(value)


def test_the_document_tells_what_the_numbers_are():
    readings = Readings()
    readings.add(metrics.CACHE_HITS, 5, "l1", "features")
    readings.add(metrics.CACHE_READ_SECONDS, durations(0.5, 0.5, 0.5, 0.5), "l2")
    assert as_dict(readings) == {
        "ohlcache_cache_hits": {
            "kind": "counter",
            "unit": "",
            "help": metrics.CACHE_HITS.help,
            "series": [{"labels": {"tier": "l1", "category": "features"}, "value": 5}],
        },
        "ohlcache_cache_read_seconds": {
            "kind": "histogram",
            "unit": "seconds",
            "help": metrics.CACHE_READ_SECONDS.help,
            "series": [
                {
                    "labels": {"tier": "l2"},
                    "count": 4,
                    "sum": 2.0,
                    "mean": 0.5,
                    "p50": pytest.approx(0.5, rel=0.19),
                    "p99": pytest.approx(0.5, rel=0.19),
                    "p999": pytest.approx(0.5, rel=0.19),
                    "buckets": [[90, 4]],
                }
            ],
        },
    }


def another_version(document):
    """Documents of versions that know other metrics, and the series that they have of these."""
    counter = {
        "kind": "counter",
        "unit": "",
        "help": "",
        "series": [{"labels": {}, "value": 1}] * 2,
    }
    yield {**document, "ohlcache_new": counter}, 2
    changed = dict(document["ohlcache_cache_hits"], kind="gauge")
    yield {**document, "ohlcache_cache_hits": changed}, 2
    series = [{"labels": {"tier": "l1", "shard": "7"}, "value": 1}]
    changed = dict(document["ohlcache_cache_hits"], series=series)
    yield {**document, "ohlcache_cache_hits": changed}, 1


def test_what_another_version_has_besides_is_skipped_and_counted():
    readings = every_metric()
    for document, skipped in another_version(as_dict(readings)):
        found = from_dict(document)
        assert found.left_out == skipped
        missing = readings.values.keys() - found.values.keys()
        assert {metric for metric, _ in missing} <= {metrics.CACHE_HITS}
        assert {key: readings.values[key] for key in found.values} == found.values


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"ohlcache_cache_hits": None},
        {"ohlcache_cache_hits": {"kind": "counter", "series": [{"value": 1}]}},
        {"ohlcache_memory_reclaims": {"kind": "counter", "series": [{"labels": {}}]}},
        {"ohlcache_memory_reclaims": {"kind": "counter", "series": [{"labels": {}, "value": []}]}},
        {"ohlcache_memory_reclaims": {"kind": "counter", "series": [{"labels": {}, "value": "x"}]}},
        *(
            {
                "ohlcache_telemetry_collect_seconds": {
                    "kind": "histogram",
                    "series": [{"labels": {}, "buckets": buckets, "sum": 1.0}],
                }
            }
            for buckets in ([[BUCKETS, 1]], [[-1, 1]], [[3, -1]], [[3]], [["a", 1]], 5)
        ),
    ],
)
def test_what_is_no_such_document_is_refused(document):
    with pytest.raises(InvalidArgument, match=r"^readings cannot be read .*: give what as_dict"):
        from_dict(document)


def test_csv_has_a_row_for_each_number():
    readings = every_metric()
    header, *rows = csv.reader(csv_text(readings).splitlines())
    assert header == ["metric", "labels", "field", "value"]
    kinds = [metric.kind for metric, _ in readings.values]
    assert len(rows) == len(kinds) - kinds.count("histogram") + 6 * kinds.count("histogram")
    found = {(name, labels, field): float(value) for name, labels, field, value in rows}
    assert len(found) == len(rows)
    reads = {
        field: value
        for (name, labels, field), value in found.items()
        if (name, labels) == ("ohlcache_cache_read_seconds", "tier=l2")
    }
    assert reads["count"] == len(DURATIONS)
    assert reads["sum"] == sum(DURATIONS)
    assert set(reads) == {"count", "sum", "mean", "p50", "p99", "p999"}
    assert ("ohlcache_cache_hits", "tier=l1;category=category l1", "value") in found


def test_labels_of_csv_can_be_told_apart_whatever_is_in_them():
    readings = Readings()
    readings.add(metrics.CACHE_HITS, 1, 'l1;category="x"', "a=b\\")
    _, row = csv.reader(csv_text(readings).splitlines())
    assert row == ["ohlcache_cache_hits", r'tier=l1\;category\="x";category=a\=b\\', "value", "1"]
