"""From files to the store: candles as they are, trades made into candles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ohlcache.candles import Block, Grid, Timeframe, to_ms
from ohlcache.candles.timeframe import DAY, HOUR, MINUTE
from ohlcache.candles.trades import TradeAggregator
from ohlcache.cli.invocation import Interrupted
from ohlcache.cli.output import count
from ohlcache.cli.progress import Bar, progress
from ohlcache.errors import InvalidArgument, OhlcacheError
from ohlcache.history import MarketData, WriteReport
from ohlcache.sources.files import CandleFile, TradeFile

File = CandleFile | TradeFile

_SHORTEST_MONTH = 0.9  # of the 30 days that one counts as
_EVIDENT = 50  # rows whose times tell how long the candles are


@dataclass(frozen=True, slots=True)
class Target:
    """The series that is written to, and how. ``closed_until`` is what the user wrote."""

    symbol: str
    timeframe: str
    venue: str | None = None
    closed_until: str | None = None
    strict: bool = False


@dataclass(slots=True)
class Imported:
    """What became of one file.

    ``rows`` were read of it. ``incomplete`` are open times of candles that were left out because
    the trades of the file end before the candle does. ``spacing`` is the distance of the rows in
    ms where all of them are further apart than the timeframe says.
    """

    file: File
    rows: int = 0
    report: WriteReport = field(default_factory=WriteReport)
    incomplete: list[int] = field(default_factory=list)
    spacing: int | None = None


def import_files(md: MarketData, files: Sequence[File], target: Target) -> list[Imported]:
    """Store files in the order given, each part of a file in a transaction of its own.

    Raises the errors of reading and writing; they tell how many candles were stored before.
    """
    timeframe = Timeframe.parse(target.timeframe)
    trades = _TradesToCandles(target)
    done: list[Imported] = []
    try:
        for file in files:
            imported = Imported(file)
            done.append(imported)
            is_last = len(done) == len(files)
            with progress(file.path.name, "rows") as bar:
                if isinstance(file, CandleFile):
                    blocks = _counted(file, imported, bar, timeframe)
                else:
                    blocks = trades.candles(file, imported, bar, is_last=is_last)
                _store(md, blocks, imported, target)
    except OhlcacheError as error:
        if stored := _stored(done):
            error.add_note(f"{count(stored, 'candle')} before that are stored")
        raise
    except KeyboardInterrupt:
        raise Interrupted(
            f"{count(_stored(done), 'candle')} are stored, nothing is half written; run the same "
            "command again: what is stored already is merged, not doubled"
        ) from None
    return done


def _store(md: MarketData, blocks: Iterator[Block], imported: Imported, target: Target) -> None:
    if target.strict:
        # All or nothing, so the file is one part.
        blocks = iter([Block.concatenate(list(blocks))])
    for report in md.write_blocks(
        target.symbol,
        target.timeframe,
        blocks,
        venue=target.venue,
        closed_until=target.closed_until,
        strict=target.strict,
    ):
        imported.report += report


def _counted(
    file: CandleFile, imported: Imported, bar: Bar, timeframe: Timeframe
) -> Iterator[Block]:
    for block in file:
        if not imported.rows:
            imported.spacing = _check_spacing(file, block, timeframe)
        imported.rows += len(block)
        yield block
        bar.update(file.fraction, imported.rows)


def _check_spacing(file: CandleFile, block: Block, timeframe: Timeframe) -> int | None:
    """Refuse rows that are closer than the candles are long; those on the grid would be stored.

    The distance of the rows where all of them are wider apart, which may be right or not.
    """
    steps = np.diff(np.unique(block.times))
    if not len(steps):
        return None
    usual, common = int(np.median(steps)), int(np.gcd.reduce(steps))
    if usual < _SHORTEST_MONTH * timeframe.milliseconds:
        raise InvalidArgument(
            f"timeframe {timeframe} does not fit {file.path}, whose rows are {span_text(usual)} "
            "apart: give that as --timeframe, and resample"
        )
    return common if len(steps) >= _EVIDENT and common >= 2 * timeframe.milliseconds else None


def span_text(ms: int) -> str:
    """``5m``, ``4h``: a distance in time as timeframes are written."""
    for unit, length in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if ms % length == 0:
            return f"{ms // length}{unit}"
    return f"{ms / 1000:g}s"


def _stored(done: list[Imported]) -> int:
    return sum(each.report.added + each.report.updated + each.report.unchanged for each in done)


class _TradesToCandles:
    """Candles of trades in several files that follow one another.

    The last candle of a file is complete when the next file goes on in it, or in the candle after
    it. Otherwise nobody knows whether trades are missing, and it is left out.
    """

    def __init__(self, target: Target) -> None:
        self._grid = Grid(Timeframe.parse(target.timeframe))
        self._closed_until = (
            None if target.closed_until is None else to_ms(target.closed_until, "closed_until")
        )
        self._aggregator = TradeAggregator(self._grid)
        self._open: int | None = None  # the candle that the newest trade is in
        self._previous: Imported | None = None

    def candles(
        self, file: TradeFile, imported: Imported, bar: Bar, *, is_last: bool
    ) -> Iterator[Block]:
        """The candles that this file completes; of the last file also the last one, if closed."""
        is_first_batch = True
        for batch in file:
            if is_first_batch and not self._goes_on(int(batch.times.min())):
                yield self._finish(self._previous)
            is_first_batch = False
            imported.rows += len(batch)
            self._open = self._grid.floor(int(batch.times.max()))
            yield self._aggregator.add(batch)
            bar.update(file.fraction, imported.rows)
        self._previous = imported
        if is_last:
            yield self._finish(imported)

    def _goes_on(self, first: int) -> bool:
        if self._open is None:
            return True
        return self._open <= self._grid.floor(first) <= self._grid.next(self._open)

    def _finish(self, imported: Imported | None) -> Block:
        last = self._aggregator.finish(self._closed_until)
        if imported is not None and self._aggregator.incomplete is not None:
            imported.incomplete.append(self._aggregator.incomplete)
        return last
