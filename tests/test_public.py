"""The public face: names resolve, importing stays cheap, every public thing is documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import ohlcache
from ohlcache.errors import OhlcacheError

HEAVY = {"numpy", "pandas", "pyarrow", "pydantic", "ccxt", "flask", "rich", "sqlite3", "polars"}


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


def test_errors_form_one_tree():
    from ohlcache import errors

    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(kinds) > 15
    assert all(issubclass(kind, OhlcacheError) for kind in kinds)
