"""One POST over HTTP or HTTPS, within a time.

Only the status of the answer is read, no redirect is followed, no proxy is used, certificates are
verified.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection

from ohlcache.telemetry.alerts.handlers.target import Target


def post(target: Target, body: bytes, headers: Mapping[str, str], seconds: float) -> int:
    """The status that the server answers. Raises OSError or http.client.HTTPException.

    seconds: for connecting to an address of the host, for the handshake of TLS, and for request and
    answer together, also where a server sends it byte by byte. Only looking up the name of the host
    has no bound but the system's.
    """
    connection = _connection(target, seconds)
    try:
        connection.connect()
        with _cut_after(seconds, connection.sock):
            connection.request("POST", target.path, body, dict(headers))
            with connection.getresponse() as response:
                return response.status
    finally:
        connection.close()


def _connection(target: Target, seconds: float) -> HTTPConnection:
    if target.is_https:
        context = ssl.create_default_context()
        return HTTPSConnection(target.host, target.port, timeout=seconds, context=context)
    return HTTPConnection(target.host, target.port, timeout=seconds)


@contextmanager
def _cut_after(seconds: float, connected: socket.socket) -> Iterator[None]:
    """A time-out of a socket counts anew with every byte; this one does not."""
    cut = threading.Timer(seconds, _cut, [connected])
    cut.daemon = True
    cut.start()
    try:
        yield
    finally:
        cut.cancel()


def _cut(connected: socket.socket) -> None:
    """End a connection under the thread that waits for it."""
    with suppress(OSError):  # it has just ended by itself
        # Not the method of a TLS socket, which would take its state from under that thread.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
