"""What do eight processes get out of one history, beside one process that has it to itself?

All read the same 20 series: months chosen at random, decoded anew each time (cold) or held by the
process (warm). Where there are as many cores as processes they should get six times as much as one;
on two cores no less than it. The slowest read, while another process appends to the same series, is
counted without the time for which its thread could have run and had no core (Linux tells it): what
is left is work and waiting for others. After how long a write is seen is counted from its return
until each of the others has read it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import ohlcache
import ohlcache.runtime  # so that a process that is forked has it
from benchmarks.common import (
    Figure,
    Options,
    Target,
    as_time,
    at_most,
    figure,
    percentile,
)
from benchmarks.stores import empty_stores
from ohlcache.history import MarketData
from ohlcache.sources.synthetic import synthetic_candles

TITLE = "Eight processes on one history"

_PROCESSES, _SERIES = 8, 20
_TIMEFRAME, _MINUTE = "1m", 60_000
_MONTH = 30 * 24 * 60 * _MINUTE
_START = 1_577_836_800_000  # 2020-01-01
_MONTHS, _QUICK_MONTHS = 6, 2
_SECONDS, _QUICK_SECONDS = 3.0, 1.0
_SEEN_WRITES, _QUICK_SEEN_WRITES = 200, 50
_ALL = 2**40
_SCHEDULE = Path("/proc/thread-self/schedstat")
_MANY_CORES = _PROCESSES  # enough to expect six times the throughput


class _Shift(NamedTuple):
    """What one process does, from a moment that all share on."""

    location: str
    months: int
    begin: float
    seconds: float
    is_cold: bool
    is_watched: bool = False  # waiting for a core is not counted, but telling it takes time too
    number: int = 0

    @property
    def end(self) -> int:
        return _START + self.months * _MONTH


def measure(options: Options) -> Iterator[Figure]:
    months = _QUICK_MONTHS if options.quick else _MONTHS
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with (
        empty_stores(options, "shared_history") as stores,
        ProcessPoolExecutor(_PROCESSES + 1, mp_context=context) as processes,
    ):
        for name, location in stores.items():
            _fill(location, months)
            yield from _reads(options, processes, name, location, months)
            yield from _visibility(options, processes, name, location)


def _fill(location: str, months: int) -> None:
    with ohlcache.open(location) as md:
        for number in range(_SERIES):
            block = synthetic_candles(_symbol(number), _TIMEFRAME, _START, _START + months * _MONTH)
            for _ in md.write_blocks(_symbol(number), _TIMEFRAME, [block]):
                pass


def _symbol(number: int) -> str:
    return f"S{number}/USDT"


# -- reads ---------------------------------------------------------------------------------------


def _reads(
    options: Options, processes: ProcessPoolExecutor, name: str, location: str, months: int
) -> Iterator[Figure]:
    lasting = _QUICK_SECONDS if options.quick else _SECONDS
    for kind in ("cold", "warm"):
        shift = _Shift(location, months, 0.0, lasting, kind == "cold")
        rates = {1: 0.0, _PROCESSES: 0.0}
        for _ in range(options.turns(4)):
            for readers, best in rates.items():
                reads = len(_worked(processes, shift, readers, writers=0))
                rates[readers] = max(best, reads / lasting)
        what = f"{kind} reads of a month, {name}"
        beside = ("one alone", rates[1])
        yield figure(f"{what}, 8 processes", rates[_PROCESSES], _as_rate, beside, _expected())
        watched = shift._replace(is_watched=True)
        took = _worked(processes, watched, _PROCESSES, writers=1)
        bound = at_most(0.1, as_time)
        yield figure(f"{what}: slowest of 8 while one appends", max(took), as_time, None, bound)


def _worked(
    processes: ProcessPoolExecutor, shift: _Shift, readers: int, writers: int
) -> list[float]:
    """Seconds of each read of all readers."""
    begin = time.monotonic() + 1.0  # by then all have opened the store
    shifts = [shift._replace(begin=begin, number=number) for number in range(readers)]
    others = [processes.submit(_append_on, shift._replace(begin=begin)) for _ in range(writers)]
    reading = [processes.submit(_read_on, one) for one in shifts]
    took = [seconds for one in reading for seconds in one.result()]
    for one in others:
        one.result()
    return took


def _read_on(shift: _Shift) -> list[float]:
    chooses = random.Random(shift.number)
    took = []
    with ohlcache.open(shift.location, settings={"history": {"prefetch": False}}) as md:
        for number in range(_SERIES):
            md.candles(_symbol(number), _TIMEFRAME, _START, shift.end, as_="numpy")
        _wait_for(shift.begin)
        while (began := time.monotonic()) < shift.begin + shift.seconds:
            if shift.is_cold:
                md.drop_decoded(_ALL)
                began = time.monotonic()
            without_core = _without_core() if shift.is_watched else 0.0
            start = _START + chooses.randrange(shift.months) * _MONTH
            symbol = _symbol(chooses.randrange(_SERIES))
            md.candles(symbol, _TIMEFRAME, start, start + _MONTH, as_="numpy")
            if shift.is_watched:
                began += _without_core() - without_core
            took.append(time.monotonic() - began)
    return took


def _without_core() -> float:
    """Seconds for which this thread could have run and had no core; 0.0 where nobody tells."""
    if not _SCHEDULE.exists():
        return 0.0
    return int(_SCHEDULE.read_text(encoding="ascii").split()[1]) / 1e9


def _append_on(shift: _Shift) -> None:
    """Append to all series in turn, as a feed does, until the time is over."""
    with ohlcache.open(shift.location) as md:
        ends = {one.symbol: one.end for one in md.series()}
        _wait_for(shift.begin)
        while time.monotonic() < shift.begin + shift.seconds:
            for symbol, end in ends.items():
                md.append(symbol, _TIMEFRAME, [end, 1.0, 1.0, 1.0, 1.0, 1.0])
                ends[symbol] = end + _MINUTE
                time.sleep(0.01)


def _wait_for(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _expected() -> Target:
    if (os.cpu_count() or 1) >= _MANY_CORES:
        return Target("≥ 6×", lambda ours, peer: ours >= 6 * peer)
    return Target("≥ 1.00×", lambda ours, peer: ours >= peer)


def _as_rate(value: float) -> str:
    return f"{value:,.0f}/s"


# -- visibility ----------------------------------------------------------------------------------


def _visibility(
    options: Options, processes: ProcessPoolExecutor, name: str, location: str
) -> Iterator[Figure]:
    writes = _QUICK_SEEN_WRITES if options.quick else _SEEN_WRITES
    with ohlcache.open(location) as md:
        md.append("SEEN", _TIMEFRAME, _candle(0))
    begin = time.monotonic() + 1.0
    readers = [processes.submit(_seen, location, writes) for _ in range(_PROCESSES - 1)]
    written = processes.submit(_written, location, writes, begin).result()
    late = [
        max(0.0, seen - wrote)
        for one in readers
        for seen, wrote in zip(one.result(), written, strict=True)
    ]
    what = f"a write is seen by 7 processes, {name}"
    yield figure(f"{what}, median", percentile(late, 0.5), as_time)
    yield figure(f"{what}, p99", percentile(late, 0.99), as_time, None, at_most(0.1, as_time))


def _candle(number: int) -> list[float]:
    return [_START + number * _MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0]


def _written(location: str, writes: int, begin: float) -> list[float]:
    moments = []
    with ohlcache.open(location) as md:
        _wait_for(begin)
        for number in range(1, writes + 1):
            md.append("SEEN", _TIMEFRAME, _candle(number))
            moments.append(time.monotonic())
            time.sleep(0.02)
    return moments


def _seen(location: str, writes: int) -> list[float]:
    moments: list[float] = []
    with ohlcache.open(location) as md:
        while len(moments) < writes:
            news = _count(md) - 1 - len(moments)
            moments += [time.monotonic()] * news
            time.sleep(0.002)
    return moments


def _count(md: MarketData) -> int:
    return len(md.candles("SEEN", _TIMEFRAME, as_="numpy")["timestamp"])
