"""Readings as plain data: a document for JSON, which can be read again, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from math import isfinite, isnan
from typing import Any

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.distribution import BUCKETS, Distribution
from ohlcache.telemetry.export.families import families
from ohlcache.telemetry.metric import Metric, Value
from ohlcache.telemetry.registry import Labels, Readings
from ohlcache.telemetry.vocabulary import METRICS

_COLUMNS = ("metric", "labels", "field", "value")
_ESCAPED = str.maketrans({"\\": r"\\", "=": r"\=", ";": r"\;"})


def as_dict(readings: Readings) -> dict[str, Any]:
    """The readings as a document for JSON or msgpack, by the name of the metric.

    {name: {"kind", "unit", "help", "series": [...]}}; a series of a counter or gauge is
    {"labels": {...}, "value"}, of a histogram {"labels": {...}, "count", "sum", "mean", "p50",
    "p99", "p999", "buckets": [[bucket, count], ...]} with durations in seconds; bucket b ends at
    1e-7 * 2**(b/4) s. Numbers that JSON lacks are "NaN", "Infinity" and "-Infinity".
    """
    return {
        metric.name: {
            "kind": metric.kind,
            "unit": metric.unit,
            "help": metric.help,
            "series": [
                {"labels": _named(metric, labels), **_fields(value)} for labels, value in series
            ],
        }
        for metric, series in families(readings).items()
    }


def from_dict(document: Mapping[str, Any]) -> Readings:
    """The readings that :func:`as_dict` made the document of, exactly.

    Series of metrics that are not known here, or have another kind or other labels, as those of
    another version may, are skipped and counted in ``left_out``. Raises InvalidArgument for what
    is no such document.
    """
    readings = Readings()
    try:
        for name, family in document.items():
            _read_family(METRICS.get(name), family, readings)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise InvalidArgument(
            f"readings cannot be read ({type(error).__name__}: {error}): give what as_dict returned"
        ) from error
    return readings


def csv_text(readings: Readings) -> str:
    """The readings as CSV: metric, labels (``a=b;c=d``), field, value; one number a row.

    The field of counters and gauges is "value"; histograms have count, sum, mean, p50, p99 and
    p999 in seconds. In labels ``;``, ``=`` and the backslash stand after a backslash.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for metric, series in families(readings).items():
        for labels, value in series:
            joined = _joined(_named(metric, labels))
            for field, number in _figures(value).items():
                rows.writerow((metric.name, joined, field, number))
    return text.getvalue()


def _named(metric: Metric, labels: Labels) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))


def _joined(labels: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value.translate(_ESCAPED)}" for name, value in labels.items())


def _figures(value: Value) -> dict[str, Any]:
    if isinstance(value, Distribution):
        return {"sum": value.total, **value.figures()}
    return {"value": _number(value)}


def _fields(value: Value) -> dict[str, Any]:
    figures = _figures(value)
    if isinstance(value, Distribution):
        figures["buckets"] = [list(pair) for pair in value]
    return figures


def _number(value: float) -> float | str:
    """As JSON can have it, with the names that protobuf's JSON mapping gives the others."""
    if isfinite(value):
        return value
    if isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _read_family(metric: Metric | None, family: Mapping[str, Any], readings: Readings) -> None:
    series = family["series"]
    if metric is None or family["kind"] != metric.kind:
        readings.left_out += len(series)
        return
    names = set(metric.labels)
    for each in series:
        labels = each["labels"]
        if labels.keys() == names:
            values = [labels[name] for name in metric.labels]
            readings.add(metric, _read_value(metric, each), *values)
        else:
            readings.left_out += 1


def _read_value(metric: Metric, series: Mapping[str, Any]) -> Value:
    if metric.kind != "histogram":
        value = series["value"]
        return float(value) if isinstance(value, str) else _checked(value)
    counts = dict(series["buckets"])
    if counts and not 0 <= min(counts) <= max(counts) < BUCKETS:
        raise ValueError(f"buckets are 0 to {BUCKETS - 1}")
    return Distribution(counts, _checked(series["sum"]))


def _checked(value: Any) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
