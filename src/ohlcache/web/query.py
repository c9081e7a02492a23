"""What a request for candles asks for, checked."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from ohlcache.candles import Timeframe, to_iso, to_ms
from ohlcache.errors import InvalidArgument

DEFAULT_LIMIT = 1_000  # of a range that is open at an end
MOST_ROWS = 100_000
MOST_CANDLES = 10_000_000  # between start and end, where a limit gives them page by page

FORMATS = ("rows", "columns")
_PARAMETERS = ("symbol", "timeframe", "start", "end", "limit", "format", "venue")


@dataclass(frozen=True, slots=True)
class Query:
    """A request for candles; ``start`` and ``end`` are ms, None leaves an end open.

    ``limit`` rows are given at most: those asked for, or all of a range with both ends, or
    DEFAULT_LIMIT.
    """

    symbol: str
    timeframe: Timeframe
    start: int | None
    end: int | None
    limit: int
    format: str
    venue: str | None


def parse_query(arguments: MultiDict[str, str]) -> Query:
    """The query of a URL's parameters.

    Raises InvalidArgument, naming the parameter, for one that is missing, unknown, given twice or
    cannot be used. An unknown one is refused, since a misspelt start would give other candles than
    were meant.
    """
    for name, values in arguments.lists():
        if name not in _PARAMETERS:
            raise InvalidArgument(f"parameter {name!r} is not known: use {', '.join(_PARAMETERS)}")
        if len(values) > 1:
            raise InvalidArgument(f"parameter {name} is given {len(values)} times: give it once")
    timeframe = Timeframe.parse(_required(arguments, "timeframe", "1m"))
    start, end = _time(arguments, "start"), _time(arguments, "end")
    limit = _limit(arguments.get("limit"))
    if start is not None and end is not None:
        _check_range(start, end, timeframe, has_limit=limit is not None)
        limit = limit or MOST_ROWS
    return Query(
        symbol=_required(arguments, "symbol", "BTC/USDT"),
        timeframe=timeframe,
        start=start,
        end=end,
        limit=limit or DEFAULT_LIMIT,
        format=_format(arguments.get("format", "rows")),
        venue=arguments.get("venue") or None,
    )


def _required(arguments: MultiDict[str, str], name: str, example: str) -> str:
    value = arguments.get(name)
    if not value:
        raise InvalidArgument(f"parameter {name} is missing: give one, such as {name}={example}")
    return value


def _time(arguments: MultiDict[str, str], name: str) -> int | None:
    text = arguments.get(name)
    # "+" stands for a blank in a query string, which is what an offset then looks like.
    return to_ms(text.replace(" ", "+") if text.count(":") > 1 else text, name) if text else None


def _check_range(start: int, end: int, timeframe: Timeframe, *, has_limit: bool) -> None:
    if start >= end:
        raise InvalidArgument(
            f"start {to_iso(start)} is not before end {to_iso(end)}: ranges are [start, end)"
        )
    candles = (end - start) // timeframe.milliseconds
    most = MOST_CANDLES if has_limit else MOST_ROWS
    if candles > most:
        page = "" if has_limit else ", or give a limit and follow the Link headers"
        raise InvalidArgument(
            f"start to end spans {candles:,} candles of {timeframe}: ask for at most {most:,} at "
            f"once{page}"
        )


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST_ROWS):
        raise InvalidArgument(f"limit is {text!r}: give a whole number from 1 to {MOST_ROWS:,}")
    return int(text)


def _format(text: str) -> str:
    if text not in FORMATS:
        raise InvalidArgument(f"format is {text!r}: use one of {', '.join(FORMATS)}")
    return text
