"""What a dispatcher asks of a handler of alert events."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ohlcache.telemetry.alerts.event import AlertEvent


@runtime_checkable
class Handler(Protocol):
    """Does something with alert events.

    ``handle`` may block: it is called on a thread of its own, one event after the other. It raises
    where it fails. ``name`` names it in stats.
    """

    @property
    def name(self) -> str:
        """What stats call it."""
        ...

    def handle(self, event: AlertEvent) -> None:
        """Do it, or raise."""
        ...
