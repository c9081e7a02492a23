"""``ohlcache serve``: answer HTTP requests."""

from __future__ import annotations

import logging
import signal

import click

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import stdout
from ohlcache.errors import MissingExtra

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@subcommand("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="0 takes a free one.",
)
def command(invocation: Invocation, host: str, port: int) -> int | None:
    """Answer HTTP requests for candles, until Ctrl-C.

    \b
    GET /api/crypto/ohlc?symbol=BTC/USDT&timeframe=1h
        [&start=…&end=…&limit=…&format=rows|columns&venue=…]
    GET /healthz
    """
    try:
        from ohlcache.web import Server, candles_url, create_app
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "web") from None

    with invocation.open_existing() as md, Server(create_app(md), host, port) as server:
        if invocation.as_json:
            invocation.print_json({"url": server.url})
        else:
            console = stdout()
            console.print(f"{invocation.place} on {server.url} (Ctrl-C ends it)")
            known = md.series()
            if known:
                first = known[0]
                url = candles_url(server.url, first.symbol, first.timeframe, venue=first.venue)
                console.print(f"  curl '{url}'")
            if host not in _LOOPBACK:
                console.print(
                    "anyone who reaches this address can read what is stored", style="yellow"
                )
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a supervisor ends it
        server.run()
    return None
