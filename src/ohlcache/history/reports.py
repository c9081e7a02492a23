"""What the history tells its users: keys, and the reports of writing, verifying and repairing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ohlcache.candles import Interval, Timeframe
from ohlcache.candles.quality import Findings, Offender, first_of_each


class SeriesKey(NamedTuple):
    """What names a series: venue, symbol and timeframe."""

    venue: str
    symbol: str
    timeframe: Timeframe

    def __str__(self) -> str:
        return f"{self.venue} {self.symbol} {self.timeframe}"


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A stored series: ``start`` and ``end`` are ms, [first open, end of the last candle)."""

    venue: str
    symbol: str
    timeframe: str
    rows: int
    start: int | None
    end: int | None
    columns: tuple[str, ...]
    anchor: str
    bytes: int


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What became of the rows of a write; every row given counts in exactly one number.

    ``reasons`` counts the rejected rows by reason, ``flagged`` the stored ones that look
    suspicious; ``offenders`` are the first ten of each reason. ``duplicates`` are rows that a
    later row of the same write, with the same open time, replaced.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    flagged: dict[str, int] = field(default_factory=dict)
    offenders: tuple[Offender, ...] = ()

    def __add__(self, other: WriteReport) -> WriteReport:
        return WriteReport(
            added=self.added + other.added,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
            rejected=self.rejected + other.rejected,
            reasons=_sum(self.reasons, other.reasons),
            duplicates=self.duplicates + other.duplicates,
            flagged=_sum(self.flagged, other.flagged),
            offenders=first_of_each(self.offenders + other.offenders),
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in the store: the series, the range in ms that it concerns, and what."""

    series: str
    range: Interval | None
    message: str

    def __str__(self) -> str:
        return f"{self.series}: {self.message}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """``ok`` when nothing is damaged; ``flagged`` and ``refused`` list rows worth a look.

    ``flagged`` are stored candles that look suspicious, ``refused`` rows that writes turned away,
    both by series.
    """

    ok: bool
    problems: tuple[Problem, ...]
    series: int
    chunks: int
    rows: int
    flagged: dict[str, Findings]
    refused: dict[str, Findings]


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did, each by series and range in ms, and problems that it could not mend.

    ``refetched`` was damaged, ``filled`` was missing. ``lost`` are ranges with earlier values that
    were damaged and that nobody can give again: reading them as of then says so.
    """

    refetched: tuple[tuple[str, Interval], ...]
    filled: tuple[tuple[str, Interval], ...]
    remaining: tuple[Problem, ...]
    lost: tuple[tuple[str, Interval], ...] = ()

    @property
    def ok(self) -> bool:
        """True when no problem is left."""
        return not self.remaining


def _sum(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}
