"""Series that cannot be read because their row in the catalogue is damaged: the others go on."""

from __future__ import annotations

from ohlcache.errors import StoreDamaged
from ohlcache.history.reports import SeriesKey


class Barred:
    """What is wrong with them, by venue, symbol and timeframe as these are stored."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str, str], str] = {}

    def __len__(self) -> int:
        return len(self._faults)

    def clear(self) -> None:
        """Begin anew: the whole catalogue is read."""
        self._faults.clear()

    def add(self, name: tuple[str, str, str], error: StoreDamaged) -> None:
        """Bar a series."""
        self._faults[name] = str(error)

    def check(self, key: SeriesKey) -> None:
        """Raises StoreDamaged for a series that is barred."""
        fault = self._faults.get((key.venue, key.symbol, str(key.timeframe)))
        if fault is not None:
            raise StoreDamaged(fault)

    def check_symbol(self, key: SeriesKey) -> None:
        """Raises StoreDamaged where any series of the symbol is barred."""
        for (venue, symbol, _), fault in list(self._faults.items()):
            if (venue, symbol) == key[:2]:
                raise StoreDamaged(fault)
