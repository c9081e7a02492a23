"""The public face: names resolve, importing stays cheap, every public thing is documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import ohlcache
from ohlcache.errors import OhlcacheError

HEAVY = {
    "asyncio",
    "ccxt",
    "flask",
    "numpy",
    "pandas",
    "polars",
    "psycopg",
    "pyarrow",
    "pydantic",
    "redis",
    "rich",
    "sqlite3",
    "yaml",
}


@pytest.mark.parametrize("name", ohlcache.__all__)
def test_names_resolve_and_are_documented(name):
    thing = getattr(ohlcache, name)
    assert inspect.getdoc(thing)
    assert name in dir(ohlcache)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = ohlcache.opne


def test_importing_loads_nothing_heavy():
    program = "import ohlcache, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())


def test_every_public_method_of_market_data_is_documented():
    for name, member in inspect.getmembers(ohlcache.MarketData, callable):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


@pytest.mark.parametrize("path", ["cache.MemoryTier", "telemetry.Counters"])
def test_rooms_are_there_after_a_bare_import(path):
    program = f"import ohlcache; print(ohlcache.{path}().__class__.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == path.partition(".")[2]


PUBLIC_CLASSES = [
    thing
    for room in (ohlcache, ohlcache.cache, ohlcache.telemetry)
    for thing in (getattr(room, name) for name in room.__all__)
    if inspect.isclass(thing)
]


@pytest.mark.parametrize("kind", sorted(set(PUBLIC_CLASSES), key=str))
def test_every_public_class_and_its_own_methods_are_documented(kind):
    assert inspect.getdoc(kind)
    for name, member in vars(kind).items():
        is_own = inspect.isfunction(member) or isinstance(member, property)
        if is_own and not name.startswith("_") and "<" not in str(member.__doc__)[:1]:
            assert inspect.getdoc(member), f"{kind.__name__}.{name}"


def test_every_public_function_of_the_cache_is_documented():
    for name in ohlcache.cache.__all__:
        assert inspect.getdoc(getattr(ohlcache.cache, name)), name


SYNC_ONLY = {
    "cached",
    "compress",
    "configure_category",
    "forget",
    "held_bytes",
    "policy",
    "report",
    "shelf",
    "shrink",
    "stats",
}  # they do no I/O


def test_each_async_door_takes_what_its_sync_twin_takes():
    methods = {
        name: member
        for name, member in inspect.getmembers(ohlcache.CacheManager, inspect.isfunction)
        if not name.startswith("_")
    }
    async_doors = {name for name, one in methods.items() if inspect.iscoroutinefunction(one)}
    twins = {name for name in methods if name not in async_doors} - SYNC_ONLY
    assert async_doors == {f"a{name}" for name in twins}
    assert methods.keys() >= SYNC_ONLY
    for name in twins:
        sync, other = (inspect.signature(methods[door]) for door in (name, f"a{name}"))
        assert sync.parameters == other.parameters, name
        assert sync.return_annotation == other.return_annotation, name


def test_errors_form_one_tree():
    from ohlcache import errors

    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(kinds) > 15
    assert all(issubclass(kind, OhlcacheError) for kind in kinds)
