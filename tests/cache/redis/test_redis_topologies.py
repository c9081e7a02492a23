"""Ways to a server other than the plain one: a socket, a password, Sentinel."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from cache.shared_tier import PATIENCE, BothDoors, Recorder
from ohlcache.cache.tiers import Change

CERTIFICATE = Path(__file__).with_name("self_signed.pem")  # with its key; for 127.0.0.1


@pytest.fixture
def tls_port(server):
    """A port where the server can be reached through TLS."""

    async def forward(reader, writer) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)

    async def accept(reader, writer) -> None:
        inner = await asyncio.open_connection("127.0.0.1", server.port)
        both = [forward(reader, inner[1]), forward(inner[0], writer)]
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.wait(map(asyncio.ensure_future, both), return_when="FIRST_COMPLETED")
        writer.transport.abort()
        inner[1].transport.abort()

    async def serve() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE)
        async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as listening:
            port.set_result(listening.sockets[0].getsockname()[1])
            await asyncio.to_thread(done.wait)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.05)  # transports say goodbye in the turns to come

    port, done = Future(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield port.result()
    done.set()
    thread.join()


class TestWays(BothDoors):
    def write_and_read(self, perform, tier):
        perform(tier.write([Change("a", b"x", None)]))
        assert perform(tier.read(["a"]))["a"].data == b"x"

    def test_a_unix_socket(self, perform, redis_server, open_tier, tmp_path):
        redis_server(f"unixsocket {tmp_path}/redis.sock")
        self.write_and_read(perform, open_tier(f"unix://{tmp_path}/redis.sock?db=1"))

    def test_tls(self, perform, tls_port, open_tier):
        tier = open_tier(f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={CERTIFICATE}")
        self.write_and_read(perform, tier)
        recorder = Recorder()
        tier.listen(recorder)
        recorder.wait_for("live")
        untrusting = open_tier(f"rediss://127.0.0.1:{tls_port}/0")
        with pytest.raises(redis.ConnectionError):
            perform(untrusting.read(["a"]))
        tier.close()

    def test_a_password_and_a_database(self, perform, server, open_tier):
        with server.client() as client:
            client.acl_setuser(
                *("trader", True), passwords=["+s3cret/"], commands=["+@all"],
                keys=["*"], channels=["*"],
            )  # fmt: skip
        tier = open_tier(f"redis://trader:s3cret%2F@127.0.0.1:{server.port}/5")
        self.write_and_read(perform, tier)
        recorder = Recorder()
        tier.listen(recorder)
        recorder.wait_for("live")
        with server.client() as client:
            assert client.info("keyspace").keys() == {"db5"}
            client.config_set("requirepass", "other")
        wrong = open_tier(f"redis://trader:wrong@127.0.0.1:{server.port}/5")
        with pytest.raises(redis.AuthenticationError):
            perform(wrong.read(["a"]))

    def test_sentinel_names_the_master(self, perform, server, redis_server, open_tier):
        sentinel = redis_server(sentinel_of=server)
        tier = open_tier(f"redis+sentinel://127.0.0.1:{sentinel.port}/trading/0")
        self.write_and_read(perform, tier)
        perform(tier.probe())
        with server.client() as client:
            assert client.dbsize() > 0

    def test_a_service_that_sentinel_does_not_know(self, perform, server, redis_server, open_tier):
        sentinel = redis_server(sentinel_of=server)
        tier = open_tier(f"redis+sentinel://127.0.0.1:{sentinel.port}/nothing")
        with pytest.raises(redis.ConnectionError, match="nothing"):
            perform(tier.read(["a"]))

    def test_a_failover_is_followed(self, perform, server, redis_server, open_tier):
        replica = redis_server(f"replicaof 127.0.0.1 {server.port}")
        sentinel = redis_server(sentinel_of=server)
        tier = open_tier(f"redis+sentinel://127.0.0.1:{sentinel.port}/trading")
        self.write_and_read(perform, tier)
        with redis.Redis(port=sentinel.port) as asked:
            _until(lambda: asked.sentinel_master("trading")["num-slaves"] == 1)
            _until(lambda: _accepts(asked))
            _until(lambda: asked.sentinel_get_master_addr_by_name("trading")[1] == replica.port)
        server.kill()
        _until(lambda: _works(perform, tier))
        self.write_and_read(perform, tier)


def _until(is_so) -> None:
    deadline = time.monotonic() + PATIENCE * 2
    while not is_so():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.05)


def _accepts(sentinel) -> bool:
    try:
        return bool(sentinel.sentinel_failover("trading"))
    except redis.ResponseError:  # it does not know the replica well enough yet
        return False


def _works(perform, tier) -> bool:
    try:
        perform(tier.probe())
    except redis.RedisError:
        return False
    return True
