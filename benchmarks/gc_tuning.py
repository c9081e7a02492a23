"""What does tuning the garbage collector gain, and is it reverted where it gains nothing?

Each workload runs in a process of its own, once with CPython's thresholds and once with the
tuning, which tries its candidates while the work goes on; both are measured when it has decided.
The peer is the same work without tuning. *Bars* holds many small objects and makes more until a
run is over, as backtests in plain Python do; *arrays* works with numpy, where there is next to
nothing to collect.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.common import (
    Figure,
    Options,
    as_time,
    at_most,
    figure,
    fresh_process,
    ratio_at_most,
)

TITLE = "Garbage collector tuning"

_HELD = 400_000
_PIECE = 2_000  # bars in a piece of work


def measure(options: Options) -> Iterator[Figure]:
    window = 0.2 if options.quick else 0.5
    for name, target in (("bars", ratio_at_most(0.97)), ("arrays", ratio_at_most(1.05))):
        bare, tuned = (_measured(name, window, how) for how in ("bare", "tuned"))
        peer = ("no tuning", bare["piece"])
        yield figure(f"{name}: a piece of work", tuned["piece"], as_time, peer, target)
        if bare["share"]:  # else nothing was collected
            yield figure(
                f"{name}: time in pauses", tuned["share"], _as_share, ("no tuning", bare["share"])
            )
            yield figure(
                f"{name}: longest pause", tuned["longest"], as_time, ("no tuning", bare["longest"])
            )
        for trial in tuned["trials"]:
            yield Figure(f"{name}: {trial}", "")
        yield Figure(f"{name}: in force at the end ({tuned['state']})", tuned["in_force"])
    yield figure(
        "what measuring adds to a collection",
        _cost_of_measuring(),
        as_time,
        target=at_most(5e-6, as_time),
    )


def _measured(*arguments: Any) -> dict[str, Any]:
    return dict(fresh_process("gc_tuning", *arguments))


def _as_share(value: float) -> str:
    return f"{value:.2%}"


# -- the workloads --------------------------------------------------------------------------------


def _bars() -> Callable[[], Any]:
    history = [{"close": [number]} for number in range(_HELD)]
    results: list[dict[str, list[int]]] = []

    def piece() -> None:
        if len(results) >= len(history) // 2:
            results.clear()  # and the next run begins
        results.extend({"close": [number]} for number in range(_PIECE))

    return piece


def _arrays() -> Callable[[], Any]:
    closes = np.linspace(1, 2, 50_000)
    return lambda: np.diff(closes).std()


_WORKLOADS = {"bars": _bars, "arrays": _arrays}


def _run(name: str, window: float, *, is_tuned: bool) -> dict[str, Any]:
    """The figures of one workload after its trials, or after nothing."""
    from ohlcache.memory.gc_meter import PauseMeter
    from ohlcache.memory.gc_pauses import GcPauses
    from ohlcache.memory.gc_tuning import GcTuning

    piece = _WORKLOADS[name]()
    report = None
    with GcPauses() as pauses:
        if is_tuned:
            began = time.monotonic()
            tuning = GcTuning(
                PauseMeter(pauses), warmup_seconds=window, window_seconds=window
            ).start(began)
            while not _has_decided(tuning, began, window):
                piece()
                tuning.step(time.monotonic())
            report = tuning.report
        pauses.take_longest()
        before, began, pieces = pauses.totals(), time.perf_counter(), 0
        while time.perf_counter() - began < 10 * window:
            piece()
            pieces += 1
        took = time.perf_counter() - began
        return {
            "piece": took / pieces,
            "share": (pauses.totals().seconds - before.seconds) / took,
            "longest": pauses.take_longest(),
            "trials": [] if report is None else [str(trial) for trial in report.trials],
            "state": "" if report is None else report.state,
            "in_force": str(gc.get_threshold()),
        }


def _has_decided(tuning: Any, began: float, window: float) -> bool:
    state = tuning.report.state
    is_waiting = state.startswith("waiting") and time.monotonic() - began > 10 * window
    return is_waiting or state.startswith("resting")


def _cost_of_measuring() -> float:
    """What the callback adds to an empty collection."""
    from ohlcache.memory.gc_pauses import GcPauses

    def collections() -> float:
        began = time.perf_counter()
        for _ in range(2_000):
            gc.collect(0)
        return (time.perf_counter() - began) / 2_000

    gc.disable()
    try:
        bare = min(collections() for _ in range(5))
        with GcPauses():
            return min(collections() for _ in range(5)) - bare
    finally:
        gc.enable()


if __name__ == "__main__":
    _, workload, length, how = sys.argv
    print(json.dumps(_run(workload, float(length), is_tuned=how == "tuned")))
