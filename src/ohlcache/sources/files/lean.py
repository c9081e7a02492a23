"""Candles of QuantConnect's LEAN, one zip with one CSV each.

Second and minute files hold one day: milliseconds since midnight, the date in the file's name.
Hour and daily files hold ``YYYYMMDD HH:mm``. Prices of equities are in ten-thousandths of the
currency. Times are on the wall clock of the market: New York for US equities, UTC for crypto and
for Oanda's forex; other markets have to be given a zone. Rows of quotes (bid and ask) become the
middle of both, with no volume.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np

from ohlcache.candles.block import OHLCV, Block, Times
from ohlcache.candles.timeframe import DAY
from ohlcache.errors import FileFormatError
from ohlcache.sources.files.clock import Clock
from ohlcache.sources.files.compression import Stream
from ohlcache.sources.files.delimited import make_table, read_table
from ohlcache.sources.files.epoch import Numbers
from ohlcache.sources.files.faults import BadRow
from ohlcache.sources.files.heading import HEAD_BYTES, Heading, read_heading
from ohlcache.sources.files.layout import CANDLES, TIMESTAMP, Layout, make_layout
from ohlcache.sources.files.options import LEAN_MARKETS, LeanMarket, Options
from ohlcache.sources.files.progress import Progress

MEMBER_NAME = re.compile(r"\d{8}_.+_(tick|second|minute)_(trade|quote)\.csv")
DAILY_ROW = re.compile(rb"\d{8} \d\d:\d\d,")

_RESOLUTIONS = ("tick", "second", "minute", "hour", "daily")
_FOLDERS = re.compile(rf"(\w+)/(\w+)/({'|'.join(_RESOLUTIONS)})(/|$)")
_NAME = re.compile(rf"(?:^|_)([a-z]+)_([a-z0-9]+)_({'|'.join(_RESOLUTIONS)})_")
_DATE = re.compile(r"(?:^|[_/])(\d{4})(\d{2})(\d{2})_")
_EQUITY_SCALE = 10_000
_ZONES = {
    ("equity", "usa"): "America/New_York",
    ("equity", "india"): "Asia/Kolkata",
    ("forex", "oanda"): "UTC",
}
_PRICES = OHLCV[:4]
_SIDES = ("bid", "ask")


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a file holds, as its path says: the asset class, and the venue if it is named."""

    asset: LeanMarket
    venue: str | None


def is_lean(path: Path, member: str, head: bytes) -> bool:
    """Whether a file is LEAN's, by the name of what is in it, or its own name and first row."""
    if MEMBER_NAME.fullmatch(member):
        return True
    is_named = bool(_FOLDERS.search(path.parent.as_posix()) or _NAME.search(path.name))
    return is_named and DAILY_ROW.match(head) is not None


def read_lean(path: Path, options: Options, progress: Progress) -> Iterator[Block]:
    """The candles of a LEAN zip, in the file's order.

    Raises FileFormatError where path and name do not tell the asset class, the zone or the date.
    """
    with Stream(path) as stream:
        origin = _origin(path, options)
        heading = read_heading(stream.peek(HEAD_BYTES), path, CANDLES)
        layout = _layout(path, heading)
        zone = options.tz or _zone(path, origin)
        table = make_table(path, heading, layout)
        clock = Clock(zone)
        if table.time_kind != "texts":
            clock = _DayClock(zone, _midnight(path, stream.name))
        for block in read_table(stream, table, clock, progress):
            yield _scaled(_middle(block), origin)


class _DayClock(Clock):
    """Milliseconds since midnight of one day, on the wall clock of a zone."""

    def __init__(self, zone: str, midnight: int) -> None:
        super().__init__(zone)
        self._midnight = midnight

    def from_numbers(self, raw: Numbers) -> Times:
        outside = (raw < 0) | (raw >= DAY) | (raw != np.floor(raw))
        if outside.any():
            row = int(np.argmax(outside))
            raise BadRow(row, f"time {raw[row]}, expected whole milliseconds since midnight")
        return self.from_wall(self._midnight + raw.astype(np.int64))


def _origin(path: Path, options: Options) -> _Origin:
    """The asset class and venue in the file's name, or in the folders that it lies in."""
    folders = path.absolute().parent.as_posix()
    found = _NAME.search(path.name) or _last(_FOLDERS.finditer(folders))
    asset, venue = found.group(1, 2) if found else (None, None)
    if options.lean_market is not None:
        return _Origin(options.lean_market, venue)
    for market in get_args(LeanMarket):
        if asset == market:
            return _Origin(market, venue)
    what = f"holds {asset}, which is not read" if asset else "does not say what it holds"
    raise FileFormatError(
        f"{path}: the path of the LEAN file {what}: give --lean-market, one of "
        f"{', '.join(LEAN_MARKETS)}, or keep it under <asset>/<market>/<resolution>/"
    )


def _last(found: Iterator[re.Match[str]]) -> re.Match[str] | None:
    matches = list(found)
    return matches[-1] if matches else None


def _zone(path: Path, origin: _Origin) -> str:
    if origin.asset == "crypto":
        return "UTC"
    default = "usa" if origin.asset == "equity" else None
    zone = _ZONES.get((origin.asset, origin.venue or default or ""))
    if zone is None:
        raise FileFormatError(
            f"{path}: the zone of LEAN's {origin.asset} market {origin.venue!r} is not known: "
            "give it with --tz"
        )
    return zone


def _midnight(path: Path, member: str) -> int:
    """Midnight of the file's day in wall-clock ms, by the name of the member or of the file."""
    found = _DATE.search(member) or _DATE.search(path.name)
    try:
        year, month, day = (int(part) for part in found.groups()) if found else (0, 0, 0)
        return (date(year, month, day) - date(1970, 1, 1)).days * DAY
    except ValueError:
        raise FileFormatError(
            f"{path}: no date in the name of the LEAN file, expected YYYYMMDD_trade.zip: name it so"
        ) from None


def _layout(path: Path, heading: Heading) -> Layout:
    if heading.width == 1 + len(OHLCV):
        return make_layout((TIMESTAMP, *OHLCV), CANDLES)
    labels = [TIMESTAMP]
    for side in _SIDES:
        labels += [*(f"{side}_{price}" for price in _PRICES), "_"]
    if heading.width != len(labels):
        raise FileFormatError(
            f"{path}: {heading.width} columns, expected 6 (trades) or 11 (quotes) of LEAN's second "
            "to daily files: ticks are not read"
        )
    names = tuple(label for label in labels[1:] if label != "_")
    return Layout(tuple(labels), (0,), names, tuple(map(labels.index, names)))


def _middle(block: Block) -> Block:
    """Quotes as candles of the middle between bid and ask; NaN where one side is missing."""
    if block.names == OHLCV:
        return block
    bid, ask = block.values[: len(_PRICES)], block.values[len(_PRICES) :]
    volume = np.full((1, len(block)), np.nan)
    return Block(block.times, np.concatenate(((bid + ask) / 2, volume)), OHLCV)


def _scaled(block: Block, origin: _Origin) -> Block:
    if origin.asset == "equity":
        block.values[: len(_PRICES)] /= _EQUITY_SCALE
    return block
