"""Settings: defaults, then YAML or keywords, then the environment; errors name the key."""

from __future__ import annotations

import pytest

import ohlcache
from conftest import make_block
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
