"""The memory manager: watches the memory of the process and keeps it below its limit.

It covers the whole process, by what the system says it takes (RSS), and so also what others than
ohlcache allocate in it. It can give back only what somebody offers: caches, decoded candles, what
is registered with ``on_pressure``, garbage, and what allocators keep free.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ohlcache.memory.gc_meter import PauseMeter
from ohlcache.memory.gc_pauses import GcPauses
from ohlcache.memory.gc_tuning import GcTuning
from ohlcache.memory.limits import Bound, system_bounds
from ohlcache.memory.monitor import Monitor
from ohlcache.memory.optimizing import OptimizeReport, Optimizing
from ohlcache.memory.pressure import Pressure
from ohlcache.memory.rating import rating_of_use
from ohlcache.memory.relief import Way
from ohlcache.memory.reporting import report
from ohlcache.memory.room import Room
from ohlcache.memory.snapshot import MemorySnapshot, take
from ohlcache.memory.suspicion import Suspicion
from ohlcache.memory.usage import ReadUsage, Usage, read_usage
from ohlcache.memory.watching import Watching
from ohlcache.memory.ways import CALLBACK, all_ways, way_of
from ohlcache.reclaim import held_bytes, unwatch, watch
from ohlcache.settings import MemorySettings, checked_section
from ohlcache.telemetry.health.finding import Finding
from ohlcache.telemetry.registry import Readings, registry

if TYPE_CHECKING:
    from ohlcache.memory.assessment import Assessment
    from ohlcache.memory.health import Condition, MemoryHealth
    from ohlcache.telemetry.trends import Trend

_POINTS = 20.0  # that each cause of trouble costs the health score

Callback = TypeVar("Callback", bound=Callable[..., Any])


class MemoryManager:
    """Watches over the memory of the process while started. A context manager.

    A forked child has the manager, not started.
    """

    def __init__(
        self,
        settings: MemorySettings | None = None,
        *,
        read: ReadUsage = read_usage,
        clock: Callable[[], float] = time.monotonic,
        bounds: Callable[[Usage], list[Bound]] = system_bounds,
        held: Callable[[], int] = held_bytes,
    ) -> None:
        """``read``, ``clock`` (seconds), ``bounds`` and ``held`` are how it sees the process."""
        self._callbacks: list[tuple[Callable[..., Any], Way]] = []
        self._monitor = Monitor(settings or MemorySettings(), read, clock, bounds, held)
        self._pressure = Pressure(
            lambda: all_ways([way for _, way in list(self._callbacks)]), read, clock
        )
        self._room = Room(self._pressure, self._monitor.marks_for, read, clock, self._stir)
        self._pauses = GcPauses()
        self._suspicion = Suspicion(clock)
        self._assessed: tuple[int, Assessment] | None = None
        self._be_idle()
        registry.register(self._report)
        _managers.add(self)

    def _be_idle(self) -> None:
        self._starting = threading.RLock()  # a signal handler may stop what is being started
        self._watching: Watching | None = None
        self._tuning: GcTuning | None = None

    # -- life -----------------------------------------------------------------------------------

    def start(self, *, gc_tuning: bool = False, freeze_after_warmup: bool = False) -> MemoryManager:
        """Watch from now on; gives the manager. Nothing happens where that is so already.

        gc_tuning: also try settings of the garbage collector, and keep what measurably helps.
        freeze_after_warmup: with ``gc.freeze()`` among them.
        """
        with self._starting:
            if self._watching is None:
                self._monitor.warn_of_low_limit()
                self._pauses.start()
                if gc_tuning:
                    tuning = GcTuning(
                        PauseMeter(self._pauses), freeze_after_warmup=freeze_after_warmup
                    )
                    self._tuning = tuning.start(self._monitor.clock())
                watch(self.make_room)
                self._watching = Watching(self._look)
        return self

    def stop(self) -> None:
        """Watch no more. What was learnt is kept."""
        with self._starting:
            watching, self._watching = self._watching, None
            if watching is None:
                return
            unwatch(self.make_room)
            watching.end()
            self._pauses.stop()
            if self._tuning is not None:
                self._tuning.stop()

    @property
    def is_started(self) -> bool:
        """Whether it watches."""
        return self._watching is not None

    def __enter__(self) -> MemoryManager:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def set_limit(self, memory_limit_mb: float) -> None:
        """Set another limit. Raises InvalidArgument for one that is none."""
        fields = {**self._monitor.settings.model_dump(), "limit_mb": memory_limit_mb}
        self.configure(checked_section(MemorySettings, "memory", fields))

    def configure(self, settings: MemorySettings) -> None:
        """Go on under these settings."""
        if settings == self._monitor.settings:
            return
        self._monitor.settle(settings)
        if self.is_started:
            self._monitor.warn_of_low_limit()
            self._stir()

    def renew_after_fork(self) -> None:
        """Be not started: the child has no threads, and nothing of its parent's to explain."""
        unwatch(self.make_room)
        if self._tuning is not None:
            self._tuning.stop_in_child()
        self._be_idle()
        self._pauses.renew()
        self._pressure.renew()
        self._room.renew()
        self._monitor.begin(self._monitor.settings)
        self._suspicion = Suspicion(self._monitor.clock)
        self._assessed = None

    # -- what it knows --------------------------------------------------------------------------

    def snapshot(self) -> MemorySnapshot:
        """The memory at this moment. Costs about 0.2 ms; now and then more, for USS."""
        usage = self._monitor.refresh()
        marks = self._monitor.marks
        rating = rating_of_use(usage.rss, marks, marks.level(usage.rss, self._monitor.level))
        return take(usage, self._monitor.read_uss(), self._monitor.limit, rating.word)

    def trend(self) -> Trend:
        """Where RSS is going: bytes per second, over all samples kept (up to 25 hours)."""
        self._see()
        return self._assessment().trend

    def health(self) -> MemoryHealth:
        """How the memory is, why, and what to do.

        Costs milliseconds after each new sample; while there is a leak, up to 0.3 s once a minute
        for the suspects, which are what grew since the leak was first seen.
        """
        from ohlcache.memory.health import judged

        self._see()
        found = self._condition()
        return judged(found, self._suspicion.named() if found.leak.leaking else ())

    def _see(self) -> None:
        """Look now, unless that is done by itself."""
        if not self.is_started:
            self._monitor.sample(self._monitor.look())

    def findings(self) -> list[Finding]:
        """What costs the health of the process points, besides how much memory it uses."""
        from ohlcache.memory.health import causes

        if not self._monitor.samples.taken:
            return []
        return [Finding("memory", _POINTS, *reason) for reason in causes(self._condition())]

    def _condition(self) -> Condition:
        from ohlcache.memory.health import Condition

        monitor = self._monitor
        usage = monitor.refresh()
        assessment = self._assessment()
        return Condition(
            rss=usage.rss,
            limit=monitor.limit,
            marks=monitor.marks,
            level=monitor.marks.level(usage.rss, monitor.level),
            stability=assessment.stability(monitor.limit.bytes),
            growth=assessment.growth(monitor.limit.bytes),
            leak=assessment.leak,
            in_vain=self._pressure.is_in_vain,
            hanging=self._pressure.hanging,
        )

    def _assessment(self) -> Assessment:
        from ohlcache.memory.assessment import Assessment

        samples = self._monitor.samples
        if self._assessed is None or self._assessed[0] != samples.taken:
            self._assessed = (samples.taken, Assessment.of(samples))
        return self._assessed[1]

    def stats(self) -> dict[str, Any]:
        """All figures, as plain values."""
        from ohlcache.memory.profiler import profile_figures

        monitor = self._monitor
        rss = monitor.refresh().rss
        return {
            "is_started": self.is_started,
            "rss_bytes": rss,
            "uss_bytes": monitor.uss,
            "limit_bytes": monitor.limit.bytes,
            "limit_source": monitor.limit.source,
            "used_ratio": rss / monitor.limit.bytes,
            "limit_is_below_use": rss > monitor.limit.bytes,
            "level": monitor.level.name.lower(),
            "warning_bytes": monitor.marks.warning,
            "critical_bytes": monitor.marks.critical,
            "looks": monitor.looks,
            "failed_looks": self._watching.failures if self._watching is not None else 0,
            "samples": monitor.samples.taken,
            "pressure": self._pressure.stats(),
            "announcements": self._room.stats(),
            "gc_pauses": self._pauses.stats(),
            "gc_tuning": self._tuning.stats() if self._tuning is not None else None,
            "profiles": profile_figures(),
        }

    def _report(self, readings: Readings) -> None:
        report(readings, self._monitor, self._pressure, self._pauses)

    # -- what it does ---------------------------------------------------------------------------

    def on_pressure(
        self, callback: Callback, *, name: str | None = None, order: int = CALLBACK
    ) -> Callback:
        """Have ``callback`` asked for memory under pressure; gives it back (so it may decorate).

        It is called with the bytes wanted if it takes an argument, otherwise with none, in a thread
        of the manager. It may return the bytes it let go of; what counts is by how much RSS fell.
        What it raises is counted, and the others go on. One that does not return within a
        second is left running, and not asked again before it does.

        order: the least is asked first. Compressing is 10, evicting 20, decoded candles 30; a full
            garbage collection, 90, comes last.

        Raises InvalidArgument for what cannot be called so.
        """
        self._callbacks.append((callback, way_of(callback, name, order)))
        return callback

    def forget(self, callback: Callable[..., Any]) -> None:
        """Do not ask a callback of ``on_pressure`` any more."""
        self._callbacks = [one for one in self._callbacks if one[0] != callback]

    def make_room(self, nbytes: int) -> None:
        """So many bytes are about to be taken by this thread: has room made if there is none.

        Parts of ohlcache say so themselves. Returns after half a second at the latest.
        """
        self._room.make(nbytes)

    def optimize(self) -> OptimizeReport:
        """Do what helps now, and tell what it gained.

        Garbage and the allocator's free memory go in any case; cold values are compressed where
        memory is getting short; above the warning mark everybody is asked for memory until the
        process is below it.
        """
        monitor, run = self._monitor, Optimizing(self._pressure)
        before = self.snapshot()
        run.free_what_is_free(is_short=before.rating != "Excellent")
        if monitor.read().rss >= monitor.marks.warning:
            run.go_below(monitor.marks.target)
        if self._tuning is not None:
            run.notes += [str(trial) for trial in self._tuning.report.trials]
        after = self.snapshot()
        gained = before.rss_bytes - after.rss_bytes
        return OptimizeReport(before, after, tuple(run.steps), gained, tuple(run.outcome()))

    # -- in the thread that watches ---------------------------------------------------------------

    def _look(self) -> float:
        usage = self._monitor.look()
        if usage.rss >= self._monitor.marks.warning:
            self._pressure.request(
                self._monitor.marks.target,
                is_urgent=usage.rss >= self._monitor.marks.critical,
            )
        self._monitor.sample(usage)
        if self._tuning is not None:
            self._tuning.step(self._monitor.clock())
        return self._monitor.delay_after(usage)

    def _stir(self) -> None:
        watching = self._watching
        if watching is not None:
            watching.stir()


_managers: WeakSet[MemoryManager] = WeakSet()


def _renew_all() -> None:
    for manager in list(_managers):
        manager.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
