"""A web server on 127.0.0.1 that receives webhooks, and answers as a test says."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

HANG = 0  # instead of a status: say nothing until the test ends
TRICKLE = -1  # a byte at a time, without end


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers the requests with ``statuses`` in turn, the last one for all that follow."""

    statuses: list[int]
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self):
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_port
        if self.tls is not None:
            # The handshake belongs into the thread of the request, not of the listener.
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/hooks/T0KEN?to=ops"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def next_status(self):
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def wait_for(self, count):
        """Until so many requests have arrived."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=10)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that gives up is what some tests are about."""


def _handler(receiver):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received(self.path, dict(self.headers), body))
            receiver.arrived.release()
            status = receiver.next_status()
            if status == HANG:
                receiver.ended.wait()
                return
            if status == TRICKLE:
                self._trickle()
                return
            self.send_response(status)
            if status == 302:
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def _trickle(self):
            self.wfile.write(b"H")
            while not receiver.ended.wait(0.02):
                self.wfile.write(b"e")

        def log_message(self, *_):
            """Nothing on the terminal."""

    return Handler
