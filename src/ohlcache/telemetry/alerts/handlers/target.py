"""The address of a webhook, checked before the first alert."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from ohlcache.errors import InvalidArgument


class Target(NamedTuple):
    """Where to post. Its path may hold a token, so that :attr:`shown` leaves it out."""

    is_https: bool
    host: str
    port: int | None
    path: str  # with the query

    @property
    def shown(self) -> str:
        """The address as far as it is no secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.is_https else 'http'}://{host}{port}"


def target_of(url: str) -> Target:
    """The parts of a URL. Raises InvalidArgument, which does not show what may be a secret."""
    if not isinstance(url, str):
        raise InvalidArgument(f"url is a {type(url).__name__}: give an http or https address")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidArgument(
            "url holds a space, control or non-ASCII character: percent-encode it"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(f"url is no address ({error}): give http(s)://host/path") from None
    _check(parts)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme == "https", parts.hostname or "", port, path)


def _check(parts: SplitResult) -> None:
    if parts.scheme not in ("http", "https"):
        raise InvalidArgument(f"url begins with {parts.scheme!r}: give an http or https address")
    if not parts.hostname:
        raise InvalidArgument("url names no host: give http(s)://host/path")
    if parts.username is not None or parts.password is not None:
        raise InvalidArgument("url holds a user name or password: sign with a secret instead")
