"""What a caller may say about a file, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ohlcache.candles.zones import zone_info
from ohlcache.errors import InvalidArgument
from ohlcache.sources.files.epoch import TIME_UNITS, TimeUnit
from ohlcache.sources.files.faults import BadLayout
from ohlcache.sources.files.layout import Layout, Roles, make_layout

LeanMarket = Literal["equity", "crypto", "forex"]
LEAN_MARKETS = get_args(LeanMarket)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of reading; every reader takes those that concern its format.

    columns: names of the file's columns, in order; None: as the file or the format says.
    tz: zone of times without an offset; None: UTC, or what the format says.
    time_unit: of epoch numbers. lean_market: what a LEAN file holds; None: told from its path.

    Raises InvalidArgument for a zone, unit or market that is not known.
    """

    columns: tuple[str, ...] | None = None
    tz: str | None = None
    time_unit: TimeUnit = "auto"
    lean_market: LeanMarket | None = None

    def __post_init__(self) -> None:
        if self.tz is not None:
            zone_info(self.tz)
        if self.time_unit not in TIME_UNITS:
            raise InvalidArgument(
                f"time_unit is {self.time_unit!r}: use one of {', '.join(TIME_UNITS)}"
            )
        if self.lean_market is not None and self.lean_market not in LEAN_MARKETS:
            raise InvalidArgument(
                f"lean_market is {self.lean_market!r}: use one of {', '.join(LEAN_MARKETS)}"
            )

    @property
    def zone(self) -> str:
        """The zone of times without an offset, where the format does not say another."""
        return self.tz or "UTC"

    def given_layout(self, roles: Roles) -> Layout | None:
        """The layout of ``columns``, None where they are not given; or InvalidArgument."""
        if self.columns is None:
            return None
        try:
            return make_layout(self.columns, roles)
        except BadLayout as problem:
            raise InvalidArgument(
                f"columns: {problem}: name every column of the file in order, _ skips one"
            ) from None


def column_names(columns: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Column names as a tuple, also from one text with commas; InvalidArgument for none at all."""
    if columns is None:
        return None
    names = columns.split(",") if isinstance(columns, str) else columns
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidArgument(
            f"columns is {columns!r}: give names such as timestamp,open,high,low,close,volume"
        )
    return tuple(names)
