"""The properties of symbols as text."""

from __future__ import annotations

import json
from typing import Any

from ohlcache.history.properties import DOCUMENTED


def label(name: str) -> str:
    """``tick size`` of ``tick_size``."""
    return name.replace("_", " ")


def text_of(value: Any) -> str:
    """A documented property; nothing where it is not set."""
    return "" if value is None else str(value)


def described(properties: dict[str, Any]) -> list[tuple[str, str]]:
    """Each documented property by its name, and all others as one JSON object."""
    pairs = [(label(name), text_of(properties[name])) for name in DOCUMENTED if name in properties]
    others = {name: value for name, value in properties.items() if name not in DOCUMENTED}
    if others:
        pairs.append(("metadata", json.dumps(others, ensure_ascii=False)))
    return pairs
