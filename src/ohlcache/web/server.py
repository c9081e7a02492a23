"""A production WSGI server that can be run here or beside other work, and stopped."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from waitress import create_server, wasyncore
from waitress.trigger import trigger

from ohlcache.closing import Closing
from ohlcache.errors import InvalidArgument

_THREADS = 8
_BACKLOG = 1024
_LARGEST_REQUEST = 64 * 1024  # of which none needs a body


class Server(Closing):
    """Waitress on an address, from when it is made until it is closed. A context manager.

    ``port`` 0 takes a free one; ``url``, without a slash at the end, says which. Raises
    InvalidArgument for an address that cannot be listened on.
    """

    def __init__(self, application: Any, host: str = "127.0.0.1", port: int = 0) -> None:
        self._map: dict[int, Any] = {}
        self._server = create_server(
            application,
            self._map,
            sockets=[_listen(host, port)],
            threads=_THREADS,
            ident=None,
            max_request_body_size=_LARGEST_REQUEST,
        )
        # Waitress knows no other way to be stopped from another thread than a trigger of our own.
        self._trigger = trigger(self._map)
        self._thread: threading.Thread | None = None
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.effective_port}"

    def run(self) -> None:
        """Serve in this thread until Ctrl-C or, from another thread, :meth:`close`."""
        self._server.run()

    def start(self) -> None:
        """Serve in a thread of its own until :meth:`close`."""
        self._thread = threading.Thread(target=self.run, name="ohlcache-server")
        self._thread.start()

    def wait(self) -> None:
        """Wait for Ctrl-C while the thread serves."""
        if self._thread is not None:
            with suppress(KeyboardInterrupt):
                self._thread.join()

    def close(self) -> None:
        """Stop: requests under way are finished, connections closed."""
        if self._thread is not None:
            self._trigger.pull_trigger(lambda: wasyncore.close_all(self._map))
            self._thread.join()
            self._thread = None
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._map)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InvalidArgument(
            f"host {host} port {port} cannot be listened on ({error.strerror}): use another one"
        ) from error
