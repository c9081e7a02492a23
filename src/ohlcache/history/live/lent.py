"""A source that somebody else closes."""

from __future__ import annotations

from typing import Any

from ohlcache.sources.protocol import Capabilities, Source


class LentSource:
    """A source without its ``close``."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def venue(self) -> str:
        """See Source."""
        return self._source.venue

    @property
    def capabilities(self) -> Capabilities:
        """See Source."""
        return self._source.capabilities

    def now(self) -> int:
        """See Source."""
        return self._source.now()

    def fetch(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
        """See Source."""
        return self._source.fetch(symbol, timeframe, start, end)
