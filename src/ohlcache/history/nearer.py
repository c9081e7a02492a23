"""What lies nearer than the store, in memory and in Redis, must be what the store holds."""

from __future__ import annotations

from collections.abc import Iterator

from ohlcache.candles import Block, Interval
from ohlcache.history.chunks import BODY, window_length
from ohlcache.history.holder import Holder
from ohlcache.history.reading import Reading, Series
from ohlcache.history.shared import ChunkTier


class Nearer:
    """Compares the copies of a window with the store; a wrong one is replaced at once."""

    def __init__(self, holder: Holder, tier: ChunkTier | None) -> None:
        self._holder = holder
        self._tier = tier

    def faults(
        self, series: Series, start: int, rows: Block, reading: Reading
    ) -> Iterator[tuple[Interval, str]]:
        """The ranges of copies that differ, and what was wrong.

        rows: what the store holds of the window that starts at ``start``, as ``reading`` sees it.
        """
        window = Interval(start, start + window_length(series.key.timeframe))
        held = self._holder.held_at(series)
        for run in held.runs if held is not None else ():
            part = Interval(max(run.range.start, window.start), min(run.range.end, window.end))
            if part.start < part.end and not run.between(*part).identical(rows.between(*part)):
                self._holder.forget(series.key)
                yield part, "memory held other candles than the store: it was let go of"
        if self._tier is not None and self._correct(self._tier, series, start, reading):
            yield window, "Redis held another chunk than the store: it was written over"

    def _correct(self, tier: ChunkTier, series: Series, start: int, reading: Reading) -> bool:
        body = next(iter(reading.places(series, start, start + 1)), None)
        if body is None or body.layer != BODY:
            return False
        name = tier.name(series.id, body)
        shared = tier.take([name]).get(name)
        if shared is None:
            return False
        stored = bytes(next(iter(reading.chunks(series, start, start + 1))))
        if bytes(shared) == stored:
            return False
        tier.damaged(1)
        tier.correct({name: stored})
        return True
