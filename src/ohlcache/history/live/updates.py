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
        self._newest = first.time  # candles before it are closed
        self._states: dict[int, CandleUpdate] = {}
        self._early: set[int] = set()  # states that came before their candle can have begun

    @property
    def forming(self) -> tuple[int, Row] | None:
        """See Candles."""
        state = self._states.get(self._newest)
        return None if state is None or state.closed else (state.time, _row(state))

    def take(self, message: object, now: int) -> None:
        """See Candles."""
        if not isinstance(message, CandleUpdate):
            raise SourceError("the stream gives trades among candles: let it give one kind")
        time = message.time
        self._newest = max(self._newest, min(time, self._grid.floor(now)))
        is_early = time > now
        known = self._states.get(time)
        is_doubtful = time in self._early and not is_early
        if known is not None and not is_doubtful and _is_old(message, known):
            self.ignored += 1
            return
        self._states[time] = message
        (self._early.add if is_early else self._early.discard)(time)
        if time < self.closed_until:
            self.late[time] = message

    def close(self, now: int) -> Closed | None:
        """See Candles."""
        until, over = self._newest, self._grid.next(self._newest)
        while over <= now and until in self._states and self._states[until].closed:
            until, over = over, self._grid.next(over)
        return self.leave(min(until, self._grid.floor(now)))

    def last_words(self, now: int) -> Closed | None:
        """See Candles."""
        return self.close(now)

    def leave(self, until: int) -> Closed | None:
        """See Candles."""
        start = self.closed_until
        if until <= start:
            return None
        rows = [
            (time, _row(state))
            for time, state in sorted(self._states.items())
            if start <= time < until
        ]
        self.closed_until = until
        for time in sorted(self._states)[:-_REMEMBERED]:
            del self._states[time]
            self._early.discard(time)
        return Closed(block_of(rows), Interval(start, until))


def _is_old(update: CandleUpdate, known: CandleUpdate) -> bool:
    if update == known:
        return True
    return not update.closed and (known.closed or update.volume < known.volume)


def _row(update: CandleUpdate) -> Row:
    return update[1:6]
