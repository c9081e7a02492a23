"""What is remembered of the reads of one series, to see where they are going."""

from __future__ import annotations

from collections.abc import Callable

from ohlcache.history.prefetch.ledger import Piece
from ohlcache.history.prefetch.plan import ALWAYS
from ohlcache.history.prefetch.usefulness import Usefulness
from ohlcache.history.reports import SeriesKey


class Track:
    """The last range read, and the calm in which reads need no second look.

    calm: reads inside of it are noted only. One that leaves it (``left``) is about to come to the
        end of what memory holds, or has come to what was prefetched.
    pieces: prefetched, or under way, and not read yet.
    may_fetch: of the last read that memory could not answer.
    passed: how often nothing was prefetched because it had been of no use.
    """

    __slots__ = (
        "_left",
        "calm_from",
        "calm_until",
        "key",
        "last",
        "may_fetch",
        "passed",
        "pieces",
        "usefulness",
    )

    def __init__(self, key: SeriesKey, left: Callable[[Track, int, int], None]) -> None:
        self.key = key
        self._left = left
        self.usefulness = Usefulness()
        self.forget()

    def forget(self) -> None:
        """Begin anew, with what is known of the usefulness."""
        self.last: tuple[int, int] | None = None
        self.pieces: list[Piece] = []
        self.may_fetch = False
        self.passed = 0
        self.calm_from, self.calm_until = ALWAYS

    def note(self, start: int, end: int) -> None:
        """Memory answered a read of [start, end). On the hit path: two comparisons."""
        if start < self.calm_from or end > self.calm_until:
            self._left(self, start, end)
        else:
            self.last = (start, end)
