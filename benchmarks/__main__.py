"""Measure everything, print it and write it to a file."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from benchmarks import (
    append,
    bulk_import,
    cold_read,
    database_tier,
    decorated_calls,
    gc_tuning,
    history_tiers,
    hit_ratio,
    imports,
    lake,
    leaks,
    memory_pressure,
    memory_tier,
    point_in_time,
    postgres_store,
    prefetch,
    profiler_overhead,
    redis_tier,
    scale,
    shared_history,
    shared_reads,
    size,
    telemetry_overhead,
    trends,
    warm_read,
    workload,
)
from benchmarks.common import ROOT, Figure, Options, table

_QUESTIONS = {
    "size": size,
    "cold_read": cold_read,
    "warm_read": warm_read,
    "bulk_import": bulk_import,
    "append": append,
    "point_in_time": point_in_time,
    "imports": imports,
    "memory_tier": memory_tier,
    "hit_ratio": hit_ratio,
    "decorated_calls": decorated_calls,
    "prefetch": prefetch,
    "redis_tier": redis_tier,
    "database_tier": database_tier,
    "postgres_store": postgres_store,
    "shared_reads": shared_reads,
    "workload": workload,
    "shared_history": shared_history,
    "scale": scale,
    "history_tiers": history_tiers,
    "lake": lake,
    "telemetry_overhead": telemetry_overhead,
    "trends": trends,
    "leaks": leaks,
    "memory_pressure": memory_pressure,
    "gc_tuning": gc_tuning,
    "profiler_overhead": profiler_overhead,
}
_PACKAGES = (
    "ohlcache",
    "numpy",
    "pandas",
    "pcodec",
    "pyarrow",
    "arcticdb",
    "duckdb",
    "cachebox",
    "cachetools",
    "theine",
    "aiocache",
    "cashews",
    "dogpile.cache",
    "diskcache",
    "Flask-Caching",
    "libcachesim",
    "redis",
    "hiredis",
    "psycopg",
)
_IMPORT_ROWS, _QUICK_IMPORT_ROWS = 50_000_000, 2_000_000


def main() -> None:
    arguments = _arguments()
    parts: list[str] = []
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="ohlcache-bench-", dir=arguments.scratch) as scratch:
        rows = arguments.import_rows or (_QUICK_IMPORT_ROWS if arguments.quick else _IMPORT_ROWS)
        options = Options(arguments.quick, rows, Path(scratch))
        _show(parts, "\n".join(_circumstances(arguments.quick)))
        for name in arguments.questions or _QUESTIONS:
            question = _QUESTIONS[name]
            found = _measured(question, options)
            figures += found
            _show(parts, f"\n## {question.TITLE}\n\n{_first_line(question)}\n\n{table(found)}")
    reached = [one.reached for one in figures if one.reached is not None]
    _show(parts, f"\n{sum(reached)} of {len(reached)} targets reached.")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(parts) + "\n", encoding="utf-8")
    print(f"\nWritten to {arguments.output}", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "questions", nargs="*", metavar="QUESTION", help=f"only these: {', '.join(_QUESTIONS)}"
    )
    parser.add_argument("--quick", action="store_true", help="smaller data, fewer repetitions")
    parser.add_argument(
        "--import-rows", type=int, help=f"rows of the large file (default {_IMPORT_ROWS:,})"
    )
    parser.add_argument("--scratch", type=Path, help="folder for the stores that are measured")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "benchmarks.md", help="the table's file"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.questions) - set(_QUESTIONS)
    if unknown:
        parser.error(f"unknown question {', '.join(unknown)}: use {', '.join(_QUESTIONS)}")
    return arguments


def _circumstances(quick: bool) -> Iterator[str]:
    yield "# ohlcache beside its peers\n"
    yield (
        "Ours and the peers take turns; the best repetition counts unless a line says otherwise. "
        "The same candles, read back equal from each.\n"
    )
    if quick:
        yield "**A quick run: smaller data, fewer repetitions; the figures are rough.**\n"
    yield f"- {os.cpu_count()} cores, {platform.system()} {platform.machine()}{_processor()}"
    versions = (f"{name} {_version(name)}" for name in _PACKAGES)
    yield f"- Python {platform.python_version()}, {', '.join(versions)}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f", {names[0]}" if names else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _measured(question: ModuleType, options: Options) -> list[Figure]:
    """The figures; one that says so where a package is missing without which there are none."""
    try:
        return list(question.measure(options))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "ohlcache", "benchmarks"):
            raise
        return [Figure(f"not measured: the package {package} is not installed", "")]


def _first_line(question: object) -> str:
    return (question.__doc__ or "").strip().partition("\n\n")[0]


def _show(parts: list[str], text: str) -> None:
    parts.append(text)
    print(text, flush=True)


if __name__ == "__main__":
    main()
