"""An hour of metrics, one observation every 10 s, with four faults and much noise.

 - 0:10  Redis gets slow: its p99 goes from 2 ms to about 16 ms; from 0:20 on it wavers for 15 min
         around the limit of 10 ms, then it is well again.
 - 0:15  somebody clears the cache: the hit ratio falls to about 0.86 and comes back slowly, through
         ten minutes around 0.90.
 - 0:42  requests to the source fail for 3 min; at 0:43 the process starts again, and its counter
         of errors with it.
 - all the while the memory used climbs, from 0.70 to 0.94 of the limit; at 0:50 a cleaning brings
   0.60.

Single values stray (a slow request, an idle moment without hits), and at 0:05 nothing is known of
Redis for a minute. Noise comes from a fixed seed, so that every replay is the same.
"""

from __future__ import annotations

from random import Random

STEP = 10
MINUTE = 60


def observations() -> list[tuple[int, dict[str, float | None]]]:
    """Time in seconds and the metrics at it."""
    noise = Random(4)
    errors = 0.0
    found: list[tuple[int, dict[str, float | None]]] = []
    for at in range(0, 60 * MINUTE, STEP):
        errors = 0.0 if at == 43 * MINUTE else errors + _failing(at)
        found.append(
            (
                at,
                {
                    "l2_p99_seconds": _redis(at, noise),
                    "l1_hit_ratio": _hits(at, noise),
                    "memory_used_ratio": _memory(at, noise),
                    "source_errors": errors,
                },
            )
        )
    return found


def _redis(at: int, noise: Random) -> float | None:
    stray = noise.random() < 0.02
    wavering = noise.uniform(-1, 1)
    if 5 * MINUTE <= at < 6 * MINUTE:
        return None
    if 10 * MINUTE <= at < 20 * MINUTE:
        return 0.016 + 0.005 * wavering
    if 20 * MINUTE <= at < 35 * MINUTE:
        return 0.010 + 0.002 * wavering
    return 0.030 if stray else 0.002 + 0.0005 * wavering


def _hits(at: int, noise: Random) -> float:
    stray = noise.random() < 0.02
    wavering = noise.uniform(-1, 1)
    if 15 * MINUTE <= at < 20 * MINUTE:
        return 0.86 + 0.02 * wavering
    if 20 * MINUTE <= at < 30 * MINUTE:
        return 0.90 + 0.02 * wavering
    return 0.5 if stray else 0.96 + 0.01 * wavering


def _memory(at: int, noise: Random) -> float:
    wavering = noise.uniform(-1, 1)
    level = 0.60 if at >= 50 * MINUTE else 0.70 + 0.24 * at / (50 * MINUTE)
    return level + 0.015 * wavering


def _failing(at: int) -> float:
    return 4.0 * STEP if 42 * MINUTE <= at < 45 * MINUTE else 0.01 * STEP
