"""Labelled curves of memory that the judge of leaks was not tuned on: see ``memory_curves``."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.memory_curves import Array, Curve, Scenario


def daily_leak(curve: Curve) -> tuple[Array, Array]:
    """By day fast, by night slow."""
    days = curve.draw.uniform(3, 8)
    wave = np.sin(2 * math.pi * (days * curve.x + curve.draw.random())) / (2 * math.pi * days)
    return curve.measured(curve.growth * (curve.x + 0.8 * wave))


def generations_leak(curve: Curve) -> tuple[Array, Array]:
    """Under small teeth on large teeth."""
    teeth = curve.draw.uniform(0.5, 2) * curve.teeth(6, 12) + 0.2 * curve.teeth(40, 80)
    return curve.measured(curve.growth * (curve.x + teeth))


def arena_leak(curve: Curve) -> tuple[Array, Array]:
    """In arenas, each when the last is full."""
    arenas = np.cumsum(curve.draw.exponential(size=200) + 0.3)
    seen = np.searchsorted(arenas / arenas[int(curve.draw.integers(12, 60))], curve.x)
    return curve.measured(curve.growth * seen / max(1, seen[-1]))


def request_leak(curve: Curve) -> tuple[Array, Array]:
    """With requests of very uneven size."""
    walk = np.cumsum(curve.draw.pareto(2.5, size=curve.length))
    return curve.measured(curve.growth * walk / walk[-1])


def lazy_collector_leak(curve: Curve) -> tuple[Array, Array]:
    """Under teeth that are cut at random and not to the floor."""
    height, teeth = 0.0, np.zeros(curve.length)
    rise = curve.draw.uniform(0.3, 1.5) * 15 / curve.length
    for at in range(curve.length):
        height += rise
        if curve.draw.random() < 20 / curve.length:
            height *= curve.draw.uniform(0, 0.3)
        teeth[at] = height
    return curve.measured(curve.growth * (curve.x + teeth))


def uneven_leak(curve: Curve) -> tuple[Array, Array]:
    """Sampled at uneven times."""
    times = np.sort(curve.draw.random(curve.length)) * curve.times[-1]
    curve.x = times / curve.times[-1]
    _, values = curve.measured(curve.growth * curve.x)
    return times, values


def growing_teeth_leak(curve: Curve) -> tuple[Array, Array]:
    """Under teeth that grow with the heap."""
    teeth = curve.teeth(7, 20)
    return curve.measured(curve.growth * (curve.x + (0.3 + curve.x) * teeth))


def peak_leak(curve: Curve) -> tuple[Array, Array]:
    """After a peak at start-up."""
    peak = curve.draw.uniform(0.5, 2) * (curve.x < curve.draw.uniform(0.03, 0.1))
    return curve.measured(curve.growth * (curve.x + peak))


def distinct_keys(curve: Curve) -> tuple[Array, Array]:
    """A cache of the distinct keys of a Zipf load."""
    keys = np.minimum(curve.draw.zipf(curve.draw.uniform(1.5, 2.5), size=curve.length), 10**6)
    seen = np.cumsum(np.isin(np.arange(curve.length), np.unique(keys, return_index=True)[1]))
    full = np.minimum(seen, 0.7 * seen[-1])
    return curve.measured(curve.growth * full / full[-1])


def evicting_cache(curve: Curve) -> tuple[Array, Array]:
    """A cache fills to its bound and is cut to nine tenths again and again."""
    held, sizes = 0.0, np.zeros(curve.length)
    for at in range(curve.length):
        held += curve.draw.uniform(2, 6) / curve.length
        if held > 1:
            held = 0.9
        sizes[at] = held
    return curve.measured(curve.growth * sizes)


def doubling_steps(curve: Curve) -> tuple[Array, Array]:
    """Fragments by steps after twice the time each."""
    first = curve.draw.uniform(0.01, 0.05)
    return curve.measured(curve.growth * np.floor(np.log2(1 + curve.x / first)) / 5)


def gaussian_jobs(curve: Curve) -> tuple[Array, Array]:
    """Jobs that come and go at random."""
    jobs = curve.draw.random(int(curve.draw.integers(3, 12)))
    bumps = sum(np.exp(-(((curve.x - job) / curve.draw.uniform(0.01, 0.05)) ** 2)) for job in jobs)
    return curve.measured(curve.growth * curve.draw.uniform(1, 4) * bumps)


def telegraph(curve: Curve) -> tuple[Array, Array]:
    """Between two levels at random."""
    flips = np.cumsum(curve.draw.random(curve.length) < curve.draw.uniform(4, 20) / curve.length)
    return curve.measured(curve.growth * (flips % 2))


def two_levels(curve: Curve) -> tuple[Array, Array]:
    """Two models are loaded one after the other."""
    first, second = np.sort(curve.draw.uniform(0.05, 0.6, size=2))
    return curve.measured(curve.growth * ((curve.x > first) * 0.5 + (curve.x > second) * 0.5))


def peak_at_start(curve: Curve) -> tuple[Array, Array]:
    """A peak at start-up, then lower and flat."""
    return curve.measured(3 * curve.growth * np.exp(-20 * curve.x))


def quantised(curve: Curve) -> tuple[Array, Array]:
    """Steady between two sizes of an arena."""
    curve.noise = 0.0
    return curve.measured(curve.growth * (curve.correlated(0.8) > 0))


def stretched_cache(curve: Curve) -> tuple[Array, Array]:
    """A cache fills by a stretched exponential."""
    speed = curve.draw.uniform(3, 10)
    return curve.measured(curve.growth * -np.expm1(-((speed * curve.x) ** 0.7)))


def two_caches(curve: Curve) -> tuple[Array, Array]:
    """Two caches fill up to bounds of their own."""
    first, second = curve.draw.uniform(0.05, 0.7, size=2)
    both = np.minimum(curve.x / first, 1) + np.minimum(curve.x / second, 1)
    return curve.measured(curve.growth * both / 2)


def night_and_day_cache(curve: Curve) -> tuple[Array, Array]:
    """A cache fills by day and rests by night, until it is full."""
    days = curve.draw.uniform(4, 10)
    load = np.maximum(np.sin(2 * math.pi * (days * curve.x + curve.draw.random())), 0)
    filled = np.cumsum(load) / load.sum() / curve.draw.uniform(0.3, 0.7)
    return curve.measured(curve.growth * np.minimum(filled, 1))


def soft_bound(curve: Curve) -> tuple[Array, Array]:
    """A cache nears its bound like a hyperbolic tangent."""
    return curve.measured(curve.growth * np.tanh(curve.draw.uniform(1.5, 5) * curve.x))


UNSEEN_LEAKS: tuple[Scenario, ...] = (
    daily_leak,
    generations_leak,
    arena_leak,
    request_leak,
    lazy_collector_leak,
    uneven_leak,
    growing_teeth_leak,
    peak_leak,
)
UNSEEN_OTHERS: tuple[Scenario, ...] = (
    distinct_keys,
    evicting_cache,
    doubling_steps,
    gaussian_jobs,
    telegraph,
    two_levels,
    peak_at_start,
    quantised,
    stretched_cache,
    two_caches,
    night_and_day_cache,
    soft_bound,
)
