"""A lake as a source of candles: read-only, only the ranges that it knows, only the bytes needed.

A series that we exported is described by its manifest. One that others wrote (Spark, DuckDB,
pandas) is known from the footers of its files: from its first candle to its last, without a word
about what lies beyond. Parts of ours that no manifest lists, as those of a first export that is
still at work, are known for what their candles prove.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import stamina

from ohlcache.candles import Block, Grid, Interval, IntervalSet, Timeframe, to_frame
from ohlcache.candles.frames import Frame, FrameKind
from ohlcache.candles.instant import EARLIEST, LATEST, Instant, to_iso, to_ms
from ohlcache.candles.interval import difference, normalise
from ohlcache.errors import (
    InvalidArgument,
    SourceUnavailable,
    UnsupportedBySource,
)
from ohlcache.sources.files.epoch import TimeUnit
from ohlcache.sources.files.options import Options, column_names
from ohlcache.sources.lake.adopting import adopted
from ohlcache.sources.lake.catalogue import Found, folder_of, offered_timeframes, venues, walk
from ohlcache.sources.lake.layout import series_folder
from ohlcache.sources.lake.manifest import Manifest, Part
from ohlcache.sources.lake.parts import is_ours, read, survey
from ohlcache.sources.lake.remembered import Remembered
from ohlcache.sources.lake.storage import Storage
from ohlcache.sources.lake.writing import load
from ohlcache.sources.protocol import Capabilities

_PARTS_AT_ONCE = 8
_ATTEMPTS = 4
_PAGE = 500_000  # candles, which are stored before more are fetched


@dataclass(frozen=True, slots=True)
class LakeSeries:
    """A series of a lake: what is known of it, in ms, and how much that is."""

    venue: str
    symbol: str
    timeframe: str
    covered: IntervalSet
    rows: int
    bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class _Series:
    folder: str
    manifest: Manifest


class LakeSource:
    """The candles of a partitioned Parquet dataset, ours or with any Hive layout.

        ohlcache.open("data", source=LakeSource("s3://bucket/candles"))

    stores what is read; :meth:`candles` reads without storing anything, for histories that are
    larger than this machine.

    url: a path, or any URL of fsspec. venue: the one to serve, where there are several; for a
    dataset that names none, the name to store under. timeframe: where the layout names none.
    storage_options: of the file system; ``s3://`` takes those of pyarrow's S3FileSystem. columns,
    tz and time_unit are those of file import, for datasets that others wrote. recheck_seconds: for
    how long what a series consists of is remembered.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        venue: str | None = None,
        timeframe: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        columns: str | Sequence[str] | None = None,
        tz: str | None = None,
        time_unit: TimeUnit = "auto",
        recheck_seconds: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock`` gives seconds since the epoch.

        Raises InvalidArgument for an argument that cannot be used or a lake of several venues,
        SourceError where there is no lake or access is denied, SourceUnavailable.
        """
        self._storage = Storage(url, storage_options)
        self._options = Options(column_names(columns), tz, time_unit)
        self._own_timeframe = None if timeframe is None else Timeframe.parse(timeframe)
        self._clock = clock
        self._known: Remembered[tuple[str, Timeframe], _Series] = Remembered(recheck_seconds, clock)
        self._offered: Remembered[str, frozenset[str]] = Remembered(recheck_seconds, clock)
        self._venue = _venue(self._storage, venue)
        self._capabilities = Capabilities(page_size=_PAGE, concurrency=2)
        self._check_layout()

    @property
    def venue(self) -> str:
        """The name under which its series are stored."""
        return self._venue

    @property
    def capabilities(self) -> Capabilities:
        """No rate limit; the timeframes differ by symbol, see :meth:`timeframes_of`."""
        return self._capabilities

    def now(self) -> int:
        """The local clock, ms since the epoch."""
        return int(self._clock() * 1000)

    @stamina.retry(on=SourceUnavailable, attempts=_ATTEMPTS, wait_initial=0.2)
    def timeframes_of(self, symbol: str) -> frozenset[str]:
        """The timeframes that the lake has of a symbol, in canonical text.

        Raises UnknownSymbol, SourceError, SourceUnavailable after retries.
        """

        def look() -> frozenset[str]:
            found = offered_timeframes(self._storage, self._venue, symbol, self._own_timeframe)
            return frozenset(map(str, found))

        return self._offered.get(symbol, look)

    def known(self, symbol: str, timeframe: str) -> IntervalSet:
        """The open times that the lake can tell about, in ms; nothing else is asked of it.

        Raises UnknownSymbol, UnsupportedBySource, SourceError, SourceUnavailable after retries.
        """
        return self._series(symbol, timeframe).manifest.covered

    def fetch(self, symbol: str, timeframe: str, start: int, end: int) -> Block:
        """The candles that open in [start, end), in ms, ascending; the lake has to know it all.

        Raises UnknownSymbol, UnsupportedBySource also for a range that is not known, FetchError for
        a part that is damaged, FileFormatError for one that holds no candles, SourceError,
        SourceUnavailable.
        """
        series = self._series(symbol, timeframe)
        unknown = difference([(start, end)], series.manifest.covered)
        if unknown:
            raise UnsupportedBySource(
                f"{symbol} {timeframe} from {to_iso(unknown[0].start)} to "
                f"{to_iso(unknown[0].end)} is not in {self._storage.name}: export it there first"
            )
        return self._read(series, Interval(start, end))

    def candles(
        self,
        symbol: str,
        timeframe: str,
        start: Instant = None,
        end: Instant = None,
        *,
        as_: FrameKind = "pandas",
    ) -> Frame:
        """What the lake knows of the candles that open in [start, end), by default all of them.

        Nothing is stored and nothing is kept in memory. Returns what ``MarketData.candles`` does,
        raises what :meth:`fetch` does and InvalidArgument for times that mean none.
        """
        low = EARLIEST if start is None else to_ms(start, "start")
        high = LATEST if end is None else to_ms(end, "end")
        for attempt in stamina.retry_context(SourceUnavailable, attempts=_ATTEMPTS):
            with attempt:
                block = self._read(self._series(symbol, timeframe), Interval(low, high))
        return to_frame(block, as_)

    def series(self) -> list[LakeSeries]:
        """Every series of the venue, by symbol and timeframe; reads what each consists of."""
        return list(self._all_series())

    def _read(self, series: _Series, range_: Interval) -> Block:
        parts = series.manifest.overlapping(*range_)
        one = partial(self._part, series, range_)
        try:
            with ThreadPoolExecutor(min(_PARTS_AT_ONCE, len(parts)) or 1) as threads:
                blocks = list(threads.map(one, parts))
        except SourceUnavailable:
            self._known.forget(series)  # its parts may have been replaced
            raise
        found = Block.concatenate([Block.empty(series.manifest.columns), *blocks])
        if (np.diff(found.times) > 0).all():
            return found
        return found.take(np.argsort(found.times, kind="stable"))

    # -- what a series consists of --------------------------------------------------------------

    def _all_series(self) -> Iterator[LakeSeries]:
        for found in walk(self._storage, Found(venue=self._venue)):
            timeframe = found.timeframe or self._own_timeframe
            if found.symbol is None or timeframe is None:
                continue
            manifest = self._manifest(found.folder, timeframe)
            yield LakeSeries(
                self._venue,
                found.symbol,
                str(timeframe),
                manifest.covered,
                sum(part.rows for part in manifest.parts),
                sum(part.bytes for part in manifest.parts),
                len(manifest.parts),
            )

    def _check_layout(self) -> None:
        if self._own_timeframe is not None:
            return
        first = next(walk(self._storage, Found(venue=self._venue)), None)
        if first is None or first.timeframe is None:
            raise InvalidArgument(
                f"timeframe is not given, and {self._storage.name} has no folders timeframe=…: "
                "give the one that it holds"
            )

    @stamina.retry(on=SourceUnavailable, attempts=_ATTEMPTS, wait_initial=0.2)
    def _series(self, symbol: str, timeframe: str) -> _Series:
        key = symbol, Timeframe.parse(timeframe)
        return self._known.get(key, partial(self._looked_up, *key))

    def _looked_up(self, symbol: str, timeframe: Timeframe) -> _Series:
        folder = series_folder(self._venue, symbol, timeframe)
        manifest = load(self._storage, folder)
        if manifest is not None:
            return _Series(folder, manifest)
        folder = folder_of(self._storage, self._venue, symbol, timeframe, self._own_timeframe)
        return _Series(folder, self._manifest(folder, timeframe))

    def _manifest(self, folder: str, timeframe: Timeframe) -> Manifest:
        """The manifest of a folder, or one made of our parts, or of the footers of other files."""
        manifest = load(self._storage, folder)
        if manifest is not None:
            return manifest
        files = self._storage.files(folder, ".parquet")
        if any(map(is_ours, files)):  # the store they came from need not know what lies between
            return adopted(self._storage, folder, files, timeframe, self.now())
        with ThreadPoolExecutor(_PARTS_AT_ONCE) as threads:
            look = partial(survey, self._storage, folder, options=self._options)
            found = [one for one in threads.map(look, files, files.values()) if one.part.rows]
        if not found:
            return Manifest()
        parts = sorted((one.part for one in found), key=lambda part: part.range)
        columns = dict.fromkeys(name for one in found for name in one.columns)
        last = Grid(timeframe).next(max(part.range.end - 1 for part in parts))
        covered = normalise([(parts[0].range.start, last)])
        return Manifest(tuple(columns), covered, tuple(parts))

    def _part(self, series: _Series, range_: Interval, part: Part) -> Block:
        return read(self._storage, part, series.folder, range_, self._options)


def _venue(storage: Storage, wanted: str | None) -> str:
    """The venue to serve: the one wanted, or the only one that the lake names."""
    named = venues(storage)
    if wanted is None and len(named) > 1:
        raise InvalidArgument(
            f"venue is not given, and {storage.name} holds several: name one of {', '.join(named)}"
        )
    if wanted is not None and named and wanted not in named:
        raise InvalidArgument(
            f"venue {wanted!r} is not in {storage.name}: name one of {', '.join(named)}"
        )
    return wanted or next(iter(named), "local")
