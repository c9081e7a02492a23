"""What a process counted itself, without what its parent had counted before it was forked.

A forked child has its parent's counters. In a sum over processes their counts would be in it twice.
"""

from __future__ import annotations

import os

from ohlcache.telemetry.distribution import Distribution
from ohlcache.telemetry.metric import Value
from ohlcache.telemetry.registry import Key, Readings


class Inherited:
    """Knows what counters stood at when the process was first seen to be another one.

    What a child counted before that is taken for its parent's.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._counts: dict[Key, Value] = {}

    def taken_from(self, readings: Readings) -> Readings:
        """The readings without it; gauges are of the process itself and stay as they are."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._counts = {
                key: value for key, value in readings.values.items() if key[0].kind != "gauge"
            }
        if not self._counts:
            return readings
        own = Readings()
        own.left_out = readings.left_out
        own.values = {key: self._own(key, value) for key, value in readings.values.items()}
        return own

    def _own(self, key: Key, value: Value) -> Value:
        inherited = self._counts.get(key)
        if inherited is None:
            return value
        if isinstance(value, Distribution) and isinstance(inherited, Distribution):
            own: Value = value.since(inherited)
            has_begun_anew = own is value and inherited.count > 0
        else:
            assert isinstance(value, int | float)
            assert isinstance(inherited, int | float)
            has_begun_anew = value < inherited
            own = value if has_begun_anew else value - inherited
        if has_begun_anew:
            del self._counts[key]
        return own


inherited = Inherited()  # of this process: made before it forks
