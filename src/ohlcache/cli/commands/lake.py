"""``ohlcache lake``: partitioned Parquet in a folder or bucket, to and from the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ohlcache.cli.fetching import fetch
from ohlcache.cli.invocation import Invocation, common_options, subcommand
from ohlcache.cli.output import count, moment, size, stdout, table
from ohlcache.cli.parameters import moments, symbol, time_range, timeframe, venue
from ohlcache.cli.progress import progress
from ohlcache.cli.reading import READ_ONCE_MB
from ohlcache.errors import InvalidArgument
from ohlcache.sources.lake import LakeExport, LakeSource, Storage, venue_of, venues

url = click.argument("url")
option = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of the file system, such as endpoint_override=localhost:9000; credentials are better "
    "left to the environment.",
)


@click.group("lake", context_settings={"help_option_names": ["-h", "--help"]})
@common_options
def command() -> None:
    """Export to a data lake, read from one, list one.

    URL is a folder or anything fsspec knows, such as s3://bucket/candles.
    """


@subcommand("export")
@url
@click.argument("symbol", required=False)
@click.argument("timeframe", required=False)
@venue
@option
@time_range
def export(
    invocation: Invocation,
    url: str,
    symbol: str | None,
    timeframe: str | None,
    venue: str | None,
    options: tuple[str, ...],
    start: str | None,
    end: str | None,
) -> int | None:
    """Bring what is stored into a lake: one series, or all.

    Only months (years, for an hour and longer) whose candles differ from the lake's are written.
    """
    if symbol is not None and timeframe is None:
        raise click.UsageError("no timeframe: give SYMBOL TIMEFRAME, or neither for all series")
    low, high = moments(start, end)
    storage_options = _storage_options(options)
    with invocation.open_existing(memory_mb=READ_ONCE_MB) as md:
        wanted = [
            (info.symbol, info.timeframe, info.venue)
            for info in md.series()
            if symbol is None and venue in (None, info.venue)
        ]
        if symbol is not None:
            wanted = [(symbol, str(timeframe), venue or md.info(symbol, str(timeframe)).venue)]
        total = LakeExport()
        with progress("exporting", "candles") as bar:
            for done, (name, length, at) in enumerate(wanted, 1):
                total += md.export_lake(
                    url, name, length, low, high, venue=at, storage_options=storage_options
                )
                bar.update(done / len(wanted), total.rows)
    if invocation.as_json:
        invocation.print_json({"series": len(wanted), **asdict(total)})
        return None
    stdout().print(
        f"{count(len(wanted))} series: {count(total.written, 'part')} written with "
        f"{count(total.rows, 'candle')} in {size(total.bytes)}, {count(total.unchanged)} unchanged"
        + (f", {count(total.deleted)} old ones deleted" if total.deleted else "")
        + (f", {count(total.repaired)} repaired" if total.repaired else "")
    )
    return None


@subcommand("fetch")
@url
@symbol
@timeframe
@venue
@option
@time_range
def fetch_from(
    invocation: Invocation,
    url: str,
    symbol: str,
    timeframe: str,
    venue: str | None,
    options: tuple[str, ...],
    start: str | None,
    end: str | None,
) -> int | None:
    """Store candles of a lake; only those that are missing.

    Without --start and --end it is all that the lake knows.
    """
    low, high = moments(start, end)
    storage_options = _storage_options(options)
    venue = venue or venue_of(Storage(url, storage_options), symbol)
    source = LakeSource(url, venue=venue, storage_options=storage_options)
    known = source.known(symbol, timeframe)
    if low is None and known:
        low = known[0].start
    with invocation.open(source) as md:
        fetched = fetch(md, source, symbol, timeframe, low, high)
    if invocation.as_json:
        invocation.print_json({**asdict(fetched), "venue": source.venue})
        return None
    stdout().print(f"{count(fetched.new)} new candles from {source.venue} in {url}")
    return None


@subcommand("ls")
@url
@venue
@option
def ls(invocation: Invocation, url: str, venue: str | None, options: tuple[str, ...]) -> int | None:
    """List what a lake holds, of one venue or of all."""
    storage_options = _storage_options(options)
    named: list[str | None] = [venue]
    if venue is None:
        named = [*venues(Storage(url, storage_options))] or named
    known = [
        series
        for one in named
        for series in LakeSource(url, venue=one, storage_options=storage_options).series()
    ]
    if invocation.as_json:
        invocation.print_json([asdict(series) for series in known])
        return None
    text = ("venue", "symbol", "timeframe")
    shown = table(*text, "candles", "from (UTC)", "to (UTC)", "parts", "size", left=text)
    for series in known:
        shown.add_row(
            series.venue,
            series.symbol,
            series.timeframe,
            count(series.rows),
            moment(series.covered[0].start if series.covered else None),
            moment(series.covered[-1].end if series.covered else None),
            count(series.parts),
            size(series.bytes),
        )
    stdout().print(shown)
    return None


def _storage_options(options: tuple[str, ...]) -> dict[str, Any]:
    named = {}
    for given in options:
        name, separator, value = given.partition("=")
        if not separator:
            raise InvalidArgument(f"option {name!r} has no value: give NAME=VALUE")
        named[name] = {"true": True, "false": False}.get(value.lower(), value)
    return named


for _each in (export, fetch_from, ls):
    command.add_command(_each)
