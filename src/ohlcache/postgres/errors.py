"""What an error of PostgreSQL means to a user, by its SQLSTATE (PostgreSQL's Appendix A)."""

from __future__ import annotations

import psycopg

from ohlcache.errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)

_UNREACHABLE = "check that PostgreSQL runs, and the host, user and password in the URL"

_BY_STATE: dict[str, tuple[type[StoreError], str]] = {
    "25006": (StoreReadOnly, "cannot be written: the server or the role is read-only"),
    "40001": (StoreLocked, "met another writer: nothing was changed, try again"),
    "40P01": (StoreLocked, "met another writer: nothing was changed, try again"),
    "42P01": (StoreError, "has lost its tables: open it again, or restore it from a copy"),
    "53100": (StoreFull, "has no room left on the server's disk: free some space"),
    "53300": (StoreUnavailable, "has no connection left: raise max_connections or close some"),
    "55P03": (StoreLocked, "is locked by another writer: try again when it is done"),
    "57014": (StoreLocked, "took longer than statement_timeout allows: raise it"),
    "58030": (StoreError, "met a disk error on the server: check its disk"),
    "XX001": (StoreDamaged, "is damaged: restore it from a copy or import again"),
    "XX002": (StoreDamaged, "has a damaged index: REINDEX it"),
}
_RIGHTS = "42501"


def explained(name: str, error: psycopg.Error, *, is_writing: bool = False) -> StoreError:
    """The error of ours that tells what happened to the store of this name, and the remedy."""
    state = error.sqlstate or ""
    said = _first_line(error)
    if state == _RIGHTS:
        if is_writing:
            return StoreReadOnly(f"{name} may not be written by this role ({said}): GRANT it")
        return StoreError(f"{name} may not be read by this role ({said}): GRANT it")
    if state in _BY_STATE:
        kind, remedy = _BY_STATE[state]
        return kind(f"{name} {remedy} ({said})")
    if isinstance(error, psycopg.OperationalError):
        return StoreUnavailable(f"{name} is not available ({said}): {_UNREACHABLE}")
    return StoreError(f"{name} failed: {said}")


def _first_line(error: psycopg.Error) -> str:
    """What the server says, without hints and details, on one line."""
    said = error.diag.message_primary or " ".join(str(error).split())
    return said.strip()
