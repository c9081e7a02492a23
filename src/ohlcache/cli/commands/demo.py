"""``ohlcache demo``: what it does, on candles that are at hand, measured here and now."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ohlcache
from ohlcache.candles import Interval, to_block, to_ms
from ohlcache.cli.commands.show import print_chart
from ohlcache.cli.demo.data import (
    STOCKS,
    STOCKS_VENUE,
    SYNTHETIC_END,
    SYNTHETIC_START,
    SYNTHETIC_SYMBOL,
    SYNTHETIC_VENUE,
    import_stocks,
    stocks_origin,
    synthetic_history,
)
from ohlcache.cli.demo.measure import Files, Series, measure_reads
from ohlcache.cli.exchange import source_named
from ohlcache.cli.fetching import fetch
from ohlcache.cli.importing import Target, import_files
from ohlcache.cli.invocation import Interrupted, Invocation, subcommand
from ohlcache.cli.output import count, duration, moment, size, stdout, table
from ohlcache.errors import InvalidArgument, MissingExtra
from ohlcache.sources.files import read_candles

if TYPE_CHECKING:
    from ohlcache.web import Server

_YEAR = Interval(to_ms("2024-01-01", "start"), to_ms("2025-01-01", "end"))
_DAY_MS = 86_400_000
_USUAL_PORT = 8765


@dataclass(frozen=True, slots=True)
class _History:
    """What is measured: the series, files of it with so many rows, and what its range is called."""

    series: Series
    files: Files
    rows: int
    range_name: str


@subcommand("demo")
@click.option("--exchange", metavar="NAME", help="Fetch real candles, with ccxt and a network.")
@click.option("--symbol", default="BTC/USDT", show_default=True, help="Of the exchange.")
@click.option(
    "--days", type=click.IntRange(min=1), default=30, show_default=True, help="To fetch, of 1m."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the server.")
@click.option("--port", type=click.IntRange(0, 65535), help="default: 8765, or a free one.")
@click.option(
    "--no-serve", is_flag=True, help="End after one request; so it does where nobody can type."
)
def command(
    invocation: Invocation,
    exchange: str | None,
    symbol: str,
    days: int,
    host: str,
    port: int | None,
    no_serve: bool,
) -> int | None:
    """See it work: import, read and serve, no network needed.

    Imports real daily candles that a PyPI package ships, and three years of synthetic minutes;
    then measures reading and size beside files, draws a chart and serves until Ctrl-C. Works in a
    temporary folder unless --store names one.
    """
    is_unattended = no_serve or invocation.as_json or bool(os.environ.get("CI"))
    stays = sys.stdin.isatty() and not is_unattended
    demo = _Demo(invocation)
    try:
        with _folder() as folder:
            store = str(folder / "store") if invocation.store is None else invocation.store
            demo.import_real(store)
            if exchange is None:
                history = demo.import_synthetic(store, folder)
            else:
                history = demo.fetch_real(store, folder, exchange, symbol, days)
            demo.compare(store, history)
            demo.draw(store)
            demo.serve(store, history.series, host, port, stays=stays)
    except KeyboardInterrupt:
        raise Interrupted("the demo ends here") from None
    if invocation.as_json:
        invocation.print_json(demo.document)
    return None


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ohlcache-demo-") as name:
        yield Path(name)


class _Demo:
    """The demo's steps. What they find is printed, or kept in ``document`` for JSON."""

    def __init__(self, invocation: Invocation) -> None:
        self.document: dict[str, Any] = {}
        self._is_quiet = invocation.as_json
        self._keeps = invocation.store is not None
        self._console = stdout()
        self._console.quiet = self._is_quiet

    def import_real(self, store: str) -> None:
        """The stocks."""
        self._title("1  Real candles")
        with ohlcache.open(store) as md:
            report = import_stocks(md)
        stored = report.added + report.updated + report.unchanged
        self.document["stocks"] = {"origin": stocks_origin(), "rows": stored}
        self._say(
            f"{count(stored, 'daily candle')} of {', '.join(STOCKS)}, 2000 to 2013: public domain "
            f"(Quandl WIKI), from the {stocks_origin()}"
        )
        if report.rejected:
            self._say(f"{count(report.rejected, 'row')} rejected: {report.offenders[0]}")

    def import_synthetic(self, store: str, folder: Path) -> _History:
        """Three years of minutes, made up, written to a file and imported from it."""
        self._title("2  Synthetic candles (made up: no market ever traded them)")
        began = time.perf_counter()
        block = synthetic_history()
        files = Files.write(block, folder)
        self._say(
            f"{count(len(block), 'synthetic 1m candle')} of {SYNTHETIC_SYMBOL}, "
            f"{SYNTHETIC_START} to {SYNTHETIC_END}, made and written to files in "
            f"{duration(time.perf_counter() - began)}"
        )
        target = Target(SYNTHETIC_SYMBOL, "1m", SYNTHETIC_VENUE)
        with ohlcache.open(store) as md:
            began = time.perf_counter()
            report = import_files(md, [read_candles(files.parquet)], target)[0].report
            seconds = time.perf_counter() - began
        stored = report.added + report.updated + report.unchanged
        self.document["import"] = {"rows": stored, "seconds": seconds}
        self._say(
            f"imported from Parquet in {duration(seconds)}: {count(round(stored / seconds))} "
            "candles a second, checked, encoded and committed"
        )
        series = Series(SYNTHETIC_SYMBOL, "1m", SYNTHETIC_VENUE, _YEAR)
        return _History(series, files, len(block), "2024")

    def fetch_real(
        self, store: str, folder: Path, exchange: str, symbol: str, days: int
    ) -> _History:
        """The newest days of an exchange."""
        self._title(f"2  Candles of {exchange}")
        source = source_named(exchange)
        with ohlcache.open(store, source=source) as md:
            now = source.now()
            end = now - now % _DAY_MS
            range_ = Interval(end - days * _DAY_MS, end)
            began = time.perf_counter()
            fetched = fetch(md, source, symbol, "1m", *range_)
            seconds = time.perf_counter() - began
            columns = md.candles(symbol, "1m", *range_, venue=source.venue, as_="numpy")
        self.document["fetch"] = {"rows": fetched.new, "seconds": seconds}
        self._say(
            f"{count(fetched.new)} new 1m candles of {symbol} from {exchange} in "
            f"{count(fetched.requests, 'request')}, {duration(seconds)}; "
            f"{moment(range_.start)} to {moment(range_.end)} UTC"
        )
        series = Series(symbol, "1m", source.venue, range_)
        block = to_block(columns)
        return _History(series, Files.write(block, folder), len(block), count(days, "day"))

    def compare(self, store: str, history: _History) -> None:
        """Times and sizes beside files of the same candles."""
        reads = measure_reads(history.files, store, history.series)
        rows = reads[-1].rows
        self._title(f"3  Reading {history.range_name} of it: {count(rows, 'candle')}, as DataFrame")
        shown = table("from", "time", "as fast as CSV", left=("from",))
        for read in reads:
            times = f"{reads[0].seconds / read.seconds:,.1f} ×"
            shown.add_row(read.way, duration(read.seconds), times)
        self._console.print(shown)
        self._say("All gave the same candles. Medians; the files are in the system's cache.")
        self.document["reads"] = [asdict(read) for read in reads]
        self._sizes(store, history)

    def _sizes(self, store: str, history: _History) -> None:
        rows, files = history.rows, history.files
        self._title(f"4  Size on disk: {count(rows, 'candle')}")
        shown = table("kept as", "size", "bytes a candle", "of CSV", left=("kept as",))
        sizes = {
            "CSV file": files.csv.stat().st_size,
            "Parquet file (zstd)": files.parquet.stat().st_size,
            "Feather file (lz4)": files.feather.stat().st_size,
            **self._store_size(store, history.series),
        }
        for name, of_bytes in sizes.items():
            share = of_bytes / sizes["CSV file"]
            shown.add_row(name, size(of_bytes), f"{of_bytes / rows:.1f}", f"{share:.0%}")
        self._console.print(shown)
        self.document["bytes"] = sizes

    def _store_size(self, store: str, series: Series) -> dict[str, int]:
        with ohlcache.open(store) as md:
            if self._keeps:
                info = md.info(series.symbol, series.timeframe, venue=series.venue)
                return {"store: this series": info.bytes}
            return {"store: all of it, the stocks and indexes too": md.stats()["store"]["bytes"]}

    def draw(self, store: str) -> None:
        """A chart of a timeframe that is not stored."""
        with ohlcache.open(store) as md:
            columns = md.candles("AAPL", "1M", "2000", "2013-03", venue=STOCKS_VENUE, as_="numpy")
        rows = to_block(columns)
        self._title(f"5  AAPL, {count(len(rows), 'monthly candle')} made of the daily ones")
        print_chart(self._console, rows)

    def serve(
        self, store: str, series: Series, host: str, port: int | None, *, stays: bool
    ) -> None:
        """One request to a server of our own; then, if somebody is there, theirs."""
        try:
            from ohlcache.web import candles_url, create_app
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "web") from None

        self._title("6  Serving")
        with ohlcache.open(store) as md, _server(create_app(md), host, port) as server:
            server.start()
            url = candles_url(server.url, series.symbol, "1h", venue=series.venue, limit=24)
            began = time.perf_counter()
            with urllib.request.urlopen(url, timeout=60) as response:
                status, body = response.status, response.read()
            seconds = time.perf_counter() - began
            self.document["request"] = {"status": status, "bytes": len(body), "seconds": seconds}
            self._say(f"GET {url}")
            self._say(f"{status}, {count(len(body))} bytes of JSON in {duration(seconds)}")
            if stays:
                self._say(f"\nTry it while this runs, Ctrl-C ends it:\n  curl '{url}'")
                server.wait()

    def _title(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold")

    def _say(self, text: str) -> None:
        self._console.print(text)


def _server(app: Any, host: str, port: int | None) -> Server:
    """A server on the port asked for, or on the usual one, or where that is taken on a free one."""
    from ohlcache.web import Server

    if port is not None:
        return Server(app, host, port)
    try:
        return Server(app, host, _USUAL_PORT)
    except InvalidArgument:
        return Server(app, host, 0)
