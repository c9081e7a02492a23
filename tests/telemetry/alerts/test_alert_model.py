"""The engine against a simple, slow model that decides anew from all that was observed."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.telemetry.alerts import AlertEngine, Rule

SILENCE = 600


def expected(rule: Rule, observations):
    """(at, state) from first principles; each decision looks at the whole past."""
    above = rule.above is not None

    def holds(value):
        return value > rule.above if above else value < rule.below

    def clears(value):
        bound = rule.clear if rule.clear is not None else (rule.above if above else rule.below)
        return value <= bound if above else value >= bound

    real = [(at, value) for at, value in measured(rule, observations) if value is not None]
    found, fired, resolved_index = [], [], -1
    for index, (at, value) in enumerate(real):
        is_firing = bool(found) and found[-1][1] == "firing"
        if is_firing:
            if clears(value):
                found.append((at, "resolved"))
                resolved_index = index
            continue
        start = holding_from(real, index, resolved_index + 1, holds, rule.for_seconds)
        if start is None or at - real[start][0] < rule.for_seconds:
            continue
        if fired and at - fired[-1] < rule.cooldown_seconds:
            continue
        fired.append(at)
        found.append((at, "firing"))
    return found


def holding_from(real, index, first, holds, for_seconds):
    """The first of the observations up to ``index`` at which the condition held without a break."""
    if not holds(real[index][1]):
        return None
    while index > first and holds(real[index - 1][1]) and not is_silence(real, index, for_seconds):
        index -= 1
    return index


def is_silence(real, index, for_seconds):
    """Whether too much time lies between an observation and the one before."""
    times = [at for at, _ in real[: index + 1]]
    earlier = [b - a for a, b in pairwise(times[:-1]) if b > a]
    usual = earlier[-1] if earlier else 0
    return times[-1] - times[-2] > max(for_seconds, SILENCE, 2 * usual)


def measured(rule: Rule, observations):
    if rule.rate_over_seconds is None:
        return observations
    looks = [(at, value) for at, value in observations if value is not None]
    return [
        (at, None if value is None else rate(rule, looks[: index + 1]))
        for index, (at, value) in enumerate(looks)
    ]


def rate(rule, looks):
    """Between the last look and the newest that is a whole window older, resets counted from 0."""
    at = looks[-1][0]
    bases = [i for i, (then, _) in enumerate(looks) if at - then >= rule.rate_over_seconds]
    if not bases:
        return None
    times = [then for then, _ in looks]
    base = times.index(times[bases[-1]])  # of several looks at one time the first
    counters = [value for _, value in looks[base:]]
    increase = sum(b - a if b >= a else b for a, b in pairwise(counters))
    return increase / (at - times[base])


levels = st.integers(0, 6)


@st.composite
def rules(draw):
    side = draw(st.sampled_from(["above", "below"]))
    threshold = draw(st.integers(1, 5))
    margin = draw(st.none() | st.integers(0, 2))
    clear = None if margin is None else threshold + (margin if side == "below" else -margin)
    return Rule(
        name="r",
        metric="m",
        clear=clear,
        for_seconds=draw(st.sampled_from([0, 1, 3, 7, 900])),
        cooldown_seconds=draw(st.sampled_from([0, 0, 4, 15])),
        **{side: threshold},
    )


def timed(values):
    steps = st.sampled_from([0, 1, 1, 1, 2, 3, 5, 700, 1300])
    pairs = st.lists(st.tuples(steps, values), max_size=40)
    return pairs.map(
        lambda pairs: list(
            zip(accumulate(step for step, _ in pairs), (value for _, value in pairs), strict=True)
        )
    )


def replay(rule, observations):
    engine = AlertEngine([rule])
    events = [event for at, value in observations for event in engine.observe({"m": value}, at=at)]
    return [(event.at, event.state) for event in events], engine


@settings(max_examples=300)
@given(rules(), timed(st.none() | levels))
def test_it_does_what_the_model_does(rule, observations):
    found, engine = replay(rule, observations)
    assert found == expected(rule, observations)
    states = [state for _, state in found]
    assert states == ["firing", "resolved"] * (len(states) // 2) + ["firing"] * (len(states) % 2)
    assert len(engine.active()) == len(states) % 2


@settings(max_examples=200)
@given(
    st.sampled_from([2, 5, 10]),
    st.sampled_from(["above", "below"]),
    st.sampled_from([0, 3]),
    timed(st.none() | st.integers(0, 30)),
)
def test_rates_too(window, side, for_seconds, observations):
    rule = Rule("r", "m", for_seconds=for_seconds, rate_over_seconds=window, **{side: 1.5})
    assert replay(rule, observations)[0] == expected(rule, observations)
