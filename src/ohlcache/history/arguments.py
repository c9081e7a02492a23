"""Arguments of MarketData, checked: ranges, symbols and names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ohlcache.candles import IntervalSet
from ohlcache.candles.instant import Instant, to_iso, to_ms
from ohlcache.errors import InvalidArgument
from ohlcache.history.reports import SeriesKey

_UNFIT = {  # categories of characters that no name may have
    "Cc": "a control character",
    "Cs": "half a character",
    "Zl": "a line break",
    "Zp": "a line break",
}


def symbol_names(symbols: str | Iterable[str]) -> list[str]:
    """One symbol or several as a list, each once, in order."""
    return [symbols] if isinstance(symbols, str) else list(dict.fromkeys(symbols))


def range_ms(start: Instant, end: Instant) -> tuple[int | None, int | None]:
    """Both ends in ms, None where open. Raises InvalidArgument unless start is before end."""
    low = None if start is None else to_ms(start, "start")
    high = None if end is None else to_ms(end, "end")
    if low is not None and high is not None and low >= high:
        raise InvalidArgument(
            f"start {to_iso(low)} is not before end {to_iso(high)}: ranges are [start, end)"
        )
    return low, high


def filled_range(
    key: SeriesKey, start: int | None, end: int | None, known: IntervalSet, now: int
) -> tuple[int, int]:
    """A range with its open ends filled in: from what is ``known`` of a series, and up to now.

    Raises InvalidArgument for a start in the future.
    """
    latest = max(known[-1].end, now) if known else now
    if start is None:
        if not known:
            raise InvalidArgument(
                f"start is not given and nothing of {key} is stored: give a start"
            )
        start = known[0].start if end is None else min(known[0].start, end - 1)
    if start >= latest:
        raise InvalidArgument(
            f"start is {to_iso(start)}, which lies in the future: give an earlier one"
        )
    return start, latest if end is None else end


def checked_name(field: str, name: str) -> str:
    """The name of a symbol, venue or snapshot. Raises InvalidArgument for what cannot be one."""
    if not isinstance(name, str):
        raise InvalidArgument(f"{field} is {name!r}: give a text")
    if not name.strip():
        raise InvalidArgument(f"{field} is {name!r}: give a text that is not blank")
    if not name.isprintable():  # which is most often enough to know
        unfit = next((one for one in name if unicodedata.category(one) in _UNFIT), None)
        if unfit is not None:
            raise InvalidArgument(
                f"{field} is {name!r}, which holds {_UNFIT[unicodedata.category(unfit)]} "
                f"({unfit!a}): leave it out"
            )
    return name
