"""Dispatching: no handler can harm another, or whoever observes."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts import (
    AlertEngine,
    AlertEvent,
    CallableHandler,
    Dispatcher,
    LogHandler,
)


def event_of(number, **fields):
    return AlertEvent(f"rule {number}", "firing", number, 1.0, **fields)


class Collecting:
    """A handler that keeps events, and lets others wait for them."""

    name = "collecting"

    def __init__(self):
        self.events = []
        self._arrived = threading.Semaphore(0)

    def handle(self, event):
        self.events.append(event)
        self._arrived.release()

    def wait_for(self, count):
        for _ in range(count):
            assert self._arrived.acquire(timeout=10)
        return [event.at for event in self.events]


class Hanging:
    name = "hanging"

    def __init__(self):
        self.begun, self.ended = threading.Event(), threading.Event()

    def handle(self, event):
        self.begun.set()
        assert self.ended.wait(100)


class Raising:
    name = "raising"

    def __init__(self, error):
        self._error = error

    def handle(self, event):
        raise self._error


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.fixture
def hanging():
    handler = Hanging()
    yield handler
    handler.ended.set()


class TestIsolation:
    def test_all_events_reach_all_handlers_in_order(self):
        first, second = Collecting(), Collecting()
        with Dispatcher([first, second]) as dispatcher:
            dispatcher.dispatch(event_of(number) for number in range(50))
            assert first.wait_for(50) == second.wait_for(50) == list(range(50))
        assert list(dispatcher.stats()) == ["collecting", "collecting 2"]
        for stats in dispatcher.stats().values():
            assert stats == {
                "delivered": 50,
                "failed": 0,
                "dropped": 0,
                "waiting": 0,
                "busy_seconds": 0.0,
                "last_failure": None,
            }

    def test_one_that_hangs_and_one_that_raises_keep_nobody_from_working(self, hanging):
        collecting = Collecting()
        handlers = [hanging, Raising(KeyError("token")), collecting]
        dispatcher = Dispatcher(handlers)
        dispatcher.dispatch(event_of(number) for number in range(20))
        assert collecting.wait_for(20) == list(range(20))
        dispatcher.close(timeout=0.05)
        stats = dispatcher.stats()
        assert (stats["raising"]["failed"], stats["raising"]["delivered"]) == (20, 0)
        assert stats["raising"]["last_failure"] == "KeyError: 'token'"
        assert (stats["hanging"]["delivered"], stats["hanging"]["dropped"]) == (0, 19)
        assert stats["hanging"]["busy_seconds"] > 0

    @pytest.mark.parametrize(
        "error",
        [
            SystemExit(3),
            KeyboardInterrupt(),
            asyncio.CancelledError(),
            Unspeakable(),
            MemoryError(),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_whatever_it_raises_it_is_asked_again(self, error):
        with Dispatcher([Raising(error)]) as dispatcher:
            dispatcher.dispatch([event_of(1), event_of(2)])
        stats = dispatcher.stats()["raising"]
        assert stats["failed"] == 2
        assert type(error).__name__ in stats["last_failure"]

    def test_a_failure_is_told_on_one_line_of_bounded_length(self):
        with Dispatcher([Raising(ValueError("a\n" * 5000))]) as dispatcher:
            dispatcher.dispatch([event_of(1)])
        failure = dispatcher.stats()["raising"]["last_failure"]
        assert failure.startswith("ValueError: a a a")
        assert "\n" not in failure
        assert len(failure) <= 300


class TestBounds:
    def test_overflow_drops_the_oldest_and_counts(self, hanging):
        dispatcher = Dispatcher([hanging], capacity=3)
        dispatcher.dispatch([event_of(0)])
        assert hanging.begun.wait(10)
        dispatcher.dispatch(event_of(number) for number in range(1, 11))
        stats = dispatcher.stats()["hanging"]
        assert (stats["waiting"], stats["dropped"]) == (3, 7)
        (outbox,) = dispatcher._outboxes.values()
        assert [event.at for event in outbox._waiting] == [8, 9, 10]
        hanging.ended.set()
        dispatcher.close()
        stats = dispatcher.stats()["hanging"]
        assert (stats["delivered"], stats["dropped"], stats["waiting"]) == (4, 7, 0)

    def test_closing_lets_handlers_finish(self):
        collecting = Collecting()
        dispatcher = Dispatcher([collecting])
        dispatcher.dispatch(event_of(number) for number in range(100))
        dispatcher.close()
        assert len(collecting.events) == 100

    def test_closing_is_bounded_and_counts_what_is_given_up(self, hanging):
        dispatcher = Dispatcher([hanging])
        dispatcher.dispatch(event_of(number) for number in range(5))
        assert hanging.begun.wait(10)
        dispatcher.close(timeout=0.01)
        assert dispatcher.stats()["hanging"]["dropped"] == 4
        hanging.ended.set()
        dispatcher.close()  # once more does no harm, and waits for the event it was at
        assert dispatcher.stats()["hanging"]["delivered"] == 1

    def test_after_closing_events_are_dropped_and_counted(self):
        dispatcher = Dispatcher([Collecting()])
        dispatcher.close()
        dispatcher.dispatch([event_of(1)])
        stats = dispatcher.stats()["collecting"]
        assert (stats["delivered"], stats["dropped"], stats["waiting"]) == (0, 1, 0)

    def test_a_handler_may_close_its_own_dispatcher(self):
        closed = threading.Event()

        def close(event):
            dispatcher.close(timeout=1)
            closed.set()

        dispatcher = Dispatcher([CallableHandler(close)])
        dispatcher.dispatch([event_of(1)])
        assert closed.wait(10)

    def test_its_threads_end_with_it(self):
        before = threading.active_count()
        with Dispatcher([Collecting(), Collecting()]):
            assert threading.active_count() == before + 2
        assert threading.active_count() == before

    @pytest.mark.parametrize("capacity", [0, -1, 1.5, True, None])
    def test_a_capacity_that_is_none(self, capacity):
        with pytest.raises(InvalidArgument, match="capacity .* 1 or more"):
            Dispatcher([], capacity=capacity)

    def test_what_is_no_handler(self):
        with pytest.raises(InvalidArgument, match="wrap a function in a CallableHandler"):
            Dispatcher([print])


class TestCallables:
    def test_a_function(self):
        seen = []
        with Dispatcher([CallableHandler(seen.append, name="mine")]) as dispatcher:
            dispatcher.dispatch([event_of(1), event_of(2)])
        assert [event.rule for event in seen] == ["rule 1", "rule 2"]
        assert dispatcher.stats()["mine"]["delivered"] == 2

    def test_an_async_function(self):
        seen = []

        async def notify(event):
            await asyncio.sleep(0)
            seen.append(event.rule)

        with Dispatcher([CallableHandler(notify)]) as dispatcher:
            dispatcher.dispatch([event_of(1), event_of(2)])
        assert seen == ["rule 1", "rule 2"]

    def test_an_async_function_that_raises(self):
        async def notify(event):
            raise LookupError("no such channel")

        with Dispatcher([CallableHandler(notify, name="chat")]) as dispatcher:
            dispatcher.dispatch([event_of(1)])
        assert dispatcher.stats()["chat"]["last_failure"] == "LookupError: no such channel"

    def test_what_cannot_be_called(self):
        with pytest.raises(InvalidArgument, match="function 3 cannot be called"):
            CallableHandler(3)


class TestLog:
    @pytest.mark.parametrize(
        ("severity", "state", "level"),
        [
            ("info", "firing", logging.INFO),
            ("warning", "firing", logging.WARNING),
            ("critical", "firing", logging.CRITICAL),
            ("critical", "resolved", logging.INFO),
        ],
    )
    def test_one_line_at_the_level_of_the_severity(self, caplog, severity, state, level):
        caplog.set_level(logging.INFO)
        event = AlertEvent("hot", state, 0, 1, severity=severity, reason="heat is 1, above 0")
        LogHandler().handle(event)
        (record,) = caplog.records
        assert (record.levelno, record.name) == (level, "ohlcache.alerts")
        assert record.getMessage() == f"hot {state}: heat is 1, above 0"

    def test_to_a_logger_of_ones_own(self, caplog):
        LogHandler(logging.getLogger("ops")).handle(event_of(1))
        assert caplog.records[0].name == "ops"


def test_observing_does_not_wait_for_handlers(hanging):
    engine = AlertEngine([{"name": "hot", "metric": "heat", "above": 0}])
    dispatcher = Dispatcher([hanging], capacity=10)
    dispatcher.dispatch(engine.observe({"heat": 1}, at=0))
    assert hanging.begun.wait(10)
    for at in range(1, 1000):
        dispatcher.dispatch(engine.observe({"heat": (at + 1) % 2}, at=at))
    stats = dispatcher.stats()["hanging"]
    assert (stats["delivered"], stats["waiting"], stats["dropped"]) == (0, 10, 989)
    dispatcher.close(timeout=0)
