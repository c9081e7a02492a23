"""Stored candles in pieces, so that a long series need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

from ohlcache.candles import Block, Interval, Timeframe, to_block
from ohlcache.cli.progress import progress
from ohlcache.errors import UnknownSymbol
from ohlcache.history import MarketData
from ohlcache.web.page import extent

PIECE = 500_000  # candles
READ_ONCE_MB = 32  # of memory for what is read from front to back, a piece at a time


def stored_range(
    md: MarketData,
    symbol: str,
    start: int | None = None,
    end: int | None = None,
    venue: str | None = None,
) -> Interval:
    """What of [start, end), in ms, can hold candles of a symbol; None leaves an end open.

    Raises UnknownSymbol where nothing is stored of it, or nothing in the range.
    """
    known = extent(md, symbol, venue)
    if known is None:
        raise UnknownSymbol(f"symbol {symbol!r} is not stored: see  ohlcache ls")
    low = known.start if start is None else max(start, known.start)
    high = known.end if end is None else min(end, known.end)
    if low >= high:
        raise UnknownSymbol(f"nothing of {symbol} is stored in this range: see  ohlcache ls")
    return Interval(low, high)


def pieces_of(
    md: MarketData, symbol: str, timeframe: str, range_: Interval, venue: str | None = None
) -> list[Interval]:
    """The range in pieces that hold so few stored candles that each is read at once.

    Where the timeframe has to be made, it is the candles that it is made from which count.
    """
    wanted = Timeframe.parse(timeframe)
    stored = [
        Timeframe.parse(info.timeframe)
        for info in md.series()
        if info.symbol == symbol and venue in (None, info.venue)
    ]
    length = min((wanted, *(() if wanted in stored else stored)), key=_milliseconds).milliseconds
    starts = range(range_.start, range_.end, PIECE * length)
    return [Interval(start, min(start + starts.step, range_.end)) for start in starts]


def _milliseconds(timeframe: Timeframe) -> int:
    return timeframe.milliseconds


def read_pieces(
    md: MarketData,
    symbol: str,
    timeframe: str,
    pieces: list[Interval],
    venue: str | None = None,
) -> Iterator[Block]:
    """The candles that open in each of the pieces, which follow one another, with a progress bar.

    Raises what ``MarketData.candles`` raises.
    """
    rows = 0
    with progress(f"{symbol} {timeframe}", "candles") as bar:
        for done, (start, end) in enumerate(pieces, 1):
            block = to_block(md.candles(symbol, timeframe, start, end, venue=venue, as_="numpy"))
            rows += len(block)
            yield block
            bar.update(done / len(pieces), rows)
