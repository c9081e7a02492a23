"""The outlook: what is going to its limit is foretold, what only wavers is not."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from ohlcache.telemetry import vocabulary as metrics
from ohlcache.telemetry.distribution import Distribution, bucket_of
from ohlcache.telemetry.outlook import outlook
from ohlcache.telemetry.outlook.series import Share
from ohlcache.telemetry.registry import Readings
from ohlcache.telemetry.windows import Selection, Windows
from ohlcache.telemetry.wording import duration, in_words

MB = 2**20
MINUTE, HOUR = 60.0, 3600.0
RESIDENT, LIMIT = metrics.MEMORY_RESIDENT_BYTES, metrics.MEMORY_LIMIT_BYTES
CACHED, CACHE_LIMIT = metrics.CACHE_BYTES, metrics.CACHE_LIMIT_BYTES
DECODED, DECODED_LIMIT = metrics.HISTORY_MEMORY_BYTES, metrics.HISTORY_MEMORY_LIMIT_BYTES


def recorded(moments, at_moment):
    """Windows of readings at moments; ``at_moment(t, place)`` gives {(metric, *labels): value}."""
    windows = Windows(0.0)
    for place, at in enumerate(moments):
        readings = Readings()
        for (metric, *labels), value in at_moment(at, place).items():
            readings.add(metric, value, *labels)
        windows.add(float(at), readings)
    return windows


def minutes(count):
    return MINUTE * np.arange(1, count + 1)


def hours_then_minutes(hours):
    """Once an hour for some hours, then two hours of minutes, as windows keep them."""
    early = HOUR * np.arange(1, hours - 1)
    return np.concatenate([early, early[-1] + minutes(120)])


def noise(count, size, seed=7):
    return np.random.default_rng(seed).normal(0, size, count)


def of_memory(moments, resident):
    """Windows of memory alone: MB resident of 2048."""
    return recorded(
        moments, lambda at, place: {(RESIDENT,): resident[place] * MB, (LIMIT,): 2048 * MB}
    )


def forecast(windows, metric):
    found = [one for one in outlook(windows) if one.metric == metric]
    assert len(found) == 1
    return found[0]


def memory_forecast(windows):
    return forecast(windows, RESIDENT.name)


def is_calm(one):
    """Nothing is claimed, so nobody is alarmed."""
    return (
        one.severity == "info"
        and one.seconds is one.earliest is one.latest is None
        and "will" not in one.sentence
        and one.finding() is None
    )


class TestMemory:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_rise_is_foretold_to_within_a_tenth(self, seed):
        at = minutes(60)
        windows = of_memory(at, 800 + at / HOUR * 300 + noise(60, 8, seed))
        found = memory_forecast(windows)
        due = (2048 - 1100) / 300 * HOUR
        assert found.significant
        assert found.seconds == pytest.approx(due, rel=0.10)
        assert found.earliest <= found.seconds <= found.latest
        assert found.low_per_hour <= found.slope_per_hour <= found.high_per_hour
        assert found.slope_per_hour == pytest.approx(300 * MB, rel=0.10)
        assert found.reaches == 2048 * MB

    def test_it_is_said_in_words(self):
        at = minutes(60)
        found = memory_forecast(of_memory(at, 800 + at / HOUR * 300 + noise(60, 8)))
        time = r"\d h( \d0 min)?"
        assert re.fullmatch(
            rf"memory of the process will reach the limit of 2,048 MB in about {time} "
            rf"\(between {time} and {time}\)",
            found.sentence,
        )
        assert found.severity == "warning"
        json.dumps(found.as_dict())

    def test_the_sooner_the_more_it_costs(self):
        at = minutes(60)
        soon, later = (
            memory_forecast(of_memory(at, start + at / HOUR * 300 + noise(60, 8))).finding()
            for start in (1600, 800)
        )
        assert soon.component == later.component == "memory"
        assert soon.points > later.points > 0
        assert "will reach" in soon.message
        assert "restart" in soon.remedy

    @pytest.mark.parametrize("seed", range(8))
    def test_noise_is_not_foretold(self, seed):
        found = memory_forecast(of_memory(minutes(90), 1000 + noise(90, 40, seed)))
        # About one in twenty may be called a trend, but none that gets anywhere.
        assert found.seconds is None
        assert found.severity == "info"

    def test_steady_memory_shows_no_trend(self):
        found = memory_forecast(of_memory(minutes(90), np.full(90, 900.0)))
        assert is_calm(found)
        assert found.sentence == "memory of the process shows no trend"

    def test_a_sawtooth_is_not_foretold(self):
        at = minutes(120)
        assert is_calm(memory_forecast(of_memory(at, 600 + (at % 900) / 900 * 300)))

    @pytest.mark.parametrize("phase", range(0, 24, 3))
    def test_a_daily_wave_is_not_foretold(self, phase):
        at = hours_then_minutes(100)
        wave = 400 * np.sin(2 * math.pi * (at / HOUR + phase) / 24)
        found = memory_forecast(of_memory(at, 1400 + wave + noise(len(at), 10, phase)))
        assert is_calm(found)
        assert not found.significant

    def test_a_rise_beyond_what_the_days_have_seen_is_foretold_in_spite_of_the_wave(self):
        at = hours_then_minutes(100)
        wave = 100 * np.sin(2 * math.pi * at / HOUR / 24)
        leak = np.maximum(0, at - at[-120]) / HOUR * 250
        found = memory_forecast(of_memory(at, 1000 + wave + leak + noise(len(at), 5)))
        assert found.severity == "warning"
        assert found.seconds < 4 * HOUR

    def test_a_slow_rise_is_seen_in_the_days_where_two_hours_show_nothing(self):
        at = hours_then_minutes(120)
        found = memory_forecast(of_memory(at, 800 + at / HOUR * 4 + noise(len(at), 30)))
        due = (2048 - 800 - at[-1] / HOUR * 4) / 4 * HOUR
        assert found.seconds == pytest.approx(due, rel=0.25)
        assert re.search(r"in about \d+ days", found.sentence)

    def test_what_is_far_away_is_not_claimed(self):
        at = minutes(60)
        found = memory_forecast(of_memory(at, 300 + at / HOUR * 20 + noise(60, 0.5)))
        assert found.significant
        assert found.seconds is None
        assert found.severity == "info"
        assert re.fullmatch(
            r"memory of the process rises by \d+ MB an hour; "
            r"it will not reach the limit of 2,048 MB within 5 h 50 min",
            found.sentence,
        )

    def test_falling_memory_leads_nowhere(self):
        at = minutes(60)
        found = memory_forecast(of_memory(at, 1500 - at / HOUR * 300 + noise(60, 5)))
        assert found.significant
        assert found.seconds is None
        assert re.fullmatch(r"memory of the process falls by \d+ MB an hour", found.sentence)

    def test_what_is_beyond_its_limit_already_has_nothing_ahead(self):
        at = minutes(60)
        found = memory_forecast(of_memory(at, 2100 + at / HOUR * 300 + noise(60, 5)))
        assert found.significant
        assert found.seconds is None
        assert found.severity == "info"

    def test_less_than_20_minutes_say_nothing(self):
        assert outlook(of_memory(minutes(19), 800 + 20 * np.arange(19))) == []
        assert outlook(Windows(0.0)) == []


def filling(cache_limit, *, leak=0.0, count=60, seed=3):
    """A cache that fills at 240 MB an hour in a process with 2048 MB, 600 of which stand."""
    at, wobble = minutes(count), noise(count, 3, seed)

    def at_moment(moment, place):
        cached = min(moment / HOUR * 240, cache_limit)
        resident = 600 + cached + leak * moment / HOUR + wobble[place]
        return {
            (RESIDENT,): resident * MB,
            (LIMIT,): 2048 * MB,
            (CACHED, "market_data"): cached * 0.75 * MB,
            (CACHED, "features"): cached * 0.25 * MB,
            (CACHE_LIMIT,): cache_limit * MB,
            (metrics.CACHE_CATEGORY_LIMIT_BYTES, "market_data"): 200 * MB,
        }

    return recorded(at, at_moment)


class TestCaches:
    def test_a_filling_cache_is_information(self):
        found = forecast(filling(500), CACHED.name)
        assert found.seconds == pytest.approx((500 - 240) / 240 * HOUR, rel=0.05)
        assert found.severity == "info"
        assert found.finding() is None
        assert re.match(
            r"memory of cached values will be full \(500 MB\) in about 1 h", found.sentence
        )

    def test_memory_that_grows_as_a_cache_fills_is_no_alarm(self):
        found = memory_forecast(filling(500))
        assert found.significant
        assert found.seconds is None
        assert found.severity == "info"
        assert "when these are full it will not reach the limit of 2,048 MB" in found.sentence

    def test_a_cache_that_may_take_more_than_there_is_is_an_alarm(self):
        found = memory_forecast(filling(4000))
        assert found.severity == "warning"
        assert found.seconds == pytest.approx((2048 - 840) / 240 * HOUR, rel=0.10)

    def test_a_leak_behind_a_filling_cache_goes_on_when_that_is_full(self):
        # 260 MB more of cache and 1,048 MB of leak: the limit is reached by the leak alone.
        found = memory_forecast(filling(500, leak=200))
        due = (2048 - 600 - 500 - 200) / 200 * HOUR
        assert found.severity == "warning"
        assert found.seconds == pytest.approx(due, rel=0.10)

    def test_a_full_cache_shows_no_trend(self):
        assert is_calm(forecast(filling(100, count=120), CACHED.name))

    def test_a_category_with_a_limit_of_its_own(self):
        found = forecast(filling(500), f'{CACHED.name}{{category="market_data"}}')
        assert found.seconds == pytest.approx((200 - 180) / 180 * HOUR, rel=0.15)
        assert found.severity == "info"
        assert found.sentence.startswith("memory of market_data will be full (200 MB) in about")

    def test_decoded_candles(self):
        windows = recorded(
            minutes(40),
            lambda at, _: {(DECODED,): at / HOUR * 300 * MB, (DECODED_LIMIT,): 512 * MB},
        )
        found = forecast(windows, DECODED.name)
        assert found.seconds == pytest.approx((512 - 200) / 300 * HOUR, rel=0.05)
        assert found.severity == "info"


def requests(rates, tier="l1"):
    """Windows of a tier that had these shares of hits, 1000 requests a minute."""
    hits = np.cumsum(np.round(1000 * np.asarray(rates)))
    at = minutes(len(hits))
    return recorded(
        at,
        lambda _, place: {
            (metrics.CACHE_HITS, tier, "default"): hits[place],
            (metrics.CACHE_MISSES, tier, "default"): 1000 * (place + 1) - hits[place],
        },
    )


class TestHitRates:
    @pytest.mark.parametrize(("tier", "limit"), [("l1", 0.90), ("l2", 0.80)])
    def test_a_falling_one_is_foretold(self, tier, limit):
        rates = limit + 0.08 - 0.04 * np.arange(60) / 60 + noise(60, 0.004)
        found = forecast(requests(rates, tier), f"{tier}_hit_rate")
        assert found.severity == "warning"
        assert found.slope_per_hour == pytest.approx(-0.04, rel=0.25)
        assert found.seconds == pytest.approx(HOUR, rel=0.30)
        assert found.earliest <= found.seconds <= found.latest
        assert f"will fall below {100 * limit:g}% in about" in found.sentence
        assert found.finding().component == tier

    def test_a_steady_one_is_not(self):
        found = forecast(requests(0.95 + noise(60, 0.01)), "l1_hit_rate")
        assert is_calm(found)

    def test_a_rising_one_is_good_news(self):
        found = forecast(
            requests(0.70 + 0.2 * np.arange(60) / 60 + noise(60, 0.004)), "l1_hit_rate"
        )
        assert found.significant
        assert found.severity == "info"
        assert re.fullmatch(
            r"hit rate of process memory rises by \d+ points an hour", found.sentence
        )

    def test_counters_that_began_anew_are_left_out(self):
        hits = [950, 1900, 2850, 2400, 3350]  # a category is gone, and 1400 hits with it
        windows = recorded(
            minutes(5),
            lambda _, place: {
                (metrics.CACHE_HITS, "l1", "default"): hits[place],
                (metrics.CACHE_MISSES, "l1", "default"): 950 * (place + 1),
            },
        )
        rate = Share(
            Selection.of(metrics.CACHE_HITS, tier="l1"),
            Selection.of(metrics.CACHE_MISSES, tier="l1"),
            least=20,
        )
        assert rate.points(windows, MINUTE) == [(120, 0.5), (180, 0.5), (300, 0.5)]

    def test_minutes_with_a_handful_of_requests_say_nothing(self):
        windows = recorded(
            minutes(60),
            lambda _, place: {
                (metrics.CACHE_HITS, "l1", "default"): 5 * place,
                (metrics.CACHE_MISSES, "l1", "default"): 3 * place,
            },
        )
        assert outlook(windows) == []


def redis_reads(p99s):
    """Windows of reads from Redis: of each 100 a minute, two take the time given, others 1 ms."""
    windows, counts = Windows(0.0), {}
    for at, slow in zip(minutes(len(p99s)), p99s, strict=True):
        for seconds, count in ((0.001, 98), (slow, 2)):
            bucket = bucket_of(seconds)
            counts[bucket] = counts.get(bucket, 0) + count
        readings = Readings()
        readings.add(metrics.CACHE_READ_SECONDS, Distribution(counts, 1.0), "l2")
        windows.add(at, readings)
    return windows


class TestLatency:
    def test_a_rising_one_is_foretold(self):
        slow = 0.003 * np.exp(0.8 * np.arange(60) / 60)  # 3 ms to 6.7 ms within the hour
        found = forecast(redis_reads(slow), "l2_p99_seconds")
        assert found.severity == "warning"
        assert 0.5 * HOUR < found.seconds < 1.5 * HOUR
        assert found.sentence.startswith(
            "99th percentile of reads from Redis will rise above 10 ms in about"
        )

    def test_a_steady_one_is_not(self):
        assert is_calm(forecast(redis_reads(0.004 + noise(60, 0.0006)), "l2_p99_seconds"))


class TestWording:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.0, "0 µs"),
            (2.5e-6, "2.5 µs"),
            (0.0012, "1.2 ms"),
            (0.99999, "1,000 ms"),
            (45.2, "45.2 s"),
            (61, "1 min"),
            (3590, "1 h"),
            (8400, "2 h 20 min"),
            (86_400, "1 day"),
            (108_000, "1 day 6 h"),
            (30 * 86_400, "30 days"),
        ],
    )
    def test_durations(self, seconds, words):
        assert duration(seconds) == words

    @pytest.mark.parametrize(
        ("value", "unit", "words"),
        [
            (0.842, "ratio", "84.2%"),
            (1.0, "ratio", "100%"),
            (2048 * MB, "bytes", "2,048 MB"),
            (1.25 * MB, "bytes", "1.2 MB"),
            (60_000, "bytes", "59 KB"),
            (0.0, "", "0"),
            (12_345.6, "", "12,300"),
            (0.0167, "", "0.0167"),
        ],
    )
    def test_numbers(self, value, unit, words):
        assert in_words(value, unit) == words
