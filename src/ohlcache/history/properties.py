"""What can be said about a symbol: the documented properties, and their checks.

They are kept as JSON. Moments become ISO texts in UTC (a date alone where it is midnight), numbers
stay numbers. Any further key is the user's own and may hold whatever JSON can.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import isfinite
from numbers import Real
from typing import Any

from ohlcache.candles.instant import to_iso, to_ms
from ohlcache.candles.session import session as session_named
from ohlcache.errors import InvalidArgument, UnsupportedBySource
from ohlcache.sources.protocol import DescribesSymbols, Source

Properties = dict[str, Any]

_MIDNIGHT = "T00:00Z"


def checked(symbol: str, properties: Mapping[str, Any]) -> Properties:
    """The properties as they are stored; those of the documented ones that are None are left out.

    ``tick_size``, ``lot_size``: the steps of prices and amounts, numbers above 0.
    ``listed``, ``delisted``: the first moment of trading, and the first one after it; datetimes,
    dates, ISO texts or ms.
    ``session``: when it is traded, as ``MarketData.gaps`` takes it.
    ``base``, ``quote``, ``source``, ``description``: texts.

    Raises InvalidArgument, naming symbol and property, for anything else, and for values that
    JSON cannot hold.
    """
    if not isinstance(properties, Mapping):
        raise InvalidArgument(f"metadata of {symbol} is {properties!r}: give a dict")
    found: Properties = {}
    for name, value in properties.items():
        if not isinstance(name, str):
            raise InvalidArgument(f"metadata of {symbol} has the key {name!r}: give texts as keys")
        check = _CHECKS.get(name)
        if check is None:
            found[name] = value
        elif value is not None:
            found[name] = check(f"{name} of {symbol}", value)
    _check_order(symbol, found)
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"metadata of {symbol}: {error}: use JSON types") from error
    return found


def describing(source: Source | None, symbol: str) -> DescribesSymbols:
    """The source as one that tells the properties of symbols.

    Raises InvalidArgument where there is no source, UnsupportedBySource for one that tells none.
    """
    if source is None:
        raise InvalidArgument(
            f"metadata of {symbol} cannot be refreshed without a source: open with one, or use "
            "set_metadata"
        )
    if not isinstance(source, DescribesSymbols):
        raise UnsupportedBySource(
            f"source {source.venue!r} tells no properties of {symbol}: use set_metadata"
        )
    return source


def _step(field: str, value: Any) -> float | int:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not isfinite(value) or value <= 0:
        raise InvalidArgument(f"{field} is {value!r}: give a number above 0, such as 0.01")
    return value if isinstance(value, int) else float(value)


def _moment(field: str, value: Any) -> str:
    return to_iso(to_ms(value, field)).removesuffix(_MIDNIGHT)


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgument(f"{field} is {value!r}: give a text that is not empty")
    return value


def _session(field: str, value: Any) -> str:
    session_named(_text(field, value))
    return str(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "tick_size": _step,
    "lot_size": _step,
    "listed": _moment,
    "delisted": _moment,
    "session": _session,
    "base": _text,
    "quote": _text,
    "source": _text,
    "description": _text,
}

DOCUMENTED = tuple(_CHECKS)


def _check_order(symbol: str, properties: Properties) -> None:
    listed, delisted = properties.get("listed"), properties.get("delisted")
    if listed is None or delisted is None:
        return
    if to_ms(listed, "listed") >= to_ms(delisted, "delisted"):
        raise InvalidArgument(
            f"delisted of {symbol} is {delisted}, not after listed, which is {listed}: mend one"
        )
