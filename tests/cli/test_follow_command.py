"""``ohlcache follow`` as a process, beside an exchange that streams over a WebSocket."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from command_line import CommandLine

import ohlcache
from exchange_server import MINUTE
from exchange_stream import T0, binance, kline
from made_candles import make_block

pytest.importorskip("ccxt.pro")

BTC = ("BTC/USDT", "1m")
FOLLOW = ("follow", *BTC, "--exchange", "binance")
HOUR = T0 + 60 * MINUTE

# The command line with an exchange that lives at other addresses.
PROGRAM = """
import functools, json, sys
from ohlcache.cli import exchange, main

options = json.loads(sys.argv.pop(1))
exchange.CcxtSource = functools.partial(exchange.CcxtSource, **options)
exchange.CcxtStream = functools.partial(exchange.CcxtStream, **options)
sys.exit(main())
"""


@pytest.fixture
def stored(tmp_path):
    """A store whose history ends three candles before the exchange's does."""
    with ohlcache.open(tmp_path) as md:
        md.write(*BTC, make_block(57), venue="binance")
    return tmp_path


@asynccontextmanager
async def started(options, store, *arguments, stdout=asyncio.subprocess.PIPE):
    """The command as a process, which is ended in any case."""
    program = (sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM, json.dumps(options))
    process = await asyncio.create_subprocess_exec(
        *program, "--store", store, *arguments, stdout=stdout, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def lines_of(process, number):
    async with asyncio.timeout(30):
        return [(await process.stdout.readline()).decode().rstrip() for _ in range(number)]


async def ended(process, how=None):
    """Code, the rest of the output, and errors of a process, which is sent a signal first."""
    if how is not None:
        process.send_signal(how)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def test_candles_are_printed_as_they_close_until_it_is_stopped(stored):
    async def follow():
        messages = [kline(HOUR, 2.25), kline(HOUR + MINUTE, 3.5), kline(HOUR + 2 * MINUTE, 4)]
        async with (
            binance(messages, now=HOUR + 3 * MINUTE, published=HOUR) as options,
            started(options, stored, *FOLLOW) as process,
        ):
            return await lines_of(process, 7), await ended(process, signal.SIGTERM)

    printed, last = asyncio.run(follow())
    assert printed[0] == "following binance BTC/USDT 1m (Ctrl-C ends it)"
    assert printed[1].split() == ["time", "(UTC)", "open", "high", "low", "close", "volume"]
    times = [line[:16] for line in printed[2:]]
    assert times == [f"2020-01-01 {at}" for at in ("00:57", "00:58", "00:59", "01:00", "01:01")]
    assert [float(text) for text in printed[5].split()[2:]] == [1, 9, 0.5, 2.25, 3]
    assert last == (0, "2 candles stored as they closed, 3 from history\n", "")
    with ohlcache.open(stored) as md:
        assert md.coverage(*BTC) == [(T0, HOUR + 2 * MINUTE)]


def test_json_is_a_document_per_line(stored):
    async def follow():
        messages = [kline(HOUR, 2), kline(HOUR + MINUTE, 3)]
        async with (
            binance(messages, now=HOUR + 2 * MINUTE, published=HOUR) as options,
            started(options, stored, *FOLLOW, "--json") as process,
        ):
            return await lines_of(process, 4), await ended(process, signal.SIGINT)

    printed, (code, rest, err) = asyncio.run(follow())
    candles = [json.loads(line) for line in printed]
    assert [candle["timestamp"] for candle in candles] == [
        HOUR + minute * MINUTE for minute in (-3, -2, -1, 0)
    ]
    assert list(candles[3].values()) == [HOUR, 1, 9, 0.5, 2, 3]
    assert (code, json.loads(rest), err) == (0, {"stored": 1, "repaired": 3}, "")


def test_a_lost_connection_is_told_and_what_it_missed_is_fetched(stored):
    async def follow():
        back = HOUR + 3 * MINUTE
        first = [kline(HOUR, 2), kline(HOUR + MINUTE, 3)]
        second = [kline(back, 5), kline(back + MINUTE, 6)]
        async with (
            binance(first, second, now=back + 2 * MINUTE, published=back) as options,
            started(options, stored, *FOLLOW, "--json") as process,
        ):
            return await lines_of(process, 7), await ended(process, signal.SIGINT)

    printed, (code, rest, err) = asyncio.run(follow())
    assert [json.loads(line)["timestamp"] for line in printed] == [
        HOUR + minute * MINUTE for minute in range(-3, 4)
    ]
    assert code == 0
    assert json.loads(rest)["repaired"] >= 5
    told = err.splitlines()
    assert told
    assert all(line.startswith("ohlcache: binance: ") for line in told)
    assert all(": trying again in " in line for line in told)
    with ohlcache.open(stored) as md:
        assert len(md.candles(*BTC)) == 64
        assert md.coverage(*BTC) == [(T0, T0 + 64 * MINUTE)]


def test_candles_are_stored_while_nobody_reads_the_output(tmp_path):
    async def follow():
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        messages = [kline(T0 + minute * MINUTE, 2) for minute in range(150)]
        async with (
            asyncio.timeout(30),
            binance(messages, now=T0 + 149 * MINUTE) as options,
            started(options, tmp_path, *FOLLOW, "--json", stdout=write) as process,
        ):
            os.close(write)
            with ohlcache.open(tmp_path) as md, os.fdopen(read) as printed:
                while not md.series() or len(md.candles(*BTC)) < 149:
                    await asyncio.sleep(0.02)
                lines = [await asyncio.to_thread(printed.readline) for _ in range(149)]
                process.send_signal(signal.SIGINT)
                return lines, await asyncio.to_thread(printed.read)

    lines, last = asyncio.run(follow())
    assert [json.loads(line)["timestamp"] for line in lines] == [
        T0 + minute * MINUTE for minute in range(149)
    ]
    assert json.loads(last) == {"stored": 149, "repaired": 0}


def test_trades_are_watched_where_they_are_asked_for(tmp_path):
    async def follow(*arguments):
        subscribed = []
        async with (
            binance([], subscribed=subscribed) as options,
            started(options, tmp_path, *FOLLOW, *arguments) as process,
        ):
            while not subscribed:
                await asyncio.sleep(0.02)
            return subscribed, await ended(process, signal.SIGINT)

    subscribed, (code, out, err) = asyncio.run(follow("--trades"))
    assert subscribed == ["btcusdt@trade"]
    assert out.splitlines()[-1] == "0 candles stored as they closed, 0 from history"
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (("NO/PE", "1m"), "ohlcache: error: symbol 'NO/PE' is not known at binance\n"),
        (("BTC/USDT", "7m"), "ohlcache: error: timeframe 7m is not offered by binance: "),
    ],
)
def test_what_an_exchange_does_not_have_is_told_in_one_line(tmp_path, series, message):
    async def follow():
        arguments = ("follow", *series, "--exchange", "binance", "--json")
        async with (
            binance([]) as options,
            started(options, tmp_path, *arguments) as process,
        ):
            return await ended(process)

    code, out, err = asyncio.run(follow())
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(message)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (BTC, 2, "--exchange"),
        ((*BTC, "--exchange", "binanse"), 1, "did you mean binance"),
        ((*BTC, "--exchange", "synthetic"), 1, "exchange synthetic has no stream: name one"),
        (("BTC/USDT", "soon", "--exchange", "binance"), 1, "soon"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_a_store_is_made(
    tmp_path, capsys, arguments, code, message
):
    cli = CommandLine(tmp_path / "store", capsys)
    refused = cli("follow", *arguments)
    assert refused.code == code
    assert message in refused.error
    assert refused.out == ""
    assert not cli.store.exists()
