"""What the tier counts."""

from __future__ import annotations

import re
import threading
from collections import Counter

import redis

from ohlcache.cache.redis.conversation import Lane, Reads

_CODE = re.compile(r"\b(OOM|READONLY|MISCONF|LOADING|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|NOAUTH)\b")

_WORDS: dict[type[BaseException], str] = {  # which redis-py takes out of the text
    redis.OutOfMemoryError: "OOM",
    redis.ReadOnlyError: "READONLY",
    redis.BusyLoadingError: "LOADING",
}


class Counts:
    """Counters that threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter(
            dict.fromkeys(("reads", "read_batches", "keys_read", "script_batches", "writes"), 0)
        )
        self._errors: Counter[str] = Counter()

    def add(self, **numbers: int) -> None:
        """Raise counters."""
        with self._lock:
            for name, number in numbers.items():
                self._numbers[name] += number

    def batch(self, lane: Lane, items: int, asks: int) -> None:
        """Count items that go out together for one or several who asked."""
        with self._lock:
            numbers = self._numbers
            if isinstance(lane, Reads):
                numbers["reads"] += asks
                numbers["read_batches"] += 1
                numbers["keys_read"] += items
            else:
                numbers["script_batches"] += 1

    def error(self, error: BaseException) -> None:
        """Count an error by its kind: the server's word for it, or its class."""
        found = _CODE.search(str(error))
        word = found[1] if found else _WORDS.get(type(error), type(error).__name__)
        with self._lock:
            self._errors[word] += 1

    def as_dict(self) -> dict[str, object]:
        """Counters by name, and under ``errors`` those of errors by kind."""
        with self._lock:
            numbers: dict[str, object] = dict(self._numbers)
            numbers["errors"] = dict(self._errors)
            batches, keys = self._numbers["read_batches"], self._numbers["keys_read"]
        return {**numbers, "keys_per_batch": keys / batches if batches else 0.0}
