"""The statistics of a cache as a plain dict."""

from __future__ import annotations

from typing import Any

from ohlcache.cache.links import Link
from ohlcache.cache.parts import Parts
from ohlcache.cache.shelves import Shelf

_SHARED = ("hits", "misses", "invalidated", "damaged", "refused")


def statistics(parts: Parts) -> dict[str, Any]:
    """Counters since the start, by tier and by category; durations in seconds, sizes in bytes."""
    categories = {name: _category(shelf) for name, shelf in list(parts.shelves.items())}
    found: dict[str, Any] = {
        "l1": {
            **_summed([category["l1"] for category in categories.values()]),
            "max_bytes": parts.budget.max_bytes,
        }
    }
    for link, coherence in zip(parts.links, parts.coherences, strict=True):
        shared = [category.get(link.name, {}) for category in categories.values()]
        found[link.name] = {
            **_summed(shared),
            **_link(link),
            "events": coherence.counters.snapshot(),
        }
    found["values"] = _summed([category["values"] for category in categories.values()])
    found["loads"] = _summed([category["loads"] for category in categories.values()])
    found["flights"] = len(parts.flights)
    found["categories"] = categories
    return found


def _category(shelf: Shelf) -> dict[str, Any]:
    counts = shelf.counters.snapshot()
    tier = shelf.tier.stats()
    l1 = {
        **tier,
        "hits": shelf.hits,
        "misses": counts.get("l1.misses", 0),
        "unverified": counts.get("l1.unverified", 0),
        "invalidated": counts.get("l1.invalidated", 0),
        "overtaken": counts.get("l1.overtaken", 0),
        "too_large": counts.get("l1.too_large", 0),
    }
    found: dict[str, Any] = {"l1": _with_rate(l1) | {"seconds": shelf.hit_time.snapshot()}}
    for link in shelf.links:
        shared = {name: counts.get(f"{link.name}.{name}", 0) for name in _SHARED}
        found[link.name] = _with_rate(shared)
    found["values"] = {
        "encoded_bytes": counts.get("encoded_bytes", 0),
        "saved_bytes": counts.get("saved_bytes", 0),
    }
    found["loads"] = {
        "loads": counts.get("loads", 0),
        "overtaken": counts.get("loads_overtaken", 0),
        "stale": counts.get("stale", 0),
        "refreshes": counts.get("refreshes", 0),
        "lease_waits": counts.get("lease_waits", 0),
        "errors": shelf.counters.below("load_error:"),
        "seconds": shelf.load_time.snapshot(),
    }
    return found


def _link(link: Link) -> dict[str, Any]:
    return {
        "errors": link.counters.below("error:"),
        "skipped": link.counters["skipped"],
        "replayed": link.counters["replayed"],
        "journal": len(link.journal),
        "breaker": link.breaker.state,
        "breaker_openings": link.breaker.openings,
        "is_live": link.trust.epoch.is_live,
        "losses": link.trust.losses,
        "latency": link.read_time.snapshot(),
        "write_latency": link.write_time.snapshot(),
        "tier": link.tier.stats(),
    }


def _summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums of the numbers, also inside inner dicts; rates and durations are left out."""
    total: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name in ("hit_rate", "seconds"):
                continue
            if isinstance(value, dict):
                total[name] = _summed([total.get(name, {}), value])
            elif isinstance(value, int | float) and not isinstance(value, bool):
                total[name] = total.get(name, 0) + value
    return _with_rate(total) if "misses" in total else total


def _with_rate(counts: dict[str, Any]) -> dict[str, Any]:
    asked = counts.get("hits", 0) + counts.get("misses", 0)
    return {**counts, "hit_rate": counts.get("hits", 0) / asked if asked else 0.0}
