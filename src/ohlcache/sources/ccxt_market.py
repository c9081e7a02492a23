"""What ccxt tells about a market, as properties of a symbol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Values of ccxt's ``precisionMode``: how exchanges write the precision of prices and amounts.
_DECIMAL_PLACES, _TICK_SIZE = 2, 4


def market_properties(market: Mapping[str, Any], mode: int, venue: str) -> dict[str, Any]:
    """The properties that ``MarketData.set_metadata`` takes; those not told are left out.

    Precision in significant digits is no step, and is left out too.
    """
    precision = market.get("precision") or {}
    told = {
        "tick_size": _step(precision.get("price"), mode),
        "lot_size": _step(precision.get("amount"), mode),
        "listed": market.get("created"),
        "delisted": market.get("expiry"),
        "base": market.get("base"),
        "quote": market.get("quote"),
        "source": venue,
        "market": market.get("type"),
    }
    return {name: value for name, value in told.items() if value}


def _step(precision: float | None, mode: int) -> float | None:
    if precision is None or mode == _TICK_SIZE:
        return precision
    return float(f"1e{-int(precision)}") if mode == _DECIMAL_PLACES else None
