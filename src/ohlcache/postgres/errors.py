"""What an error of PostgreSQL means to a user, by its SQLSTATE (PostgreSQL's Appendix A).

One that arises while connecting comes without SQLSTATE. It is known by its words, where libpq and
the server speak English.
"""

from __future__ import annotations

import re

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

_TO_CONNECT = {
    r"too many c|slots are reserved": "raise max_connections or the role's limit, or close some",
    r"does not support SSL": "set ssl = on at the server, or drop sslmode from the URL",
    r"no encryption": "add sslmode=require to the URL, or an entry to the server's pg_hba.conf",
    r"pg_hba\.conf": "add an entry for this client to the server's pg_hba.conf",
    r"certificate": "check sslrootcert in the URL, and the server's certificate",
    r'database ".*" does not exist': "create it with CREATE DATABASE, or correct its name",
    r'role ".*" (does not exist|is not permitted)': "name a role in the URL that may log in",
    r"password": "check the user and password in the URL",
    r"permission denied": "GRANT CONNECT ON DATABASE to the role, or name another one",
    r"failed to resolve|could not translate": "check the host in the URL",
    r"invalid .* value|bad value|unrecognized configuration parameter": "correct it in the URL",
}


def explained(name: str, error: psycopg.Error, *, is_writing: bool = False) -> StoreError:
    """The error of ours that tells what happened to the store of this name, and the remedy."""
    state = error.sqlstate or ""
    said = _on_one_line(error)
    if state == _RIGHTS:
        if is_writing:
            return StoreReadOnly(f"{name} may not be written by this role ({said}): GRANT it")
        return StoreError(f"{name} may not be read by this role ({said}): GRANT it")
    if state in _BY_STATE:
        kind, remedy = _BY_STATE[state]
        return kind(f"{name} {remedy} ({said})")
    known = None if state else _remedy_to_connect(said)
    if known or isinstance(error, psycopg.OperationalError):
        return StoreUnavailable(f"{name} is not available ({said}): {known or _UNREACHABLE}")
    return StoreError(f"{name} failed: {said}")


def _remedy_to_connect(said: str) -> str | None:
    return next((remedy for words, remedy in _TO_CONNECT.items() if re.search(words, said)), None)


def _on_one_line(error: psycopg.Error) -> str:
    """What the server says, without hints and details."""
    return " ".join((error.diag.message_primary or str(error)).split())
