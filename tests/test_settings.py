"""Settings: defaults, then YAML or keywords, then the environment; errors name the key."""

from __future__ import annotations

import traceback
import uuid

import pytest

import ohlcache
from made_candles import make_block
from ohlcache.cache import CacheManager
from ohlcache.errors import InvalidArgument
from ohlcache.settings import Settings, as_settings


def test_keywords_yaml_and_dicts_say_the_same(tmp_path):
    path = tmp_path / "ohlcache.yaml"
    path.write_text("history: {memory_mb: 64, sessions: {oanda: fx}}\n")
    expected = Settings(history={"memory_mb": 64, "sessions": {"oanda": "fx"}})
    assert Settings.from_yaml(path) == as_settings(path) == expected
    assert as_settings({"history": {"memory_mb": 64, "sessions": {"oanda": "fx"}}}) == expected


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    path = tmp_path / "ohlcache.yaml"
    path.write_text("history: {memory_mb: 64, busy_timeout_seconds: 1}\n")
    monkeypatch.setenv("OHLCACHE_HISTORY__MEMORY_MB", "32")
    monkeypatch.setenv("OHLCACHE_CONFIG", str(path))
    history = as_settings(None).history
    assert (history.memory_mb, history.busy_timeout_seconds) == (32, 1)


def test_the_default_store_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OHLCACHE_STORE", str(tmp_path / "here"))
    with ohlcache.open() as md:
        md.write("X", "1m", make_block(1))
    assert (tmp_path / "here" / "ohlcache.sqlite").is_file()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"history": {"memory_mb": "much"}}, "setting history.memory_mb is 'much'"),
        ({"history": {"memory_mb": 0}}, "setting history.memory_mb is 0"),
        ({"histroy": {}}, "setting histroy"),
        (
            {"history": {"prefetch": "banana"}},
            "setting history.prefetch is 'banana': Input should be true, false or 'fetch'",
        ),
    ],
)
def test_wrong_settings_are_named(tree, message):
    with pytest.raises(InvalidArgument, match=message):
        Settings(**tree)


@pytest.mark.parametrize("text", ["[1, 2]", "history: {"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "ohlcache.yaml"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match="settings file"):
        Settings.from_yaml(path)
    with pytest.raises(InvalidArgument, match="absent.yaml"):
        Settings.from_yaml(tmp_path / "absent.yaml")


# -- the cache ----------------------------------------------------------------------------------

DESIGN = """
cache:
  l1: {max_size_mb: 500, eviction_policy: hybrid}
  l2: {redis_url: redis://localhost:6379, max_size_mb: 2048}
  l3: {url: sqlite:///cache.db}
  categories:
    market_data: {ttl_seconds: 30, compression: true}
    features: {ttl_seconds: 300, compression: true}
"""


def test_the_cache_as_the_design_writes_it(tmp_path):
    path = tmp_path / "ohlcache.yaml"
    path.write_text(DESIGN)
    cache = Settings.from_yaml(path).cache
    assert (cache.l1.max_size_mb, cache.l1.eviction_policy) == (500, "hybrid")
    assert (cache.l2.redis_url, cache.l2.max_size_mb) == ("redis://localhost:6379", 2048)
    assert cache.l3.url == "sqlite:///cache.db"
    assert cache.categories["market_data"].ttl_seconds == 30
    assert cache.categories["features"].compression is True


def test_without_settings_there_is_memory_only():
    cache = Settings().cache
    assert (cache.l2, cache.l3, cache.categories) == (None, None, {})


def test_what_is_said_of_a_category_leaves_its_other_defaults(tmp_path, monkeypatch):
    path = tmp_path / "ohlcache.yaml"
    path.write_text(
        "cache: {categories: {features: {jitter: 0.1}, signals: {compression: lz4}, "
        "api_responses: {ttl_seconds: 5}}}"
    )
    monkeypatch.setenv("OHLCACHE_CACHE__CATEGORIES__FEATURES__MAX_ENTRIES", "7")
    monkeypatch.setenv("OHLCACHE_CACHE__CATEGORIES__STRATEGY_RESULTS__TTL_SECONDS", "60")
    monkeypatch.setenv("OHLCACHE_CACHE__CATEGORIES__API_RESPONSES__TTL_SECONDS", "6")
    with CacheManager(path) as cache:
        features = cache.policy("features")
        assert (features.jitter, features.max_entries) == (0.1, 7)
        assert (features.ttl_seconds, features.max_size_mb) == (300, 100)
        results = cache.policy("strategy_results")
        assert (results.ttl_seconds, results.max_size_mb) == (60, 100)
        assert cache.policy("api_responses").ttl_seconds == 6
        assert cache.policy("signals").compression == "lz4"
        assert cache.policy("market_data").ttl_seconds == 30


def test_redis_comes_from_the_environment(monkeypatch, redis_url):
    monkeypatch.setenv("OHLCACHE_CACHE__L2__REDIS_URL", redis_url)
    monkeypatch.setenv("OHLCACHE_CACHE__NAMESPACE", f"test-{uuid.uuid4().hex}")
    with CacheManager() as first, CacheManager() as second:
        first.set("k", 1)
        assert second.get("k") == 1
        assert second.stats()["l2"]["hits"] == 1


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"l1": {"max_size": 5}}, "cache.l1.max_size is 5"),
        ({"l1": {"eviction_policy": "arc"}}, "cache.l1.eviction_policy is 'arc'"),
        ({"l4": {}}, "cache.l4"),
        ({"l2": {}}, "cache.l2.redis_url"),
        ({"categories": {"x": {"ttl": 5}}}, "cache.categories.x.ttl is 5"),
        ({"categories": {"x": {"compression": "rar"}}}, "cache.categories.x.compression"),
        ({"categories": {"x": {"jitter": 1}}}, "cache.categories.x.jitter is 1"),
        ({"categories": {"a:b": {}}}, "cache.categories.a:b"),
        ({"namespace": ""}, "cache.namespace is ''"),
        ({"lease_seconds": 0}, "cache.lease_seconds is 0"),
    ],
)
def test_wrong_settings_of_the_cache_are_named(tree, message):
    with pytest.raises(InvalidArgument, match=message):
        Settings(cache=tree)


def test_a_wrong_value_of_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("OHLCACHE_CACHE__CATEGORIES__FEATURES__TTL_SECONDS", "soon")
    with pytest.raises(InvalidArgument, match="cache.categories.features.ttl_seconds is 'soon'"):
        Settings()


SECRET = "s3cret-and-long-enough"


@pytest.mark.parametrize(
    "cache",
    [
        {"pickle_key": SECRET[:8]},
        {"pickle_key": [SECRET]},
        {"l2": {"redis_url": f"redis://user:{SECRET}@localhost/notanumber"}},
        {"l2": {"redis_url": f"http://:{SECRET}@localhost"}},
        {"l3": {"url": f"mysql://user:{SECRET}@localhost/x"}},
        {"l3": {"url": f"postgresql://user:{SECRET}@localhost/x", "timeout_seconds": -1}},
        {"pickle_keys": SECRET},
        {"l2": f"redis://:{SECRET}@localhost"},
        {"l2": {"url": f"redis://:{SECRET}@localhost"}},
        {"l2": {"redis_url": [f"redis://:{SECRET}@localhost"]}},
        {"l3": f"postgresql://user:{SECRET}@localhost/x"},
        {"l3": {"redis_url": f"redis://:{SECRET}@localhost"}},
    ],
)
def test_no_error_shows_a_secret(cache):
    with pytest.raises(InvalidArgument) as refused:
        CacheManager({"cache": cache})
    assert "cache." in str(refused.value) or "redis_url" in str(refused.value)
    assert SECRET[:8] not in str(refused.value)
    assert SECRET[:8] not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "cache",
    [
        {"pickle_key": SECRET},
        {"l2": {"redis_url": f"redis://:{SECRET}@localhost"}},
        {"l3": {"url": f"postgresql://u:{SECRET}@localhost/x"}},
    ],
)
def test_no_repr_shows_a_secret(cache):
    made = Settings(cache=cache)
    assert SECRET not in repr(made) + str(made) + repr(made.cache)
