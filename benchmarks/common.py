"""Timing by turns, and figures as lines of a Markdown table."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

_LEAST_TURNS = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What a run was asked for."""

    quick: bool
    import_rows: int
    scratch: Path

    def turns(self, full: int) -> int:
        """Repetitions: ``full`` of them, or a few."""
        return max(_LEAST_TURNS, full // 4) if self.quick else full


# -- timing -------------------------------------------------------------------------------------

Run = Callable[[], float]  # carries out one repetition and returns its seconds


def seconds(work: Callable[[], Any]) -> float:
    """How long a piece of work takes. Its result is thrown away after the clock has stopped."""
    began = time.perf_counter()
    result = work()
    took = time.perf_counter() - began
    del result
    return took


def by_turns(runs: Mapping[str, Run], turns: int, budget: float = 30.0) -> dict[str, list[float]]:
    """The seconds of every repetition of every contestant, who take turns.

    A contestant that has used up its ``budget`` of seconds sits out after its third turn.
    """
    took: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns):
        for name, run in runs.items():
            if turn < _LEAST_TURNS or sum(took[name]) < budget:
                gc.collect()
                took[name].append(run())
    return took


def best_by_turns(runs: Mapping[str, Run], turns: int, budget: float = 30.0) -> dict[str, float]:
    """The best repetition of every contestant; they take turns."""
    return {name: min(took) for name, took in by_turns(runs, turns, budget).items()}


def percentile(took: list[float], share: float) -> float:
    """The value below which ``share`` of the repetitions lie."""
    return sorted(took)[min(len(took) - 1, int(share * len(took)))]


def fresh_process(module: str, *arguments: Any) -> dict[str, float]:
    """Run ``python -m benchmarks.<module> arguments`` and read the JSON object that it prints."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def allocated_bytes(path: Path) -> int:
    """The bytes that a file, or all files of a folder, take on disk (``du --block-size=1``)."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    if not hasattr(os.stat_result, "st_blocks"):
        return sum(file.stat().st_size for file in files)
    os.sync()
    return sum(file.stat().st_blocks * 512 for file in files)


# -- figures ------------------------------------------------------------------------------------

Show = Callable[[float], str]


def as_time(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value < 1000 * scale else f"{value:,.0f} {unit}"
    return f"{value / 1e-6:.3g} µs"


def as_bytes(value: float) -> str:
    return f"{value / 1e6:,.2f} MB"


def as_rate(value: float) -> str:
    return f"{value / 1e6:.2f} M rows/s"


def as_ratio(value: float) -> str:
    return f"{value:.2f}×" if value < 100 else f"{value:,.0f}×"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to reach, in words and as a test of ours and the peer's value."""

    text: str
    is_reached: Callable[[float, float], bool]


def at_most(bound: float, show: Show) -> Target:
    return Target(f"≤ {show(bound)}", lambda ours, _: ours <= bound)


def at_least(bound: float, show: Show) -> Target:
    return Target(f"≥ {show(bound)}", lambda ours, _: ours >= bound)


def ratio_at_most(bound: float) -> Target:
    return Target(f"≤ {bound:.2f}×", lambda ours, peer: ours <= bound * peer)


def times_faster(bound: float) -> Target:
    return Target(f"≥ {bound:g}× faster", lambda ours, peer: bound * ours <= peer)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    ours: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    reached: bool | None = None


def figure(
    name: str,
    ours: float,
    show: Show,
    peer: tuple[str, float] | None = None,
    target: Target | None = None,
) -> Figure:
    """A value of ours, beside that of a peer (its name and value) if there is one.

    The ratio is ours to the peer's; below a tenth it says how many times smaller ours is.
    """
    beside, ratio, other = "", "", float("nan")
    if peer is not None:
        who, other = peer
        beside = f"{who} {show(other)}"
        ratio = as_ratio(ours / other) if 10 * ours >= other else f"1 / {other / ours:,.0f}"
    reached = target.is_reached(ours, other) if target else None
    return Figure(name, show(ours), beside, ratio, target.text if target else "", reached)


def table(figures: Iterable[Figure]) -> str:
    """Figures as a Markdown table."""
    lines = [
        "| figure | ours | peer | ours / peer | target | reached |",
        "|---|--:|--:|--:|--:|:-:|",
    ]
    for one in figures:
        reached = "" if one.reached is None else "yes" if one.reached else "**no**"
        cells = (one.name, one.ours, one.peer, one.ratio, one.target, reached)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
