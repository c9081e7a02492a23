"""Nothing of other libraries on stderr, unless the program has configured logging."""

from __future__ import annotations

import subprocess
import sys

import pytest

_FLAKY = """
from ohlcache.errors import SourceUnavailable

class Flaky:
    venue = "flaky"
    capabilities = ohlcache.Capabilities()
    failures = 1

    def now(self):
        return 10 * 60_000

    def fetch(self, symbol, timeframe, start, end):
        if self.failures:
            self.failures -= 1
            raise SourceUnavailable("the network is down")
        return [[time, 1, 1, 1, 1, 1] for time in range(start, end, 60_000)]

with ohlcache.open(sys.argv[1], source=Flaky()) as md:
    print(len(md.candles("X", "1m", 0, 5 * 60_000)))
"""
_REFUSED = """
import psycopg

with ohlcache.open(sys.argv[1]) as md, psycopg.connect(sys.argv[1], autocommit=True) as admin:
    admin.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    admin.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON series FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        md.write("X", "1m", [[0, 1, 1, 1, 1, 1]])
    except ohlcache.OhlcacheError:
        print(5)
"""
_CONFIGURED = "import logging; logging.basicConfig(level=logging.WARNING)\n"


@pytest.fixture(params=["stamina", "psycopg"])
def case(request, tmp_path):
    """A library, what has it log a warning, and where the store for that is."""
    if request.param == "stamina":
        return request.param, _FLAKY, str(tmp_path)
    return request.param, _REFUSED, request.getfixturevalue("postgres_schema_url")


@pytest.mark.parametrize("is_configured", [False, True])
def test_what_libraries_log_is_for_programs_that_configured_logging(case, is_configured):
    library, program, location = case
    start = _CONFIGURED if is_configured else ""
    ended = subprocess.run(
        [sys.executable, "-c", f"{start}import sys, ohlcache\n{program}", location],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "5\n"
    assert (f"WARNING:{library}" in ended.stderr) is is_configured
    assert bool(ended.stderr) is is_configured
