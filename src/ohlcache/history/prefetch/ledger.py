"""The accounts of prefetching: what was begun, what became of it, and what may still be begun."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from ohlcache.candles import Interval
from ohlcache.history.prefetch.usefulness import Usefulness

_WORTHWHILE = 1 / 3  # of what is prefetched must be read for more to be
_TRUSTED_OUTCOMES = 4  # so many wasted ones weigh as much as the trust we begin with
_TRIED_AGAIN = 16  # of so many chances one is taken where it was of no use
_SHARE_OF_REQUESTS = 4  # at most one in so many requests to the source is for nothing
_PATIENCE = 8  # chances, for each piece in place, until the oldest one counts as wasted


Outcome = Literal["used", "late", "wasted"]


@dataclass(eq=False, slots=True)
class Piece:
    """A range that is being prefetched, or was and waits to be read.

    nbytes: estimated until it is loaded. requests: sent to the source for it. since: the number of
    chances there had been when it was begun. outcome: once it is known.
    """

    range: Interval
    is_fetch: bool
    usefulness: Usefulness
    nbytes: int
    since: int
    requests: int = 0
    is_loaded: bool = False
    outcome: Outcome | None = None


class Ledger:
    """Counts, the bound on what waits to be read, and whether it is worth the while.

    Not safe for threads by itself.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.renew()

    def renew(self) -> None:
        """Begin anew, as in a forked child."""
        self.counts: Counter[str] = Counter()
        self.waiting: dict[Piece, None] = {}  # oldest first
        self.usefulness = Usefulness(_TRUSTED_OUTCOMES)
        self.requests = self._requests_used = self._chances = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes prefetched, or about to be, that nobody has read yet."""
        return sum(piece.nbytes for piece in self.waiting)

    @property
    def useful_share(self) -> float:
        """The share of prefetched bytes that were read, over all series, lately."""
        return self.usefulness.share(prior=1.0)

    def is_worthwhile(self, usefulness: Usefulness) -> bool:
        """Whether to prefetch for a series; one of which nothing is known is like the others."""
        return usefulness.share(prior=self.useful_share) >= _WORTHWHILE

    def is_chance_taken(self, usefulness: Usefulness, passed: int) -> bool:
        """Whether to prefetch this time, after so many chances that were passed."""
        self._chances += 1
        if self.is_worthwhile(usefulness) or passed % _TRIED_AGAIN == _TRIED_AGAIN - 1:
            return True
        self.counts["passed"] += 1
        return False

    def room(self) -> int:
        """Bytes that may be begun; what has waited for too long makes way."""
        for piece in list(self.waiting):
            age = self._chances - piece.since
            if piece.is_loaded and age > _PATIENCE * len(self.waiting):
                self.give_up(piece)
        return self.max_bytes - self.waiting_bytes

    def may_ask(self, requests: int) -> bool:
        """Whether the source may be asked, of which all of this process asked ``requests``."""
        for_nothing = self.requests - self._requests_used
        return for_nothing <= requests // _SHARE_OF_REQUESTS

    def begin(self, range_: Interval, is_fetch: bool, usefulness: Usefulness, nbytes: int) -> Piece:
        """A piece, from now on under way."""
        piece = Piece(range_, is_fetch, usefulness, nbytes, self._chances)
        self.waiting[piece] = None
        self.counts["begun"] += 1
        return piece

    def asked(self, piece: Piece, requests: int) -> None:
        """So many requests were sent to the source for the piece."""
        piece.requests += requests
        self.requests += requests

    def loaded(self, piece: Piece, nbytes: int) -> None:
        """The piece is at hand; without any candle in it, it says nothing."""
        piece.nbytes, piece.is_loaded = nbytes, True
        self.counts["bytes"] += nbytes
        if not nbytes:
            self.drop(piece)
        elif piece.outcome is not None:
            self._settle(piece, piece.outcome)

    def read(self, piece: Piece) -> None:
        """Somebody reads it, and may have to wait for it.

        A request that is under way already saves time even so. What is still being decoded saves
        none: the reader would have been as quick alone.
        """
        self._end(piece, "used" if piece.is_loaded or piece.is_fetch else "late")

    def give_up(self, piece: Piece) -> None:
        """Nobody will read it."""
        self._end(piece, "wasted")

    def _end(self, piece: Piece, outcome: Outcome) -> None:
        if piece.outcome is not None:
            return
        piece.outcome = outcome
        if piece.is_loaded:
            self._settle(piece, outcome)

    def failed(self, piece: Piece, error: Exception) -> None:
        """It could not be loaded."""
        self.counts[f"error:{type(error).__name__}"] += 1
        del self.waiting[piece]
        self._judge(piece, is_used=False)

    def drop(self, piece: Piece) -> None:
        """It came to nothing, and that tells nothing."""
        self.counts["dropped"] += 1
        del self.waiting[piece]

    def _settle(self, piece: Piece, outcome: Outcome) -> None:
        del self.waiting[piece]
        self.counts[outcome] += 1
        self.counts[f"{outcome}_bytes"] += piece.nbytes
        if outcome == "used":
            self._requests_used += piece.requests
        self._judge(piece, is_used=outcome == "used")

    def _judge(self, piece: Piece, *, is_used: bool) -> None:
        self.usefulness.note(piece.nbytes, is_used=is_used)
        piece.usefulness.note(piece.nbytes, is_used=is_used)

    def stats(self) -> dict[str, Any]:
        """All of it as plain numbers; ``is_on``: over all series it is of use."""
        counts, errors = dict(self.counts), "error:"
        names = ("begun", "used", "late", "wasted", "dropped", "passed", "no_room")
        sizes = ("bytes", "used_bytes", "late_bytes", "wasted_bytes")
        return {
            "is_on": self.useful_share >= _WORTHWHILE,
            **{name: counts.get(name, 0) for name in (*names, *sizes)},
            "under_way": sum(not piece.is_loaded for piece in self.waiting),
            "waiting_bytes": self.waiting_bytes,
            "requests": self.requests,
            "usefulness": self.useful_share,
            "errors": {
                name.removeprefix(errors): count
                for name, count in counts.items()
                if name.startswith(errors)
            },
        }
