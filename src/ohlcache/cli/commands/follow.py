"""``ohlcache follow``: candles of an exchange as they close."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress

import click
import numpy as np
from stamina import instrumentation

from ohlcache.candles import OHLCV, Timeframe
from ohlcache.cli.chart import DOWN, UP
from ohlcache.cli.exchange import source_named, stream_named
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, duration, moment, stdout
from ohlcache.cli.parameters import symbol, timeframe
from ohlcache.cli.prices import places_of, price_texts
from ohlcache.errors import OhlcacheError
from ohlcache.history import MarketData
from ohlcache.history.live import CandleDict
from ohlcache.sources import Stream

_Show = Callable[[CandleDict], None]


@subcommand("follow")
@symbol
@timeframe
@click.option(
    "--exchange", required=True, metavar="NAME", help="As ccxt calls it, such as binance."
)
@click.option(
    "--trades",
    is_flag=True,
    help="Make the candles of trades: for an exchange that streams none, or any timeframe.",
)
def command(
    invocation: Invocation, symbol: str, timeframe: str, exchange: str, trades: bool
) -> int | None:
    """Store and print candles as they close, until Ctrl-C.

    It goes on where the stored history ends: what is missing since then, and what a lost connection
    misses, is fetched first. With --json each candle is a document on a line of its own, and so is
    the last line.
    """
    name = str(Timeframe.parse(timeframe))
    stream = stream_named(exchange, trades=trades)
    with invocation.open(source_named(exchange)) as md, _telling_retries():
        if invocation.as_json:
            show: _Show = invocation.print_json
        else:
            stdout().print(f"following {exchange} {symbol} {name} (Ctrl-C ends it)")
            show = _Lines().show
        try:
            with suppress(KeyboardInterrupt, asyncio.CancelledError):
                asyncio.run(_follow(md, symbol, name, stream, show))
        except OhlcacheError as error:
            if any(_done(md).values()):
                error.add_note(_sentence(_done(md)))
            raise
        done = _done(md)
    if invocation.as_json:
        invocation.print_json(done)
    else:
        stdout().print(_sentence(done))
    return None


async def _follow(md: MarketData, symbol: str, timeframe: str, stream: Stream, show: _Show) -> None:
    """Print what closes until it is cancelled, by Ctrl-C or as a supervisor ends it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end(*_: object) -> None:
        loop.call_soon_threadsafe(task.cancel)

    before = signal.signal(signal.SIGTERM, end)
    try:
        async with aclosing(md.follow(symbol, timeframe, stream)) as candles:
            async for candle in candles:
                # In a thread: whoever reads our output slowly must not hold the connection up.
                await asyncio.to_thread(show, candle)
    finally:
        signal.signal(signal.SIGTERM, before)


def _done(md: MarketData) -> dict[str, int]:
    """How many candles came from the stream and how many from history."""
    stats = md.stats()
    return {
        "stored": int(stats["live"].get("candles", 0)),
        "repaired": int(stats["fetch"].get("candles", 0)),
    }


def _sentence(done: dict[str, int]) -> str:
    stored, repaired = done["stored"], done["repaired"]
    return f"{count(stored, 'candle')} stored as they closed, {count(repaired)} from history"


@contextmanager
def _telling_retries() -> Iterator[None]:
    """Say on stderr what failed and is tried again: no candles may also mean a quiet market."""
    before = instrumentation.get_on_retry_hooks()
    instrumentation.set_on_retry_hooks([_tell])
    try:
        yield
    finally:
        instrumentation.set_on_retry_hooks(before)


def _tell(details: instrumentation.RetryDetails) -> None:
    failure = " ".join(str(details.caused_by).split()) or type(details.caused_by).__name__
    click.echo(f"ohlcache: {failure}: trying again in {duration(details.wait_for)}", err=True)


class _Lines:
    """A line for each candle; columns grow as wide as the numbers need."""

    def __init__(self) -> None:
        self._console = stdout()
        self._places = [0, 0]  # of prices and volumes
        self._widths = [0] * len(OHLCV)

    def show(self, candle: CandleDict) -> None:
        """Print a candle."""
        if not any(self._widths):
            self._console.print("   ".join(["time (UTC)", *OHLCV]), style="bold")
        values = np.array([candle[name] for name in OHLCV], np.float64)
        texts = []
        for kind, part in enumerate((values[:4], values[4:])):
            self._places[kind] = max(self._places[kind], places_of(part))
            texts += price_texts(part, self._places[kind])
        self._widths = list(map(max, self._widths, map(len, texts)))
        line = [moment(int(candle["timestamp"])), *map(str.rjust, texts, self._widths)]
        style = UP if candle["close"] >= candle["open"] else DOWN
        self._console.out("   ".join(line), style=style)
