"""A PostgreSQL connection that waits for its server only so long, and how it is made."""

from __future__ import annotations

import math
import selectors
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ohlcache.urls import NOT_ENCODED, is_ambiguous

if TYPE_CHECKING:
    from psycopg.abc import RV, PQGen

_POLL_SECONDS = 0.1
_PORTS = 2**16
_SET = (
    "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS _ (name, value)"
)


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself and raises OperationalError when the server does not answer in time."""

    answer_seconds: float = 6.0

    def wait(
        self, gen: PQGen[RV], interval: float = _POLL_SECONDS, timeout: float | None = None
    ) -> RV:
        """See psycopg.Connection."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        began = time.monotonic()
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.OperationalError:
            if time.monotonic() - began >= self.answer_seconds:
                self.close()
            raise

    @property
    def was_cut(self) -> bool:
        """Whether the server ended it while nobody used it; costs no round trip."""
        if self.closed:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno(), selectors.EVENT_READ)
            # A server has nothing to say to a connection that asked nothing, but a farewell.
            return bool(selector.select(0))


def parameters(url: str, timeout_seconds: float) -> dict[str, Any]:
    """What to connect with: the URL's own parameters, and limits where it sets none.

    Raises ValueError, with the reason and without the URL, for one that PostgreSQL does not
    understand, or would understand otherwise than it is meant.
    """
    try:
        given = conninfo_to_dict(url)
        _check_port(given)
    except (psycopg.ProgrammingError, ValueError) as error:
        if is_ambiguous(url):
            raise ValueError(NOT_ENCODED) from None
        # It may quote the URL, which may hold a password.
        raise ValueError(" ".join(str(error).split()).replace(url, "…")) from None
    if is_ambiguous(url) and _is_misread(url, given):
        raise ValueError(NOT_ENCODED)
    return {
        "application_name": "ohlcache",
        "connect_timeout": max(2, math.ceil(timeout_seconds)),
        "client_encoding": "utf8",
        "keepalives_idle": 10,
        "tcp_user_timeout": math.ceil(timeout_seconds * 1000),
        **given,
    }


def _check_port(given: Mapping[str, Any]) -> None:
    for port in filter(None, str(given.get("port", "")).split(",")):
        if not (port.isdecimal() and 0 < int(port) < _PORTS):
            raise ValueError(f"its port is no number from 1 to {_PORTS - 1}")


def _is_misread(url: str, given: Mapping[str, Any]) -> bool:
    """Whether an @ stands, as in the URL, where it cannot but be the end of a password."""
    host, database = (str(given.get(name, "")) for name in ("host", "dbname"))
    is_option = f"host={host}" in url  # @name is a socket
    return ("@" in database and database in url) or ("@" in host and not is_option)


def connect(
    given: dict[str, Any], answer_seconds: float, settings: Mapping[str, str]
) -> BoundedConnection:
    """A connection in autocommit mode, with these settings. Raises psycopg.OperationalError."""
    connection = BoundedConnection.connect(**given, autocommit=True)
    connection.answer_seconds = answer_seconds
    try:
        connection.execute(_SET, (list(settings), list(settings.values())))
    except BaseException:
        connection.close()
        raise
    return connection
