"""Does a history a hundred times as large cost a hundred times as much, and no more?

The model of ``benchmarks.capacity`` is given what single things cost in a small store (the sample),
and foretells what a large one takes. The large one is 10,000 symbols × 10 years of minutes at
1/100: 100 symbols with their ten years in SQLite, 20 of them in PostgreSQL. What grows with the
number of series and not with their length is looked at with all 10,000, of one candle each. At last
comes what the model says of the whole, from the costs in the large store; ``docs/capacity.md``
explains the figures. A quick run is at 1/5,000 in both, with 1,000 series.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import ohlcache
from benchmarks import capacity
from benchmarks.capacity import BYTES_DECODED, Costs, Scale
from benchmarks.common import (
    Figure,
    Options,
    Target,
    as_time,
    figure,
    percentile,
    ratio_at_most,
    seconds,
)
from benchmarks.redis_bench_server import redis_server
from benchmarks.stores import await_shared, candle, empty_stores, let_go, opened, series, symbol
from ohlcache.candles import Timeframe
from ohlcache.history import MarketData
from ohlcache.history.chunks import window

TITLE = "Capacity: the model and a store of 1/100"

_WHOLE = Scale(10_000, 10)
_TIMEFRAME, _MINUTE = "1m", 60_000
_START = window(Timeframe.parse(_TIMEFRAME), 1_388_534_400_000)  # about 2014-01-01
_MONTH = 30 * 24 * 60 * _MINUTE
_PART = 4 * capacity.WINDOW
_READS, _TICKS = 200, 100
_UNDISTURBED = 0.1  # of the repetitions: slower ones tell more about the machine
_GB = 1e9
_REDIS_NODE, _POSTGRES_NODE = 64 * _GB, 2_000 * _GB  # what one of them is given to hold
_EXCHANGE_REQUESTS = 20  # in a second


class _Plan(NamedTuple):
    """What is simulated. few, many: series of one candle each."""

    sample: Scale
    large: dict[str, Scale]
    few: int
    many: int


_FULL = _Plan(
    Scale(8, 1), {"SQLite": Scale(100, 10), "PostgreSQL": Scale(20, 10)}, few=100, many=10_000
)
_QUICK = _Plan(
    Scale(8, 0.25), {"SQLite": Scale(20, 1), "PostgreSQL": Scale(20, 1)}, few=100, many=1_000
)


def measure(options: Options) -> Iterator[Figure]:
    plan = _QUICK if options.quick else _FULL
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(options.scratch))
        samples = stack.enter_context(empty_stores(options, "scale_sample"))
        stores = stack.enter_context(empty_stores(options, "scale"))
        large: dict[str, Costs] = {}
        for name, location in stores.items():
            scale = plan.large[name]
            sample = _costs(samples[name], plan.sample, redis)
            large[name] = _costs(location, scale, redis)
            yield from _compared(name, scale, sample, large[name])
        series = stack.enter_context(empty_stores(options, "scale_series"))
        for name, location in series.items():
            yield from _catalogue(name, location, plan)
    for name, costs in large.items():
        yield from _foretold(name, costs)


# -- what single things cost ----------------------------------------------------------------------


def _costs(location: str, scale: Scale, redis: str) -> Costs:
    with ohlcache.open(location) as md:
        empty = md.stats()["store"]["bytes"]
        imports = [_import(md, number, scale) for number in range(scale.symbols)]
    with opened(location, prefetch=False) as md:
        stored = md.stats()["store"]["bytes"] - empty  # by now SQLite's log is empty
        _check_rows(md, scale)
        md.candles(symbol(0), _TIMEFRAME)
        decoded = md.stats()["memory"]["bytes"] / scale.candles_of_a_symbol
        month = _cold_month(md, scale)
        appended = _append(md, scale)
    shared, shared_month = _through_redis(location, scale, redis)
    imported = percentile(imports, _UNDISTURBED) / scale.candles_of_a_symbol
    stored /= capacity.candles(scale)
    return Costs(stored, shared, decoded, imported, appended, month, shared_month)


def _import(md: MarketData, number: int, scale: Scale) -> float:
    """Seconds; it comes in parts, as files and exchanges give it."""
    end = _START + scale.candles_of_a_symbol * _MINUTE
    whole = series(number, _TIMEFRAME, _START, end)
    parts = [whole.slice(at, at + _PART) for at in range(0, len(whole), _PART)]
    return seconds(lambda: list(md.write_blocks(symbol(number), _TIMEFRAME, parts)))


def _check_rows(md: MarketData, scale: Scale) -> None:
    rows = sum(one.rows for one in md.series())
    if rows != capacity.candles(scale):
        raise AssertionError(f"{rows} candles instead of {capacity.candles(scale)}")


def _cold_month(md: MarketData, scale: Scale) -> float:
    """Seconds for a month, of symbols and months chosen at random."""
    chooses = random.Random(1)
    last = scale.candles_of_a_symbol * _MINUTE - _MONTH
    took = []
    for _ in range(_READS):
        let_go(md)
        chosen = symbol(chooses.randrange(scale.symbols))
        start = _START + chooses.randrange(0, last, _MINUTE)
        began = time.perf_counter()
        md.candles(chosen, _TIMEFRAME, start, start + _MONTH, as_="numpy")
        took.append(time.perf_counter() - began)
    return percentile(took, _UNDISTURBED)


def _append(md: MarketData, scale: Scale) -> float:
    """Seconds for each candle, when all symbols get some in turn."""
    end = _START + scale.candles_of_a_symbol * _MINUTE
    rounds = max(1, _READS // scale.symbols)
    took = []
    for minute in range(rounds):
        for number in range(scale.symbols):
            began = time.perf_counter()
            md.append(symbol(number), _TIMEFRAME, candle(end + minute * _MINUTE))
            took.append(time.perf_counter() - began)
    return percentile(took, _UNDISTURBED)


def _through_redis(location: str, scale: Scale, url: str) -> tuple[float, float]:
    """Bytes of a candle, and seconds for a month, of four symbols that Redis holds."""
    import redis

    some = scale._replace(symbols=min(4, scale.symbols))
    with redis.Redis.from_url(url) as client, opened(location, url, prefetch=False) as md:
        client.flushall()
        empty = client.info("memory")["used_memory"]
        for number in range(some.symbols):
            _share(md, number, some)
        used = client.info("memory")["used_memory"] - empty
        return used / capacity.candles(some), _cold_month(md, some)


def _share(md: MarketData, number: int, scale: Scale) -> None:
    """Have Redis hold a series, a few windows at a time."""
    step = 16 * capacity.WINDOW * _MINUTE
    for start in range(_START, _START + scale.candles_of_a_symbol * _MINUTE, step):
        md.candles(symbol(number), _TIMEFRAME, start, start + step, as_="numpy")
        await_shared(md)
    let_go(md)


# -- whether they stay so ------------------------------------------------------------------------


def _compared(name: str, scale: Scale, sample: Costs, large: Costs) -> Iterator[Figure]:
    size = f"{scale.symbols} × {scale.years:g} years, {name}"
    sizes = {
        "stored": (capacity.stored_bytes(scale, sample), capacity.stored_bytes(scale, large)),
        "in Redis": (capacity.shared_bytes(scale, sample), capacity.shared_bytes(scale, large)),
        "decoded": (capacity.decoded_bytes(scale), capacity.candles(scale) * large.decoded),
    }
    for what, (model, found) in sizes.items():
        yield figure(f"{size}: {what}", found, _as_gb, ("model", model), _within(0.10))
    imports = (capacity.import_seconds(scale, sample), capacity.import_seconds(scale, large))
    yield figure(f"{size}: import", imports[1], as_time, ("model", imports[0]), _within(0.30))
    for what, model, found in (
        ("cold read of a month", sample.month, large.month),
        ("read of a month from Redis", sample.shared_month, large.shared_month),
        ("append", sample.appended, large.appended),
    ):
        yield figure(f"{size}: {what}", found, as_time, ("model", model), ratio_at_most(1.3))


def _within(share: float) -> Target:
    return Target(f"± {share:.0%}", lambda ours, model: abs(ours - model) <= share * model)


def _catalogue(name: str, location: str, plan: _Plan) -> Iterator[Figure]:
    """What grows with the number of series: a first look, a minute's candles, and a look again."""
    with ohlcache.open(location) as md:
        _minute(md, 0, range(plan.few))  # creates them
        few = _minute(md, 1, range(plan.few))
        few_read = _read_after_append(location, 2)
        few_opened = seconds(lambda: _first_read(location))
        _minute(md, 0, range(plan.few, plan.many))
        many = _minute(md, 200, range(plan.many))
    read = _read_after_append(location, 201)
    many_opened = seconds(lambda: _first_read(location))
    size, few_series = f"{plan.many:,} series, {name}", f"{plan.few} series"
    for what, took, beside in (
        ("append to each in turn, mean", many, few),
        ("read after another's append, median", read, few_read),
    ):
        yield figure(f"{size}: {what}", took, as_time, (few_series, beside), _LITTLE_MORE)
    what = f"{size}: open, and read for the first time"
    yield figure(what, many_opened, as_time, (few_series, few_opened))


_LITTLE_MORE = ratio_at_most(1.5)


def _minute(md: MarketData, minute: int, numbers: range) -> float:
    """Seconds for each append, when a minute's candle comes to all of the series."""
    began = time.perf_counter()
    for number in numbers:
        md.append(symbol(number), _TIMEFRAME, candle(_START + minute * _MINUTE))
    return (time.perf_counter() - began) / len(numbers)


def _first_read(location: str) -> None:
    with ohlcache.open(location) as md:
        md.candles(symbol(0), _TIMEFRAME, _START, _START + _MINUTE)


def _read_after_append(location: str, minute: int) -> float:
    """The median of reads, each after another process's append to another series."""
    took = []
    with ohlcache.open(location) as md, ohlcache.open(location) as other:
        for at in range(minute, minute + _TICKS):
            other.append(symbol(1), _TIMEFRAME, candle(_START + at * _MINUTE))
            began = time.perf_counter()
            md.candles(symbol(0), _TIMEFRAME, _START, _START + _MINUTE)
            took.append(time.perf_counter() - began)
    return percentile(took, 0.5)


# -- what the whole takes ------------------------------------------------------------------------


def _foretold(name: str, costs: Costs) -> Iterator[Figure]:
    """10,000 symbols × 10 years."""

    def line(what: str, value: str) -> Figure:
        return Figure(f"10,000 × 10 years, {name}: {what}", value)

    stored, shared = (of(_WHOLE, costs) for of in (capacity.stored_bytes, capacity.shared_bytes))
    decoded = capacity.decoded_bytes(_WHOLE)
    cores = os.cpu_count() or 1
    yield line("candles", f"{capacity.candles(_WHOLE):,}")
    yield line("chunks", f"{capacity.chunks(_WHOLE):,}")
    yield line("stored", f"{_as_gb(stored)} ({costs.stored:.2f} bytes a candle)")
    yield line("in Redis", f"{_as_gb(shared)} ({costs.shared:.2f} bytes a candle)")
    yield line("decoded", f"{_as_gb(decoded)} ({BYTES_DECODED} bytes a candle)")
    yield line("databases of 2 TB", str(capacity.nodes(stored, _POSTGRES_NODE)))
    yield line("Redis nodes of 64 GB", str(capacity.nodes(shared, _REDIS_NODE)))
    yield line("import, by one process", _as_hours(capacity.import_seconds(_WHOLE, costs)))
    requests = capacity.requests(_WHOLE)
    fetching = _as_hours(requests / _EXCHANGE_REQUESTS)
    yield line("requests to an exchange", f"{requests:,}: {fetching} at {_EXCHANGE_REQUESTS}/s")
    yield line("appends to keep up", f"{capacity.appends_per_second(_WHOLE):.0f}/s")
    yield line("time of one writer for that", f"{capacity.writer_share(_WHOLE, costs):.0%}")
    for what, took in (("", costs.month), (" from Redis", costs.shared_month)):
        rate = capacity.reads_per_second(took, cores)
        yield line(f"cold reads of a month{what}, {cores} cores", f"{rate:,.0f}/s")


def _as_gb(value: float) -> str:
    return f"{value / _GB:,.3g} GB" if value < 1000 * _GB else f"{value / _GB:,.0f} GB"


def _as_hours(value: float) -> str:
    return f"{value / 3600:,.0f} h"
