"""What was looked up in a lake, for as long as it may be taken for what is there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Remembered(Generic[Key, Found]):
    """The outcomes of looks, for any number of threads, of which two may look at once."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        """``seconds``: for how long an outcome counts. ``clock`` gives seconds."""
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._found: dict[Key, tuple[float, Found]] = {}

    def get(self, key: Key, look: Callable[[], Found]) -> Found:
        """The outcome of the last look, or of one that is taken now. Raises what it raises."""
        now = self._clock()
        with self._lock:
            last = self._found.get(key)
        if last is not None and now - last[0] < self._seconds:
            return last[1]
        found = look()
        with self._lock:
            self._found[key] = now, found
        return found

    def forget(self, outcome: Found) -> None:
        """Have the next look taken at whatever this was the outcome of."""
        with self._lock:
            for key in [key for key, (_, found) in self._found.items() if found is outcome]:
                del self._found[key]
