"""The memory of the process: watched, kept below its limit, explained.

Names are resolved on first use, so that importing the room costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ohlcache.memory.gc_pauses import GcPauses
    from ohlcache.memory.gc_tuning import GcTuning
    from ohlcache.memory.health import MemoryHealth
    from ohlcache.memory.leaks import LeakAssessment, assess_leak
    from ohlcache.memory.manager import MemoryManager
    from ohlcache.memory.optimizing import OptimizeReport
    from ohlcache.memory.process import get_memory_manager
    from ohlcache.memory.profiler import memory_profiler, profiles
    from ohlcache.memory.profiling.report import ProfileReport
    from ohlcache.memory.relief import Step
    from ohlcache.memory.snapshot import MemorySnapshot
    from ohlcache.memory.suspects import Suspect, Suspects

_HOMES = {
    "GcPauses": "gc_pauses",
    "GcTuning": "gc_tuning",
    "LeakAssessment": "leaks",
    "MemoryHealth": "health",
    "MemoryManager": "manager",
    "MemorySnapshot": "snapshot",
    "OptimizeReport": "optimizing",
    "ProfileReport": "profiling.report",
    "Step": "relief",
    "Suspect": "suspects",
    "Suspects": "suspects",
    "assess_leak": "leaks",
    "get_memory_manager": "process",
    "memory_profiler": "profiler",
    "profiles": "profiler",
}

__all__ = [  # they resolve through __getattr__
    "GcPauses",
    "GcTuning",
    "LeakAssessment",
    "MemoryHealth",
    "MemoryManager",
    "MemorySnapshot",
    "OptimizeReport",
    "ProfileReport",
    "Step",
    "Suspect",
    "Suspects",
    "assess_leak",
    "get_memory_manager",
    "memory_profiler",
    "profiles",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
