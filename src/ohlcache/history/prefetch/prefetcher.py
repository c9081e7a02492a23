"""From what is seen of reads to what is loaded ahead of them.

Reads that memory cannot answer are all looked at, those that it can only where they leave the calm
of their series (``track``). A look is arithmetic; loading is done by one thread, through the very
way that other readers take: who wants meanwhile what is being loaded waits for that.

The source is asked page by page, only while nobody else waits for it, and not beyond what
``ledger`` allows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ohlcache.candles import Interval
from ohlcache.drive import drive
from ohlcache.history.chunks import window_length
from ohlcache.history.fetcher import Fetcher
from ohlcache.history.holder import Held, Holder
from ohlcache.history.prefetch.direction import as_it_is, is_jump, mirrored, overlap, step
from ohlcache.history.prefetch.ledger import Ledger, Piece
from ohlcache.history.prefetch.plan import (
    ALWAYS,
    Ahead,
    Surroundings,
    Turn,
    Units,
    calm_until,
    lead_of,
    next_ahead,
    surroundings,
    without_store,
)
from ohlcache.history.prefetch.track import Track
from ohlcache.history.reports import SeriesKey
from ohlcache.history.walk import Reader, Request

_SHARE_OF_MEMORY = 8  # an eighth of it may hold what was prefetched and not read yet
_MOST_TRACKS = 4096  # series whose reads are remembered
_BYTES_PER_ROW = 8 * 7  # two times and five columns


class Prefetcher:
    """Loads what the next reads of a MarketData will probably want."""

    def __init__(
        self, reader: Reader, holder: Holder, fetcher: Fetcher | None, clock: Callable[[], int]
    ) -> None:
        self._reader = reader
        self._holder = holder
        self._fetcher = fetcher
        self._clock = clock
        self._ledger = Ledger(holder.max_bytes // _SHARE_OF_MEMORY)
        self._tracks: dict[SeriesKey, Track] = {}
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child: the thread is gone, and what it was at."""
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ohlcache-ahead")
        self._is_closed = False
        self._ledger.renew()
        for track in self._tracks.values():
            track.forget()

    def missed(self, request: Request) -> None:
        """A read was answered, but not from memory alone."""
        if request.start is None or request.end is None:
            return
        with self._lock:
            track = self._track(request.key)
            track.may_fetch = request.fetch
            self._look(track, Interval(request.start, request.end))

    def _left(self, track: Track, start: int, end: int) -> None:
        """Memory answered a read that left the calm of its series."""
        with self._lock:
            self._look(track, Interval(start, end))

    def stats(self) -> dict[str, Any]:
        """What was prefetched and what became of it, and for how many series it is off."""
        with self._lock:
            worthwhile = [
                self._ledger.is_worthwhile(track.usefulness) for track in self._tracks.values()
            ]
            return {**self._ledger.stats(), "series_off": worthwhile.count(False)}

    def close(self) -> None:
        """Let what is being loaded finish, and leave out the rest."""
        with self._lock:
            self._is_closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    # -- looking, under the lock ----------------------------------------------------------------

    def _track(self, key: SeriesKey) -> Track:
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = Track(key, self._left)
            if len(self._tracks) > _MOST_TRACKS:
                self._give_up(self._tracks.pop(next(iter(self._tracks))))
        return track

    def _look(self, track: Track, read: Interval) -> None:
        held = self._attached(track)
        previous = read if track.last is None else Interval(*track.last)
        track.last = read
        for piece in [piece for piece in track.pieces if overlap(piece.range, read)]:
            self._ledger.read(piece)
            track.pieces.remove(piece)
        size = step(previous, read)
        if not size and is_jump(previous, read):
            self._give_up(track)
        track.calm_until = self._look_ahead(track, held, read, size, as_it_is)
        track.calm_from = -self._look_ahead(track, held, read, -size, mirrored)

    def _look_ahead(
        self, track: Track, held: Held | None, read: Interval, size: int, turn: Turn
    ) -> int:
        """Begin to load what lies ahead of a step, if it is one; up to where all is calm.

        ``turn`` makes the way that is looked forward.
        """
        around = self._around(track, held, read)
        if around is None:
            return ALWAYS.end
        units = self._units(track, held)
        margin = lead_of(size, around.turned(turn), units)
        if size <= 0:
            margin = None if margin is None else read.end - read.start
        else:
            ahead = next_ahead(turn(read), size, around.turned(turn), units)
            if ahead is not None:
                self._begin(track, held, Ahead(turn(ahead.range), ahead.is_fetch))
                around = self._around(track, held, read) or around
        coming = [turn(piece.range) for piece in track.pieces]
        return calm_until(turn(read), around.turned(turn), margin, coming)

    def _around(self, track: Track, held: Held | None, read: Interval) -> Surroundings | None:
        coming = [piece.range for piece in track.pieces]
        if held is None:
            return without_store(read, coming)
        return surroundings(read, [run.range for run in held.runs], held.coverage, coming)

    def _units(self, track: Track, held: Held | None) -> Units:
        timeframe = track.key.timeframe
        if held is None:
            return Units(0, None)
        page = self._page(track.key) if track.may_fetch else None
        return Units(window_length(timeframe), page)

    def _page(self, key: SeriesKey) -> int | None:
        """The length of a page of the source, ms; None where it has no such series to give."""
        if self._fetcher is None or key.venue != self._fetcher.source.venue:
            return None
        capabilities = self._fetcher.source.capabilities
        offered = capabilities.timeframes
        if offered is not None and str(key.timeframe) not in offered:
            return None
        return (capabilities.page_size or 0) * key.timeframe.milliseconds

    def _begin(self, track: Track, held: Held | None, ahead: Ahead) -> None:
        if self._is_closed or ahead.range.start >= self._clock():
            return
        if not self._ledger.is_chance_taken(track.usefulness, track.passed):
            track.passed += 1
            return
        track.passed = 0
        nbytes = _bytes_of(track.key, ahead.range)
        free = self._holder.max_bytes - (0 if held is None else held.nbytes)
        if nbytes > min(free, self._ledger.room()):
            self._ledger.counts["no_room"] += 1
            return
        piece = self._ledger.begin(ahead.range, ahead.is_fetch, track.usefulness, nbytes)
        track.pieces.append(piece)
        self._thread.submit(self._load, track, piece)

    def _attached(self, track: Track) -> Held | None:
        """What memory holds of the series, which from now on notes its reads in the track."""
        held = self._holder.held(track.key)
        if held is not None and held.track is not track:
            # It was dropped and loaded anew, and what had been prefetched went with it.
            for piece in [piece for piece in track.pieces if piece.is_loaded]:
                self._ledger.give_up(piece)
                track.pieces.remove(piece)
            held.track = track
        return held

    def _give_up(self, track: Track) -> None:
        for piece in track.pieces:
            self._ledger.give_up(piece)
        track.pieces.clear()

    # -- loading, in the thread -----------------------------------------------------------------

    def _load(self, track: Track, piece: Piece) -> None:
        try:
            rows = (
                self._fetched(track, piece) if piece.is_fetch else self._decoded(track.key, piece)
            )
        except Exception as error:  # noqa: BLE001  # counted; whoever needs it will meet it
            with self._lock:
                self._ledger.failed(piece, error)
                self._forget(track, piece)
            return
        with self._lock:
            self._attached(track)
            self._ledger.loaded(piece, rows * _BYTES_PER_ROW)
            if not rows:
                self._forget(track, piece)

    def _forget(self, track: Track, piece: Piece) -> None:
        if piece in track.pieces:
            track.pieces.remove(piece)

    def _decoded(self, key: SeriesKey, piece: Piece) -> int:
        return len(drive(self._reader.complete(Request(key, *piece.range, fetch=False))))

    def _fetched(self, track: Track, piece: Piece) -> int:
        """Ask for the piece page by page, the nearest first, until somebody else is in a hurry."""
        assert self._fetcher is not None
        key, (first, end) = track.key, piece.range
        end = min(end, self._fetcher.source.now())
        page = self._page(key) or piece.range.end - first
        is_behind = track.last is not None and track.last[0] >= piece.range.end
        starts = range(first, end, page)
        rows = 0
        for start in reversed(starts) if is_behind else starts:
            before = self._fetcher.counts["requests"]
            with self._lock:
                if not (self._fetcher.is_idle and self._ledger.may_ask(before)):
                    break
            request = Request(key, start, min(start + page, end), fetch=True)
            try:
                rows += len(drive(self._reader.complete(request)))
            finally:
                with self._lock:
                    self._ledger.asked(piece, self._fetcher.counts["requests"] - before)
        return rows


def _bytes_of(key: SeriesKey, range_: Interval) -> int:
    return (range_.end - range_.start) // key.timeframe.milliseconds * _BYTES_PER_ROW
