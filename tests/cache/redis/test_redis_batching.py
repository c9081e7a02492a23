"""What concurrent tasks ask for in one turn of an event loop goes out together."""

from __future__ import annotations

import asyncio

import pytest
import redis

from ohlcache.cache.tiers import Change, Stored


@pytest.fixture
def calls(server):
    """How often the server was called with a command since the last look."""

    def look(command: str) -> int:
        with server.client() as client:
            found = client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})
            client.config_resetstat()
        return found["calls"]

    return look


async def together(*steps):
    return await asyncio.gather(*(step.arun() for step in steps))


def test_reads_of_one_turn_are_one_mget(calls, tier, other):
    keys = [f"{number}" for number in range(50)]
    other.write([Change(key, key.encode(), None) for key in keys]).run()
    calls("mget")
    found = asyncio.run(together(*(tier.read([key, "absent"]) for key in keys)))
    assert calls("mget") == 1
    assert [list(states) for states in found] == [[key] for key in keys]
    assert tier.stats()["keys_per_batch"] == 100
    assert tier.stats()["reads"] == 50


def test_a_large_turn_is_cut(calls, tier):
    calls("mget")
    asyncio.run(together(*(tier.read([f"{n}", f"{n + 1}"]) for n in range(600))))
    assert calls("mget") == 3  # of 512 keys at most


def test_writes_of_one_turn_are_one_pipeline(calls, tier):
    async def write_all():
        await tier.write([Change("first", b"x", None)]).arun()  # now the server has the script
        return await together(*(tier.write([Change(f"{n}", b"x", None)]) for n in range(40)))

    calls("evalsha")
    made = asyncio.run(write_all())
    assert len({stamp for each in made for stamp in each.values()}) == 40
    assert calls("evalsha") == 41
    assert tier.stats()["script_batches"] == 2


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_cancelled_task_harms_no_other(server, tier, other, turns):
    """Cancelled before its batch is sent, and while the reply is awaited."""

    async def run():
        await tier.read(["0"]).arun()
        server.pause()
        tasks = [asyncio.create_task(tier.read([f"{n}"]).arun()) for n in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        await asyncio.sleep(0.02)
        server.resume()
        return await asyncio.gather(*tasks, return_exceptions=True)

    made = other.write([Change(f"{n}", b"%d" % n, None) for n in range(5)]).run()
    found = asyncio.run(run())
    assert [type(each) for each in (found[0], found[3])] == [asyncio.CancelledError] * 2
    for number in (1, 2, 4):
        assert found[number] == {f"{number}": Stored(made[f"{number}"], b"%d" % number)}


def test_an_error_reaches_all_of_a_batch_and_nobody_else(server, tier, other):
    async def run():
        await tier.read(["a"]).arun()
        server.pause()
        steps = [tier.read([f"{n}"]).arun() for n in range(5)]
        failed = await asyncio.gather(*steps, return_exceptions=True)
        server.resume()
        return failed, await tier.read(["a"]).arun()

    other.write([Change("a", b"x", None)]).run()
    failed, after = asyncio.run(run())
    assert [type(each) for each in failed] == [redis.TimeoutError] * 5
    assert after["a"].data == b"x"
    assert tier.stats()["errors"] == {"TimeoutError": 5}


def test_a_storm_of_cancellations_leaves_a_working_tier(tier, other):
    async def run():
        for wave in range(20):
            tasks = [asyncio.create_task(tier.read([f"{n}"]).arun()) for n in range(30)]
            for _ in range(wave % 5):
                await asyncio.sleep(0)
            for task in tasks[wave % 3 :: 2]:
                task.cancel()
            for number, found in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
                if not isinstance(found, asyncio.CancelledError):
                    assert found[f"{number}"].data == b"%d" % number
        return await together(*(tier.read([f"{n}"]) for n in range(30)))

    other.write([Change(f"{n}", b"%d" % n, None) for n in range(30)]).run()
    assert [list(each) for each in asyncio.run(run())] == [[f"{n}"] for n in range(30)]


def test_a_large_value_takes_longer_than_the_time_out(open_tier, server):
    """The time-out is for silence, not for the whole."""
    tier = open_tier(server.url, timeout_seconds=0.25)
    value = bytes(50 << 20)

    async def run():
        await tier.write([Change("a", value, 60_000)]).arun()
        return await tier.read(["a"]).arun()

    assert asyncio.run(run())["a"].data == value
    tier.write([Change("b", value, 60_000)]).run()
    assert tier.read(["b"]).run()["b"].data == value
