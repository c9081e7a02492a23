"""A PostgreSQL connection that waits for its server only so long, and how it is made."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ohlcache.cache.database.location import refused

if TYPE_CHECKING:
    from psycopg.abc import RV, PQGen

_SLACK_SECONDS = 1.0  # for the server's own timeout to come first, which keeps the connection
_POLL_SECONDS = 0.1
_SETTINGS = (
    # The server commits without waiting for its disk: what a crash of the server takes away is
    # loaded again. A statement that waited for a lock must see what was committed meanwhile.
    "SELECT set_config('synchronous_commit', 'off', false), "
    "set_config('default_transaction_isolation', 'read committed', false), "
    "set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)"
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


def parameters(url: str, timeout_seconds: float) -> dict[str, Any]:
    """What to connect with: the URL's own parameters, and limits where it sets none.

    Raises InvalidArgument for a URL that PostgreSQL does not understand.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        reason = " ".join(str(error).split()).replace(url, "…")  # it may hold a password
        raise refused(url, f"is not understood ({reason})") from None
    if not str(given.get("port", "0")).replace(",", "").isdecimal():
        raise refused(url, "is not understood (its port is no number)")
    return {
        "application_name": "ohlcache",
        "connect_timeout": max(2, math.ceil(timeout_seconds)),
        "client_encoding": "utf8",
        "keepalives_idle": 10,
        "tcp_user_timeout": math.ceil(timeout_seconds * 1000),
        **given,
    }


def connect(given: dict[str, Any], timeout_seconds: float) -> BoundedConnection:
    """A connection in autocommit mode. Raises psycopg.OperationalError."""
    connection = BoundedConnection.connect(**given, autocommit=True)
    connection.answer_seconds = timeout_seconds + _SLACK_SECONDS
    try:
        limit = f"{math.ceil(timeout_seconds * 1000)}"
        connection.execute(_SETTINGS, (limit, limit))
    except BaseException:
        connection.close()
        raise
    return connection
