"""How useful prefetching has been: bytes that were read, of the bytes prefetched, lately.

Both are sums that decay with each outcome, so that about the last ten count. Few outcomes say
little, so the share is shrunk towards a prior, which weighs as much as some outcomes of the largest
size (the mean of a beta distribution whose prior is so many observations).
"""

from __future__ import annotations

_KEEP = 0.9  # of what is known, at each further outcome


class Usefulness:
    """The share of prefetched bytes that were read, from 0 to 1."""

    __slots__ = ("_bytes", "_largest", "_prior_outcomes", "_used_bytes")

    def __init__(self, prior_outcomes: int = 1) -> None:
        """``prior_outcomes``: how many outcomes the prior weighs as much as."""
        self._prior_outcomes = prior_outcomes
        self._bytes = self._used_bytes = self._largest = 0.0

    def note(self, nbytes: int, *, is_used: bool) -> None:
        """The outcome of one prefetch."""
        self._bytes = self._bytes * _KEEP + nbytes
        self._used_bytes = self._used_bytes * _KEEP + is_used * nbytes
        self._largest = max(self._largest, float(nbytes))

    def share(self, prior: float) -> float:
        """The share, ``prior`` while nothing is known."""
        weight = self._prior_outcomes * self._largest
        known = self._bytes + weight
        return (self._used_bytes + prior * weight) / known if known else prior
