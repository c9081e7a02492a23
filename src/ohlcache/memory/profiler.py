"""``@memory_profiler``: what a function does to the memory of the process.

@memory_profiler
def load(symbol): …

load.profile.growth_per_call_bytes
ohlcache.memory.profiles()          # of all functions of the process
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload
from weakref import WeakValueDictionary

from ohlcache.errors import InvalidArgument
from ohlcache.memory.profiling.driving import measured
from ohlcache.memory.profiling.measuring import Measuring
from ohlcache.memory.profiling.report import ProfileReport

Function = TypeVar("Function", bound=Callable[..., Any])

MOST_PROFILES = 1_000  # that ``profiles`` tells of; functions beyond still have their own

_NO_FUNCTIONS = (staticmethod, classmethod, property, type)
_lock = threading.RLock()  # also a destructor may decorate, or ask
_reports: WeakValueDictionary[str, ProfileReport] = WeakValueDictionary()


@overload
def memory_profiler(function: Function, /) -> Function: ...
@overload
def memory_profiler(*, track_objects: bool = False) -> Callable[[Function], Function]: ...
def memory_profiler(
    function: Callable[..., Any] | None = None, /, *, track_objects: bool = False
) -> Callable[..., Any]:
    """Measure the calls of a function, a method, or a sync or async generator or coroutine.

    The decorated function has an attribute ``profile``, a :class:`ProfileReport`. What it returns
    and raises does not change. Generators and coroutines are measured while they run, not while
    they are suspended.

    Whether growth persists is judged by RSS; with ``track_objects=True`` by what Python's blocks
    say, which is exact, and blind to memory that Python has not allocated.

    RSS, its peak and Python's traced memory are those of the whole process: what other threads
    do meanwhile is included, and calls contain the calls nested in them. Overlapping calls of the
    same function count together, once.

    **Overhead.** About 20 µs for each call (and each step of a generator or coroutine). With
    ``track_objects=True`` calls run under ``tracemalloc``: work on arrays hardly notices, code that
    makes nothing but small objects takes up to 15 times as long. The 1st, 2nd, 4th, 8th … part
    takes 0.1 to 1 s more, because all objects are counted before and after it. tracemalloc is
    stopped again unless others use it.

    Raises InvalidArgument for what cannot be decorated.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, _NO_FUNCTIONS) or not callable(function):
            raise InvalidArgument(
                f"memory_profiler decorates {function!r}: give it a function or method; it stands "
                "below @staticmethod, @classmethod and @property"
            )
        measuring = Measuring(track_objects=track_objects)
        call = measured(function, measuring)
        call.profile = _known(ProfileReport(_name(function), measuring))  # type: ignore[attr-defined]
        return call

    return decorate if function is None else decorate(function)


def profiles() -> dict[str, dict[str, Any]]:
    """What is known of each profiled function that was called, by its qualified name.

    Of functions with the same name (made anew by a factory) it is the newest.
    """
    return {report.name: report.as_dict() for report in _called()}


def profile_figures() -> dict[str, dict[str, Any]]:
    """The same in few numbers for each: calls, peak rise, and growth."""
    return {report.name: report.figures() for report in _called()}


def _called() -> list[ProfileReport]:
    with _lock:
        reports = dict(_reports)
    return [report for _, report in sorted(reports.items()) if report.calls]


def _known(report: ProfileReport) -> ProfileReport:
    with _lock:
        if report.name in _reports or len(_reports) < MOST_PROFILES:
            _reports[report.name] = report
    return report


def _name(function: Callable[..., Any]) -> str:
    of_type = type(function)  # a partial, say, has no name of its own
    module = getattr(function, "__module__", of_type.__module__)
    return f"{module}.{getattr(function, '__qualname__', of_type.__qualname__)}"


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603  # of the process
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
