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

_PAGES_AT_ONCE = 32  # in a piece: enough for any concurrency
_PIECE = 200_000  # candles, at most: little enough to be decoded in passing
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
    candle = Timeframe.parse(timeframe).milliseconds
    name = f"{source.venue} {symbol} {timeframe}"
    try:
        with progress(name, "candles") as bar:
            done = 0
            for piece in pieces:
                future = md.prefetch(symbol, timeframe, piece.start, piece.end)
                length = piece.end - piece.start
                _wait(md, future, bar, done / total, length / total, length // candle)
                done += length
    except OhlcacheError as error:
        if fetched := _counted(md, "candles"):
            error.add_note(f"{count(fetched, 'candle')} before that are stored")
        raise
    except KeyboardInterrupt:
        new = count(_counted(md, "candles"), "new candle")
        raise Interrupted(
            f"{new} are stored, nothing is half written; run the same command again: it goes on "
            "with what is missing"
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
    page = source.capabilities.page_size or _PIECE
    candles = max(page, min(page * _PAGES_AT_ONCE, _PIECE))
    grid = Grid(Timeframe.parse(timeframe))
    for start, end in missing:
        while start < end:
            stop = min(end, grid.shifted(start, candles))
            yield Interval(start, stop)
            start = stop


def _wait(
    md: MarketData, future: Future[None], bar: Bar, before: float, share: float, candles: int
) -> None:
    """Wait for a piece of so many candles, which is this share of all the work."""
    new_before = _counted(md, "candles")
    while True:
        new = _counted(md, "candles")
        bar.update(before + share * min(1, (new - new_before) / max(candles, 1)), new)
        try:
            return future.result(_LOOK_EVERY)
        except StillRunning:
            if future.done():
                raise


def _counted(md: MarketData, what: str) -> int:
    return int(md.stats()["fetch"].get(what, 0))
