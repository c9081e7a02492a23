"""Candles from a venue's candle updates.

An update is the whole state of its candle, so a candle is known from its first update on. It is
closed when the venue says so, or when a later candle is updated. While a candle forms its volume
only grows: that tells an update that was overtaken by a newer one.
"""

from __future__ import annotations

from ohlcache.candles import Grid, Interval
from ohlcache.errors import SourceError
from ohlcache.history.live.closed import Closed, Row, block_of
from ohlcache.sources.live import CandleUpdate

_REMEMBERED = 64  # closed candles whose last state is kept, to know what is new


class UpdatedCandles:
    """See Candles."""

    def __init__(self, grid: Grid, first: CandleUpdate) -> None:
        """``first`` is not yet put in."""
        self.known_from = self.closed_until = first.time
        self.ignored = 0
        self.late: dict[int, CandleUpdate | None] = {}
        self._grid = grid
        self._told = first.time  # up to where the messages say that candles are closed
        self._states: dict[int, CandleUpdate] = {}

    @property
    def forming(self) -> tuple[int, Row] | None:
        """See Candles."""
        state = self._states.get(self._told)
        return None if state is None or state.closed else (state.time, _row(state))

    def take(self, message: object) -> None:
        """See Candles."""
        if not isinstance(message, CandleUpdate):
            raise SourceError("the stream gives trades among candles: let it give one kind")
        known = self._states.get(message.time)
        if known is not None and _is_old(message, known):
            self.ignored += 1
            return
        self._states[message.time] = message
        if message.time < self.closed_until:
            self.late[message.time] = message
            return
        over = self._grid.next(message.time) if message.closed else message.time
        self._told = max(self._told, over)

    def close(self) -> Closed | None:
        """See Candles."""
        until = self._told
        start = self.closed_until
        if until <= start:
            return None
        rows = [
            (time, _row(state))
            for time, state in sorted(self._states.items())
            if start <= time < until
        ]
        self.leave(until)
        return Closed(block_of(rows), Interval(start, until))

    def leave(self, until: int) -> None:
        """See Candles."""
        self.closed_until = max(self.closed_until, until)
        for time in sorted(self._states)[:-_REMEMBERED]:
            del self._states[time]

    def last_words(self) -> Closed | None:
        """See Candles."""
        return self.close()


def _is_old(update: CandleUpdate, known: CandleUpdate) -> bool:
    if update == known:
        return True
    return not update.closed and (known.closed or update.volume < known.volume)


def _row(update: CandleUpdate) -> Row:
    return update[1:6]
