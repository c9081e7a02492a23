"""What can be read without changing anything: states of keys, versions of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ohlcache.cache.database.engine import Row, Session
from ohlcache.cache.tiers import Stored

_STATES = (
    "SELECT key, stamp, data, used FROM ohlcache1_entries "
    "WHERE namespace = ? AND (expires IS NULL OR expires > ?) AND key"
)
_VERSIONS = "SELECT name, version FROM ohlcache1_versions WHERE namespace = ? AND used > ? AND name"
_EXPIRED = "SELECT 1 FROM ohlcache1_entries WHERE namespace = ? AND expires <= ? LIMIT 1"
_UNUSED = "SELECT 1 FROM ohlcache1_versions WHERE namespace = ? AND used <= ? LIMIT 1"
_ENDED = "SELECT 1 FROM ohlcache1_leases WHERE namespace = ? AND ends <= ? LIMIT 1"

VERSION_MICROSECONDS = 30 * 86_400_000_000  # that a version nobody uses is kept


class Found(NamedTuple):
    """A state, and when it was last used as far as the table knows."""

    stored: Stored
    used: int


def states(
    session: Session, namespace: str, names: Mapping[bytes, str], now: int
) -> dict[str, Found]:
    """The unexpired states of the keys; ``names``: stored key -> key."""
    rows: list[Row] = session.rows_of(_STATES, names, namespace, now)
    return {names[key]: Found(Stored(stamp, data), used) for key, stamp, data, used in rows}


def versions(
    session: Session, namespace: str, names: Mapping[bytes, str], since: int
) -> dict[str, str]:
    """The versions that were noted as used since then; ``names``: stored name -> name."""
    rows = session.rows_of(_VERSIONS, names, namespace, since)
    return {names[name]: version for name, version in rows}


def has_leftovers(session: Session, namespace: str, now: int) -> bool:
    """Whether there is something expired to remove."""
    return any(
        session.rows(sql, namespace, time)
        for sql, time in (
            (_EXPIRED, now),
            (_ENDED, now),
            (_UNUSED, now - VERSION_MICROSECONDS),
        )
    )
