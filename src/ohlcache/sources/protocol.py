"""What a source of candles is: a venue's name, what it can do, and one method that fetches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source can do; the defaults are those of a source without any limit.

    page_size: most candles that one request returns; None: any number.
    requests_per_second: rate that the source allows; None: any.
    concurrency: requests that may be under way at once.
    oldest: open time in ms before which the source has nothing; None: not known.
    timeframes: those that the source delivers, in canonical text; None: any, or see OffersBySymbol.
    """

    page_size: int | None = None
    requests_per_second: float | None = None
    concurrency: int = 1
    oldest: int | None = None
    timeframes: frozenset[str] | None = None


@runtime_checkable
class Source(Protocol):
    """Anything that delivers candles of a venue.

    ``fetch`` may be called from several threads at once when ``capabilities.concurrency`` is
    above 1. A source that holds connections may also have ``close()``.
    """

    @property
    def venue(self) -> str:
        """The name under which its series are stored."""

    @property
    def capabilities(self) -> Capabilities:
        """Page size, rate limit, concurrency, oldest moment and timeframes."""

    def now(self) -> int:
        """The venue's clock, ms since the epoch: it decides which candles are closed."""

    def fetch(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
        """Candles that open in [start, end), both in ms, in ascending order.

        At most ``page_size`` candles are asked for at once. The answer is anything that
        ``ohlcache.candles.to_block`` takes (a frame, an Arrow table, ccxt rows, a Block). It may
        be shorter than asked (the rest is asked for again) and may reach beyond the range (that
        part is dropped); an empty answer says that the venue holds no candle in the range.

        Raises SourceUnavailable for what is worth another try, UnknownSymbol and
        UnsupportedBySource for what is not.
        """


@runtime_checkable
class DescribesSymbols(Protocol):
    """A source that also knows the properties of its symbols."""

    def properties(self, symbol: str) -> Mapping[str, Any]:
        """Properties as ``MarketData.set_metadata`` takes them; those not known are left out.

        Raises SourceUnavailable for what is worth another try, UnknownSymbol.
        """


@runtime_checkable
class OffersBySymbol(Protocol):
    """A source whose timeframes differ from symbol to symbol; its capabilities name none.

    What does not follow from them either is asked of it all the same: it says what there is.
    """

    def timeframes_of(self, symbol: str) -> frozenset[str]:
        """The timeframes that it delivers of a symbol, in canonical text.

        Raises UnknownSymbol, SourceError.
        """


@runtime_checkable
class KnowsRanges(Protocol):
    """A source that can tell only about some ranges, as a copy of a history can."""

    def known(self, symbol: str, timeframe: str) -> Iterable[tuple[int, int]]:
        """The open times [start, end), in ms, that it can tell about; no others are asked of it.

        Raises UnknownSymbol, UnsupportedBySource, SourceError.
        """
