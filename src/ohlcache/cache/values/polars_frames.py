"""The forms of polars, whose memory is Arrow's."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from ohlcache.cache.values.arrow import read_table, write_table
from ohlcache.cache.values.tree import TreeReader, TreeWriter, Unencodable, register

_FRAME, _SERIES = 96, 97

_NEWEST = pl.CompatLevel.newest()
_ERRORS = (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException)


def _frame(tree: TreeWriter, frame: pl.DataFrame) -> int:
    try:
        table = frame.to_arrow(compat_level=_NEWEST)
        schema = _as_frame(table.slice(0, 0)).schema
    except _ERRORS:
        schema = None
    if schema != frame.schema:
        raise Unencodable(pl.DataFrame, f"has dtypes that Arrow lacks: {frame.dtypes}")
    return write_table(tree, table)


def _frame_from(tree: TreeReader, buffer: int) -> pl.DataFrame:
    try:
        return _as_frame(read_table(tree, buffer))
    except pl.exceptions.PanicException as panic:  # no Exception, so nobody else would catch it
        raise ValueError(f"polars cannot read a table: {panic}") from None


def _as_frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _series(tree: TreeWriter, series: pl.Series) -> int:
    return _frame(tree, series.to_frame())


def _series_from(tree: TreeReader, buffer: int) -> pl.Series:
    return _frame_from(tree, buffer).to_series()


register(pl.DataFrame, _FRAME, _frame, _frame_from)
register(pl.Series, _SERIES, _series, _series_from)
