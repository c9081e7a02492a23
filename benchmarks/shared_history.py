"""What do eight processes get out of one history, beside one process that has it to itself?

All read the same 20 series: months chosen at random, decoded anew each time (cold) or held by the
process (warm); they begin together, when the last of them is ready. Where there are as many cores
as processes they should get six times as much as one; on two cores no less than it. Who else works
on the machine takes cores from eight before he takes any from one; the time that a read is on a
core tells what they cost each other whoever does.

Then two others append to all series meanwhile. A lock that anybody waits for longer than 100 ms is
an error of theirs and counted. The slowest read stands beside that of one reader: where there are
fewer cores than processes, most of it is waiting for a core, and for the database's turn on one.

After how long a write is seen is counted from its return until each of the others has read it.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from multiprocessing.managers import SyncManager
from threading import Barrier
from typing import Any, NamedTuple

import ohlcache
import ohlcache.runtime  # so that a process that is forked has it
from benchmarks.common import Figure, Options, Target, as_time, at_most, figure, percentile
from benchmarks.stores import candle, empty_stores, let_go, opened, series, symbol
from ohlcache.errors import StoreLocked
from ohlcache.history import MarketData

TITLE = "Eight processes on one history"

_READERS, _WRITERS, _SERIES = 8, 2, 20
_TIMEFRAME, _MINUTE = "1m", 60_000
_MONTH = 30 * 24 * 60 * _MINUTE
_START = 1_577_836_800_000  # 2020-01-01
_MONTHS, _QUICK_MONTHS = 6, 2
_SECONDS, _QUICK_SECONDS = 2.0, 1.0
_SEEN_WRITES, _QUICK_SEEN_WRITES = 200, 50
_LONGEST_WAIT = 0.1  # seconds for a lock


class _Shift(NamedTuple):
    """What the processes of one run do, for how many seconds."""

    location: str
    months: int
    seconds: float
    is_cold: bool

    @property
    def end(self) -> int:
        return _START + self.months * _MONTH


class _Work:
    """What a process did from now on: the seconds of each piece of work, how many of them gave up
    waiting for a lock, and the seconds of all of them on a core.
    """

    def __init__(self) -> None:
        self.took: list[float] = []
        self.lock_waits = 0
        self.on_core = -time.process_time()

    def do(self, piece: Callable[[], Any]) -> None:
        began = time.monotonic()
        try:
            piece()
        except StoreLocked:
            self.lock_waits += 1
        self.took.append(time.monotonic() - began)

    def done(self) -> _Work:
        self.on_core += time.process_time()
        return self


class _Crew:
    """Processes that begin together."""

    def __init__(self, processes: ProcessPoolExecutor, manager: SyncManager) -> None:
        self._processes = processes
        self._manager = manager

    def work(
        self, shift: _Shift, readers: int, writers: int = 0
    ) -> tuple[list[_Work], list[_Work]]:
        """What each of the readers and of the writers did."""
        ready = self._manager.Barrier(readers + writers)
        start = partial(self._processes.submit, shift=shift, ready=ready)
        writing = [start(_append_on) for _ in range(writers)]
        reading = [start(_read_on, number) for number in range(readers)]
        return [one.result() for one in reading], [one.result() for one in writing]

    def see(self, location: str, writes: int) -> list[float]:
        """Seconds from each write until each of the others saw it."""
        ready = self._manager.Barrier(_READERS)
        readers = [
            self._processes.submit(_seen, location, writes, ready) for _ in range(_READERS - 1)
        ]
        written = self._processes.submit(_written, location, writes, ready).result()
        return [
            max(0.0, seen - wrote)
            for one in readers
            for seen, wrote in zip(one.result(), written, strict=True)
        ]


def measure(options: Options) -> Iterator[Figure]:
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ExitStack() as stack:
        stores = stack.enter_context(empty_stores(options, "shared_history"))
        manager = stack.enter_context(context.Manager())
        processes = ProcessPoolExecutor(_READERS + _WRITERS, mp_context=context)
        crew = _Crew(stack.enter_context(processes), manager)
        months = _QUICK_MONTHS if options.quick else _MONTHS
        lasting = _QUICK_SECONDS if options.quick else _SECONDS
        for name, location in stores.items():
            _fill(location, months)
            for is_cold in (True, False):
                shift = _Shift(location, months, lasting, is_cold)
                what = f"{'cold' if is_cold else 'warm'} reads of a month, {name}"
                yield from _throughput(options, crew, shift, what)
                yield from _waits(crew, shift, what)
            yield from _visibility(options, crew, location, name)


def _fill(location: str, months: int) -> None:
    with ohlcache.open(location) as md:
        for number in range(_SERIES):
            block = series(number, _TIMEFRAME, _START, _START + months * _MONTH)
            for _ in md.write_blocks(symbol(number), _TIMEFRAME, [block]):
                pass


# -- reads ---------------------------------------------------------------------------------------


def _throughput(options: Options, crew: _Crew, shift: _Shift, what: str) -> Iterator[Figure]:
    rates, costs = {1: 0.0, _READERS: 0.0}, {1: math.inf, _READERS: math.inf}
    for _ in range(options.turns(4)):
        for readers in (1, _READERS):
            done, _ = crew.work(shift, readers)
            reads = sum(len(one.took) for one in done)
            rates[readers] = max(rates[readers], reads / shift.seconds)
            costs[readers] = min(costs[readers], sum(one.on_core for one in done) / reads)
    label = f"{what}, 8 processes"
    beside = ("one alone", rates[1])
    yield figure(label, rates[_READERS], _as_rate, beside, _expected())
    yield figure(f"{label}: each on a core", costs[_READERS], as_time, ("one alone", costs[1]))


def _waits(crew: _Crew, shift: _Shift, what: str) -> Iterator[Figure]:
    alone, _ = crew.work(shift, 1, _WRITERS)
    readers, writers = crew.work(shift, _READERS, _WRITERS)
    waits = sum(one.lock_waits for one in (*readers, *writers))
    label = f"{what}, 8 processes while 2 append"
    bound = at_most(0, _as_count)
    yield figure(f"{label}: lock waits over 100 ms", waits, _as_count, target=bound)
    beside = ("one reader", _slowest(alone))
    yield figure(f"{label}: slowest", _slowest(readers), as_time, beside)


def _slowest(done: Iterable[_Work]) -> float:
    return max(seconds for one in done for seconds in one.took)


def _read_on(number: int, shift: _Shift, ready: Barrier) -> _Work:
    chooses = random.Random(number)
    with opened(shift.location, prefetch=False, busy_timeout_seconds=_LONGEST_WAIT) as md:
        for each in range(_SERIES):
            md.candles(symbol(each), _TIMEFRAME, _START, shift.end, as_="numpy")
        ready.wait()
        work, end = _Work(), time.monotonic() + shift.seconds
        while time.monotonic() < end:
            if shift.is_cold:
                let_go(md)
            chosen = symbol(chooses.randrange(_SERIES))
            start = _START + chooses.randrange(shift.months) * _MONTH
            ends = (start, start + _MONTH)
            work.do(partial(md.candles, chosen, _TIMEFRAME, *ends, as_="numpy"))
    return work.done()


def _append_on(shift: _Shift, ready: Barrier) -> _Work:
    """Append to all series in turn, as a feed does, until the time is over."""
    with opened(shift.location, busy_timeout_seconds=_LONGEST_WAIT) as md:
        times = {one.symbol: one.end for one in md.series()}
        ready.wait()
        work, end = _Work(), time.monotonic() + shift.seconds
        while time.monotonic() < end:
            for chosen, at in times.items():
                work.do(partial(md.append, chosen, _TIMEFRAME, candle(at)))
                times[chosen] = at + _MINUTE
                time.sleep(0.01)
    return work.done()


def _expected() -> Target:
    if (os.cpu_count() or 1) >= _READERS:
        return Target("≥ 6×", lambda ours, peer: ours >= 6 * peer)
    return Target("≥ 1.00×", lambda ours, peer: ours >= peer)


def _as_rate(value: float) -> str:
    return f"{value:,.0f}/s"


def _as_count(value: float) -> str:
    return f"{value:.0f}"


# -- visibility ----------------------------------------------------------------------------------


def _visibility(options: Options, crew: _Crew, location: str, name: str) -> Iterator[Figure]:
    with ohlcache.open(location) as md:
        md.append("SEEN", _TIMEFRAME, candle(_START))
    late = crew.see(location, _QUICK_SEEN_WRITES if options.quick else _SEEN_WRITES)
    what = f"a write is seen by 7 processes, {name}"
    yield figure(f"{what}, median", percentile(late, 0.5), as_time)
    yield figure(f"{what}, p99", percentile(late, 0.99), as_time, None, at_most(0.1, as_time))


def _written(location: str, writes: int, ready: Barrier) -> list[float]:
    moments = []
    with ohlcache.open(location) as md:
        ready.wait()
        for number in range(1, writes + 1):
            md.append("SEEN", _TIMEFRAME, candle(_START + number * _MINUTE))
            moments.append(time.monotonic())
            time.sleep(0.02)
    return moments


def _seen(location: str, writes: int, ready: Barrier) -> list[float]:
    moments: list[float] = []
    with ohlcache.open(location) as md:
        ready.wait()
        while len(moments) < writes:
            news = _count(md) - 1 - len(moments)
            moments += [time.monotonic()] * news
            time.sleep(0.002)
    return moments


def _count(md: MarketData) -> int:
    return len(md.candles("SEEN", _TIMEFRAME, as_="numpy")["timestamp"])
