"""From an exchange to the store: only what is missing, in pieces, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass

from ohlcache.candles import Grid, Interval, IntervalSet, Timeframe, to_iso
from ohlcache.candles.interval import difference
from ohlcache.cli.invocation import Interrupted
from ohlcache.cli.output import count
from ohlcache.cli.progress import Bar, progress
from ohlcache.errors import InvalidArgument, OhlcacheError, UnknownSymbol
from ohlcache.history import MarketData
from ohlcache.sources import Source

_PAGES_AT_ONCE = 32  # in a piece: enough for any concurrency, little enough to decode in passing
_PIECE = 100_000  # candles, where a source has no pages
_LOOK_EVERY = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did. ``range`` is what was asked for; candles that were there are not new."""

    range: Interval
    new: int
    requests: int
    retries: int
    rejected: int


def fetch(
    md: MarketData,
    source: Source,
    symbol: str,
    timeframe: str,
    start: int | None,
    end: int | None,
) -> Fetched:
    """Bring what the store lacks of [start, end), in ms, up to what is closed by now.

    Without ``start`` it goes on where the stored history ends. What arrived stays when a later
    part fails or is interrupted. Raises the errors of ``MarketData.candles``, and Interrupted.
    """
    coverage = _coverage(md, source, symbol, timeframe)
    if start is None:
        if not coverage:
            raise InvalidArgument(
                f"start is not given and nothing of {symbol} {timeframe} is stored for "
                f"{source.venue}: give --start"
            )
        start = coverage[-1].end
    now = source.now()
    wanted = Interval(start, now if end is None else min(end, now))
    if start > now:
        raise InvalidArgument(
            f"start is {to_iso(start)}, which lies in the future: give an earlier one"
        )
    pieces = list(_pieces(difference([wanted], coverage), source, timeframe))
    total = sum(piece.end - piece.start for piece in pieces)
    name = f"{source.venue} {symbol} {timeframe}"
    try:
        with progress(name, "candles") as bar:
            done = 0
            for piece in pieces:
                future = md.prefetch(symbol, timeframe, piece.start, piece.end)
                _wait(md, future, bar, done / total)
                done += piece.end - piece.start
    except OhlcacheError as error:
        if new := _counted(md, "candles"):
            error.add_note(f"{count(new, 'candle')} before that are stored")
        raise
    except KeyboardInterrupt:
        raise Interrupted(
            f"{count(_counted(md, 'candles'), 'candle')} are stored, nothing is half written; run "
            "the same command again: it goes on with what is missing"
        ) from None
    return Fetched(
        wanted,
        _counted(md, "candles"),
        _counted(md, "requests"),
        _counted(md, "retries"),
        _counted(md, "rejected"),
    )


def _coverage(md: MarketData, source: Source, symbol: str, timeframe: str) -> IntervalSet:
    try:
        return tuple(md.coverage(symbol, timeframe, venue=source.venue))
    except UnknownSymbol:
        return ()


def _pieces(missing: IntervalSet, source: Source, timeframe: str) -> Iterator[Interval]:
    page = source.capabilities.page_size
    candles = _PIECE if page is None else page * _PAGES_AT_ONCE
    grid = Grid(Timeframe.parse(timeframe))
    for start, end in missing:
        while start < end:
            stop = min(end, grid.shifted(start, candles))
            yield Interval(start, stop)
            start = stop


def _wait(md: MarketData, future: Future[None], bar: Bar, fraction: float) -> None:
    while True:
        bar.update(fraction, _counted(md, "candles"))
        try:
            return future.result(_LOOK_EVERY)
        except StillRunning:
            if future.done():
                raise


def _counted(md: MarketData, what: str) -> int:
    return int(md.stats()["fetch"].get(what, 0))
