"""What processes tell each other about a transaction: which keys and versions it changed.

A notice is ASCII text of limited length, since PostgreSQL's NOTIFY takes at most 8,000 bytes. Of a
transaction that would need very many of them it says only that everything may have changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ohlcache.cache.tiers import Events

LONGEST = 7900  # bytes
MOST = 32  # notices of one transaction
_HEAD = 200  # bytes of a notice that are not its items, at most


class Notice(NamedTuple):
    """Changes (key, stamp) and versions; ``is_all``: anything may have changed."""

    origin: str
    changes: list[tuple[str, int]]
    versions: dict[str, str]
    is_all: bool

    def tell(self, events: Events) -> None:
        """Pass it on."""
        if self.is_all:
            events.lost()
            events.live()
        if self.changes:
            events.changed(self.changes)
        if self.versions:
            events.bumped(self.versions)


def encode(
    origin: str, changes: Mapping[str, int], versions: Mapping[str, str] | None = None
) -> list[str]:
    """The notices of one transaction."""
    parts = [*_parts(list(changes.items())), *_parts(list((versions or {}).items()))]
    if len(parts) > MOST or any(len(part) + _HEAD > LONGEST for part in parts):
        return [f'{{"origin":{json.dumps(origin)},"all":1}}']
    count = len(list(_parts(list(changes.items()))))
    return [
        f'{{"origin":{json.dumps(origin)},"{"changes" if at < count else "versions"}":[{part}]}}'
        for at, part in enumerate(parts)
    ]


def decode(text: str) -> Notice:
    """What a notice says. One that cannot be understood says that anything may have changed."""
    try:
        found = json.loads(text)
        return Notice(
            origin=found["origin"],
            changes=[(key, stamp) for key, stamp in found.get("changes", ())],
            versions=dict(found.get("versions", ())),
            is_all="all" in found,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Notice("", [], {}, is_all=True)


def _parts(items: list[tuple[str, int]] | list[tuple[str, str]]) -> Iterator[str]:
    """The items as JSON, as many at a time as a notice holds."""
    part: list[str] = []
    length = 0
    for item in items:
        text = json.dumps(item, separators=(",", ":"))
        if part and length + len(text) + _HEAD > LONGEST:
            yield ",".join(part)
            part, length = [], 0
        part.append(text)
        length += len(text) + 1
    if part:
        yield ",".join(part)
