"""The source, and the stream, that a name on the command line means."""

from __future__ import annotations

from ohlcache.errors import InvalidArgument
from ohlcache.sources import CcxtSource, CcxtStream, Source, Stream, SyntheticSource

SYNTHETIC = "synthetic"


def source_named(name: str) -> Source:
    """An exchange by its ccxt name, or the synthetic generator.

    Raises MissingExtra without ccxt, InvalidArgument for a name that ccxt does not know.
    """
    return SyntheticSource() if name == SYNTHETIC else CcxtSource(name)


def stream_named(name: str, *, trades: bool) -> Stream:
    """The live candles of an exchange by its ccxt name, or its ``trades``.

    Raises MissingExtra without ccxt, InvalidArgument for a name that has no stream.
    """
    if name == SYNTHETIC:
        raise InvalidArgument(
            f"exchange {SYNTHETIC} has no stream: name one as ccxt calls it, such as binance"
        )
    return CcxtStream(name, kind="trades" if trades else "candles")
