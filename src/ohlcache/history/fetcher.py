"""Fetching missing ranges from a source: pages, rate limit, retries, and each range only once.

A missing range is cut into pages of the source's size; each page is fetched, checked and committed
by itself, so that what arrived is kept when a later page fails. Pages under way are known by their
range: whoever needs the same range, from any thread or task, waits for them instead of asking
again (single-flight). What another process or machine is fetching is waited for too: each page is
claimed when its turn comes, so that several processes share the work on one range. Nobody's
cancellation stops a page that another may wait for.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import stamina
from pyrate_limiter import Limiter, Rate

from ohlcache.candles import Block, Grid, Interval, IntervalSet, to_block, to_iso
from ohlcache.candles.interval import difference, intersection, normalise
from ohlcache.errors import FetchError, OhlcacheError, SourceUnavailable, StoreError
from ohlcache.history.ingest import ingest
from ohlcache.history.reports import SeriesKey, WriteReport
from ohlcache.history.store import Store
from ohlcache.history.turns import LEASE_SECONDS, Turns
from ohlcache.sources.protocol import KnowsRanges, Source

_ATTEMPTS = 4
_LATE_MS = 15 * 60_000  # for so long a candle that is absent may still be published
# Mistakes in a source's code, which another try would only repeat.
_NOT_WORTH_RETRYING = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    TypeError,
)


class _Unsettled(NamedTuple):
    """A range whose candles may still be published; by the source's clock, ms.

    noted: when it was asked for. What lies in the future was noted by a clock that was wrong.
    """

    range: Interval
    noted: int
    ask_again: int


@dataclass(eq=False)
class _Page:
    """``rest``: what of the range is still to be fetched, here or by another process."""

    range: Interval
    rest: IntervalSet
    outcome: Future[bool] = field(default_factory=Future)


@dataclass(eq=False)
class _Request:
    """The pages that one call asked for: when one fails, those not yet begun are left out."""

    has_failed: bool = False


class Fetcher:
    """Brings missing ranges of any series from one source into the store."""

    def __init__(self, store: Store, source: Source, lease_seconds: float = LEASE_SECONDS) -> None:
        """``lease_seconds``: for how long a process that died keeps others from fetching a page."""
        self.source = source
        self._store = store
        self._lease_seconds = lease_seconds
        self._unsettled: dict[SeriesKey, list[_Unsettled]] = {}
        self.renew()

    def renew(self) -> None:
        """Begin anew with threads and locks: a forked child does not have its parent's."""
        capabilities = self.source.capabilities
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._is_closed = False
        self._turns = Turns(self._store.leases, self._lease_seconds, self.counts)
        self._under_way: defaultdict[SeriesKey, list[_Page]] = defaultdict(list)
        self._limiter = _limiter(capabilities.requests_per_second)
        self._threads = ThreadPoolExecutor(
            max(1, capabilities.concurrency), thread_name_prefix="ohlcache-fetch"
        )

    @property
    def is_idle(self) -> bool:
        """Whether no page is under way."""
        return not any(list(self._under_way.values()))

    def missing(self, key: SeriesKey, grid: Grid, wanted: IntervalSet, now: int) -> IntervalSet:
        """What of ``wanted`` is worth asking for: on the grid, closed, and not just asked for.

        now: by the source's clock, when the one who wants it began.

        A venue may publish a candle some time after it closed. An answer without the newest
        candles is therefore not final at once: it is asked for again after as much time as has
        passed since they closed, until they are a quarter of an hour old, and older than the
        timeframe's freshness.
        """
        oldest = self.source.capabilities.oldest
        low = -(2**62) if oldest is None else oldest
        present = self.source.now()
        now = min(now, present)  # a clock may step back
        possible = intersection(wanted, [(low, grid.floor(now))])
        if possible and isinstance(self.source, KnowsRanges):
            possible = intersection(possible, self.source.known(key.symbol, str(key.timeframe)))
        noted = self._unsettled.get(key, [])
        notes = [one for one in noted if one.noted <= present]
        if len(notes) < len(noted):
            self._unsettled[key] = notes  # a note that is lost to another thread costs a request
        unsettled = [one.range for one in notes if now < one.ask_again]
        never_asked = difference(possible, normalise(unsettled))
        # With what is newer it is asked for at once, lest newer candles come without it.
        newest = never_asked[-1].start if never_asked else low
        later = normalise(range_ for range_ in unsettled if range_.start >= newest)
        possible = difference(possible, later)
        return normalise((grid.ceil(start), grid.ceil(end)) for start, end in possible)

    def request(self, key: SeriesKey, grid: Grid, missing: IntervalSet) -> list[Future[bool]]:
        """Have the ranges fetched; the futures of all pages that overlap them.

        A future gives True when its page is stored, False when it was left out because another
        page of the same request failed; otherwise it raises FetchError or another SourceError.
        Raises StoreError once it is closed.
        """
        request = _Request()
        with self._lock:
            if self._is_closed:
                raise StoreError(f"{self._store.name} was closed: open it again")
            # A page leaves the list after its commit, so what is neither there nor covered by now
            # is being fetched by nobody.
            missing = difference(missing, self._coverage(key))
            missing = self.missing(key, grid, missing, self.source.now())
            pages = self._under_way[key]
            waiting = [page for page in pages if intersection([page.range], missing)]
            new = [
                _Page(range_, (range_,))
                for start, end in difference(missing, [page.range for page in pages])
                for range_ in _pages(grid, start, end, self.source.capabilities.page_size)
            ]
            pages += new
            self.counts["joined"] += len(waiting)
            for page in new:
                self._threads.submit(self._run, key, grid, page, request)
        return [page.outcome for page in (*waiting, *new)]

    def _coverage(self, key: SeriesKey) -> IntervalSet:
        with self._store.reading() as reading:
            series = reading.series(key)
            return reading.coverage(series) if series else ()

    def close(self) -> None:
        """Let pages under way finish, leave out the others, and close the source."""
        with self._lock:
            self._is_closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._turns.close()
        with self._lock:
            left_out = [page for pages in self._under_way.values() for page in pages]
            self._under_way.clear()
        for page in left_out:
            page.outcome.set_exception(
                StoreError(f"{self._store.name} was closed during a fetch: open it again")
            )
        close = getattr(self.source, "close", None)
        if close is not None:
            close()

    # -- one page, on a thread of the pool ------------------------------------------------------

    def _run(self, key: SeriesKey, grid: Grid, page: _Page, request: _Request) -> None:
        failure: BaseException | None = None
        is_stored = not request.has_failed
        try:
            if is_stored:
                page.rest = self._fetch_free(key, grid, page.rest)
        except BaseException as error:  # noqa: BLE001  # whoever waits for the page must hear of it
            request.has_failed = True
            failure = error
        else:
            if is_stored and page.rest:
                self._turns.wait(key, page.rest, partial(self._resume, key, grid, page, request))
                return
        with self._lock:
            self._under_way[key].remove(page)
        if failure is None:
            page.outcome.set_result(is_stored)
        else:
            page.outcome.set_exception(self._explained(failure, key, page.range))

    def _resume(self, key: SeriesKey, grid: Grid, page: _Page, request: _Request) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                self._threads.submit(self._run, key, grid, page, request)
            except RuntimeError as error:  # the interpreter is ending, and waits for our callers
                self._under_way[key].remove(page)
                page.outcome.set_exception(self._explained(error, key, page.range))

    def _fetch_free(self, key: SeriesKey, grid: Grid, wanted: IntervalSet) -> IntervalSet:
        """Fetch what nobody has or is fetching; what others are fetching."""
        claim = self._turns.claim(key, wanted)
        try:
            for range_ in claim.granted:
                self._fetch_page(key, grid, range_)
        finally:
            self._turns.release(key, claim.granted)
        return claim.busy

    def _fetch_page(self, key: SeriesKey, grid: Grid, range_: Interval) -> None:
        now = self.source.now()
        block = self._complete_answer(key, grid, range_)
        covered = self.settled(key, grid, range_, block, now)
        if covered < range_.end:
            self._note_unsettled(key, Interval(covered, range_.end), now, grid)
        report = ingest(
            self._store,
            key,
            block,
            closed_until=now,
            covered=(Interval(range_.start, covered),),
            may_overwrite=partial(self._turns.may_overwrite, key, range_),
        )
        self._count(report)

    def fetch(self, key: SeriesKey, grid: Grid, range_: Interval) -> Block:
        """All candles that the venue holds in the range, for the caller to store.

        Raises FetchError or another SourceError.
        """
        try:
            return self._complete_answer(key, grid, range_)
        except Exception as error:  # a source may raise anything
            raise self._explained(error, key, range_) from error

    def _complete_answer(self, key: SeriesKey, grid: Grid, range_: Interval) -> Block:
        """All candles that the venue holds in the range.

        An answer may be cut short at either end by a limit that we do not know of, so what it
        leaves open there is asked for again, until an answer brings nothing.
        """
        blocks = []
        open_ranges = [range_]
        while open_ranges:
            asked = open_ranges.pop()
            block = self._ask(key, asked)
            if not len(block):
                continue
            blocks.append(block)
            first, last = int(block.times.min()), int(block.times.max())
            after = Interval(grid.next(last), asked.end)
            before = Interval(asked.start, first)
            open_ranges += [rest for rest in (before, after) if rest.start < rest.end]
        return Block.concatenate(blocks)

    def _ask(self, key: SeriesKey, range_: Interval) -> Block:
        for attempt in stamina.retry_context(
            on=is_worth_retrying, attempts=_ATTEMPTS, timeout=None, wait_initial=0.2
        ):
            with attempt:
                if self._limiter is not None:
                    self._limiter.try_acquire(self.source.venue)
                self.counts["requests"] += 1
                self.counts["retries"] += attempt.num > 1
                answer = self.source.fetch(key.symbol, str(key.timeframe), *range_)
        block = to_block(answer)
        inside = (block.times >= range_.start) & (block.times < range_.end)
        return block if inside.all() else block.take(inside)

    def settled(self, key: SeriesKey, grid: Grid, range_: Interval, block: Block, now: int) -> int:
        """Up to where an answer is final; what lies behind may be published late."""
        late = max(int(key.timeframe.freshness * 1000), _LATE_MS)
        answered = grid.next(int(block.times.max())) if len(block) else range_.start
        return max(range_.start, answered, min(range_.end, grid.floor(now - late)))

    def _note_unsettled(self, key: SeriesKey, open_: Interval, now: int, grid: Grid) -> None:
        """Have a range asked for again after as much time as has passed since it could be there."""
        ask_again = now + max(1000, now - grid.next(open_.start))
        with self._lock:
            others = [
                one
                for one in self._unsettled.get(key, ())
                if now < one.ask_again and not intersection([one.range], [open_])
            ]
            self._unsettled[key] = [*others, _Unsettled(open_, now, ask_again)]

    def _explained(self, error: BaseException, key: SeriesKey, range_: Interval) -> BaseException:
        self.counts[f"error:{type(error).__name__}"] += 1
        if isinstance(error, OhlcacheError) and not isinstance(error, SourceUnavailable):
            return error
        failure = FetchError(
            f"{key.symbol} {key.timeframe} from {self.source.venue}, {to_iso(range_.start)} to "
            f"{to_iso(range_.end)}: {type(error).__name__}: {' '.join(str(error).split())} (what "
            "arrived is stored; call again to go on from there)"
        )
        failure.__cause__ = error
        return failure

    def _count(self, report: WriteReport) -> None:
        self.counts["pages"] += 1
        self.counts["candles"] += report.added + report.updated
        self.counts["rejected"] += report.rejected


def _pages(grid: Grid, start: int, end: int, page_size: int | None) -> list[Interval]:
    if page_size is None:
        return [Interval(start, end)]
    pages = []
    while start < end:
        stop = min(end, grid.shifted(start, page_size))
        pages.append(Interval(start, stop))
        start = stop
    return pages


def _limiter(requests_per_second: float | None) -> Limiter | None:
    if requests_per_second is None:
        return None
    burst = max(1, int(requests_per_second))
    return Limiter(Rate(burst, max(1, round(1000 * burst / requests_per_second))))


def is_worth_retrying(error: BaseException) -> bool:
    """Whether another try may go better: not for mistakes, and of our errors only the passing."""
    if not isinstance(error, Exception):
        return False  # a cancellation, or the end of the process
    if isinstance(error, OhlcacheError):
        return isinstance(error, SourceUnavailable)
    return not isinstance(error, _NOT_WORTH_RETRYING)
