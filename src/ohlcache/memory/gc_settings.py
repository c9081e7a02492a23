"""What can be set of the garbage collector, and what is worth trying.

A collection of the young generation costs little, whatever the threshold; what costs is that
objects which live are looked at again and again: ten young collections bring one of the middle
generation, ten of those a full one (which CPython delays until a quarter of all objects is new).
Larger thresholds make each of these rarer, at the price of garbage that waits longer. ``freeze``
takes what lives at that moment out of all later collections.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class GcSettings:
    """Thresholds as in ``gc.set_threshold``, and whether what lived at that moment is frozen."""

    thresholds: tuple[int, int, int]
    freeze: bool = False

    def __str__(self) -> str:
        return f"{self.thresholds}{' and freeze' if self.freeze else ''}"


STARTING = GcSettings((700, 10, 10))


def in_force() -> GcSettings:
    """What others have set."""
    return GcSettings(gc.get_threshold())


def is_frozen() -> bool:
    """Whether anything is frozen."""
    return gc.get_freeze_count() > 0


def switch(before: GcSettings, after: GcSettings) -> None:
    """Set what differs. ``gc.unfreeze`` knows no owner: freeze only where nobody else did."""
    gc.set_threshold(*after.thresholds)
    if after.freeze and not before.freeze:
        gc.freeze()
    elif before.freeze and not after.freeze:
        gc.unfreeze()


def candidates(kept: GcSettings, found: GcSettings, *, may_freeze: bool) -> list[GcSettings]:
    """What to try after ``kept``, mildest first. found: what was set before we came.

    ``STARTING`` is among them, so that what was kept once is reverted when it does not pay any
    more.
    """
    young, middle, full = kept.thresholds
    tried = [
        replace(kept, thresholds=found.thresholds),
        replace(kept, thresholds=STARTING.thresholds),
        replace(kept, thresholds=(10_000, middle, full)),
        replace(kept, thresholds=(50_000, middle, full)),
        replace(kept, thresholds=(young, middle, 50)),
    ]
    if may_freeze:
        tried.append(replace(kept, freeze=True))
    return [each for each in dict.fromkeys(tried) if each != kept]
