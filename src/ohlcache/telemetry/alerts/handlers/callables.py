"""Alert events for a function of the user."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts.event import AlertEvent


class CallableHandler:
    """Calls a function with each event; what an async function gives is awaited.

    An async function runs in an event loop of its own for each event: it must not use what belongs
    to another loop. name: what stats call it; that of the function by default.
    """

    def __init__(self, function: Callable[[AlertEvent], Any], *, name: str | None = None) -> None:
        if not callable(function):
            raise InvalidArgument(f"function {function!r} cannot be called: give a function")
        self._function = function
        self.name = name or getattr(function, "__qualname__", type(function).__qualname__)

    def handle(self, event: AlertEvent) -> None:
        """Call it. Raises what it raises."""
        outcome = self._function(event)
        if inspect.isawaitable(outcome):
            import asyncio

            asyncio.run(_wait_for(outcome))


async def _wait_for(outcome: Awaitable[Any]) -> None:
    await outcome
