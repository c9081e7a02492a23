"""What a database URL means, and how it is shown in messages."""

from __future__ import annotations

from pathlib import Path

from ohlcache.errors import InvalidArgument
from ohlcache.urls import masked

_REMEDY = "give sqlite:///path or postgresql://user@host/database"


def refused(url: object, reason: str) -> InvalidArgument:
    """The error for a URL that cannot be used."""
    shown = masked(url) if isinstance(url, str) else url
    return InvalidArgument(f"cache.l3.url {shown!r} {reason}: {_REMEDY}")


def is_postgres(url: str) -> bool:
    """Whether the URL means PostgreSQL; if not, it means SQLite.

    Raises InvalidArgument for one that means neither.
    """
    if not isinstance(url, str):
        raise refused(url, "is not text")
    scheme, separator, _ = url.partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        return True
    if separator and scheme == "sqlite":
        return False
    raise refused(url, "names no database that can be used")


def sqlite_path(url: str) -> Path:
    """``sqlite:///cache.db`` is relative, ``sqlite:////srv/cache.db`` absolute, as in SQLAlchemy.

    Raises InvalidArgument for a URL without a path or with what cannot be heeded.
    """
    rest = url.removeprefix("sqlite://")
    if not rest.startswith("/") or len(rest) == 1:
        raise refused(url, "has no path")
    if rest == "/:memory:":
        raise refused(url, "is not shared between processes")
    if "?" in rest:
        raise refused(url, "has parameters, which SQLite does not take here")
    return Path(rest[1:])
