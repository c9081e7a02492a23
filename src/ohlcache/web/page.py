"""A page of candles: the first or the last so many of a range, without reading all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ohlcache.candles import Block, Interval, Timeframe, to_block
from ohlcache.candles.instant import EARLIEST, LATEST, Instant
from ohlcache.errors import UnknownSymbol
from ohlcache.history import MarketData

Read = Callable[[int | None, int | None], Block]  # the candles that open in [start, end)

_WIDER = 8  # how much more is read where candles are thin


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Some candles of a range.

    ``rows`` are the first ones of the range where a start was given, otherwise the last ones.
    ``next_start`` is the open time at which the next page begins, None on the last one.
    """

    rows: Block
    next_start: int | None


def read_page(
    md: MarketData,
    symbol: str,
    timeframe: str,
    start: int | None,
    end: int | None,
    *,
    limit: int,
    venue: str | None = None,
    as_of: Instant = None,
) -> Page:
    """At most ``limit`` candles that open in [start, end), in ms; None leaves an end open.

    as_of: the moment whose knowledge is read, as ``MarketData.candles`` takes it.

    Raises what ``MarketData.candles`` raises.
    """

    def read(low: int | None, high: int | None) -> Block:
        return to_block(
            md.candles(symbol, timeframe, low, high, venue=venue, as_="numpy", as_of=as_of)
        )

    # One more than asked for tells whether there are more.
    span = (limit + 1) * Timeframe.parse(timeframe).milliseconds
    if start is not None:
        return _first(read, start, end, limit, span)
    if as_of is not None:
        return _last(read(None, end), limit)  # what is stored now does not tell where it ended
    # What is read up to the end holds the last candles wherever it begins, if it holds enough.
    quick = _stored_end(md, symbol, timeframe, venue)
    if quick is not None:
        rows = read(_before(quick, end, span), end)
        if len(rows) >= limit:
            return _last(rows, limit)
    known = extent(md, symbol, venue)
    if known is None:
        return Page(read(None, end), None)  # which says what is missing
    while True:
        low = _before(known.end, end, span)
        rows = read(low, end)
        if len(rows) >= limit or low <= max(known.start, EARLIEST):
            return _last(rows, limit)
        span *= _WIDER


def _first(read: Read, start: int, end: int | None, limit: int, span: int) -> Page:
    rows = Block.empty()
    for stop in _wider_ends(start, end, span):
        rows = read(start, stop)
        if len(rows) > limit:
            return Page(rows.slice(0, limit), int(rows.times[limit]))
    return Page(rows, None)


def _before(latest: int, end: int | None, span: int) -> int:
    return max((latest if end is None else min(end, latest)) - span, EARLIEST)


def _last(rows: Block, limit: int) -> Page:
    return Page(rows.slice(max(0, len(rows) - limit), len(rows)), None)


def _stored_end(md: MarketData, symbol: str, timeframe: str, venue: str | None) -> int | None:
    try:
        coverage = md.coverage(symbol, timeframe, venue=venue)
    except UnknownSymbol:
        return None
    return coverage[-1].end if coverage else None


def _wider_ends(start: int, end: int | None, span: int) -> Iterator[int | None]:
    """Ends of ranges to try, in turn; the last one is the end itself."""
    for _ in range(3):
        stop = start + span
        if stop >= (LATEST if end is None else end):
            break
        yield stop
        span *= _WIDER
    yield end


def extent(md: MarketData, symbol: str, venue: str | None = None) -> Interval | None:
    """First open and last end, in ms, of all that is stored of a symbol, in any timeframe."""
    known = [
        (info.start, info.end)
        for info in md.series()
        if info.symbol == symbol and venue in (None, info.venue)
    ]
    starts = [start for start, _ in known if start is not None]
    ends = [end for _, end in known if end is not None]
    return Interval(min(starts), max(ends)) if starts and ends else None
