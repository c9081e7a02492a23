"""Is it a leak? Precision and recall over labelled memory curves, beside a plain regression.

The scenarios are described in ``memory_curves``; each is drawn with many seeds, others than those
that the judge was tuned with. The hold-out scenarios were written after it and decided nothing but
the families of curves it knows: two that it did not know are now among the others. The peer is
what is used in its stead: least squares with p < 0.05 and a rise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.common import (
    Figure,
    Options,
    Target,
    at_least,
    at_most,
    best_by_turns,
    figure,
    seconds,
)
from benchmarks.memory_curves import LEAKS, OTHERS, Array, Curve, Scenario, sawtooth_leak
from benchmarks.unseen_curves import UNSEEN_LEAKS, UNSEEN_OTHERS
from ohlcache.memory.leaks import assess_leak

TITLE = "Leak detection"

_SEEDS = 60


def measure(options: Options) -> Iterator[Figure]:
    seeds = options.turns(_SEEDS)
    for title, leaks, others in (
        ("", LEAKS, OTHERS),
        ("hold-out: ", UNSEEN_LEAKS, UNSEEN_OTHERS),
    ):
        true, false = Counter[str](), Counter[str]()
        for kind, scenarios, total in (("leak", leaks, true), ("no leak", others, false)):
            for one in scenarios:
                called = called_leaks(one, seeds)
                total += called
                name = f"{title}{kind}: {(one.__doc__ or '').rstrip('.')}"
                yield _beside(name, called["ours"] / seeds, called["OLS"] / seeds)
        precision = [true[judge] / max(1, true[judge] + false[judge]) for judge in ("ours", "OLS")]
        recall = [true[judge] / (seeds * len(leaks)) for judge in ("ours", "OLS")]
        yield _beside(f"{title}precision", *precision, _PRECISION)
        yield _beside(f"{title}recall", *recall, _RECALL)
    times, values = sawtooth_leak(Curve(np.random.default_rng(1)))
    took = best_by_turns({"ours": lambda: seconds(lambda: assess_leak(times, values))}, 5)
    yield figure("one assessment", 1000 * took["ours"], _as_ms, target=at_most(100, _as_ms))


def called_leaks(scenario: Scenario, seeds: int) -> Counter[str]:
    """How many curves of the scenario each judge calls a leak."""
    called: Counter[str] = Counter()
    for seed in range(seeds):
        times, values = scenario(Curve(np.random.default_rng([seed, 77])))
        called["ours"] += assess_leak(times, values).leaking
        called["OLS"] += _least_squares(times, values)
    return called


def _beside(name: str, ours: float, theirs: float, wanted: Target | None = None) -> Figure:
    reached = wanted.is_reached(ours, theirs) if wanted else None
    text = wanted.text if wanted else ""
    beside = f"OLS {as_percent(theirs)}"
    return Figure(name, as_percent(ours), beside, target=text, reached=reached)


def as_percent(share: float) -> str:
    return f"{share:.1%}"


_PRECISION, _RECALL = at_least(0.95, as_percent), at_least(0.9, as_percent)


def _as_ms(value: float) -> str:
    return f"{value:.1f} ms"


def _least_squares(times: Array, values: Array) -> bool:
    x = times - times.mean()
    slope = float(x @ values / (x @ x))
    rest = values - values.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(x @ x))
    return slope > 1.96 * error
