"""TLS in front of a PostgreSQL that has none, as a server with a certificate of its own."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress

import pytest

_GSS_REQUEST = (80877104).to_bytes(4)  # PostgreSQL's message formats: GSSENCRequest


def make_certificate(folder):
    """A self-signed certificate for localhost: the files of certificate and key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = folder / "server.crt", folder / "server.key"
    options = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        ["openssl", *options.split(), "-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextmanager
def tls_in_front_of(port, certificate, key):
    """Gives the port where clients that ask for TLS are passed on to ``port``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(reader, writer):
        while (await reader.readexactly(8))[4:] == _GSS_REQUEST:
            writer.write(b"N")
        writer.write(b"S")
        await writer.start_tls(context)
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer))

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        started.append(server.sockets[0].getsockname()[1])
        ready.set()
        await ended.wait()
        server.close()

    started, ready, ended = [], threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    yield started[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()


async def _pass_on(reader, writer):
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
