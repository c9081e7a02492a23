"""Reading what was recorded of earlier states, and laying it over the present one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from ohlcache.candles import Block, Interval, IntervalSet
from ohlcache.candles.codec import decode
from ohlcache.candles.interval import intersection, normalise
from ohlcache.errors import ChunkDamaged, ChunkVersionUnsupported, StoreDamaged
from ohlcache.history.engine import Session
from ohlcache.history.past.earlier import Earlier, span
from ohlcache.history.past.layers import oldest
from ohlcache.history.past.moment import Moment
from ohlcache.history.reading import Reading, Series, described
from ohlcache.history.reports import SeriesKey

_ALWAYS = Interval(-(2**62), 2**62)


@dataclass(frozen=True, slots=True)
class Known:
    """A series as it was known at a moment; its candles opened before ``rows_end``.

    ``series`` has the columns and the anchor of then.
    """

    series: Series
    coverage: IntervalSet
    rows_end: int


class Gone(NamedTuple):
    """A series that a snapshot holds and that has been deleted."""

    key: SeriesKey


def series_then(session: Session, series: Series, revision: int) -> Series | None:
    """The series with its columns and anchor after a revision; None: it was not there yet."""
    earlier = session.rows(
        "SELECT extras, zone, zone_offset FROM past_series WHERE series = ? AND revision > ? "
        "ORDER BY revision LIMIT 1",
        series.id,
        revision,
    )
    for extras, zone, offset in earlier:
        if extras is None:
            return None
        names, anchor = described(f"an earlier state of series {series.key}", extras, zone, offset)
        return replace(series, names=names, anchor=anchor)
    return series


def coverage_then(session: Session, series: Series, revision: int, end: int) -> IntervalSet:
    """What was covered after a revision, of the open times before ``end``."""
    present = Reading(session).coverage(series)
    rows = session.rows(
        'SELECT start, "end", covered FROM past_coverage WHERE series = ? AND revision > ? '
        "ORDER BY revision, start",
        series.id,
        revision,
    )
    records = [(Interval(start, stop), bool(covered)) for start, stop, covered in rows]
    if records:
        parts: list[Interval] = []
        for range_, owner in oldest([range_ for range_, _ in records], *_ALWAYS):
            if owner < 0:
                parts += intersection(present, [range_])
            elif records[owner][1]:
                parts.append(range_)
        present = normalise(parts)
    return intersection(present, [(_ALWAYS.start, end)])


def rows_after(
    session: Session, series: Series, revision: int, start: int, end: int
) -> list[Earlier]:
    """What stood in parts of [start, end) before writes after a revision, oldest first."""
    rows = session.rows(
        'SELECT start, "end", rows, data FROM past_rows WHERE series = ? AND revision > ? '
        'AND start < ? AND "end" > ? ORDER BY revision, start',
        series.id,
        revision,
        end,
        start,
    )
    return [Earlier(*row) for row in rows]


def rows_then(
    present: Block, records: Sequence[Earlier], range_: Interval, known: Known, moment: Moment
) -> Block:
    """The candles in a range, with the records laid over what stands there now.

    Raises StoreDamaged where they were lost.
    """
    names, grid = known.series.names, known.series.grid
    if not records:
        return present.with_names(names)
    parts = []
    decoded: dict[int, Block] = {}
    for part, owner in oldest([record[:2] for record in records], *range_):
        if owner < 0:
            parts.append(present.between(*part).with_names(names))
        elif records[owner].number and grid.ceil(part.start) < part.end:  # not between open times
            if owner not in decoded:
                decoded[owner] = decoded_rows(records[owner], known.series.key, moment)
            parts.append(decoded[owner].between(*part).with_names(names))
    return Block.concatenate(_not_empty(parts) or [Block.empty(names)])


def decoded_rows(record: Earlier, key: SeriesKey, as_of: Moment | str) -> Block:
    """The rows of a record. Raises StoreDamaged."""
    try:
        if not record.is_lost:
            return decode(cast("bytes", record.rows))
        fault = "was damaged and has been dropped, it is lost: read another range"
    except ChunkVersionUnsupported as error:
        fault = str(error)
    except ChunkDamaged as error:
        cause = str(error).rpartition(": ")[0]  # without the remedy for a chunk of the present
        fault = f"{cause}: read another range, and have repair mark what is lost"
    range_ = span(record.start, record.end)
    raise StoreDamaged(f"series {key} as of {as_of}, {range_}: {fault}")


def _not_empty(parts: Iterable[Block]) -> list[Block]:
    return [part for part in parts if len(part)]
