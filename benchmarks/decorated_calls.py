"""What does a call of a cached function cost when memory has its value, beside other caches?

Everyone decorates the same function, with a TTL of ten minutes where there is one, and is called
in the same loop; its cost is in every figure. A handful of keys and some thousand are called in
turn. Whoever ran the function again instead of answering from memory fails the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.common import (
    Figure,
    Options,
    Run,
    Target,
    at_most,
    best_by_turns,
    figure,
    seconds,
    times_faster,
)
from benchmarks.decorators import OURS, Decorate, asynchronous, missing, synchronous

TITLE = "Decorated calls"

_FEW, _MANY = 8, 5_000
_CALLS = 10_000  # in one measurement

Case = tuple[str, Callable[[Decorate], Any], Callable[[Any, int], None]]


def measure(options: Options) -> Iterator[Figure]:
    yield from _sync(options)
    yield from _async(options)
    for package in missing():
        yield Figure(f"without {package}: not installed", "")


def as_ns(value: float) -> str:
    return f"{value * 1e9:,.0f} ns"


# -- the functions, and how they are called -------------------------------------------------------


class _Runs:
    """How often the functions below ran."""

    count = 0


def _of_symbol(symbol: str) -> str:
    _Runs.count += 1
    return symbol


def _of_window(symbol: str, limit: int = 100) -> str:
    _Runs.count += 1
    return f"{symbol} {limit}"


async def _bare(symbol: str) -> str:
    _Runs.count += 1
    return symbol


def _exchange(decorate: Decorate) -> Any:
    class Exchange:
        @decorate
        def price(self, symbol: str) -> str:
            _Runs.count += 1
            return symbol

    return Exchange()


def _with_one(function: Any, keys: int) -> None:
    symbols = _symbols(keys)
    for _ in range(_CALLS // keys):
        for symbol in symbols:
            function(symbol)


def _with_two(function: Any, keys: int) -> None:
    symbols = _symbols(keys)
    for _ in range(_CALLS // keys):
        for symbol in symbols:
            function(symbol, 500)


def _with_keyword(function: Any, keys: int) -> None:
    symbols = _symbols(keys)
    for _ in range(_CALLS // keys):
        for symbol in symbols:
            function(symbol, limit=500)


def _as_method(exchange: Any, keys: int) -> None:
    symbols = _symbols(keys)
    for _ in range(_CALLS // keys):
        for symbol in symbols:
            exchange.price(symbol)


async def _awaited(function: Any, keys: int) -> None:
    symbols = _symbols(keys)
    for _ in range(_CALLS // keys):
        for symbol in symbols:
            await function(symbol)


_ALL_SYMBOLS = [f"SYM{number}/USDT" for number in range(_MANY)]


def _symbols(keys: int) -> list[str]:
    return _ALL_SYMBOLS[:keys]


_CASES: tuple[Case, ...] = (
    ("one str", lambda decorate: decorate(_of_symbol), _with_one),
    ("str and int", lambda decorate: decorate(_of_window), _with_two),
    ("str and keyword", lambda decorate: decorate(_of_window), _with_keyword),
    ("method, one str", _exchange, _as_method),
)


# -- measuring ------------------------------------------------------------------------------------


def _sync(options: Options) -> Iterator[Figure]:
    for keys in (_FEW, _MANY):
        for name, made, call in _CASES:
            with synchronous(options.scratch) as decorators:
                runs = {
                    who: _timed(made(decorate), call, keys)
                    for who, decorate in decorators.items()
                    if name not in decorate.refuses
                }
                best = _best(runs, options, keys)
            targets = {who: times_faster(1) for who in best if who.startswith("cachebox")}
            yield from _figures(f"{name}, {keys:,} keys", best, targets)


def _timed(function: Any, call: Callable[[Any, int], None], keys: int) -> Run:
    return lambda: seconds(lambda: call(function, keys)) / _calls(keys)


def _async(options: Options) -> Iterator[Figure]:
    bounds = {"aiocache": times_faster(30), "cashews": times_faster(30)}
    for keys in (_FEW, _MANY):
        with asyncio.Runner() as runner, asynchronous() as decorators:
            functions = {who: decorate(_bare) for who, decorate in decorators.items()}
            runs = {who: _awaiting(runner, function, keys) for who, function in functions.items()}
            best = _best(runs, options, keys)
            bare = best_by_turns({"": _awaiting(runner, _bare, keys)}, options.turns(20))[""]
        name = f"async, {keys:,} keys"
        above = best[OURS] - bare
        yield figure(f"{name}, above a bare await", above, as_ns, target=at_most(400e-9, as_ns))
        targets = {who: times_faster(1) for who in best if who.startswith("cachebox")}
        yield from _figures(name, best, targets | bounds)


def _awaiting(runner: asyncio.Runner, function: Any, keys: int) -> Run:
    return lambda: seconds(lambda: runner.run(_awaited(function, keys))) / _calls(keys)


def _calls(keys: int) -> int:
    return _CALLS // keys * keys


def _best(runs: Mapping[str, Run], options: Options, keys: int) -> dict[str, float]:
    """The best times of hits; each key is loaded before."""
    for who, run in runs.items():
        _Runs.count = 0
        run()
        if _Runs.count != keys:
            raise RuntimeError(f"{who} ran the function {_Runs.count} times for {keys} keys")
    _Runs.count = 0
    best = best_by_turns(runs, options.turns(20), budget=3.0)
    if _Runs.count:
        raise RuntimeError(f"functions were run {_Runs.count} times though their values were held")
    return best


def _figures(
    name: str, best: Mapping[str, float], targets: Mapping[str, Target]
) -> Iterator[Figure]:
    for who, took in best.items():
        if who != OURS:
            yield figure(name, best[OURS], as_ns, (who, took), targets.get(who))
