"""The coverage of a series in the transaction of a write."""

from __future__ import annotations

from collections.abc import Iterable

from ohlcache.candles import Interval, IntervalSet
from ohlcache.candles.instant import EARLIEST, LATEST
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.history.engine import Session
from ohlcache.history.past.recording import Recording
from ohlcache.history.reading import Series

_BEGINNING, _END = -(2**62), 2**62


class Covering:
    """Adds to what is covered and takes from it."""

    def __init__(self, session: Session, past: Recording) -> None:
        self._session = session
        self._past = past

    def add(self, series: Series, covered: IntervalSet) -> bool:
        """Add ranges to the coverage; whether that made it wider."""
        is_wider = False
        live = self._live_from(series, covered)
        for range_ in covered:
            start, end = _on_grid(series, range_)
            touching = self._touching(series, start, end)
            new = difference([(start, end)], touching)
            if not new:
                continue
            is_wider = True
            self._past.covering(intersection(new, [(_BEGINNING, live)]))
            self._past.live_covering(intersection(new, [(live, _END)]))
            self._replace(series, touching, normalise([*touching, (start, end)]))
        return is_wider

    def remove(self, series: Series, removed: Interval) -> None:
        """Take a range out of the coverage."""
        removed = _on_grid(series, removed)
        touching = self._touching(series, *removed)
        self._past.uncovering(removed, normalise(touching))
        self._replace(series, touching, difference(touching, (removed,)))

    def _live_from(self, series: Series, covered: IntervalSet) -> int:
        """Coverage from this open time on grows with time, behind all other: no earlier state."""
        edge = self._past.live_edge(series.grid)
        if not covered or covered[-1].end <= edge:
            return _END
        newest = self._session.rows(
            'SELECT "end" FROM coverage WHERE series = ? ORDER BY start DESC LIMIT 1', series.id
        )
        ends: list[int] = [end for (end,) in newest]
        return max([edge, *ends])

    def _touching(self, series: Series, start: int, end: int) -> list[tuple[int, int]]:
        rows = self._session.rows(
            'SELECT start, "end" FROM coverage WHERE series = ? AND start <= ? AND "end" >= ?',
            series.id,
            end,
            start,
        )
        return [(low, high) for low, high in rows]

    def _replace(self, series: Series, old: Iterable[tuple[int, int]], new: IntervalSet) -> None:
        self._session.run_each(
            "DELETE FROM coverage WHERE series = ? AND start = ?",
            [(series.id, start) for start, _ in old],
        )
        self._session.run_each(
            "INSERT INTO coverage VALUES (?, ?, ?)", [(series.id, *interval) for interval in new]
        )


def _on_grid(series: Series, range_: tuple[int, int]) -> Interval:
    """The range from open time to open time that holds the same ones; open ends stay open."""
    start, end = (series.grid.ceil(time) if EARLIEST < time < LATEST else time for time in range_)
    return Interval(start, end)
