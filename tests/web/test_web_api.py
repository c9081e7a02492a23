"""The HTTP interface, asked over a real socket of a real server."""

from __future__ import annotations

import gzip
import http.client
import json
import sqlite3
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import numpy as np
import pyarrow as pa
import pytest
import zstandard

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block
from ohlcache.errors import SourceError, UnknownSymbol, UnsupportedBySource
from ohlcache.web import Server, candles_url, create_app

HOUR = 60 * MINUTE
ROWS = 3_000
ARROW = "application/vnd.apache.arrow.stream"
IMMUTABLE = "public, max-age=31536000, immutable"
BLOCK = make_block(ROWS)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self):
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self):
        assert list(self.document) == ["error"]
        assert "Traceback" not in self.document["error"]
        assert self.headers["Cache-Control"] != IMMUTABLE
        return self.document["error"]

    @property
    def times(self):
        return [row[0] for row in self.document]


class Client:
    """Requests over one connection that is kept."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)

    def request(self, path, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, headers=named)
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def ohlc(self, method="GET", headers=None, **parameters):
        query = {"symbol": "BTC/USDT", "timeframe": "1m", **parameters}
        given = {name: value for name, value in query.items() if value is not None}
        return self.request(f"/api/crypto/ohlc?{urlencode(given)}", method, **(headers or {}))

    def close(self):
        self._connection.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with ohlcache.open(tmp_path_factory.mktemp("store")) as md:
        md.write("BTC/USDT", "1m", BLOCK)
        thin = np.append(np.arange(10), np.arange(10) + 2_000_000)
        md.write("THIN", "1m", Block(T0 + thin * MINUTE, make_block(20).values))
        odd = make_block(3)
        odd.values[4] = [np.nan, np.inf, 1.0]
        names = (*odd.names, "trades")
        md.write("ODD", "1m", Block(odd.times, np.vstack([odd.values, [1, 2, 3]]), names))
        for venue in ("kraken", "binance"):
            md.write("BOTH", "1h", make_block(5, step=HOUR), venue=venue)
        md.write("TORN", "1m", make_block(10))
        md.write("TORN", "1m", make_block(10, start=T0 + HOUR))
        with Server(create_app(md)) as server:
            server.start()
            yield server.url


@pytest.fixture
def client(url):
    with closing(Client(url)) as made:
        yield made


# -- what is answered ---------------------------------------------------------------------------


def test_rows_as_ccxt_gives_them(client):
    answer = client.ohlc(limit=3)
    assert answer.status == 200
    expected = [[int(BLOCK.times[at]), *BLOCK.values[:, at].tolist()] for at in range(-3, 0)]
    assert answer.document == expected


def test_columns(client):
    document = client.ohlc(limit=3, format="columns").document
    assert list(document) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert document["timestamp"] == BLOCK.times[-3:].tolist()
    assert document["close"] == BLOCK.values[3, -3:].tolist()


def test_arrow(client):
    answer = client.ohlc(limit=500, headers={"Accept": ARROW})
    assert answer.headers["Content-Type"] == ARROW
    table = pa.ipc.open_stream(answer.body).read_all()
    assert to_block(table).identical(BLOCK.slice(ROWS - 500, ROWS))


def test_what_json_does_not_know_is_null(client):
    assert [row[5] for row in client.ohlc(symbol="ODD").document] == [None, None, 1.0]
    columns = client.ohlc(symbol="ODD", format="columns").document
    assert (columns["volume"], columns["trades"]) == ([None, None, 1.0], [1.0, 2.0, 3.0])
    body = client.ohlc(symbol="ODD", headers={"Accept": ARROW}).body
    volume = pa.ipc.open_stream(body).read_all()["volume"].to_numpy()
    assert volume.tolist()[1:] == [np.inf, 1.0]


def test_a_timeframe_that_is_not_stored(client):
    document = client.ohlc(timeframe="1h", start=T0, limit=2).document
    assert [row[2] for row in document] == [
        BLOCK.values[1, :60].max(),
        BLOCK.values[1, 60:120].max(),
    ]


@pytest.mark.parametrize(
    ("parameters", "rows"),
    [
        ({}, slice(2000, 3000)),
        ({"limit": 10}, slice(2990, 3000)),
        ({"start": T0}, slice(0, 1000)),
        ({"start": T0, "limit": 10}, slice(0, 10)),
        ({"end": T0 + 10 * MINUTE, "limit": 4}, slice(6, 10)),
        ({"start": T0 + MINUTE, "end": T0 + 3 * MINUTE}, slice(1, 3)),
        ({"start": "2020-01-01", "end": "2020-01-02T12:00"}, slice(0, 2160)),
        ({"start": "2020-01-01T01:00+01:00", "end": "2020-01-01T00:05Z"}, slice(0, 5)),
        ({"start": T0, "end": T0 + 2500 * MINUTE, "limit": 7}, slice(0, 7)),
        ({"start": T0 + 2995 * MINUTE, "limit": 10}, slice(2995, 3000)),
        ({"end": "2100-01-01", "limit": 1}, slice(2999, 3000)),
    ],
)
def test_ranges(client, parameters, rows):
    assert client.ohlc(**parameters).times == BLOCK.times[rows].tolist()


def test_thin_series_are_followed_over_their_holes(client):
    late = T0 + 2_000_000 * MINUTE
    assert client.ohlc(symbol="THIN", limit=15).times == [
        *range(T0 + 5 * MINUTE, T0 + 10 * MINUTE, MINUTE),
        *range(late, late + 10 * MINUTE, MINUTE),
    ]
    assert client.ohlc(symbol="THIN", start=T0, limit=11).times[-1] == late


def test_an_offset_whose_plus_was_not_encoded(client):
    path = "/api/crypto/ohlc?symbol=BTC/USDT&timeframe=1m&limit=1&start=2020-01-01T02:00:00+01:00"
    assert client.request(path).times == [T0 + HOUR]


def test_pages_follow_one_another(client):
    answer = client.ohlc(start=T0, end=T0 + 2500 * MINUTE, limit=1000)
    times = answer.times
    while "Link" in answer.headers:
        link, relation = answer.headers["Link"].split("; ")
        assert relation == 'rel="next"'
        answer = client.request(link.strip("<>"))
        times += answer.times
    assert times == BLOCK.times[:2500].tolist()


def test_venues(client):
    assert "name one of binance, kraken" in client.ohlc(symbol="BOTH", timeframe="1h").error
    assert len(client.ohlc(symbol="BOTH", timeframe="1h", venue="kraken").document) == 5


def test_the_url_of_a_series(client, url):
    made = candles_url(url, "BTC/USDT:USDT [x]", "1m", limit=5)
    assert made.startswith(url)
    assert client.request(made.removeprefix(url)).status == 404
    made = candles_url(url, "BTC/USDT", "1m", start=T0, limit=5)
    assert client.request(made.removeprefix(url)).times == BLOCK.times[:5].tolist()


def test_healthz(client):
    answer = client.request("/healthz")
    assert (answer.status, answer.document["status"], answer.document["series"]) == (200, "ok", 6)
    assert answer.headers["Cache-Control"] == "no-store"


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"symbol": None}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"timeframe": None}, "timeframe"),
        ({"timeframe": "7q"}, "timeframe '7q'"),
        ({"start": "yesterday"}, "start is 'yesterday'"),
        ({"end": "2020-13-01"}, "end is '2020-13-01'"),
        ({"start": "2020-02-01", "end": "2020-01-01"}, "start 2020-02-01"),
        ({"start": T0, "end": T0}, "start 2020-01-01"),
        ({"start": "2200-01-01"}, "start is 2200-01-01T00:00Z, which lies in the future"),
        ({"start": 2**70}, f"start is {2**70}"),
        ({"limit": 0}, "limit is '0'"),
        ({"limit": -5}, "limit is '-5'"),
        ({"limit": "many"}, "limit is 'many'"),
        ({"limit": 1.5}, "limit is '1.5'"),
        ({"limit": 100_001}, "limit is '100001'"),
        ({"limit": "9" * 5000}, "limit is '999"),
        ({"limit": "١"}, "limit is"),
        ({"format": "xml"}, "format is 'xml'"),
        ({"strat": "2020"}, "parameter 'strat' is not known"),
        ({"start": "2000", "end": "2020"}, "start to end spans 10,519,200 candles of 1m"),
        ({"start": "2000", "end": "2020", "limit": 10}, "at most 10,000,000"),
        ({"venue": "\0"}, "venue"),
        ({"symbol": "A\0"}, "symbol"),
    ],
)
def test_bad_input_is_named(client, parameters, named):
    answer = client.ohlc(**parameters)
    assert answer.status == 400
    assert named in answer.error


def test_a_parameter_given_twice(client):
    path = "/api/crypto/ohlc?symbol=BTC/USDT&timeframe=1m&symbol=THIN"
    assert "parameter symbol is given 2 times" in client.request(path).error


def test_a_range_is_given_whole_or_refused(client):
    answer = client.ohlc(start="2019-01-01", end="2019-06-01")
    assert answer.status == 400
    assert "give a limit" in answer.error
    assert len(client.ohlc(start="2020-01-01", end="2020-03-01").document) == ROWS


@pytest.mark.parametrize(
    "parameters",
    [
        {"symbol": "NOPE"},
        {"symbol": "NOPE", "start": T0},
        {"symbol": "'; DROP TABLE series; --"},
        {"symbol": "../../etc/passwd"},
        {"venue": "moon"},
        {"timeframe": "1s"},
    ],
)
def test_what_is_not_stored_is_404(client, parameters):
    answer = client.ohlc(**parameters)
    assert answer.status == 404
    assert answer.error


def test_errors_outside_of_the_interface_are_json_too(client):
    assert client.request("/nothing").status == 404
    answer = client.request("/api/crypto/ohlc", "POST")
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert "error" in answer.document


# -- how it is sent -----------------------------------------------------------------------------

DECODE = {
    "zstd": zstandard.decompress,
    "gzip": gzip.decompress,
    None: lambda body: body,
}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0.5, zstd;q=0.5", "zstd"),
        ("gzip;q=0", None),
        ("zstd;q=0, *", "gzip"),
        ("*", "zstd"),
        ("*;q=0.1, identity;q=0.5", None),
        ("identity;q=0, gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.1", None),
    ],
)
def test_compression_as_the_client_likes_it(client, accepted, coding):
    headers = {} if accepted is None else {"Accept_Encoding": accepted}
    answer = client.ohlc(headers=headers)
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert json.loads(DECODE[coding](answer.body)) == client.ohlc().document
    assert int(answer.headers["Content-Length"]) == len(answer.body)


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "text/html"},
        {"Accept": "application/json;q=0"},
        {"Accept_Encoding": "identity;q=0"},
        {"Accept_Encoding": "*;q=0"},
    ],
)
def test_nothing_acceptable(client, headers):
    answer = client.ohlc(headers=headers)
    assert answer.status == 406
    assert "Accept" in answer.error


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
        (f"application/json, {ARROW}", "application/json"),
        (f"application/json;q=0.5, {ARROW}", ARROW),
    ],
)
def test_the_kind_that_the_client_likes_best(client, accept, media_type):
    assert client.ohlc(headers={"Accept": accept}).headers["Content-Type"] == media_type


def test_little_is_not_compressed_unless_it_must_be(client):
    assert (
        client.ohlc(limit=2, headers={"Accept_Encoding": "gzip"}).headers["Content-Encoding"]
        is None
    )
    answer = client.ohlc(limit=2, headers={"Accept_Encoding": "gzip, identity;q=0"})
    assert answer.headers["Content-Encoding"] == "gzip"


def test_head_says_what_get_would(client):
    head, get = client.ohlc("HEAD"), client.ohlc()
    assert (head.status, head.body) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Cache-Control", "Vary"):
        assert head.headers[name] == get.headers[name] != None  # noqa: E711
    assert client.ohlc("HEAD", symbol="NOPE").status == 404


# -- caching ------------------------------------------------------------------------------------


def test_each_body_has_a_tag_of_its_own(client):
    variants = [
        {},
        {"headers": {"Accept_Encoding": "gzip"}},
        {"headers": {"Accept_Encoding": "zstd"}},
        {"headers": {"Accept": ARROW}},
        {"format": "columns"},
        {"limit": 999},
        {"timeframe": "5m"},
        {"symbol": "THIN"},
    ]
    tags = [client.ohlc(**variant).headers["ETag"] for variant in variants]
    assert len(set(tags)) == len(variants)
    assert tags == [client.ohlc(**variant).headers["ETag"] for variant in variants]
    assert all(tag.startswith('"') for tag in tags)  # strong


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_what_the_client_has_is_not_sent_again(client, method, coding):
    headers = {"Accept_Encoding": coding}
    first = client.ohlc(headers=headers, start=T0)
    tag = first.headers["ETag"]
    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        answer = client.ohlc(method, headers={**headers, "If_None_Match": given}, start=T0)
        assert (answer.status, answer.body) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary", "Link"):
            assert answer.headers[name] == first.headers[name]
    answer = client.ohlc(headers={**headers, "If_None_Match": '"other"'}, start=T0)
    assert (answer.status, answer.body) == (200, first.body)


@pytest.mark.parametrize(
    ("parameters", "is_final"),
    [
        ({"start": T0, "end": T0 + HOUR}, True),
        ({"start": T0 + 1, "end": T0 + HOUR - 1}, True),
        ({"start": T0, "end": T0 + ROWS * MINUTE}, True),
        ({"start": T0, "end": T0 + (ROWS + 1) * MINUTE}, False),
        ({"start": T0 - MINUTE, "end": T0 + HOUR}, False),
        ({"start": T0}, True),  # the first thousand: more follow
        ({"start": T0, "limit": 2999}, True),
        ({"start": T0, "limit": 3000}, False),  # whether more follow may change
        ({"start": T0 + 2500 * MINUTE}, False),
        ({}, False),
        ({"end": T0 + HOUR}, False),  # what comes before may still be stored
        ({"start": T0, "end": T0 + 2 * HOUR, "timeframe": "1h"}, True),
        ({"start": T0, "end": T0 + 50 * HOUR, "timeframe": "1h"}, False),
        ({"start": T0, "end": T0 + HOUR, "symbol": "TORN"}, False),  # not covered between
        ({"start": T0 + HOUR, "end": T0 + HOUR + 10 * MINUTE, "symbol": "TORN"}, True),
        ({"start": T0, "end": T0 + 40 * MINUTE, "symbol": "THIN"}, True),  # covered, and empty
    ],
)
def test_only_history_that_cannot_change_is_immutable(client, parameters, is_final):
    answer = client.ohlc(**parameters)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == (IMMUTABLE if is_final else "no-cache")


def serving(md):
    return Server(create_app(md))


def test_what_is_written_later_is_served(tmp_path):
    with ohlcache.open(tmp_path) as md, serving(md) as server:
        server.start()
        md.write("BTC/USDT", "1m", BLOCK.slice(0, 100))
        range_ = {"start": T0, "end": T0 + 200 * MINUTE}
        with closing(Client(server.url)) as client:
            before = client.ohlc(**range_)
            with ohlcache.open(tmp_path) as other:
                other.write("BTC/USDT", "1m", BLOCK.slice(100, 200))
            tag = before.headers["ETag"]
            after = client.ohlc(**range_, headers={"If_None_Match": tag})
    assert (len(before.times), before.headers["Cache-Control"]) == (100, "no-cache")
    assert (len(after.times), after.headers["Cache-Control"]) == (200, IMMUTABLE)


# -- when it fails inside -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (SourceError("the exchange is closed for ever"), 502, "closed for ever"),
        (UnknownSymbol("binance does not know it"), 404, "does not know it"),
        (UnsupportedBySource("timeframe 1m is not offered"), 400, "timeframe 1m"),
    ],
)
def test_a_source_that_fails(tmp_path, error, status, message):
    def fail(symbol, timeframe, start, end):
        raise error

    with ohlcache.open(tmp_path, source=fail) as md, serving(md) as server:
        server.start()
        with closing(Client(server.url)) as client:
            answer = client.ohlc(start=T0, end=T0 + HOUR)
    assert answer.status == status
    assert message in answer.error


def test_a_source_fills_what_is_missing(tmp_path):
    asked = []

    def fetch(symbol, timeframe, start, end):
        asked.append((start, end))
        return BLOCK.between(start, end)

    with ohlcache.open(tmp_path, source=fetch) as md, serving(md) as server:
        server.start()
        with closing(Client(server.url)) as client:
            first, second = (client.ohlc(start=T0, end=T0 + HOUR) for _ in range(2))
    assert first.times == second.times == BLOCK.times[:60].tolist()
    assert [first.headers["Cache-Control"], second.headers["Cache-Control"]] == [
        "no-cache",
        IMMUTABLE,
    ]
    assert asked == [(T0, T0 + HOUR)]


def test_a_damaged_store_is_told_without_its_place(tmp_path, caplog):
    with ohlcache.open(tmp_path) as md:
        md.write("BTC/USDT", "1m", BLOCK)
    with closing(sqlite3.connect(tmp_path / "ohlcache.sqlite")) as connection:
        connection.execute("UPDATE chunk SET data = substr(data, 1, 50)")
        connection.commit()
    with ohlcache.open(tmp_path) as md, serving(md) as server:
        server.start()
        with closing(Client(server.url)) as client:
            answer = client.ohlc(start=T0, end=T0 + HOUR)
            assert client.request("/healthz").status == 200
    assert answer.status == 503
    assert "Damaged" in answer.error
    assert str(tmp_path) not in answer.error
    assert "Damaged" in caplog.text


def test_a_fault_of_our_own_is_logged_and_not_shown(tmp_path, monkeypatch, caplog):
    def fault(*arguments, **options):
        raise RuntimeError("secret")

    monkeypatch.setattr("ohlcache.web.api.read_page", fault)
    with ohlcache.open(tmp_path) as md, serving(md) as server:
        server.start()
        with closing(Client(server.url)) as client:
            answer = client.ohlc(start=T0, end=T0 + HOUR)
    assert answer.status == 500
    assert "secret" not in answer.error
    assert "RuntimeError: secret" in caplog.text


def test_many_clients_at_once(url):
    from concurrent.futures import ThreadPoolExecutor

    def ask(number):
        with closing(Client(url)) as client:
            return [client.ohlc(start=T0 + number * MINUTE, limit=50).times for _ in range(5)]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(16)))
    for number, times in enumerate(answers):
        assert times == [BLOCK.times[number : number + 50].tolist()] * 5


def test_the_blueprint_can_be_mounted_elsewhere(md):
    from flask import Flask

    from ohlcache.web import make_blueprint

    md.write("BTC/USDT", "1m", BLOCK)
    app = Flask("theirs")
    app.register_blueprint(make_blueprint(md), url_prefix="/data")
    answer = app.test_client().get(
        "/data/api/crypto/ohlc", query_string={"symbol": "BTC/USDT", "timeframe": "1m", "start": T0}
    )
    assert answer.status_code == 200
    link = answer.headers["Link"].partition(">")[0].removeprefix("<")
    assert link.startswith("/data/api/crypto/ohlc?")
    assert app.test_client().get(link).json[0][0] == BLOCK.times[1000]


def test_a_closed_server_is_gone(tmp_path):
    with ohlcache.open(tmp_path) as md:
        with serving(md) as server:
            server.start()
            url = server.url
            with closing(Client(url)) as client:
                assert client.request("/healthz").status == 200
        with closing(Client(url)) as client, pytest.raises(ConnectionError):
            client.request("/healthz")
