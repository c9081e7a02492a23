"""The look at all metrics that is taken again and again, and what follows from it.

    collect -> windows -> indicators -> alert rules -> handlers
                                     -> health score
            -> the view of all processes

Without :meth:`Monitor.start` nothing runs in the background: whoever asks has a look taken then.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self
from weakref import WeakSet

from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.alerts import ActiveAlert, AlertEngine, AlertEvent, Dispatcher, Handler
from ohlcache.telemetry.fleet import Fleet
from ohlcache.telemetry.health import Finding, HealthReport, assess
from ohlcache.telemetry.histogram import Histogram
from ohlcache.telemetry.indicators import INDICATORS, indicate
from ohlcache.telemetry.outlook import Forecast, outlook
from ohlcache.telemetry.registry import Readings, Registry
from ohlcache.telemetry.windows import Windows

_MOST_OF_THE_TIME = 0.005  # that looking may take: half a percent of a core
_FORETELL_SECONDS = 60.0  # from outlook to outlook, which costs far more than a look
_SOON = 0.5  # of the interval: a look that is younger is not repeated for who asks

Findings = Callable[[], Iterable[Finding]]


class Monitor:
    """Looks at the metrics of a process, and judges them.

    rules: alert rules on indicators.
    interval_seconds: from look to look; longer where looking takes more than 0.5% of the time.

    fleet: set it to have what is read posted for the other processes.
    findings: called for what is judged elsewhere and belongs to the health of the process.

    Raises InvalidArgument for a rule on an unknown metric, one that can never hold, and the like.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        rules: Iterable[Mapping[str, Any]] = (),
        handlers: Iterable[Handler] = (),
        interval_seconds: float = 1.0,
    ) -> None:
        known = {name: indicator.range for name, indicator in INDICATORS.items()}
        self._registry = registry
        self._engine = AlertEngine(rules, known=known)
        self._handlers = tuple(handlers)
        self._dispatcher: Dispatcher | None = None
        self._interval = interval_seconds
        self._clock = registry.clock
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._readings = Readings()
        self._indicators: dict[str, float] = {}
        self._outlook: list[Forecast] = []
        self._foretold_at = registry.began
        self._look_time = Histogram()
        self.windows = Windows(registry.began)
        self.fleet: Fleet | None = None
        self.findings: Findings = tuple
        registry.register(self.report)
        _monitors.add(self)

    # -- looking --------------------------------------------------------------------------------

    def look(self) -> list[AlertEvent]:
        """Take a look now; the alerts that fired and resolved by it."""
        with self._lock:
            began, now = time.perf_counter(), self._clock()
            self._readings = self._registry.collect()
            self.windows.add(now, self._readings)
            self._indicators = indicate(self.windows)
            events = self._engine.observe(self._indicators, at=now)
            if events and self._dispatcher is not None:
                self._dispatcher.dispatch(events)
            self._look_time.record(time.perf_counter() - began)
        if self.fleet is not None:
            self.fleet.post(self._readings, now)
        return events

    def start(self) -> Self:
        """Look regularly, in a thread, until :meth:`stop`. Alerts go to the handlers."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._ended = threading.Event()
                self._dispatcher = Dispatcher(self._handlers)
                self._thread = threading.Thread(
                    target=self._run, args=(self._ended,), name="ohlcache-monitor", daemon=True
                )
                self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread. What handlers have to do is given a few seconds."""
        with self._lock:
            thread, self._thread = self._thread, None
            dispatcher, self._dispatcher = self._dispatcher, None
        if thread is not None:
            self._ended.set()
            thread.join()
        if dispatcher is not None:
            dispatcher.close()
        if self.fleet is not None:
            self.fleet.close()

    def _run(self, ended: threading.Event) -> None:
        wait = 0.0
        while not ended.wait(wait):
            began = time.perf_counter()
            try:
                self.look()
                self.outlook()
            except Exception as error:  # a monitor that ends tells nobody  # noqa: BLE001
                self._registry.errors.count(f"look: {type(error).__name__}")
            spent = time.perf_counter() - began
            wait = max(self._interval - spent, spent / _MOST_OF_THE_TIME)

    # -- asking ---------------------------------------------------------------------------------

    def readings(self) -> Readings:
        """All metrics, not older than half an interval."""
        self._look_if_due()
        return self._readings

    def indicators(self) -> dict[str, float]:
        """The indicators of the last minute that there is enough to tell of."""
        self._look_if_due()
        return self._indicators

    def health(self) -> HealthReport:
        """How well the process is, and why not better."""
        self._look_if_due()
        with self._lock:
            return self._judged()

    def outlook(self) -> list[Forecast]:
        """Where memory, hit rates and latencies are going, as of a minute ago at the earliest.

        Of what is known for 20 minutes or more.
        """
        self._look_if_due()
        with self._lock:
            if self._clock() - self._foretold_at >= _FORETELL_SECONDS:
                self._foretold_at = self._clock()
                self._outlook = outlook(self.windows)
            return self._outlook

    def active_alerts(self) -> list[ActiveAlert]:
        """The alerts that fire now."""
        with self._lock:
            return self._engine.active()

    @property
    def alert_history(self) -> list[AlertEvent]:
        """The last 1,000 firings and resolutions, oldest first."""
        with self._lock:
            return self._engine.history

    def stats(self) -> dict[str, Any]:
        """Figures of the monitor itself; durations in seconds."""
        dispatcher = self._dispatcher
        return {
            "running": self._thread is not None and self._thread.is_alive(),
            "looks": self._look_time.snapshot(),
            "alerts": self._engine.stats(),
            "handlers": dispatcher.stats() if dispatcher is not None else {},
            "errors": self._registry.errors.snapshot(),
        }

    def report(self, readings: Readings) -> None:
        """Add what the monitor itself tells: alerts that fire, health, its own cost."""
        for alert in self._engine.active():
            readings.add(metrics.ALERT_FIRING, 1, alert.rule, alert.severity)
        health = self._judged()
        readings.add(metrics.HEALTH_SCORE, health.score, "overall")
        for name, component in health.components.items():
            readings.add(metrics.HEALTH_SCORE, component.score, name)
        readings.add(metrics.TELEMETRY_SECONDS, self._look_time.distribution())

    def _judged(self) -> HealthReport:
        foreseen = (forecast.finding() for forecast in self._outlook)
        findings = (finding for finding in foreseen if finding is not None)
        return assess(self._indicators, [*self.findings(), *findings])

    def _look_if_due(self) -> None:
        with self._lock:
            if (
                self._clock() - self.windows.at >= _SOON * self._interval
                or not self._readings.values
            ):
                self.look()

    # -- forks ----------------------------------------------------------------------------------

    def _before_fork(self) -> None:
        self._lock.acquire()

    def _after_fork(self) -> None:
        self._lock.release()

    def _renew_after_fork(self) -> None:
        """In the child: not started, since no thread came along, and counting begins anew."""
        self._thread = self._dispatcher = None
        self.windows = Windows(self._clock())
        self._after_fork()


_monitors: WeakSet[Monitor] = WeakSet()


def _each(step: Callable[[Monitor], None]) -> None:
    for monitor in list(_monitors):
        step(monitor)


os.register_at_fork(
    before=lambda: _each(Monitor._before_fork),
    after_in_parent=lambda: _each(Monitor._after_fork),
    after_in_child=lambda: _each(Monitor._renew_after_fork),
)
