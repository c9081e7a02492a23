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
from functools import partial
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
from ohlcache.telemetry.repeating import Repeating
from ohlcache.telemetry.windows import Windows

_MOST_OF_THE_TIME = 0.005  # that looking may take of a core
_LONGEST_WAIT = 10  # intervals from look to look, however much they take
_FORETELL_SECONDS = 60.0  # from outlook to outlook, which costs far more than a look
_SOON = 0.5  # of the interval: a look that is younger is not repeated for who asks

Findings = Callable[[], Iterable[Finding]]


class Monitor:
    """Looks at the metrics of a process, and judges them.

    rules: alert rules on indicators.
    interval_seconds: from look to look; longer where looking takes more than 0.5% of a core.

    fleet: set it before the start to have what is read posted for the other processes.
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
        self._registry = registry
        self._rules = tuple(rules)
        self._handlers = tuple(handlers)
        self._interval = interval_seconds
        self._clock = registry.clock
        self._look_time = Histogram()
        self.fleet: Fleet | None = None
        self.findings: Findings = tuple
        self._begin()
        registry.register(self.report)
        _monitors.add(self)

    def _begin(self) -> None:
        """Know nothing yet; also in a forked child, where locks may be held by lost threads."""
        known = {name: indicator.range for name, indicator in INDICATORS.items()}
        self._engine = AlertEngine(self._rules, known=known)
        self._looking = threading.RLock()
        self._starting = threading.RLock()
        self._dispatcher: Dispatcher | None = None
        self._running: tuple[Repeating, ...] = ()
        self._epoch = time.time() - self._clock()  # alerts have times that others understand
        self._looks_in = 0  # the thread that takes a look
        self._has_looked = False
        self._readings = Readings()
        self._indicators: dict[str, float] = {}
        self._outlook: list[Forecast] = []
        self._found: list[Finding] = []
        self._foretold_at = self._registry.began
        self.windows = Windows(self._registry.began)

    # -- looking --------------------------------------------------------------------------------

    def look(self) -> list[AlertEvent]:
        """Take a look now; the alerts that fired and resolved by it."""
        with self._looking:
            began, now = time.perf_counter(), self._clock()
            self._looks_in = threading.get_ident()
            try:
                self._readings = self._registry.collect()
            finally:
                self._looks_in = 0
            self._has_looked = True
            self.windows.add(now, self._readings)
            self._indicators = indicate(self.windows)
            events = self._engine.observe(self._indicators, at=now + self._epoch)
            self._look_time.record(time.perf_counter() - began)
        dispatcher = self._dispatcher
        if events and dispatcher is not None:
            dispatcher.dispatch(events)
        return events

    def start(self) -> Self:
        """Look regularly, in a thread, until :meth:`stop`. Alerts go to the handlers."""
        with self._starting:
            if not self.is_running:
                self._dispatcher = Dispatcher(self._handlers)
                self._running = (Repeating("ohlcache-monitor", self._look_again),)
                if self.fleet is not None:
                    post = partial(self._post_again, self.fleet)
                    self._running += (Repeating("ohlcache-fleet", post),)
        return self

    def stop(self) -> None:
        """Look no more. What handlers have to do is given a few seconds."""
        with self._starting:
            running, self._running = self._running, ()
            dispatcher, self._dispatcher = self._dispatcher, None
        for one in running:
            one.end()
        if dispatcher is not None:
            dispatcher.close()
        if self.fleet is not None:
            self.fleet.close()

    def retire(self) -> None:
        """Stop, and report nothing any more: another monitor takes the place."""
        self.stop()
        self._registry.forget(self.report)

    @property
    def is_running(self) -> bool:
        """Whether it looks regularly."""
        return any(one.is_running for one in self._running)

    def _look_again(self) -> float:
        began, used = time.perf_counter(), time.thread_time()
        try:
            self.look()
            spent = time.thread_time() - used
            self._foretell()
        except Exception as error:  # a monitor that ends tells nobody  # noqa: BLE001
            self._registry.errors.count(f"look: {type(error).__name__}")
            return self._interval
        pause = min(spent / _MOST_OF_THE_TIME, _LONGEST_WAIT * self._interval)
        return max(0.0, self._interval - (time.perf_counter() - began), pause)

    def _post_again(self, fleet: Fleet) -> float:
        if not self._has_looked:
            return self._interval
        fleet.post(self._readings, self._clock())
        return fleet.interval_seconds

    def _foretell(self) -> None:
        if self._clock() - self._foretold_at < _FORETELL_SECONDS:
            return
        with self._looking:
            self._foretold_at = self._clock()
            self._outlook = outlook(self.windows)
            self._found = list(self.findings())

    # -- asking ---------------------------------------------------------------------------------

    def readings(self) -> Readings:
        """All metrics now."""
        return self._registry.collect()

    def indicators(self) -> dict[str, float]:
        """The indicators of the last minute that there is enough to tell of."""
        self._look_if_due()
        return self._indicators

    def health(self) -> HealthReport:
        """How well the process is, and why not better."""
        self._look_if_due()
        with self._looking:
            self._found = list(self.findings())
            return self._judged()

    def outlook(self) -> list[Forecast]:
        """Where memory, hit rates and latencies are going, as of a minute ago at the earliest.

        Of what is known for 20 minutes or more.
        """
        self._look_if_due()
        self._foretell()
        return self._outlook

    def active_alerts(self) -> list[ActiveAlert]:
        """The alerts that fire now."""
        return self._engine.active()

    @property
    def alert_history(self) -> list[AlertEvent]:
        """The last 1,000 firings and resolutions, oldest first."""
        return self._engine.history

    def stats(self) -> dict[str, Any]:
        """Figures of the monitor itself; durations in seconds."""
        dispatcher = self._dispatcher
        return {
            "running": self.is_running,
            "looks": self._look_time.snapshot(),
            "alerts": self._engine.stats(),
            "handlers": dispatcher.stats() if dispatcher is not None else {},
            "fleet": self.fleet.stats() if self.fleet is not None else {},
            "errors": self._registry.errors.snapshot(),
        }

    def report(self, readings: Readings) -> None:
        """Add what the monitor itself tells: alerts that fire, health, its own cost."""
        if self._looks_in != threading.get_ident():
            self._look_if_due()
        if not self._has_looked:
            return  # this is the first look
        for alert in self._engine.active():
            readings.add(metrics.ALERT_FIRING, 1, alert.rule, alert.severity)
        health = self._judged()
        readings.add(metrics.HEALTH_SCORE, health.score, "overall")
        for name, component in health.components.items():
            readings.add(metrics.HEALTH_SCORE, component.score, name)
        readings.add(metrics.TELEMETRY_SECONDS, self._look_time.distribution())
        dispatcher = self._dispatcher
        for handler, done in (dispatcher.stats() if dispatcher is not None else {}).items():
            for outcome in ("delivered", "failed", "dropped"):
                readings.add(metrics.ALERT_DELIVERIES, done[outcome], handler, outcome)

    def _judged(self) -> HealthReport:
        foreseen = (forecast.finding() for forecast in self._outlook)
        findings = (finding for finding in foreseen if finding is not None)
        return assess(self._indicators, [*self._found, *findings])

    def _look_if_due(self) -> None:
        with self._looking:
            age = self._clock() - self.windows.at
            if age >= _SOON * self._interval or not self._has_looked:
                self.look()


_monitors: WeakSet[Monitor] = WeakSet()


def _begin_all() -> None:
    for monitor in list(_monitors):
        monitor._begin()  # its own class


os.register_at_fork(after_in_child=_begin_all)
