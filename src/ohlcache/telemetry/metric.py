"""What a metric is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ohlcache.telemetry.distribution import Distribution

Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["", "bytes", "ratio", "seconds"]
Across = Literal["sum", "max", "min"]
Value = float | Distribution


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A quantity that is measured; the same object wherever it is reported or asked for.

    name: as Prometheus has it, base unit last, without the ``_total`` of counters.
    labels: names of what it is told apart by.
    across: how several parts or processes that report the same are put together.
    """

    name: str
    kind: Kind
    help: str
    unit: Unit = ""
    labels: tuple[str, ...] = ()
    across: Across = "sum"

    def merged(self, one: Value, other: Value) -> Value:
        """One value of two that were reported under the same labels."""
        if isinstance(one, Distribution) and isinstance(other, Distribution):
            return one.plus(other)
        assert isinstance(one, int | float)
        assert isinstance(other, int | float)
        if self.across == "sum":
            return one + other
        return max(one, other) if self.across == "max" else min(one, other)
