"""What does it cost to append candles one at a time, and what do reads pay for it?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean

import pandas as pd

import ohlcache
from benchmarks.common import (
    Figure,
    Options,
    Run,
    as_time,
    at_most,
    best_by_turns,
    figure,
    percentile,
    ratio_at_most,
    seconds,
)
from benchmarks.datasets import MINUTE, SYMBOL, TIMEFRAME, minutes
from benchmarks.peers import ArcticDB, SQLiteRows, installed, load

TITLE = "Appending one candle at a time"

_LONG, _MIDDLE, _SHORT = 5_000_000, 1_000_000, 10_000
_APPENDS = 10_000
_FIRST = pd.Timestamp("2010-01-01", tz="UTC")  # all of it has to be over by now
_PEER_APPENDS = 100


def measure(options: Options) -> Iterator[Figure]:
    histories = {rows // 10 if options.quick else rows: rows for rows in (_SHORT, _MIDDLE, _LONG)}
    appends = _APPENDS // 10 if options.quick else _APPENDS
    longest = max(histories)
    frame = minutes(longest + appends, _FIRST)
    # Histories end at the same moment: the same candles are appended to each of them.
    stores = {
        rows: _loaded(options.scratch / f"append {rows}", frame.iloc[longest - rows : longest])
        for rows in histories
    }
    took = _append_by_turns(stores, frame.iloc[longest:])
    for rows, times in took.items():
        what = f"append to {rows:,} rows"
        limit = at_most(1e-3, as_time) if rows == longest else None
        yield figure(f"{what}, mean", fmean(times), as_time, target=limit)
        yield figure(f"{what}, median", percentile(times, 0.5), as_time)
        yield figure(f"{what}, 99th percentile", percentile(times, 0.99), as_time)
    shortest = min(histories)
    yield figure(
        "mean append, long history to short",
        fmean(took[longest]),
        as_time,
        (f"{shortest:,} rows", fmean(took[shortest])),
    )
    yield from _peers(options, frame, longest, fmean(took[longest]))
    for rows in histories:
        bulk = options.scratch / f"bulk {rows}"
        _loaded(bulk, frame.iloc[longest - rows :])
        yield from _reads(options, stores[rows], bulk, rows, frame.index[longest])
    yield from _reading_along(stores[longest], frame)


def _loaded(path: Path, frame: pd.DataFrame) -> Path:
    with ohlcache.open(path) as store:
        load(store, frame)
    return path


def _append_by_turns(paths: dict[int, Path], candles: pd.DataFrame) -> dict[int, list[float]]:
    stores = {rows: ohlcache.open(path) for rows, path in paths.items()}
    took: dict[int, list[float]] = {rows: [] for rows in stores}
    for candle in _as_ccxt(candles):
        for rows, store in stores.items():
            took[rows].append(seconds(partial(store.write, SYMBOL, TIMEFRAME, [candle])))
    for store in stores.values():
        assert store.series()[0].end == candles.index[-1].value // 1_000_000 + MINUTE
        store.close()
    return took


def _as_ccxt(frame: pd.DataFrame) -> list[list[float]]:
    times = frame.index.as_unit("ms").asi8.tolist()
    return [[time, *values] for time, values in zip(times, frame.to_numpy().tolist(), strict=True)]


def _peers(options: Options, frame: pd.DataFrame, longest: int, ours: float) -> Iterator[Figure]:
    for kind in (ArcticDB, SQLiteRows):
        if kind not in installed():
            continue
        folder = options.scratch / "append peers"
        folder.mkdir(exist_ok=True)
        peer = kind(folder)
        peer.write(frame.iloc[:longest])
        rows = (frame.iloc[at : at + 1] for at in range(longest, longest + _PEER_APPENDS))
        took = [seconds(partial(peer.append, row)) for row in rows]
        peer.close()
        yield figure(f"append to {longest:,} rows, mean", ours, as_time, (kind.name, fmean(took)))


def _reads(
    options: Options, appended: Path, bulk: Path, rows: int, first: pd.Timestamp
) -> Iterator[Figure]:
    """What reads cost after single appends, beside a store that was given the same rows at once."""
    for name, start in (("the appended range", first), ("whole series", None)):
        runs: dict[str, Run] = {}
        for path in (appended, bulk):
            runs[f"cold {path}"] = _cold(path, start)
            runs[f"warm {path}"] = _warm(path, start)
        best = best_by_turns(runs, options.turns(20), budget=10.0)
        for state in ("cold", "warm"):
            yield figure(
                f"{state} read, {name}, after single appends to {rows:,} rows",
                best[f"{state} {appended}"],
                as_time,
                ("ohlcache, loaded at once", best[f"{state} {bulk}"]),
                ratio_at_most(1.2),
            )


def _cold(path: Path, start: pd.Timestamp | None) -> Run:
    def run() -> float:
        with ohlcache.open(path) as store:
            return seconds(lambda: store.candles(SYMBOL, TIMEFRAME, start))

    return run


def _warm(path: Path, start: pd.Timestamp | None) -> Run:
    def run() -> float:
        with ohlcache.open(path) as store:
            frame = store.candles(SYMBOL, TIMEFRAME, start)
            first, end = frame.index[0], frame.index[-1] + pd.Timedelta(minutes=1)
            return min(
                seconds(lambda: store.candles(SYMBOL, TIMEFRAME, first, end)) for _ in range(50)
            )

    return run


def _reading_along(path: Path, frame: pd.DataFrame) -> Iterator[Figure]:
    """A bot: it stores each candle as it closes, and reads the last day."""
    now, day, minute = frame.index[-1], pd.Timedelta(days=1), pd.Timedelta(minutes=1)
    for held in ("the last day", "the whole series"):
        took = []
        with ohlcache.open(path) as store:
            store.candles(SYMBOL, TIMEFRAME, None if "whole" in held else now - day)
            for candle in _as_ccxt(frame.iloc[-200:]):
                now += minute
                candle[0] = now.value // 1_000_000
                store.write(SYMBOL, TIMEFRAME, [candle])
                end = now + minute
                took.append(seconds(partial(store.candles, SYMBOL, TIMEFRAME, end - day, end)))
        name = f"last day read right after an append, {held} in memory"
        yield figure(f"{name}, median", percentile(took, 0.5), as_time)
        yield figure(f"{name}, slowest", max(took), as_time)
