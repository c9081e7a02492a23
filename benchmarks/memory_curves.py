"""Labelled curves of the memory of a process: leaks, and what only looks like one.

Drawn over sampling intervals of 1 s to 60 s, 60 to 1,440 samples, sizes of 100 MB to 4 GB and
growth of 1% to 100% of the size an hour, with noise of 5% to 25% of the growth seen. The judge was
tuned on these; those of ``unseen_curves`` it has not been.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_MB = 2**20

Array = np.ndarray
Draw = np.random.Generator


@dataclass
class Curve:
    """What all curves share: when it is measured, how large it is, how much it grows and shakes."""

    draw: Draw

    def __post_init__(self) -> None:
        draw = self.draw
        self.interval = float(draw.choice([1, 2, 5, 10, 30, 60]))
        self.length = int(math.exp(draw.uniform(math.log(60), math.log(1441))))
        self.times = self.interval * np.arange(self.length)
        self.base = math.exp(draw.uniform(math.log(100), math.log(4000))) * _MB
        an_hour = self.base * math.exp(draw.uniform(math.log(0.01), math.log(1.0)))
        # What would be smaller than a thousandth of the size in all the time nobody can see.
        self.growth = max(an_hour * self.times[-1] / 3600, 0.001 * self.base)
        self.noise = min(self.base * draw.uniform(0.001, 0.01), self.growth / draw.uniform(4, 20))
        self.x = np.linspace(0, 1, self.length)

    def measured(self, values: Array) -> tuple[Array, Array]:
        """Over the base, shaken and in whole pages."""
        shaken = self.base + values + self.noise * self.draw.normal(size=self.length)
        return self.times, np.maximum(4096 * np.rint(shaken / 4096), 4096)

    def teeth(self, low: float, high: float, jitter: float = 0.2) -> Array:
        """Rising from 0 to about 1 and falling back at once, so many times; ends anywhere."""
        wanted = self.draw.uniform(low, high)
        lengths = self.draw.uniform(1 - jitter, 1 + jitter, size=math.ceil(3 * wanted) + 2) / wanted
        ends = np.cumsum(lengths) - self.draw.random() * lengths[0]
        which = np.searchsorted(ends, self.x, side="right")
        begun = np.concatenate([[ends[0] - lengths[0]], ends])[which]
        return (self.x - begun) * wanted

    def pulses(self, low: float, high: float) -> Array:
        """1 while a job runs, 0 between."""
        phase = (self.draw.random() + self.draw.uniform(low, high) * self.x) % 1
        return (phase < self.draw.uniform(0.2, 0.6)).astype(float)

    def steps(self, count: int) -> Array:
        """From 0 to 1 in equal steps at random times."""
        return np.searchsorted(np.sort(self.draw.random(count)), self.x) / count

    def correlated(self, correlation: float) -> Array:
        shocks = self.draw.normal(size=self.length) * math.sqrt(1 - correlation**2)
        shocks[0] = self.draw.normal()
        for at in range(1, self.length):
            shocks[at] += correlation * shocks[at - 1]
        return shocks


Scenario = Callable[[Curve], tuple[Array, Array]]

# -- leaks ----------------------------------------------------------------------------------------


def steady_leak(curve: Curve) -> tuple[Array, Array]:
    """Steady under noise."""
    return curve.measured(curve.growth * curve.x)


def noisy_leak(curve: Curve) -> tuple[Array, Array]:
    """Steady under correlated noise."""
    return curve.measured(curve.growth * (curve.x + 0.06 * curve.correlated(0.7)))


def clean_leak(curve: Curve) -> tuple[Array, Array]:
    """Steady without noise."""
    curve.noise = 0.0
    return curve.measured(curve.growth * curve.x)


def burst_leak(curve: Curve) -> tuple[Array, Array]:
    """A little with each call, calls in bursts."""
    bursts = np.sort(curve.draw.random(int(curve.draw.integers(20, 80))))
    return curve.measured(curve.growth * np.searchsorted(bursts, curve.x) / len(bursts))


def sawtooth_leak(curve: Curve) -> tuple[Array, Array]:
    """Slow under a large sawtooth."""
    high = curve.growth * curve.draw.uniform(0.5, 4)
    return curve.measured(curve.growth * curve.x + high * curve.teeth(7, 25))


def batch_leak(curve: Curve) -> tuple[Array, Array]:
    """Under periodic batch jobs."""
    high = curve.growth * curve.draw.uniform(0.5, 4)
    return curve.measured(curve.growth * curve.x + high * curve.pulses(7, 25))


def started_leak(curve: Curve) -> tuple[Array, Array]:
    """After a start-up jump."""
    start = np.minimum(curve.x / curve.draw.uniform(0.02, 0.15), 1)
    return curve.measured(curve.growth * (curve.x + curve.draw.uniform(0.5, 3) * start))


def filled_leak(curve: Curve) -> tuple[Array, Array]:
    """After a cache has filled."""
    filled = 1 - np.exp(-curve.x / curve.draw.uniform(0.02, 0.08))
    return curve.measured(curve.growth * (curve.x + curve.draw.uniform(0.5, 2) * filled))


def step_leak(curve: Curve) -> tuple[Array, Array]:
    """By steps."""
    steps = int(curve.draw.integers(8, 20))
    return curve.measured(curve.growth * np.floor(curve.x * steps) / steps)


def accelerating_leak(curve: Curve) -> tuple[Array, Array]:
    """Faster and faster."""
    return curve.measured(curve.growth * curve.x ** curve.draw.uniform(1.3, 2.5))


def late_leak(curve: Curve) -> tuple[Array, Array]:
    """Begins after a while."""
    begins = curve.draw.uniform(0.2, 0.5)
    return curve.measured(curve.growth * np.maximum(curve.x - begins, 0) / (1 - begins))


def spiky_leak(curve: Curve) -> tuple[Array, Array]:
    """Steady with spikes."""
    spikes = curve.growth * curve.draw.uniform(1, 5) * (curve.draw.random(curve.length) < 0.03)
    return curve.measured(curve.growth * curve.x + spikes)


# -- no leaks -------------------------------------------------------------------------------------


def bounded_cache(curve: Curve) -> tuple[Array, Array]:
    """A cache fills evenly up to its bound."""
    full = curve.draw.uniform(0.15, 0.8)
    return curve.measured(curve.growth * np.minimum(curve.x / full, 1))


def saturating_cache(curve: Curve) -> tuple[Array, Array]:
    """A cache fills and saturates."""
    speed = curve.draw.uniform(3, 10)
    return curve.measured(curve.growth * (1 - np.exp(-speed * curve.x)))


def filling_cache(curve: Curve) -> tuple[Array, Array]:
    """A cache still fills, ever slower."""
    speed = curve.draw.uniform(1.8, 3)
    return curve.measured(curve.growth * (1 - np.exp(-speed * curve.x)))


def cache_under_teeth(curve: Curve) -> tuple[Array, Array]:
    """A cache fills under a sawtooth."""
    filled = 1 - np.exp(-curve.draw.uniform(3, 10) * curve.x)
    teeth = curve.draw.uniform(0.3, 2) * curve.teeth(7, 25)
    return curve.measured(curve.growth * (filled + teeth))


def sawtooth(curve: Curve) -> tuple[Array, Array]:
    """Sawtooth of the collector."""
    return curve.measured(curve.growth * curve.draw.uniform(1, 5) * curve.teeth(5, 40))


def long_teeth(curve: Curve) -> tuple[Array, Array]:
    """Sawtooth of few teeth."""
    return curve.measured(curve.growth * curve.draw.uniform(1, 5) * curve.teeth(2, 5))


def uneven_teeth(curve: Curve) -> tuple[Array, Array]:
    """Sawtooth of uneven teeth."""
    return curve.measured(curve.growth * curve.draw.uniform(1, 5) * curve.teeth(5, 20, 0.8))


def batch_jobs(curve: Curve) -> tuple[Array, Array]:
    """Periodic batch jobs."""
    return curve.measured(curve.growth * curve.draw.uniform(1, 5) * curve.pulses(2.5, 20))


def logarithmic(curve: Curve) -> tuple[Array, Array]:
    """Fragments, logarithmically."""
    scale = curve.draw.uniform(10, 100)
    return curve.measured(curve.growth * np.log1p(scale * curve.x) / math.log1p(scale))


def rarer_steps(curve: Curve) -> tuple[Array, Array]:
    """Fragments by fewer and fewer steps."""
    steps = curve.draw.uniform(0.01, 0.04) * np.cumprod(curve.draw.uniform(1.3, 1.8, size=40))
    seen = np.searchsorted(steps, curve.x).astype(float)
    return curve.measured(curve.growth * seen / seen.max())


def smaller_steps(curve: Curve) -> tuple[Array, Array]:
    """Fragments by smaller and smaller steps."""
    at = np.floor(curve.x * curve.draw.integers(8, 20))
    return curve.measured(curve.growth * (1 - curve.draw.uniform(0.6, 0.8) ** at))


def steady(curve: Curve) -> tuple[Array, Array]:
    """Steady with noise."""
    return curve.measured(np.zeros(curve.length))


def wandering(curve: Curve) -> tuple[Array, Array]:
    """Steady with correlated noise."""
    return curve.measured(0.3 * curve.growth * curve.correlated(curve.draw.uniform(0.5, 0.9)))


def started(curve: Curve) -> tuple[Array, Array]:
    """Start-up, then flat."""
    start = np.minimum(curve.x / curve.draw.uniform(0.02, 0.2), 1)
    return curve.measured(curve.growth * start)


def wave(curve: Curve) -> tuple[Array, Array]:
    """Slow wave."""
    phase = 2 * math.pi * (curve.draw.uniform(0.8, 4) * curve.x + curve.draw.random())
    return curve.measured(curve.growth * np.sin(phase))


def one_step(curve: Curve) -> tuple[Array, Array]:
    """One large step, then flat."""
    return curve.measured(curve.growth * (curve.x >= curve.draw.uniform(0.2, 0.8)))


def shrinking(curve: Curve) -> tuple[Array, Array]:
    """Shrinks."""
    return curve.measured(-0.5 * min(curve.growth, curve.base) * curve.x)


def spiky(curve: Curve) -> tuple[Array, Array]:
    """Steady with spikes."""
    spikes = curve.draw.random(curve.length) < curve.draw.uniform(0.01, 0.05)
    return curve.measured(curve.growth * curve.draw.uniform(1, 5) * spikes)


def hyperbolic_cache(curve: Curve) -> tuple[Array, Array]:
    """A cache fills hyperbolically."""
    half = curve.draw.uniform(0.05, 0.3)
    return curve.measured(curve.growth * curve.x / (curve.x + half))


def root(curve: Curve) -> tuple[Array, Array]:
    """Fragments like the cube root."""
    return curve.measured(curve.growth * np.cbrt(curve.x))


LEAKS: tuple[Scenario, ...] = (
    steady_leak,
    noisy_leak,
    clean_leak,
    burst_leak,
    sawtooth_leak,
    batch_leak,
    started_leak,
    filled_leak,
    step_leak,
    accelerating_leak,
    late_leak,
    spiky_leak,
)
OTHERS: tuple[Scenario, ...] = (
    bounded_cache,
    saturating_cache,
    filling_cache,
    cache_under_teeth,
    sawtooth,
    long_teeth,
    uneven_teeth,
    batch_jobs,
    logarithmic,
    rarer_steps,
    smaller_steps,
    hyperbolic_cache,
    root,
    steady,
    wandering,
    started,
    wave,
    one_step,
    shrinking,
    spiky,
)
