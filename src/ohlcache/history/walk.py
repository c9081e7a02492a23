"""The way of a read: memory, store, finer timeframes, source.

It is written once, as a generator (:meth:`Reader.walk`) that :mod:`ohlcache.drive` carries out for
the two kinds of callers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from ohlcache.candles import Block, Grid, Interval, IntervalSet, Timeframe
from ohlcache.candles.instant import Instant
from ohlcache.candles.interval import covers, difference, union
from ohlcache.candles.resample import divides, resample
from ohlcache.drive import Walk
from ohlcache.errors import FetchError, UnknownSymbol, UnsupportedBySource
from ohlcache.history.arguments import filled_range
from ohlcache.history.derive import bases, complete_buckets, derived_grid, in_order
from ohlcache.history.engine import Token
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.holder import Holder
from ohlcache.history.past.reader import PastReader
from ohlcache.history.reading import Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.store import Store
from ohlcache.history.symbols import Symbols
from ohlcache.sources.protocol import OffersBySymbol

_MOST_ROUNDS = 50  # of fetching for one read; a source that never settles must not hang a caller


_Derived = tuple[int, int, int, Grid, Interval]  # setbacks, series, revision, and of what


class Request(NamedTuple):
    """A read after its arguments were checked; None leaves an end open.

    as_of: the moment whose knowledge is asked for, as the user gave it; None: now.
    """

    key: SeriesKey
    start: int | None
    end: int | None
    fetch: bool
    as_of: Instant = None


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Ranges of a series that the source has to deliver."""

    key: SeriesKey
    grid: Grid
    missing: IntervalSet


class _Answer(NamedTuple):
    """What the store gives for a request, and what is still to be fetched for it."""

    rows: Block
    fetches: list[_Fetch]


class Reader:
    """Answers requests from what the process holds, the store and the source."""

    def __init__(
        self,
        store: Store,
        holder: Holder,
        fetcher: Fetcher | None,
        symbols: Symbols,
        clock: Callable[[], int],
        most_derived_bytes: int,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._store = store
        self._holder = holder
        self._fetcher = fetcher
        self._symbols = symbols
        self._clock = clock
        self._past = PastReader(store, holder)
        self.most_derived_bytes = most_derived_bytes
        self.on_miss: Callable[[Request], None] | None = None  # told of what memory did not answer
        self._derived: dict[_Derived, Block] = {}

    def hit(self, request: Request, token: Token) -> Block | None:
        """The answer when memory holds all of it, without anything that blocks.

        token: of the store, now.
        """
        if request.start is None or request.end is None or request.as_of is not None:
            return None
        rows = self._holder.hit(request.key, request.start, request.end, token)
        if rows is not None:
            self.counts["hits"] += 1
        return rows

    def walk(self, request: Request) -> Walk[Block]:
        """Read; while something is missing, have it fetched and read again.

        Yields callables that block and futures to wait for, and is sent what they give.
        """
        if request.as_of is not None:
            self.counts["as_of"] += 1
            past: Block = yield partial(self._past.candles, *request[:3], request.as_of)
            return past
        self.counts["misses"] += 1
        rows = yield from self.complete(request)
        if self.on_miss is not None:
            self.on_miss(request)
        return rows

    def complete(self, request: Request) -> Walk[Block]:
        """Read, for whoever is not to be counted among those who read."""
        # Taken once: candles that close while others are fetched belong to the next read.
        now: int = yield (self._fetcher.source.now if self._fetcher else self._clock)
        for _ in range(_MOST_ROUNDS):
            answer: _Answer = yield partial(self._read, request, now)
            if not answer.fetches:
                return answer.rows
            assert self._fetcher is not None
            for fetch in answer.fetches:
                pages = self._fetcher.request(fetch.key, fetch.grid, fetch.missing)
                # Not "yield from": a list takes no values sent to it.
                for page in pages:  # noqa: UP028
                    yield page
        raise FetchError(
            f"{request.key} is still incomplete after {_MOST_ROUNDS} rounds: the source gives "
            "other candles each time"
        )

    def _read(self, request: Request, now: int) -> _Answer:
        key = request.key
        catalogue = self._holder.catalogue()
        base_series = bases(key, self._holder.series_of(key.venue, key.symbol))
        stored = catalogue.get(key)
        if stored is None:
            self._store.barred.check(key)
        may_fetch = request.fetch and self._is_source_of(key)
        if stored is None and not base_series and not may_fetch:
            self._store.barred.check_symbol(key)
            raise unknown_series(key, catalogue)
        grid = stored.grid if stored else _new_grid(key, base_series)
        base_series = [base for base in base_series if divides(base.grid, grid)]
        start, end = self._range(request, now, stored, base_series)
        loaded = self._holder.load(key, start, end)
        coverage: IntervalSet = ()
        rows = Block.empty()
        if loaded is not None:
            held, rows = loaded
            coverage = held.coverage
        wanted = difference([(grid.ceil(start), grid.ceil(min(end, max(now, start))))], coverage)
        if not wanted:
            return _Answer(rows, [])
        derived, wanted = self._derive(wanted, grid, base_series)
        if derived:
            rows = in_order([rows, *derived]).frozen()
        fetches = self._fetches(key, grid, wanted, base_series, now) if may_fetch else []
        return _Answer(rows, fetches)

    def _is_source_of(self, key: SeriesKey) -> bool:
        return self._fetcher is not None and key.venue == self._fetcher.source.venue

    def _range(
        self, request: Request, now: int, stored: Series | None, base_series: list[Series]
    ) -> tuple[int, int]:
        """The range of a request with its open ends filled in."""
        start, end = request.start, request.end
        known: IntervalSet = ()
        if start is None or end is None or start >= now:
            with self._store.reading() as reading:
                for series in filter(None, [stored, *base_series]):
                    known = union(known, reading.coverage(series))
        return filled_range(request.key, start, end, known, now)

    def _derive(
        self, wanted: IntervalSet, grid: Grid, base_series: list[Series]
    ) -> tuple[list[Block], IntervalSet]:
        """Candles in ``wanted`` that finer series give, and what of it is left."""
        derived: list[Block] = []
        for base in base_series:
            if not wanted:
                break
            with self._store.reading() as reading:
                coverage = reading.coverage(base)
            made = self._made(base, grid, complete_buckets(grid, wanted, coverage))
            derived += made.values()
            wanted = difference(wanted, made)
        return derived, wanted

    def _made(self, base: Series, grid: Grid, buckets: IntervalSet) -> dict[Interval, Block]:
        """Candles of ranges made from a finer series, all of one moment; the last ones are kept.

        Ranges of which the finer series has lost a part since its coverage was read are left out.
        """
        setbacks = self._holder.setbacks
        names = {bucket: (setbacks, base.id, base.revision, grid, bucket) for bucket in buckets}
        kept = {bucket: self._derived.get(name) for bucket, name in names.items()}
        made = {bucket: rows for bucket, rows in kept.items() if rows is not None}
        if len(made) == len(kept):
            return made
        loaded = self._holder.load_all(base.key, buckets)
        if loaded is None:
            return {}
        held, blocks = loaded
        return {
            bucket: self._resampled(setbacks, held.series, finer, grid, bucket)
            for bucket, finer in zip(buckets, blocks, strict=True)
            if covers(held.coverage, *bucket)
        }

    def _resampled(
        self, setbacks: int, base: Series, finer: Block, grid: Grid, bucket: Interval
    ) -> Block:
        name = (setbacks, base.id, base.revision, grid, bucket)
        rows = self._derived.get(name)
        if rows is None:
            rows = resample(finer, base.grid, grid, covered=(bucket,), incomplete="drop").block
            self._derived[name] = rows
            while self.derived_bytes > self.most_derived_bytes:
                self._derived.pop(next(iter(self._derived)), None)
        return rows

    def drop_derived(self, nbytes: int) -> int:
        """Let go of so many bytes of candles made from finer ones; how many it were."""
        dropped = 0
        for known in list(self._derived):
            if dropped >= nbytes:
                break
            rows = self._derived.pop(known, None)
            dropped += 0 if rows is None else rows.nbytes
        return dropped

    @property
    def derived_bytes(self) -> int:
        """Bytes of memory that candles made from finer ones take."""
        return sum(rows.nbytes for rows in list(self._derived.values()))

    def _fetches(
        self, key: SeriesKey, grid: Grid, wanted: IntervalSet, base_series: list[Series], now: int
    ) -> list[_Fetch]:
        """What has to be asked of the source: the timeframe itself, or one it can be made from."""
        assert self._fetcher is not None
        source = self._fetcher.source
        offered = source.capabilities.timeframes
        if isinstance(source, OffersBySymbol):
            offered = source.timeframes_of(key.symbol)
        if offered is None or str(key.timeframe) in offered:
            return self._fetch(key, grid, wanted, now)
        for base in base_series:
            if str(base.key.timeframe) in offered:
                with self._store.reading() as reading:
                    lacking = difference(wanted, reading.coverage(base))
                return self._fetch(base.key, base.grid, lacking, now)
        # Nothing finer is stored: the longest that the source offers takes the fewest requests.
        for timeframe in sorted(map(Timeframe.parse, offered), key=_length, reverse=True):
            base_grid = Grid(timeframe)
            if divides(base_grid, grid):
                base_key = SeriesKey(key.venue, key.symbol, timeframe)
                return self._fetch(base_key, base_grid, wanted, now)
        if isinstance(source, OffersBySymbol):
            return self._fetch(key, grid, wanted, now)
        raise UnsupportedBySource(
            f"timeframe {key.timeframe} is not offered by {key.venue}: use one of "
            f"{', '.join(sorted(offered))}"
        )

    def _fetch(self, key: SeriesKey, grid: Grid, wanted: IntervalSet, now: int) -> list[_Fetch]:
        assert self._fetcher is not None
        listing = self._symbols.listing(key.venue, key.symbol)
        never_traded = listing.never_traded(grid, wanted)
        if never_traded:
            self._store.cover_never_traded(key, grid.anchor, never_traded)
        missing = self._fetcher.missing(key, grid, listing.traded(grid, wanted), now)
        return [_Fetch(key, grid, missing)] if missing else []


def _length(timeframe: Timeframe) -> int:
    return timeframe.milliseconds


def unknown_series(key: SeriesKey, catalogue: dict[SeriesKey, Series]) -> UnknownSymbol:
    """The error for a series that is not stored: it says what is."""
    base_series = bases(key, catalogue.values())
    if base_series:
        base = base_series[0].key.timeframe
        return UnknownSymbol(
            f"timeframe {key.timeframe} of {key.symbol} is not stored, it is made from {base} when "
            f"it is read: ask for {base}"
        )
    timeframes = [str(known.timeframe) for known in catalogue if known[:2] == key[:2]]
    if timeframes:
        return UnknownSymbol(
            f"timeframe {key.timeframe} of {key.symbol} is not stored and does not follow from "
            f"what is ({', '.join(timeframes)}): import or fetch it"
        )
    symbols = sorted({known.symbol for known in catalogue})[:10]
    return UnknownSymbol(
        f"symbol {key.symbol!r} is not stored for venue {key.venue} (stored are: "
        f"{', '.join(symbols) or 'none'}): import it or open with a source"
    )


def _new_grid(key: SeriesKey, base_series: list[Series]) -> Grid:
    """The grid of a series that is not stored: that of what it can be made from."""
    return derived_grid(key.timeframe, base_series[0]) if base_series else Grid(key.timeframe)
