"""Metrics as instruments of OpenTelemetry.

The instruments are observable ones: they are asked when somebody exports, so that nothing is spent
on them otherwise. Names are ``ohlcache.<part>.<what>``; attributes are those of the semantic
conventions for databases, pools, errors and CPython where these have one.

The API has no observable histogram. Durations are therefore told by counters ``….duration.count``
and ``….duration.sum`` and by gauges ``….duration.p50`` and ``….duration.p99`` of what came since
the export before. The conventions' own names, such as ``db.client.operation.duration``, belong to
histograms and are not used for these.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ohlcache.telemetry.distribution import NO_DURATIONS, Distribution
from ohlcache.telemetry.export.families import Series, families
from ohlcache.telemetry.metric import Metric, Value
from ohlcache.telemetry.registry import Key, Labels, registry
from ohlcache.telemetry.vocabulary import METRICS

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

Attributes = dict[str, str | int]
_Number = Callable[[Value, Distribution], float | None]  # of a series, and of what is new in it

_UNITS = {"bytes": "By", "seconds": "s", "ratio": "1"}
_CONVENTIONAL = {
    "database": "db.namespace",
    "error": "error.type",
    "generation": "cpython.gc.generation",
    "pool": "db.client.connection.pool.name",
}


def instrument(meter_provider: MeterProvider | None = None) -> Instrumentation:
    """Give the metrics of this process to OpenTelemetry, until the result is closed.

    meter_provider: the global one if None. Call it once for each provider.
    """
    from opentelemetry.metrics import get_meter

    from ohlcache import __version__

    return Instrumentation(get_meter("ohlcache", __version__, meter_provider))


class Instrumentation:
    """The instruments of all metrics. What nobody reports has no data points."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._look = _Look()
        self._closed = False
        for metric in METRICS.values():
            self._create(metric)

    def close(self) -> None:
        """Tell nothing more. The API cannot remove instruments; they stay without data points."""
        self._closed = True

    def _create(self, metric: Metric) -> None:
        name, meter = instrument_name(metric), self._meter
        if metric.kind == "histogram":
            self._create_for_durations(metric, name)
            return
        create: Callable[..., object]
        if metric.kind == "counter":
            create = meter.create_observable_counter
        elif metric.across == "sum":
            create = meter.create_observable_up_down_counter
        else:
            create = meter.create_observable_gauge
        observe = partial(self._observe, name, metric, _number)
        create(name, [observe], _unit(metric), metric.help)

    def _create_for_durations(self, metric: Metric, name: str) -> None:
        meter = self._meter
        for suffix, create, unit, of in (
            ("count", meter.create_observable_counter, "{operation}", _count),
            ("sum", meter.create_observable_counter, "s", _total),
            ("p50", meter.create_observable_gauge, "s", partial(_recent_quantile, 0.5)),
            ("p99", meter.create_observable_gauge, "s", partial(_recent_quantile, 0.99)),
        ):
            called = f"{name}.{suffix}"
            create(called, [partial(self._observe, called, metric, of)], unit, metric.help)

    def _observe(
        self,
        name: str,
        metric: Metric,
        of: _Number,
        options: CallbackOptions,  # noqa: ARG002
    ) -> Iterator[Observation]:
        from opentelemetry.metrics import Observation

        if self._closed:
            return
        for labels, value, new in self._look.at(name, metric):
            number = of(value, new)
            if number is not None:
                yield Observation(number, _attributes(metric, labels))


class _Look(threading.local):
    """One collection for all instruments of an export, in the thread that exports.

    An export asks every instrument once; the instrument that is asked again begins the next one.
    Each thread has its own look, so that several exporters do not take from each other.
    """

    def __init__(self) -> None:
        self._asked: set[str] = set()
        self._series: dict[Metric, Series] | None = None
        self._before: dict[Key, Distribution] = {}
        self._new: dict[Key, Distribution] = {}

    def at(self, name: str, metric: Metric) -> Iterator[tuple[Labels, Value, Distribution]]:
        """Labels, value and new durations of the metric's series, for the instrument called so."""
        series = self._series
        if series is None or name in self._asked:
            series = self._take()
        self._asked.add(name)
        for labels, value in series.get(metric, ()):
            yield labels, value, self._new.get((metric, labels), NO_DURATIONS)

    def _take(self) -> dict[Metric, Series]:
        readings, before = registry.collect(), self._before
        self._before = {
            key: value for key, value in readings.values.items() if isinstance(value, Distribution)
        }
        self._new = {
            key: now.since(before.get(key, NO_DURATIONS)) for key, now in self._before.items()
        }
        self._asked.clear()
        self._series = families(readings)
        return self._series


def instrument_name(metric: Metric) -> str:
    """``ohlcache.cache.breaker_open``: units belong to the instrument, not into its name."""
    _, part, *words = metric.name.removesuffix(f"_{metric.unit}").split("_")
    if metric.unit == "seconds":
        return ".".join(filter(None, ("ohlcache", part, "_".join(words), "duration")))
    return ".".join(("ohlcache", part, "_".join(words) or "usage"))


def _unit(metric: Metric) -> str:
    """What is counted stands in braces, in the singular."""
    if metric.unit:
        return _UNITS[metric.unit]
    word = metric.name.rpartition("_")[2]
    for plural, singular in (("sses", "ss"), ("ies", "y"), ("s", "")):
        if word.endswith(plural):
            return f"{{{word.removesuffix(plural)}{singular}}}"
    return "1"


def _attributes(metric: Metric, labels: Labels) -> Attributes:
    attributes: Attributes = {}
    for label, value in zip(metric.labels, labels, strict=True):
        attributes[_CONVENTIONAL.get(label, f"ohlcache.{label}")] = value
    if attributes.get("ohlcache.tier") == "l2":
        attributes["db.system.name"] = "redis"
    return attributes


def _number(value: Value, new: Distribution) -> float | None:  # noqa: ARG001
    assert isinstance(value, int | float)
    return value


def _count(value: Value, new: Distribution) -> float | None:  # noqa: ARG001
    assert isinstance(value, Distribution)
    return value.count


def _total(value: Value, new: Distribution) -> float | None:  # noqa: ARG001
    assert isinstance(value, Distribution)
    return value.total


def _recent_quantile(share: float, value: Value, new: Distribution) -> float | None:  # noqa: ARG001
    return new.quantile(share) if new.count else None
