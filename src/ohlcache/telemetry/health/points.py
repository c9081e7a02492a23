"""Points are counted in tenths, as integers, so that what is taken off adds up exactly."""

from __future__ import annotations

from collections.abc import Sequence

WHOLE = 1000  # 100 points


def tenths(points: float) -> int:
    """Points rounded to tenths, as tenths."""
    return round(10 * points)


def points(count: int) -> float:
    """Tenths as points."""
    return count / 10


def apportioned(total: int, shares: Sequence[float]) -> list[int]:
    """``total`` cut in proportion to ``shares``, which are ≥ 0; the parts add up to it exactly.

    By largest remainder: each part is its exact share rounded up or down.
    """
    together = sum(shares)
    if not together:
        return [0] * len(shares)
    exact = [total * share / together for share in shares]
    parts = [int(part) for part in exact]
    order = sorted(range(len(exact)), key=lambda place: parts[place] - exact[place])
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts
