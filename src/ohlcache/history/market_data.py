"""MarketData: any candles of any range, from the nearest place that has them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakSet

from ohlcache.candles import Block, Interval, Timeframe, to_block, to_frame
from ohlcache.candles.frames import Frame, FrameKind
from ohlcache.candles.gaps import Gap, classify, mark_refused
from ohlcache.candles.instant import Instant, to_ms
from ohlcache.candles.session import session as session_named
from ohlcache.closing import Closing
from ohlcache.drive import Walk, drive, drive_async
from ohlcache.errors import InvalidArgument, UnknownSymbol
from ohlcache.history.arguments import checked_name, range_ms, symbol_names
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.holder import Holder
from ohlcache.history.ingest import ingest
from ohlcache.history.listing import mark_never_traded
from ohlcache.history.live import CandleDict, Live
from ohlcache.history.nearer import Nearer
from ohlcache.history.past.revisions import Revision, revisions
from ohlcache.history.past.snapshots import Snapshot, snapshots
from ohlcache.history.prefetch import Prefetcher
from ohlcache.history.properties import checked as checked_properties
from ohlcache.history.properties import describing
from ohlcache.history.reading import Series
from ohlcache.history.repair import repair
from ohlcache.history.reporting import report, report_chunks, report_live, report_prefetch
from ohlcache.history.reports import (
    RepairReport,
    SeriesInfo,
    SeriesKey,
    VerifyReport,
    WriteReport,
)
from ohlcache.history.store import Store
from ohlcache.history.symbols import Symbols
from ohlcache.history.turns import LEASE_SECONDS
from ohlcache.history.verify import Progress, verify
from ohlcache.history.walk import Reader, Request, unknown_series
from ohlcache.reclaim import DECODED, account, offer
from ohlcache.sources.live import Stream
from ohlcache.sources.protocol import Source
from ohlcache.telemetry import Readings, registry

if TYPE_CHECKING:
    from ohlcache.sources.lake import LakeExport

LOCAL_VENUE = "local"

_PARALLEL_READS = 8
_DERIVED_SHARE = 4  # of the memory, for candles made from finer ones: a fourth


class _Asked(NamedTuple):
    """A read as the user asks for it; what it means may have to be asked of the store."""

    symbol: str
    timeframe: str | Timeframe
    start: Instant
    end: Instant
    venue: str | None
    fetch: bool = True
    as_of: Instant = None


class MarketData(Closing):
    """Candles of one store, completed from one source. A sync and an async context manager.

    Made by ``ohlcache.open``. Safe to share between threads and tasks. Frames handed out share
    read-only memory with each other; ``copy=True`` gives a private one.
    """

    def __init__(
        self,
        store: Store,
        source: Source | None = None,
        *,
        memory_bytes: int = 512 * 2**20,
        sessions: Mapping[str, str] | None = None,
        lease_seconds: float = LEASE_SECONDS,
        prefetch: Literal["fetch"] | bool = False,
        clock: Callable[[], int] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``sessions`` names the trading session of venues; ``clock`` gives ms since the epoch.

        sleep: waits for so many seconds of the clock.

        prefetch: whether what is stored next to ranges read is decoded before it is asked for;
            "fetch": what is not stored is asked of the source, too.
        lease_seconds: for how long a process that died keeps others from fetching what it was at.
        """
        self._store = store
        derived_bytes = memory_bytes // _DERIVED_SHARE
        self._holder = Holder(store, memory_bytes - derived_bytes)
        self._nearer = Nearer(self._holder, store.chunks)
        self._fetcher = Fetcher(store, source, lease_seconds) if source is not None else None
        self._sessions = dict(sessions or {})
        self._clock = clock or _system_clock
        self._symbols = Symbols(store)
        self._reader = Reader(
            store, self._holder, self._fetcher, self._symbols, self._clock, derived_bytes
        )
        self._live = Live(
            store,
            self._holder,
            self._fetcher,
            lambda source: Fetcher(store, source, lease_seconds),
            self._clock,
            sleep,
        )
        self._prefetcher: Prefetcher | None = None
        if prefetch:
            fetcher = self._fetcher if prefetch == "fetch" else None
            self._prefetcher = Prefetcher(self._reader, self._holder, fetcher, self._clock)
            self._reader.on_miss = self._prefetcher.missed
        self._make_threads()
        _opened.add(self)
        registry.register(self.report)
        offer("drop decoded candles", DECODED, self.drop_decoded)
        account(self.held_bytes)

    def _make_threads(self) -> None:
        self._threads = ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="ohlcache-read")
        self._background = ThreadPoolExecutor(1, thread_name_prefix="ohlcache-prefetch")

    def _renew(self) -> None:
        """Make threads and locks anew in a forked child, which has none of its parent's."""
        self._make_threads()
        self._reader.counts.clear()
        self._holder.renew()
        if self._prefetcher is not None:
            self._prefetcher.renew()
        self._live.renew()
        if self._store.chunks is not None:
            self._store.chunks.renew()
        if self._fetcher is not None:
            self._fetcher.renew()

    # -- reading --------------------------------------------------------------------------------

    def candles(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        *,
        venue: str | None = None,
        columns: str | Sequence[str] | None = None,
        as_: FrameKind = "pandas",
        copy: bool = False,
        fetch: bool = True,
        as_of: Instant = None,
    ) -> Frame:
        """Closed candles that open in [start, end), fetching what the store lacks.

        ``start`` and ``end`` are datetimes, Timestamps, ISO strings or ms; naive means UTC. Without
        ``start`` the read begins where the stored history does, without ``end`` it goes up to now.
        A timeframe that is not stored is made from the finest stored one that divides it.

        ``as_of`` reads what was known at a moment: a time, or the name of a snapshot. Candles that
        were changed since have the values of then; nothing is fetched. A snapshot is bit for bit
        what was stored; of candles that came as they closed, a time says only that they had closed.

        Returns, by ``as_``: ``pandas`` float64 columns open high low close volume (and extra ones)
        on a DatetimeIndex[ns, UTC] named ``timestamp``; ``polars``; ``arrow``; ``numpy`` a dict of
        arrays with ``timestamp`` int64 ms; ``ccxt`` a list of lists. Candles that were never
        fetched are absent when ``fetch`` is false or there is no source: see :meth:`gaps`.

        Raises InvalidArgument, UnknownTimeframe, UnknownSnapshot, UnknownSymbol, FetchError,
        UnsupportedBySource or a StoreError.
        """
        asked = _Asked(symbol, timeframe, start, end, venue, fetch, as_of)
        rows = self._at_hand(asked)
        if rows is None:
            rows = drive(self._read(asked))
        return _framed(rows, columns, as_, copy)

    async def acandles(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        *,
        venue: str | None = None,
        columns: str | Sequence[str] | None = None,
        as_: FrameKind = "pandas",
        copy: bool = False,
        fetch: bool = True,
        as_of: Instant = None,
    ) -> Frame:
        """:meth:`candles` for async code. Cancelling it stops no fetch that others wait for."""
        asked = _Asked(symbol, timeframe, start, end, venue, fetch, as_of)
        rows = self._at_hand(asked)
        if rows is None:
            rows = await drive_async(self._read(asked), self._threads)
        return _framed(rows, columns, as_, copy)

    def _at_hand(self, asked: _Asked) -> Block | None:
        """What memory holds, if that can be told without asking the database anything."""
        token = self._store.token_at_hand()
        is_venue_known = self._fetcher is not None or self._holder.knows(asked.symbol)
        if token is None or not (is_venue_known or asked.venue is not None):
            return None
        return self._reader.hit(self._request(asked), token)

    def _read(self, asked: _Asked) -> Walk[Block]:
        request: Request = yield partial(self._request, asked)
        rows: Block | None = yield lambda: self._reader.hit(request, self._store.token())
        if rows is None:
            rows = yield from self._reader.walk(request)
        return rows

    def candles_many(
        self,
        symbols: str | Iterable[str],
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        **options: Any,
    ) -> dict[str, Frame]:
        """:meth:`candles` of several symbols, fetched in parallel within the source's limits.

        Takes the options of :meth:`candles`. When one symbol fails its error is raised after the
        others are done; what they fetched is stored.
        """
        names = symbol_names(symbols)
        with ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="ohlcache-many") as threads:
            frames = [
                threads.submit(self.candles, name, timeframe, start, end, **options)
                for name in names
            ]
        return {name: frame.result() for name, frame in zip(names, frames, strict=True)}

    async def acandles_many(
        self,
        symbols: str | Iterable[str],
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        **options: Any,
    ) -> dict[str, Frame]:
        """:meth:`candles_many` for async code."""
        names = symbol_names(symbols)
        reads = (self.acandles(name, timeframe, start, end, **options) for name in names)
        frames = await asyncio.gather(*reads, return_exceptions=True)
        for frame in frames:
            if isinstance(frame, BaseException):
                raise frame
        return dict(zip(names, frames, strict=True))

    def prefetch(
        self,
        symbols: str | Iterable[str],
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        *,
        venue: str | None = None,
    ) -> Future[None]:
        """Fetch and decode in the background; the future is done when all of it is at hand."""
        requests = [
            self._request(_Asked(name, timeframe, start, end, venue))
            for name in symbol_names(symbols)
        ]
        self._holder.catalogue()  # tells a closed store before there is a future to look at
        return self._background.submit(self._prefetch, requests)

    def _prefetch(self, requests: list[Request]) -> None:
        for request in requests:
            drive(self._reader.walk(request))

    # -- writing --------------------------------------------------------------------------------

    def write(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        data: Frame,
        *,
        venue: str | None = None,
        closed_until: Instant = None,
        strict: bool = False,
    ) -> WriteReport:
        """Store candles from a frame, an Arrow table, a dict of arrays or ccxt rows.

        The rows count as the whole history from the first to the last of them: what is absent
        between is a gap of the venue, not one to be fetched. Candles not closed at
        ``closed_until`` (default: now) and rows that cannot be candles are rejected and counted in
        the report; with ``strict`` any such row refuses the whole write (CandlesRefused).

        Raises InvalidArgument for data that is no table of candles, or a StoreError; then nothing
        is stored.
        """
        key = self._key_to_write(symbol, timeframe, venue)
        closed = self._clock() if closed_until is None else to_ms(closed_until, "closed_until")
        return ingest(self._store, key, to_block(data), closed_until=closed, strict=strict)

    def append(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        candle: Frame,
        *,
        venue: str | None = None,
    ) -> WriteReport:
        """Store one candle: a ccxt row, a dict or a frame of one row; times may be ISO texts.

        Order does not matter, and one that is stored already is ``unchanged``. A candle that is
        not closed is not stored, and reported as :meth:`write` does (``rejected`` for
        ``not_closed``); :meth:`forming` gives it until it closes.

        Raises InvalidArgument for what is not one candle, or a StoreError.
        """
        return self._live.append(self._key_to_write(symbol, timeframe, venue), candle)

    def follow(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        source: Stream,
        *,
        venue: str | None = None,
        grace_seconds: float = 2.0,
    ) -> AsyncGenerator[CandleDict, None]:
        """Closed candles of a stream, each stored before it is given, in order, each once.

        Begins where the stored history ends: what is missing up to now, and what a lost connection
        misses, is fetched first, from the source that this was opened with (if it is of the same
        venue) or from ``source`` itself (if it can fetch too). What neither can give stays
        uncovered and is left out. Candles are stored as they close, however slow the consumer is;
        ending the iteration closes the connection, which followers of the same stream share.

        source: an object whose ``watch(symbol, timeframe)`` is an async iterator of candle updates
            or trades (see ``ohlcache.sources.live``), such as ``CcxtStream("binance")``.
        grace_seconds: for how long trades of a candle may come after its end, in any order; a
            candle after which nothing comes is fetched then, where the history can be.

        Yields dicts: ``timestamp`` (open time, int ms), ``open``, ``high``, ``low``, ``close``,
        ``volume`` and the extra columns of the series. Raises InvalidArgument, a SourceError that
        another try would not mend, or a StoreError.
        """
        stream_venue = getattr(source, "venue", None) if self._fetcher is None else None
        key = self._key_to_write(symbol, timeframe, venue or stream_venue)
        return self._live.follow(key, source, grace_seconds)

    def forming(
        self, symbol: str, timeframe: str | Timeframe, *, venue: str | None = None
    ) -> CandleDict | None:
        """The unclosed candle, as a dict like those of :meth:`follow`; None if it is not known.

        Known is what this process appended or follows. It is never stored.
        """
        return self._live.forming(self._key(symbol, timeframe, venue))

    def write_blocks(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        blocks: Iterable[Block],
        *,
        venue: str | None = None,
        closed_until: Instant = None,
        strict: bool = False,
    ) -> Generator[WriteReport, None, WriteReport]:
        """Store a history that comes in parts, each in a transaction of its own.

        Yields the report of each part and returns the sum. Parts that follow one another count as
        one history: what is absent between two of them is a gap of the venue.
        """
        key = self._key_to_write(symbol, timeframe, venue)
        closed = self._clock() if closed_until is None else to_ms(closed_until, "closed_until")
        total = WriteReport()
        reached: int | None = None
        for block in blocks:
            report = ingest(self._store, key, block, closed_until=closed, strict=strict)
            reached = self._bridge(key, block, reached, closed)
            total += report
            yield report
        return total

    def _bridge(
        self, key: SeriesKey, block: Block, reached: int | None, closed_until: int
    ) -> int | None:
        """Cover what lies between one part and the next; up to where the parts reach now."""
        if not len(block):
            return reached
        first, last = int(block.times.min()), min(int(block.times.max()), closed_until)
        if reached is not None and reached < first <= closed_until:
            series = self._holder.catalogue().get(key)
            if series is not None:
                between = (Interval(reached, first),)
                self._store.write(key, series.anchor, Block.empty(series.names), between)
        return last if reached is None else max(reached, last)

    def delete(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        *,
        venue: str | None = None,
    ) -> int:
        """Remove candles and coverage in [start, end), or the whole series; the rows removed.

        What a snapshot needs of a range is kept; a series that is deleted as a whole can no longer
        be read as of any snapshot or moment before. Raises InvalidArgument, UnknownSymbol or a
        StoreError.
        """
        key = self._key(symbol, timeframe, venue)
        low, high = range_ms(start, end)
        if key not in self._holder.catalogue():
            raise self._unknown(key)
        return self._store.delete(key, low, high)

    def export_lake(
        self,
        url: str | Path,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        *,
        venue: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> LakeExport:
        """Bring what is stored of a series in [start, end) into a data lake; nothing is fetched.

        url: a folder, or any URL of fsspec (``s3://bucket/candles``); storage_options: of its file
        system. Only months (or years) whose candles differ from those of the lake are written, and
        ``ohlcache.sources.LakeSource``, which reads it, sees all of an export or nothing; other
        tools see each candle once after it (docs/lake.md tells what they see meanwhile).

        Raises InvalidArgument, UnknownSymbol, MissingExtra, SourceUnavailable, a StoreError, or
        SourceError, also where another export of the series came in between: export again.
        """
        from ohlcache.history.lake import export_lake

        series = self._stored(symbol, timeframe, venue)
        low, high = range_ms(start, end)
        range_ = Interval(-(2**62) if low is None else low, 2**62 if high is None else high)
        return export_lake(self._holder, series.key, url, range_, storage_options, self._clock())

    # -- what was known when --------------------------------------------------------------------

    def snapshot(self, name: str) -> Snapshot:
        """Name the present state of all series, to be read as ``candles(…, as_of=name)``.

        Costs a row for each series, and keeps the values that are changed from now on. It ends for
        a series that is deleted as a whole. Raises
        InvalidArgument for a name that is in use or means a time, or a StoreError.
        """
        return self._store.snapshot(name)

    def snapshots(self) -> list[Snapshot]:
        """All snapshots, the oldest first."""
        with self._store.session() as session:
            return snapshots(session)

    def delete_snapshot(self, name: str) -> None:
        """Forget a snapshot; what it alone needed is dropped later. Raises UnknownSnapshot."""
        self._store.delete_snapshot(name)

    def revisions(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        *,
        venue: str | None = None,
    ) -> list[Revision]:
        """What was changed or removed of stored candles that open in [start, end), and when.

        Each Revision has ``at`` (datetime, UTC), ``timestamp`` (open time, int ms), ``before`` and
        ``after``: dicts of column and value, NaN where there was none, ``after`` None for a candle
        that was removed. In order of ``at`` and ``timestamp``; empty where nothing was changed.
        Where values were damaged and are lost, ``before`` or ``after`` is ``{}``: such a Revision
        is there for every open time at which a candle may have been changed or removed.

        Raises InvalidArgument, UnknownSymbol or a StoreError.
        """
        key = self._key(symbol, timeframe, venue)
        low, high = range_ms(start, end)
        loaded = self._holder.load(key, low, high)
        if loaded is None:
            raise self._unknown(key)
        held, rows = loaded
        with self._store.session() as session:
            return revisions(session, held.series, rows, low, high)

    def set_metadata(
        self, symbol: str, data: Mapping[str, Any], *, venue: str | None = None
    ) -> None:
        """Replace the properties of a symbol; those that are None are left out.

        ``tick_size`` and ``lot_size`` are numbers above 0; ``listed`` and ``delisted`` the first
        moment of trading and the first one after it (given as ``start`` and ``end`` of
        :meth:`candles` are, kept as ISO texts): nothing outside of them is ever fetched.
        ``session`` names its trading session (see :meth:`gaps`); ``base``, ``quote``, ``source``
        and ``description`` are texts. Further keys may hold whatever JSON can.

        Raises InvalidArgument, naming the property, for any other value, or a StoreError.
        """
        properties = checked_properties(symbol, data)
        self._store.set_metadata(self._venue(symbol, venue), symbol, properties)

    def refresh_metadata(self, symbol: str) -> dict[str, Any]:
        """Ask the source for the properties of a symbol, and store what it tells.

        What it does not tell stays as it is. Returns the properties. Raises UnsupportedBySource
        for a source without them, InvalidArgument without a source, or a SourceError.
        """
        return drive(self._refreshed(symbol))

    async def arefresh_metadata(self, symbol: str) -> dict[str, Any]:
        """:meth:`refresh_metadata` for async code."""
        return await drive_async(self._refreshed(symbol), self._threads)

    def _refreshed(self, symbol: str) -> Walk[dict[str, Any]]:
        venue = self._own_venue
        source = describing(self._fetcher.source if self._fetcher else None, symbol)
        told = yield partial(source.properties, checked_name("symbol", symbol))
        known = yield partial(self._symbols.properties, venue, symbol)
        properties = checked_properties(symbol, {**known, **checked_properties(symbol, told)})
        yield partial(self._store.set_metadata, venue, symbol, properties)
        return properties

    # -- asking about what is stored ------------------------------------------------------------

    def metadata(self, symbol: str, *, venue: str | None = None) -> dict[str, Any]:
        """The properties of a symbol (see :meth:`set_metadata`); empty where none were set."""
        return self._symbols.properties(self._venue(symbol, venue), symbol)

    def series(self) -> list[SeriesInfo]:
        """Every stored series, by venue, symbol and timeframe."""
        with self._store.reading() as reading:
            return [reading.info(series) for series in reading.all_series()]

    def info(
        self, symbol: str, timeframe: str | Timeframe, *, venue: str | None = None
    ) -> SeriesInfo:
        """One stored series. Raises UnknownSymbol."""
        series = self._stored(symbol, timeframe, venue)
        with self._store.reading() as reading:
            return reading.info(series)

    def coverage(
        self, symbol: str, timeframe: str | Timeframe, *, venue: str | None = None
    ) -> list[Interval]:
        """The ranges [start, end) of open times, in ms, that were fetched or written."""
        series = self._stored(symbol, timeframe, venue)
        with self._store.reading() as reading:
            return list(reading.coverage(series))

    def gaps(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        start: Instant = None,
        end: Instant = None,
        *,
        venue: str | None = None,
        session: str | None = None,
    ) -> list[Gap]:
        """Every run of absent candles in [start, end), by default between first and last covered.

        Each is ``never_fetched``, ``empty`` (fetched, the venue holds none), ``closed`` (outside
        the trading session, before the symbol's listing or after its delisting) or ``refused`` (the
        venue gave what cannot be a candle). The session
        is the argument, or the symbol's metadata, or the setting of the venue: ``24/7``, ``fx``,
        ``us_equities``, ``us_equities_extended``, a text such as ``Mon-Fri 09:00-17:30
        Europe/Berlin``, or a name of ``exchange_calendars``.
        """
        key = self._key(symbol, timeframe, venue)
        low, high = range_ms(start, end)
        loaded = self._holder.load(key, low, high)
        if loaded is None:
            raise self._unknown(key)
        held, rows = loaded
        if held.coverage:
            low = held.coverage[0].start if low is None else low
            high = held.coverage[-1].end if high is None else high
        if low is None or high is None or low >= high:
            return []
        name = session or self._session_of(key)
        times = rows.times
        grid = held.series.grid
        hours = session_named(name) if name else None
        with self._store.reading() as reading:
            refused = reading.refused_times(held.series)
        found = mark_refused(classify(times, grid, held.coverage, low, high, hours), grid, refused)
        return mark_never_traded(found, grid, self._symbols.listing(key.venue, key.symbol))

    def _session_of(self, key: SeriesKey) -> str | None:
        return self._symbols.session(key.venue, key.symbol) or self._sessions.get(key.venue)

    def verify(self, progress: Progress | None = None) -> VerifyReport:
        """Check every chunk's checksum, order, grid and coverage, and list suspicious rows.

        What this process and Redis hold is compared with the store; where it differs it is let go
        of. ``progress`` is told how many series were verified, of how many.
        """
        return verify(self._store, self._nearer, progress).report()

    def repair(self, progress: Progress | None = None) -> RepairReport:
        """Fetch what is damaged, and what series lack between their ends, from the source.

        A damaged chunk that the source's candles prove to have held is put back as it was. Where
        they differ, what stood there is lost to reads as of then. Earlier values that were damaged
        nobody can give again: they are marked as lost, with a source or without, and the report
        lists them. Without a source nothing else is changed, and the report lists what remains.
        ``progress`` is told of series verified and ranges fetched: how many, of how many so far.
        """
        return repair(self._store, self._nearer, self._fetcher, progress)

    def stats(self) -> dict[str, Any]:
        """Counters since opening, as plain numbers."""
        return {
            "reads": dict(self._reader.counts),
            "memory": {
                "bytes": self.held_bytes(),
                "evictions": self._holder.evictions,
                "setbacks": self._holder.setbacks,
            },
            "fetch": dict(self._fetcher.counts) if self._fetcher else {},
            "prefetch": self._prefetcher.stats() if self._prefetcher else {},
            "live": self._live.stats(),
            "shared": self._store.chunks.stats() if self._store.chunks else {},
            "store": {
                "bytes": self._store.size(),
                "series": len(self._holder.catalogue()),
                **self._store.numbers(),
            },
        }

    def report(self, readings: Readings) -> None:
        """Add what telemetry collects of these candles."""
        report(self._holder, self._reader, self._fetcher, readings)
        if self._store.chunks is not None:
            report_chunks(self._store.chunks.stats(), readings)
        if self._prefetcher is not None:
            report_prefetch(self._prefetcher.stats(), readings)
        report_live(self._live.stats(), readings)

    def held_bytes(self) -> int:
        """Bytes of memory that decoded candles take."""
        return self._holder.nbytes + self._reader.derived_bytes

    def drop_decoded(self, nbytes: int) -> int:
        """Free memory: decoded candles are dropped, those not read for longest first.

        Bytes that are no longer held; frames handed out keep theirs.
        """
        if nbytes < 0:
            raise InvalidArgument(f"nbytes is {nbytes!r}: give 0 or more")
        dropped = self._reader.drop_derived(nbytes)
        return dropped + self._holder.drop(max(0, nbytes - dropped))

    # -- closing --------------------------------------------------------------------------------

    def close(self) -> None:
        """Let writes under way finish and close everything. Frames handed out stay valid."""
        self._live.close()
        if self._fetcher is not None:
            self._fetcher.close()  # first: reads that wait for pages end with it
        if self._prefetcher is not None:
            self._prefetcher.close()
        self._background.shutdown(wait=True, cancel_futures=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._store.close()

    # -- arguments ------------------------------------------------------------------------------

    def _request(self, asked: _Asked) -> Request:
        key = self._key(asked.symbol, asked.timeframe, asked.venue)
        low, high = range_ms(asked.start, asked.end)
        return Request(key, low, high, asked.fetch, asked.as_of)

    def _key(self, symbol: str, timeframe: str | Timeframe, venue: str | None) -> SeriesKey:
        return SeriesKey(self._venue(symbol, venue), symbol, Timeframe.parse(timeframe))

    def _key_to_write(
        self, symbol: str, timeframe: str | Timeframe, venue: str | None
    ) -> SeriesKey:
        parsed = Timeframe.parse(timeframe)
        chosen = self._own_venue if venue is None else venue
        return SeriesKey(checked_name("venue", chosen), checked_name("symbol", symbol), parsed)

    @property
    def _own_venue(self) -> str:
        return self._fetcher.source.venue if self._fetcher else LOCAL_VENUE

    def _venue(self, symbol: str, venue: str | None) -> str:
        """The venue meant: the one named, the source's, or the only one that has the symbol."""
        checked_name("symbol", symbol)
        if venue is not None:
            return checked_name("venue", venue)
        if self._fetcher is not None:
            return self._own_venue
        venues = self._holder.venues(symbol)
        if len(venues) > 1:
            raise InvalidArgument(
                f"symbol {symbol!r} is stored for several venues: name one of {', '.join(venues)}"
            )
        return venues[0] if venues else LOCAL_VENUE

    def _stored(self, symbol: str, timeframe: str | Timeframe, venue: str | None) -> Series:
        key = self._key(symbol, timeframe, venue)
        series = self._holder.catalogue().get(key)
        if series is None:
            raise self._unknown(key)
        return series

    def _unknown(self, key: SeriesKey) -> UnknownSymbol:
        self._store.barred.check_symbol(key)
        return unknown_series(key, self._holder.catalogue())


def _framed(rows: Block, columns: str | Sequence[str] | None, as_: FrameKind, copy: bool) -> Frame:
    if columns is not None:
        rows = rows.select([columns] if isinstance(columns, str) else columns)
    return to_frame(rows, as_, copy=copy)


def _system_clock() -> int:
    return time.time_ns() // 1_000_000


_opened: WeakSet[MarketData] = WeakSet()


def _renew_all() -> None:
    for market_data in list(_opened):
        market_data._renew()  # its own class


os.register_at_fork(after_in_child=_renew_all)
