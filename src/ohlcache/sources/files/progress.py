"""How far a reader has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Written by a reader after each batch, read by whoever shows it."""

    fraction: float = 0.0
