"""Single trades as columns."""

from __future__ import annotations

from dataclasses import dataclass

from ohlcache.candles.block import Times, Values


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trades as columns of shape (n,): ``times`` in ms UTC, ``prices`` and ``amounts``."""

    times: Times
    prices: Values
    amounts: Values

    def __len__(self) -> int:
        return len(self.times)
