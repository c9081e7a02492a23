"""The decoded candles that this process holds, kept in step with the store.

A hit asks the store for its change token (a few microseconds, no I/O), finds the series unchanged
and slices. Whoever finds the token changed reads the catalogue's newer rows; whoever then wants a
series that changed loads only the layers written since. Memory is bounded: series that were not
read for longest, by the CLOCK approximation of LRU (Corbató, 1968), are dropped first.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ohlcache.candles import Block, Interval, IntervalSet
from ohlcache.candles.interval import covers, difference
from ohlcache.history.chunks import window, window_length
from ohlcache.history.demand import taken_by_updating, taken_by_widening
from ohlcache.history.engine import Token
from ohlcache.history.lineage import NEVER, Clock
from ohlcache.history.memory import Run
from ohlcache.history.reading import Reading, Series
from ohlcache.history.reports import SeriesKey
from ohlcache.history.store import Store
from ohlcache.reclaim import announce, is_watched

if TYPE_CHECKING:
    from ohlcache.history.prefetch.track import Track

_BEGINNING, _END = -(2**62), 2**62


class Held:
    """What is known of a series at one revision, and the runs of it that are decoded."""

    __slots__ = ("clock", "coverage", "reads", "runs", "series", "track", "was_read")

    def __init__(
        self,
        series: Series,
        coverage: IntervalSet,
        runs: tuple[Run, ...],
        clock: Clock,
        reads: int,
        track: Track | None,
    ) -> None:
        """``clock``: of the store, when it was read.

        reads: how many memory has answered. track: who takes note of them, if any.
        """
        self.series = series
        self.clock = clock
        self.coverage = coverage
        self.runs = runs
        self.was_read = True
        self.reads = reads
        self.track = track

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the runs take."""
        return sum(run.nbytes for run in self.runs)

    def between(self, start: int, end: int) -> Block | None:
        """The candles in [start, end) when one run holds all of it."""
        for run in self.runs:
            if run.range.start <= start and end <= run.range.end:
                return run.between(start, end)
        return None


class Holder:
    """Decoded series by key, at most ``max_bytes`` of them."""

    def __init__(self, store: Store, max_bytes: int) -> None:
        self._store = store
        self.max_bytes = max_bytes
        self._token: Token | None = None
        self._clock = NEVER
        self.setbacks = 0  # of the store to an earlier state, as far as that can be told
        self._catalogue: dict[SeriesKey, Series] = {}
        self._keys: dict[tuple[str, str], list[SeriesKey]] = {}  # by venue and symbol
        self._venues: dict[str, tuple[str, ...]] = {}
        self._held: dict[SeriesKey, Held] = {}
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child: its locks may be held by threads that are gone.

        What is decoded stays.
        """
        self.evictions = 0
        for held in self._held.values():
            held.reads = 0
        self._lock = threading.Lock()
        self._locks: defaultdict[SeriesKey, threading.Lock] = defaultdict(threading.Lock)

    def reads(self) -> dict[SeriesKey, int]:
        """How many reads memory has answered, of each series that it holds."""
        return {key: held.reads for key, held in list(self._held.items())}

    @property
    def nbytes(self) -> int:
        """Bytes of memory in use."""
        return sum(held.nbytes for held in list(self._held.values()))

    def hit(self, key: SeriesKey, start: int, end: int, token: Token) -> Block | None:
        """The candles in [start, end) if all of it is covered, decoded and up to date.

        token: of the store, now.
        """
        if token != self._token:
            return None
        held = self._held.get(key)
        if held is None or held.series is not self._catalogue.get(key):
            return None
        if not covers(held.coverage, start, end):
            return None
        held.was_read = True
        held.reads += 1
        rows = held.between(start, end)
        if held.track is not None and rows is not None:
            held.track.note(start, end)
        return rows

    def held(self, key: SeriesKey) -> Held | None:
        """What is held of a series, as it was when it was last read."""
        return self._held.get(key)

    def held_at(self, series: Series) -> Held | None:
        """What is held of a series as it stands at its revision; None when that is another one."""
        held = self._held.get(series.key)
        return held if held is not None and _is_same(held.series, series) else None

    def forget(self, key: SeriesKey) -> None:
        """Let go of a series: the next read takes it from the store."""
        self._held.pop(key, None)

    def knows(self, symbol: str) -> bool:
        """Whether :meth:`venues` can tell without a look at the store."""
        return symbol in self._venues

    def catalogue(self) -> dict[SeriesKey, Series]:
        """Every stored series, as of now."""
        token = self._store.token()
        if token != self._token:
            with self._lock:
                if token != self._token:
                    self._refresh(token)
        return self._catalogue

    def venues(self, symbol: str) -> tuple[str, ...]:
        """The venues that a symbol is stored for, as of the last look at the store.

        A read that follows looks again; doing so here too would double the cost of a hit.
        """
        if symbol not in self._venues:
            self.catalogue()
        return self._venues.get(symbol, ())

    def series_of(self, venue: str, symbol: str) -> list[Series]:
        """All series of a symbol, as of now."""
        catalogue = self.catalogue()
        return [catalogue[key] for key in self._keys.get((venue, symbol), ()) if key in catalogue]

    def load(self, key: SeriesKey, start: int | None, end: int | None) -> tuple[Held, Block] | None:
        """The series and its candles in [start, end), read from the store as far as needed.

        None for a series that is not stored. Raises StoreDamaged.
        """
        low = _BEGINNING if start is None else start
        high = _END if end is None else end
        loaded = self.load_all(key, (Interval(low, high),))
        return None if loaded is None else (loaded[0], loaded[1][0])

    def load_all(self, key: SeriesKey, ranges: IntervalSet) -> tuple[Held, list[Block]] | None:
        """The same for several ranges, all of one moment."""
        if key not in self.catalogue():
            return None
        for range_ in ranges:
            self._announce(key, *range_)
        with self._locks[key]:
            held = self._load(key, ranges)
        if held is None:
            return None
        found = [held.between(*range_) for range_ in ranges]
        self._make_room(key)
        return held, [rows for rows in found if rows is not None]

    def _refresh(self, token: Token) -> None:
        known = self._clock
        with self._store.reading() as reading:
            token = reading.token(token)
            clock, is_known = reading.clock(known)
            is_whole = not is_known or clock.deletions != known.deletions
            changed = reading.all_series(-1 if is_whole else known.revision)
        if not is_known:
            self._held.clear()  # revisions are given a second time
            self.setbacks += known != NEVER
        if is_whole or any(series.key not in self._catalogue for series in changed):
            self._replace_catalogue({} if is_whole else self._catalogue, changed)
        else:
            # In place: a copy for each commit would cost as much as there are series.
            self._catalogue.update((series.key, series) for series in changed)
        self._clock = clock
        self._token = token

    def _replace_catalogue(
        self, old: Mapping[SeriesKey, Series], changed: Iterable[Series]
    ) -> None:
        """Make another one: threads may be going through the one there is."""
        catalogue = dict(old)
        catalogue.update((series.key, series) for series in changed)
        keys: defaultdict[tuple[str, str], list[SeriesKey]] = defaultdict(list)
        for key in catalogue:
            keys[key.venue, key.symbol].append(key)
        venues: defaultdict[str, list[str]] = defaultdict(list)
        for venue, symbol in sorted(keys):
            venues[symbol].append(venue)
        self._keys = dict(keys)
        self._venues = {symbol: tuple(found) for symbol, found in venues.items()}
        self._catalogue = catalogue
        for key in [key for key in self._held if key not in catalogue]:
            del self._held[key]

    def _load(self, key: SeriesKey, ranges: IntervalSet) -> Held | None:
        setbacks = self.setbacks
        with self._store.reading() as reading:
            held = self._held.get(key)
            known_at = NEVER if held is None else held.clock
            series, clock, is_known = reading.series_now(key, known_at)
            if series is None:
                return None
            if not is_known:
                held = None  # what it holds may have been taken back
            if held is not None and _is_same(held.series, series):
                coverage, runs = held.coverage, held.runs
            else:
                coverage = reading.coverage(series)
                runs = _updated_runs(held, series, reading)
            for range_ in ranges:
                runs = _widened(runs, series, *range_, reading)
        known = self._catalogue.get(key)
        if known is not None and _is_same(known, series):
            series = known  # a hit compares by identity
        reads, track = (held.reads, held.track) if held is not None else (0, None)
        held = Held(series, coverage, runs, clock, reads, track)
        if setbacks == self.setbacks:
            self._held[key] = held
        return held

    def drop(self, nbytes: int) -> int:
        """Let go of so many bytes, if as many are held; how many it were."""
        with self._lock:
            return self._drop(nbytes)

    def _announce(self, key: SeriesKey, start: int, end: int) -> None:
        """Say what decoding a range will take; before any lock, since room may be made for it."""
        if not is_watched():
            return  # to find out takes round trips
        held, series = self._held.get(key), self._catalogue.get(key)
        if series is None:
            return
        runs = _usable_runs(held, series)
        with self._store.reading() as reading:
            taken = taken_by_widening(runs, series, _whole_windows(series, start, end), reading)
            if held is not None and not _is_same(held.series, series):
                taken += taken_by_updating(runs, series, held.series.revision, reading)
        if taken:
            announce(taken)

    def _make_room(self, keep: SeriesKey) -> None:
        with self._lock:
            excess = self.nbytes - self.max_bytes
            if excess > 0 and self._drop(excess, keep) < excess:
                # One series alone is over the bound: its caller keeps the view, we do not.
                self._held.pop(keep, None)
                self.evictions += 1

    def _drop(self, nbytes: int, keep: SeriesKey | None = None) -> int:
        dropped = 0
        for is_last_round in (False, True):
            for key, held in list(self._held.items()):
                if dropped >= nbytes:
                    return dropped
                if key == keep:
                    continue
                if held.was_read and not is_last_round:
                    held.was_read = False
                    continue
                dropped += held.nbytes
                if self._held.pop(key, None) is not None:
                    self.evictions += 1
        return dropped


def _is_same(one: Series, other: Series) -> bool:
    return one.id == other.id and one.revision == other.revision


def _updated_runs(held: Held | None, series: Series, reading: Reading) -> tuple[Run, ...]:
    """The runs with what was written since they were decoded."""
    runs = _usable_runs(held, series)
    if held is None or not runs:
        return ()
    return tuple(
        run.with_names(series.names).with_changes(
            reading.rows(series, *run.range, after=held.series.revision)
        )
        for run in runs
    )


def _usable_runs(held: Held | None, series: Series) -> tuple[Run, ...]:
    """The runs that are still of this series, though maybe not up to date."""
    if held is None or held.series.id != series.id or held.series.epoch != series.epoch:
        return ()
    return held.runs


def _widened(
    runs: tuple[Run, ...], series: Series, start: int, end: int, reading: Reading
) -> tuple[Run, ...]:
    """The runs, one of which now holds all of [start, end)."""
    low, high = _whole_windows(series, start, end)
    if any(run.range.start <= low and high <= run.range.end for run in runs):
        return runs
    touching = [run for run in runs if run.range.end >= low and run.range.start <= high]
    others = [run for run in runs if run not in touching]
    missing = difference([(low, high)], [run.range for run in touching])
    parts: list[Run | Interval] = sorted([*touching, *missing], key=_start)
    whole: Run | None = None
    for part in parts:
        if isinstance(part, Run):
            whole = part if whole is None else whole.followed_by(part.range, part.block)
        else:
            rows = reading.rows(series, *part)
            whole = Run.of(part, rows) if whole is None else whole.followed_by(part, rows)
    assert whole is not None
    return (*others, whole)


def _whole_windows(series: Series, start: int, end: int) -> Interval:
    timeframe = series.key.timeframe
    low = start if start == _BEGINNING else window(timeframe, start)
    high = end if end == _END else window(timeframe, end - 1) + window_length(timeframe)
    return Interval(low, high)


def _start(part: Run | Interval) -> int:
    return part.range.start if isinstance(part, Run) else part.start
