"""What is known of a profiled function, for those who look."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ohlcache.memory.profiling.growth import LEAST_CALLS, Growth
from ohlcache.memory.profiling.keeping import Keeping
from ohlcache.memory.profiling.measuring import Measuring
from ohlcache.memory.sites import AllocationSite
from ohlcache.memory.suspects import Suspect


class ProfileReport:
    """The memory of one function's calls; each figure is of the moment that it is read."""

    def __init__(self, name: str, measuring: Measuring) -> None:
        self.name = name
        self._of = measuring

    @property
    def calls(self) -> int:
        """How often it was called (generators: begun)."""
        return self._of.calls

    @property
    def peak_rss_bytes(self) -> int:
        """The highest known RSS of the process during a call.

        A peak within a call is seen only if the process never had a higher one before.
        """
        return self._of.peak_rss

    @property
    def peak_rise_bytes(self) -> int:
        """The most by which that was above the RSS before the call."""
        return self._of.peak_rise

    @property
    def growth_bytes(self) -> int:
        """By how much the RSS of the process grew during all calls together; may be negative."""
        return self._of.growth.total

    @property
    def growth_per_call_bytes(self) -> float | None:
        """Memory that a call gains, robustly over the calls after warm-up; None for less than 10.

        RSS; with ``track_objects`` Python memory, as far as it stays.
        """
        return self._growing.per_call()

    @property
    def growth_persists(self) -> bool | None:
        """Whether calls gain memory on and on, which is evidence of a leak; None: too few calls."""
        return self._growing.persists()

    @property
    def _growing(self) -> Growth | Keeping:
        return self._of.keeping if self._of.track_objects else self._of.growth

    @property
    def judgement(self) -> str:
        """The growth in words."""
        persists, per_call = self.growth_persists, self.growth_per_call_bytes
        if persists is None or per_call is None:
            return f"too few calls to judge ({self.calls}; at least {LEAST_CALLS} are needed)"
        if persists:
            return (
                f"grows by {per_call:,.0f} bytes a call, again and again over {self.calls:,} calls:"
                " what it creates is kept somewhere"
            )
        return "no persistent growth"

    @property
    def python_peak_bytes(self) -> int | None:
        """The most Python memory above that before the call; None without ``track_objects``."""
        return self._of.python_peak if self._of.track_objects else None

    @property
    def python_retained_bytes(self) -> int | None:
        """Python memory taken in calls and still held at their end, all calls together.

        What was taken before a call and freed in it does not count against it. None without
        ``track_objects``.
        """
        return self._of.keeping.retained.total if self._of.track_objects else None

    @property
    def types(self) -> tuple[Suspect, ...]:
        """The types of which there was more after the last call that was looked into."""
        return self._of.findings.types

    @property
    def lines(self) -> tuple[AllocationSite, ...]:
        """The lines that held more after the last call that was looked into."""
        return self._of.findings.lines

    def figures(self) -> dict[str, Any]:
        """What matters of it, in few numbers."""
        return {
            "calls": self.calls,
            "peak_rise_bytes": self.peak_rise_bytes,
            "growth_bytes": self.growth_bytes,
            "growth_per_call_bytes": self.growth_per_call_bytes,
            "growth_persists": self.growth_persists,
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "calls": self.calls,
            "peak_rss_bytes": self.peak_rss_bytes,
            "peak_rise_bytes": self.peak_rise_bytes,
            "growth_bytes": self.growth_bytes,
            "growth_per_call_bytes": self.growth_per_call_bytes,
            "growth_persists": self.growth_persists,
            "judgement": self.judgement,
            "python_peak_bytes": self.python_peak_bytes,
            "python_retained_bytes": self.python_retained_bytes,
            "types": [asdict(suspect) for suspect in self.types],
            "lines": [asdict(site) for site in self.lines],
            "unread_parts": self._of.unread,
            "failed_looks": self._of.failed_looks,
        }

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.calls:,} calls, {self.growth_bytes / 1e6:+,.1f} MB, at most "
            f"{self.peak_rise_bytes / 1e6:,.1f} MB more during a call; {self.judgement}"
        )
