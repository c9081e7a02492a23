"""The engine: when alerts fire, how long they last, and what it tells of them."""

from __future__ import annotations

import json
import math
import threading

import pytest

from ohlcache.errors import InvalidArgument
from ohlcache.telemetry.alerts import AlertEngine, AlertEvent


def engine_of(**fields):
    return AlertEngine([{"name": "hot", "metric": "heat"} | fields])


def states(engine, *observations):
    """(at, state) of what happens with pairs of time and value."""
    return [
        (event.at, event.state)
        for at, value in observations
        for event in engine.observe({"heat": value}, at=at)
    ]


class TestFiring:
    def test_at_once(self):
        engine = engine_of(above=80)
        assert engine.observe({"heat": 81}, at=0) == [AlertEvent("hot", "firing", 0, 81)]

    @pytest.mark.parametrize(("side", "value"), [("above", 80), ("below", 80)])
    def test_the_threshold_itself_is_neither_above_nor_below(self, side, value):
        assert states(engine_of(**{side: 80}), (0, value)) == []

    def test_infinity_is_above_everything(self):
        assert states(engine_of(above=80), (0, math.inf), (1, -math.inf)) == [
            (0, "firing"),
            (1, "resolved"),
        ]

    def test_at_the_first_observation_after_the_duration(self):
        engine = engine_of(above=80, for_seconds=60)
        assert states(engine, (0, 81), (59.9, 99), (60, 81), (61, 82)) == [(60, "firing")]
        assert states(engine_of(below=5, for_seconds=60), (0, 4), (70, 1)) == [(70, "firing")]

    def test_once_not_holding_begins_anew(self):
        engine = engine_of(above=80, for_seconds=60)
        assert states(engine, (0, 81), (30, 80), (60, 81), (90, 81), (119, 81)) == []
        assert states(engine, (120, 81)) == [(120, "firing")]

    def test_each_rule_by_itself_in_their_order(self):
        engine = AlertEngine(
            [
                {"name": "b", "metric": "x", "above": 1},
                {"name": "a", "metric": "x", "above": 2},
                {"name": "c", "metric": "y", "below": 1},
            ]
        )
        assert [event.rule for event in engine.observe({"x": 3, "y": 0}, at=0)] == ["b", "a", "c"]
        assert [event.rule for event in engine.observe({"x": 1.5, "y": 0}, at=1)] == ["a"]


class TestResolving:
    def test_without_clear_at_the_threshold(self):
        engine = engine_of(above=80)
        assert states(engine, (0, 81), (1, 80.5), (2, 80)) == [(0, "firing"), (2, "resolved")]
        engine = engine_of(below=80)
        assert states(engine, (0, 79), (1, 79.5), (2, 80)) == [(0, "firing"), (2, "resolved")]

    def test_hysteresis(self):
        engine = engine_of(above=80, clear=70)
        wavering = [(at, 81 if at % 2 else 71) for at in range(1, 20)]
        assert states(engine, *wavering, (20, 70)) == [(1, "firing"), (20, "resolved")]
        engine = engine_of(below=0.8, clear=0.9)
        assert states(engine, (0, 0.7), (1, 0.85), (2, 0.7), (3, 0.9)) == [
            (0, "firing"),
            (3, "resolved"),
        ]

    def test_it_takes_no_duration(self):
        engine = engine_of(above=80, for_seconds=60)
        assert states(engine, (0, 81), (60, 81), (61, 80)) == [(60, "firing"), (61, "resolved")]


class TestCoolDown:
    def test_no_second_firing_before_its_end_counted_from_the_last(self):
        engine = engine_of(above=80, cooldown_seconds=100)
        assert states(engine, (0, 81), (10, 0), (20, 81), (30, 0), (99, 81), (99.5, 0)) == [
            (0, "firing"),
            (10, "resolved"),
        ]
        assert states(engine, (100, 81)) == [(100, "firing")]
        assert engine.stats()["held_back"] == {"hot": 2}

    def test_what_still_holds_fires_at_its_end(self):
        engine = engine_of(above=80, for_seconds=30, cooldown_seconds=100)
        found = states(engine, (0, 81), (30, 81), (40, 0), (50, 81), (90, 81), (129, 81), (130, 81))
        assert found == [(30, "firing"), (40, "resolved"), (130, "firing")]

    def test_it_fires_at_its_end_only_when_it_held_long_enough(self):
        engine = engine_of(above=80, for_seconds=30, cooldown_seconds=100)
        found = states(engine, (0, 81), (30, 81), (40, 0), (120, 81), (130, 81), (149, 81))
        assert found == [(30, "firing"), (40, "resolved")]
        assert states(engine, (150, 81)) == [(150, "firing")]


class TestMissingValues:
    @pytest.mark.parametrize("nothing", [{}, {"heat": None}, {"heat": math.nan}, {"other": 99}])
    def test_they_decide_nothing_and_are_counted(self, nothing):
        engine = engine_of(above=80, for_seconds=20)
        assert states(engine, (0, 81)) == []
        assert engine.observe(nothing, at=10) == []
        assert states(engine, (20, 81)) == [(20, "firing")]
        assert engine.observe(nothing, at=30) == []
        assert [alert.rule for alert in engine.active()] == ["hot"]
        assert engine.stats()["missing"] == {"hot": 2}

    def test_pending_is_not_carried_over_a_long_silence(self):
        engine = engine_of(above=80, for_seconds=60)
        assert states(engine, (0, 81), (30, 81), (8000, 81), (8059, 81)) == []
        assert states(engine, (8060, 81)) == [(8060, "firing")]

    def test_pending_is_carried_over_a_short_one(self):
        engine = engine_of(above=80, for_seconds=1200)
        assert states(engine, (0, 81), (600, None), (1200, 81)) == [(1200, "firing")]

    def test_looking_seldom_but_regularly_is_no_silence(self):
        engine = engine_of(above=80, for_seconds=60)
        assert states(engine, *((day * 86_400, 81) for day in range(4))) == [(2 * 86_400, "firing")]

    def test_looking_twice_at_a_moment_is_no_pace(self):
        engine = engine_of(above=80, for_seconds=60)
        found = states(engine, (0, 81), (700, 81), (700, 81), (1400, 81))
        assert found == [(1400, "firing")]

    def test_firing_goes_on_over_a_silence(self):
        engine = engine_of(above=80, for_seconds=60, clear=70)
        assert states(engine, (0, 81), (60, 81), (9000, 75)) == [(60, "firing")]
        assert engine.active()[0].since == 0
        assert states(engine, (9001, 70)) == [(9001, "resolved")]


class TestRates:
    def test_the_increase_per_second_over_a_window(self):
        engine = engine_of(above=5, rate_over_seconds=60)
        steady = [(at, 5 * at) for at in range(0, 121, 10)]
        assert states(engine, *steady) == []
        # 650 within 10 s, and then 5 per second again.
        burst = [(130, 1250), *((at, 1250 + 5 * (at - 130)) for at in range(140, 200, 10))]
        assert states(engine, *burst) == [(130, "firing"), (190, "resolved")]
        assert engine.history[0].value == pytest.approx((1250 - 5 * 70) / 60)
        assert engine.history[0].reason == "heat per second over 60 s is 15, above 5"

    def test_nothing_is_decided_before_a_whole_window_was_seen(self):
        engine = engine_of(below=1, rate_over_seconds=60)
        assert states(engine, (0, 0), (30, 0), (59, 0), (60, 0)) == [(60, "firing")]
        assert engine.stats()["missing"] == {"hot": 3}

    def test_a_counter_that_starts_again_counts_from_0(self):
        engine = engine_of(above=1.5, rate_over_seconds=10)
        assert states(engine, (0, 1000), (10, 1010), (20, 15)) == []
        assert states(engine, (30, 31)) == [(30, "firing")]

    def test_its_memory_does_not_grow_with_the_number_of_looks(self):
        engine = engine_of(above=2, rate_over_seconds=60)
        found = states(engine, *((at / 100, at / 100) for at in range(20_000)))
        assert found == []
        (watch,) = engine._watches
        assert len(watch._rate._samples) < 600
        assert watch._value == pytest.approx(1)

    def test_an_infinite_counter_is_no_value(self):
        engine = engine_of(above=1, rate_over_seconds=10)
        assert states(engine, (0, 0), (5, math.inf), (10, 20)) == [(10, "firing")]


class TestTelling:
    def test_events_explain_themselves(self):
        engine = engine_of(above=0.01, for_seconds=60, clear=0.008, severity="critical")
        states(engine, (0, 0.02), (60, 0.042), (70, 0.004))
        firing, resolved = engine.history
        assert (firing.severity, firing.metric, firing.since) == ("critical", "heat", 0)
        assert firing.reason == "heat is 0.042, above 0.01 for 60 s"
        assert resolved.reason == "heat is back at 0.004 (clear at 0.008 or less)"
        assert resolved.since == 0
        assert firing.id != resolved.id

    def test_as_json_also_what_is_infinite(self):
        (event,) = engine_of(above=80).observe({"heat": math.inf}, at=5)
        told = json.loads(json.dumps(event.as_dict(), allow_nan=False))
        assert told["value"] is None
        assert (told["rule"], told["state"], told["at"]) == ("hot", "firing", 5)
        assert told["reason"] == "heat is inf, above 80"

    def test_active_has_since_and_the_latest_value(self):
        engine = engine_of(above=80, for_seconds=10, clear=70)
        states(engine, (0, 81), (5, 90))
        assert engine.active() == []
        states(engine, (10, 85), (15, 75))
        (alert,) = engine.active()
        assert (alert.rule, alert.since, alert.fired_at, alert.value) == ("hot", 0, 10, 75)
        states(engine, (20, 70))
        assert engine.active() == []

    def test_history_is_bounded_and_nobodys(self):
        engine = engine_of(above=0)
        for at in range(1500):
            engine.observe({"heat": 1 if at % 2 == 0 else 0}, at=at)
        assert [event.at for event in engine.history] == list(range(500, 1500))
        engine.history.clear()
        assert len(engine.history) == 1000
        assert engine.stats() == {
            "rules": 1,
            "firing": 0,
            "observations": 1500,
            "fired": 750,
            "resolved": 750,
            "missing": {},
            "held_back": {},
        }


class TestRefusing:
    def test_time_that_goes_back(self):
        engine = engine_of(above=80, for_seconds=10)
        states(engine, (100, 81))
        with pytest.raises(InvalidArgument, match="at 99 lies before the observation at 100"):
            engine.observe({"heat": 0}, at=99)
        assert states(engine, (100, 81), (110, 81)) == [(110, "firing")]

    @pytest.mark.parametrize("at", [None, math.nan, math.inf, "now", True])
    def test_what_is_no_moment(self, at):
        with pytest.raises(InvalidArgument, match="at .* is not a moment"):
            engine_of(above=80).observe({"heat": 81}, at=at)

    def test_what_is_no_number_changes_nothing(self):
        engine = AlertEngine(
            [
                {"name": "a", "metric": "x", "above": 1},
                {"name": "b", "metric": "y", "above": 1},
            ]
        )
        with pytest.raises(InvalidArgument, match="metric 'y' 'high' is a str"):
            engine.observe({"x": 2, "y": "high"}, at=5)
        assert engine.stats()["observations"] == 0
        assert [event.rule for event in engine.observe({"x": 2, "y": 2}, at=4)] == ["a", "b"]

    def test_what_is_no_mapping(self):
        with pytest.raises(InvalidArgument, match="metrics is a list"):
            engine_of(above=80).observe([81], at=0)

    def test_metrics_without_a_rule_may_be_anything(self):
        assert engine_of(above=80).observe({"version": "1.2", "heat": 0}, at=0) == []


def test_others_may_look_while_one_observes():
    engine = engine_of(above=0)
    ended = threading.Event()
    wrong = []

    def look():
        while not ended.is_set():
            history, stats = engine.history, engine.stats()
            times = [event.at for event in history]
            if times != sorted(times) or stats["firing"] != stats["fired"] - stats["resolved"]:
                wrong.append(stats)
            engine.active()

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    for at in range(3000):
        engine.observe({"heat": at % 2}, at=at)
    ended.set()
    for watcher in watchers:
        watcher.join()
    assert wrong == []
    assert engine.stats()["fired"] == 1500
