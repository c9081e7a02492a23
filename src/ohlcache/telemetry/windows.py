"""Readings of the past, in fixed memory: each second, minute and hour.

A frame is what was read at one moment. The increase of a counter over a time is the difference of
two frames, so nothing has to be added up as it happens, and any length of window is there. What did
not change since the frame before is the same object in both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from itertools import zip_longest
from typing import NamedTuple

from ohlcache.telemetry.distribution import NO_DURATIONS, Distribution
from ohlcache.telemetry.locking import bookkeeping
from ohlcache.telemetry.metric import Metric, Value
from ohlcache.telemetry.registry import MOST_SERIES, Key, Labels, Readings

# Seconds from frame to frame, and how many frames: two minutes, two hours, a week.
RESOLUTIONS = ((1.0, 120), (60.0, 120), (3600.0, 168))
_EARLY = 0.5  # seconds: a frame that comes a little early is taken all the same


class Selection(NamedTuple):
    """Series of a metric: those whose labels have these values; all where none are given."""

    metric: Metric
    labels: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(metric: Metric, **labels: str) -> Selection:
        """The series of ``metric`` with these labels."""
        unknown = set(labels) - set(metric.labels)
        assert not unknown, f"{metric.name} has no label {unknown}"
        return Selection(metric, tuple(labels.items()))

    def takes(self, labels: Labels) -> bool:
        """Whether a series of the metric is among them."""
        return all(labels[self.metric.labels.index(name)] == value for name, value in self.labels)


class Frame(NamedTuple):
    """The values at a moment (seconds of the clock that tells windows the time), by series."""

    at: float
    values: list[Value | None]


class Windows:
    """Frames of the recent past, from ``began`` on, when all counters stood at 0."""

    def __init__(self, began: float) -> None:
        self._index: dict[Key, int] = {}
        self._rings = [deque([Frame(began, [])], maxlen=most + 1) for _, most in RESOLUTIONS]
        self._newest = Frame(began, [])

    def add(self, at: float, readings: Readings) -> None:
        """Keep what was read at a moment; one that is not later than the newest is left out."""
        with bookkeeping:
            if at <= self._newest.at:
                return
            frame = self._newest = Frame(at, self._aligned(readings))
            for ring, (seconds, _) in zip(self._rings, RESOLUTIONS, strict=True):
                if at - ring[-1].at >= seconds - _EARLY:
                    ring.append(frame)

    @property
    def at(self) -> float:
        """When was last read."""
        return self._newest.at

    def series(self, selection: Selection) -> list[Labels]:
        """The labels of all series selected that were ever read."""
        with bookkeeping:
            return [
                labels
                for metric, labels in self._index
                if metric is selection.metric and selection.takes(labels)
            ]

    def level(self, selection: Selection) -> float | None:
        """The gauges selected as last read, put together; None where there are none."""
        with bookkeeping:
            return _level(self._newest, selection.metric, self._places(selection))

    def increase(self, selection: Selection, seconds: float) -> float:
        """By how much the counters selected grew over the last seconds."""
        with bookkeeping:
            earlier, total = self._frame_at(self._newest.at - seconds), 0.0
            for place in self._places(selection):
                now, then = _number(self._newest, place), _number(earlier, place)
                total += now - then if now >= then else now  # counting has begun anew
            return total

    def rate(self, selection: Selection, seconds: float) -> float:
        """The increase per second over the last seconds, or what is known of them."""
        with bookkeeping:
            span = self._newest.at - self._frame_at(self._newest.at - seconds).at
        return self.increase(selection, seconds) / span if span > 0 else 0.0

    def distribution(self, selection: Selection, seconds: float) -> Distribution:
        """The durations of the histograms selected over the last seconds."""
        with bookkeeping:
            earlier, total = self._frame_at(self._newest.at - seconds), NO_DURATIONS
            for place in self._places(selection):
                now = _durations(self._newest, place)
                total = total.plus(now.since(_durations(earlier, place)))
            return total

    def levels(self, selection: Selection, resolution: float) -> list[tuple[float, float]]:
        """(moment, gauges selected) of the frames kept at a resolution, oldest first."""
        ring = self._rings[[seconds for seconds, _ in RESOLUTIONS].index(resolution)]
        with bookkeeping:
            places = self._places(selection)
            found = [(frame.at, _level(frame, selection.metric, places)) for frame in ring]
        return [(at, level) for at, level in found if level is not None]

    # -- under the lock -------------------------------------------------------------------------

    def _aligned(self, readings: Readings) -> list[Value | None]:
        """The values by place, reusing the objects of the newest frame where nothing changed."""
        index, before = self._index, self._newest.values
        for key in readings.values.keys() - index.keys():
            if len(index) < 2 * MOST_SERIES:  # names that come and go must not fill the memory
                index[key] = len(index)
        # A counter that was not reported this time has not begun anew.
        kept = (key[0].kind != "gauge" for key in index)
        values = [old if stays else None for old, stays in zip_longest(before, kept)]
        for key, value in readings.values.items():
            place = index.get(key)
            if place is not None:
                old = before[place] if place < len(before) else None
                values[place] = old if old == value else value
        return values

    def _places(self, selection: Selection) -> list[int]:
        return [
            place
            for (metric, labels), place in self._index.items()
            if metric is selection.metric and selection.takes(labels)
        ]

    def _frame_at(self, moment: float) -> Frame:
        """The newest frame that is not later than the moment; otherwise the oldest."""
        oldest = self._newest
        for ring in self._rings:
            place = bisect_right(ring, moment, key=_moment)
            if place:
                return ring[place - 1]
            oldest = min(oldest, ring[0], key=_moment)
        return oldest


def _level(frame: Frame, metric: Metric, places: Iterable[int]) -> float | None:
    total: Value | None = None
    for place in places:
        value = frame.values[place] if place < len(frame.values) else None
        if value is not None:
            total = value if total is None else metric.merged(total, value)
    return None if total is None or isinstance(total, Distribution) else total


def _moment(frame: Frame) -> float:
    return frame.at


def _number(frame: Frame, place: int) -> float:
    value = frame.values[place] if place < len(frame.values) else None
    return value if isinstance(value, int | float) else 0.0


def _durations(frame: Frame, place: int) -> Distribution:
    value = frame.values[place] if place < len(frame.values) else None
    return value if isinstance(value, Distribution) else NO_DURATIONS
