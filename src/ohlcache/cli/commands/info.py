"""``ohlcache info``: all about one series."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from ohlcache.candles import Timeframe
from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import count, facts, moment, size, stdout
from ohlcache.cli.parameters import series
from ohlcache.cli.symbols import described

_SHOWN_RANGES = 5


@subcommand("info")
@series
def command(invocation: Invocation, symbol: str, timeframe: str, venue: str | None) -> int | None:
    """Tell all about one series.

    Its range, coverage (what was fetched or imported, also where there is no candle), absent
    candles by kind, columns, size, the anchor of its days, and the metadata of its symbol.
    """
    with invocation.open_existing() as md:
        info = md.info(symbol, timeframe, venue=venue)
        coverage = md.coverage(symbol, timeframe, venue=venue)
        absent: Counter[str] = Counter()
        for gap in md.gaps(symbol, timeframe, venue=venue):
            absent[gap.kind] += gap.candles
        metadata = md.metadata(symbol, venue=venue)
    if invocation.as_json:
        document = {**asdict(info), "coverage": coverage, "absent": absent, "metadata": metadata}
        invocation.print_json(document)
        return None
    covered = [f"{moment(start)} to {moment(end)}" for start, end in coverage[:_SHOWN_RANGES]]
    if len(coverage) > _SHOWN_RANGES:
        covered.append(f"and {count(len(coverage) - _SHOWN_RANGES)} more ranges")
    pairs = [
        ("series", f"{info.venue} {info.symbol} {info.timeframe}"),
        ("candles", count(info.rows)),
        ("range", f"{moment(info.start)} to {moment(info.end)} UTC"),
        ("covered", "\n".join(covered) or "nothing"),
        ("absent", _kinds(absent)),
        ("columns", ", ".join(info.columns)),
        ("size", _size(info.bytes, info.rows)),
    ]
    if Timeframe.parse(info.timeframe).is_daily_or_longer:
        pairs.append(("days begin", info.anchor))
    pairs += described(metadata)
    stdout().print(facts(pairs))
    return None


def _kinds(absent: Counter[str]) -> str:
    kinds = (f"{count(number)} {kind.replace('_', ' ')}" for kind, number in absent.items())
    return ", ".join(kinds) or "none"


def _size(of_bytes: int, rows: int) -> str:
    each = f", {of_bytes / rows:.1f} bytes a candle" if rows else ""
    return size(of_bytes) + each
