"""Who reports, and what all of them report at one moment.

Nothing is pushed: parts keep plain counters, and are asked for them when somebody looks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from weakref import WeakMethod

from ohlcache.telemetry.counters import Counters
from ohlcache.telemetry.locking import bookkeeping
from ohlcache.telemetry.metric import Metric, Value
from ohlcache.telemetry.vocabulary import TELEMETRY_ERRORS

Labels = tuple[str, ...]
Key = tuple[Metric, Labels]
Reporter = Callable[["Readings"], None]

MOST_SERIES = 2_000  # of all metrics together; what comes on top is left out and counted


class Readings:
    """Numbers and distributions by metric and labels, as they were at one moment."""

    def __init__(self) -> None:
        self.values: dict[Key, Value] = {}
        self.left_out = 0

    def add(self, metric: Metric, value: Value, *labels: str) -> None:
        """Report a value; one that is there already is put together with it."""
        assert len(labels) == len(metric.labels), f"{metric.name} has labels {metric.labels}"
        key = (metric, labels)
        found = self.values.get(key)
        if found is not None:
            self.values[key] = metric.merged(found, value)
        elif len(self.values) < MOST_SERIES:
            self.values[key] = value
        else:
            self.left_out += 1

    def of(self, metric: Metric) -> Iterator[tuple[Labels, Value]]:
        """Labels and value of all series of a metric."""
        return ((key[1], value) for key, value in self.values.items() if key[0] is metric)


class Registry:
    """The reporters of a process.

    clock: seconds of a clock that never goes back. began: when it was made, by this clock; what is
        reported counts from then.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self._reporters: list[WeakMethod[Reporter]] = []
        self.errors = Counters()

    def register(self, reporter: Reporter) -> None:
        """Have a method of an object asked whenever somebody looks; forgotten with the object."""
        with bookkeeping:
            self._reporters.append(WeakMethod(reporter))

    def forget(self, reporter: Reporter) -> None:
        """Ask it no more."""
        with bookkeeping:
            self._reporters = [one for one in self._reporters if one() != reporter]

    def begin_anew(self) -> None:
        """In a forked child counting begins now."""
        self.began = self.clock()

    def collect(self) -> Readings:
        """What all reporters say now. One that raises is left out and counted."""
        readings = Readings()
        for report in self._living():
            try:
                report(readings)
            except Exception as error:  # of any part; telemetry must not stop for it  # noqa: BLE001
                self.errors.count(f"{report.__qualname__}: {type(error).__name__}")
        for part, count in self.errors.snapshot().items():
            readings.add(TELEMETRY_ERRORS, count, part)
        if readings.left_out:
            readings.values[TELEMETRY_ERRORS, ("too many series",)] = readings.left_out
        return readings

    def _living(self) -> list[Reporter]:
        with bookkeeping:
            found = [(reference, reference()) for reference in self._reporters]
            self._reporters = [reference for reference, reporter in found if reporter is not None]
        return [reporter for _, reporter in found if reporter is not None]


registry = Registry()  # of this process
os.register_at_fork(after_in_child=registry.begin_anew)
