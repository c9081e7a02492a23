"""The arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ohlcache.candles import to_iso, to_ms
from ohlcache.errors import InvalidArgument

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

symbol = click.argument("symbol")
timeframe = click.argument("timeframe")
venue = click.option("--venue", help="Where several venues have the symbol: the one meant.")


def series(function: Decorated) -> Decorated:
    """SYMBOL TIMEFRAME [--venue VENUE]."""
    return symbol(timeframe(venue(function)))


def time_range(function: Decorated) -> Decorated:
    """[--start TIME] [--end TIME]."""
    start = click.option("--start", metavar="TIME", help="First open time, such as 2024-01-31.")
    end = click.option("--end", metavar="TIME", help="Open times before this one.")
    return start(end(function))


as_of = click.option(
    "--as-of",
    metavar="MOMENT",
    help="What was known then: a time, or the name of a snapshot.",
)


def moments(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Both ends in ms. Raises InvalidArgument for what is no time, or no range."""
    low = None if start is None else to_ms(start, "start")
    high = None if end is None else to_ms(end, "end")
    if low is not None and high is not None and low >= high:
        raise InvalidArgument(
            f"start {to_iso(low)} is not before end {to_iso(high)}: ranges are [start, end)"
        )
    return low, high
