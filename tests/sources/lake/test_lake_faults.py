"""Lakes that are not there, forbidden, damaged or far away."""

from __future__ import annotations

import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import to_block
from ohlcache.errors import FetchError, InvalidArgument, SourceError, SourceUnavailable
from ohlcache.sources import LakeSource
from ohlcache.sources.lake import Storage

from .s3_server import ACCESS_KEY, SECRET_KEY

BTC = ("BTC/USDT", "1m")
END = T0 + 50_000 * MINUTE
BLOCK = make_block(50_000)


@pytest.fixture
def filled(bucket, server, exporting):
    exporting(bucket, *BTC, BLOCK)
    server.requests.clear()
    return bucket


def test_only_the_row_groups_of_the_range_are_read(filled, server):
    source = filled.source()
    source.known(*BTC)
    server.requests.clear()
    day = source.fetch(*BTC, T0, T0 + 1440 * MINUTE)
    assert day.identical(BLOCK.between(T0, T0 + 1440 * MINUTE))
    part = [size for _, _, size in server.sent("GET", ".parquet")]
    whole = sum(len(data) for key, data in server.buckets["lake"].items() if "month=01" in key)
    assert len(part) == 2
    assert sum(part) < whole / 2


def test_a_connection_cut_while_reading(filled, server, tmp_path):
    source = filled.source()
    with ohlcache.open(tmp_path / "to", source=source) as md:
        server.faults = ["cut"] * 3
        assert to_block(md.candles(*BTC, T0, END)).identical(BLOCK)
        assert server.faults == []


def test_a_server_that_stays_out_of_order(filled, server, tmp_path):
    source = filled.source()
    server.faults = [503] * 1000
    with pytest.raises(SourceUnavailable, match="candles of us"):
        source.known(*BTC)
    server.faults = []
    assert source.known(*BTC)


def test_no_such_bucket(server, exporting):
    with pytest.raises(SourceError, match="no such bucket"):
        LakeSource("s3://elsewhere/x", storage_options=server.options)


def test_an_empty_bucket(server):
    with pytest.raises(SourceError, match="there is nothing"):
        LakeSource("s3://lake/x", storage_options=server.options)


def test_access_denied_names_the_lake_and_no_key(filled, server):
    options = {**server.options, "access_key": "somebody-elses-key"}
    with pytest.raises(SourceError, match=r"candles of us.*denied") as caught:
        LakeSource(filled.url, storage_options=options)
    assert not isinstance(caught.value, SourceUnavailable)
    assert all(secret not in str(caught.value) for secret in ("somebody-elses-key", SECRET_KEY))


def test_credentials_from_the_environment(filled, server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    options = {key: server.options[key] for key in ("endpoint_override", "scheme", "region")}
    assert LakeSource(filled.url, storage_options=options).fetch(*BTC, T0, END).identical(BLOCK)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://key:secret-of-mine@lake/x", {}),
        ("s3://lake/x", {"secret_key": "secret-of-mine", "no_such_option": 1}),
        ("nowhere://lake/x", {}),
    ],
)
def test_what_means_no_place(url, options):
    with pytest.raises(InvalidArgument, match="url") as caught:
        Storage(url, options)
    assert "secret-of-mine" not in str(caught.value)


def damaged(key, data):
    middle = len(data) // 3
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    yield "flipped", flipped
    yield "truncated", data[: len(data) // 2]
    yield "footer", data[:-60] + bytes([data[-60] ^ 1]) + data[-59:]
    yield "empty", b""


def test_a_damaged_part_is_named_and_never_read(filled, server, tmp_path):
    objects = server.buckets["lake"]
    key = next(key for key in objects if "month=01" in key)
    whole = objects[key]
    for how, data in damaged(key, whole):
        objects[key] = data
        with pytest.raises(FetchError, match=key.rpartition("/")[2]):
            filled.source().fetch(*BTC, T0, END)
        with (
            ohlcache.open(tmp_path / how, source=filled.source()) as md,
            pytest.raises(FetchError, match="damaged"),
        ):
            md.candles(*BTC, T0, END)
    objects[key] = whole
    assert filled.source().fetch(*BTC, T0, END).identical(BLOCK)


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"format": "x", "version": 1}', b'{"format": "ohlcache-lake"}']
)
def test_a_damaged_manifest(filled, server, text):
    key = next(key for key in server.buckets["lake"] if key.endswith(".json"))
    source = filled.source()
    server.buckets["lake"][key] = text
    with pytest.raises(FetchError, match="_manifest.json"):
        source.known(*BTC)


def test_a_newer_manifest(filled, server):
    key = next(key for key in server.buckets["lake"] if key.endswith(".json"))
    source = filled.source()
    server.buckets["lake"][key] = b'{"format": "ohlcache-lake", "version": 9}'
    with pytest.raises(FetchError, match="update ohlcache"):
        source.known(*BTC)


def test_parts_that_were_deleted_under_a_reader(filled, server, exporting, tmp_path):
    source = LakeSource(filled.url, storage_options=filled.options)  # looks again after a minute
    source.known(*BTC)
    old = {key for key in server.buckets["lake"] if key.endswith(".parquet")}
    values = BLOCK.values.copy()
    values[3] += 0.01
    values[1] += 0.01
    revised = type(BLOCK)(BLOCK.times, values)
    exporting(filled, *BTC, revised)
    assert not old & set(server.buckets["lake"])
    with ohlcache.open(tmp_path / "to", source=source) as md:
        assert to_block(md.candles(*BTC, T0, END)).identical(revised)
