"""A store to export from, and the two places where a lake may lie."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import stamina

import ohlcache
from ohlcache.sources import LakeSource

from .s3_server import BucketServer


class Lake(NamedTuple):
    """Where a lake is, and how to get there."""

    url: str
    options: dict | None

    def source(self, **arguments):
        return LakeSource(self.url, storage_options=self.options, recheck_seconds=0, **arguments)


@pytest.fixture
def server():
    running = BucketServer()
    yield running
    running.close()


@pytest.fixture
def bucket(server):
    return Lake("s3://lake/candles of us", server.options)


@pytest.fixture(params=["folder", "memory", "s3"])
def lake(request, tmp_path):
    if request.param == "s3":
        return request.getfixturevalue("bucket")
    if request.param == "memory":
        return Lake(f"memory://{tmp_path.name}/{request.node.name}", None)
    return Lake(str(tmp_path / "a lake"), None)


@pytest.fixture
def folder(tmp_path):
    return Lake((tmp_path / "lake").as_uri(), None)


@pytest.fixture
def exporting(tmp_path, monkeypatch):
    """Stores to export from: what is written to them is exported to a lake."""
    opened = []

    def export(lake, symbol, timeframe, block, **options):
        md = ohlcache.open(tmp_path / f"from-{len(opened)}")
        opened.append(md)
        if block is not None:
            md.write(symbol, timeframe, block, venue="binance")
        return md, md.export_lake(
            lake.url, symbol, timeframe, storage_options=lake.options, **options
        )

    yield export
    for md in opened:
        md.close()


@pytest.fixture(autouse=True)
def _retries_do_not_wait():
    with stamina.set_testing(True, attempts=4):
        yield
