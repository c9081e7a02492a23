"""Where a Redis is: a URL read, checked and made ready for connections.

    redis://[user:password@]host[:port][/db]      rediss:// for TLS
    unix://[user:password@]/path/of/socket[?db=0]
    redis+sentinel://[user:password@]host[:port],host[:port]/service[/db]
    redis+cluster://[user:password@]host[:port],host[:port]

User and password are those of the servers; the sentinels themselves are asked without.
Options of redis-py's connections may follow as a query (``?ssl_ca_certs=/etc/ca.pem``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import RedisError
from redis.retry import Retry

from ohlcache.errors import InvalidArgument
from ohlcache.urls import NOT_ENCODED, is_ambiguous, masked

Kind = Literal["single", "sentinel", "cluster"]
Address = tuple[tuple[str, Any], ...]  # what tells a connection where its server is

_SHAPES = "give redis://host:port/db, rediss://, unix://, redis+sentinel:// or redis+cluster://"
_PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]@/]+)(?::(\d{1,5}))?")


@dataclass(frozen=True)
class Location:
    """A URL taken apart.

    nodes: the addresses that it names: the server, the sentinels, or some nodes of the cluster.
    options: what every connection to a server takes besides its address.
    """

    kind: Kind
    nodes: tuple[Address, ...]
    service: str
    options: dict[str, Any] = field(repr=False)
    connection_class: type[AbstractConnection] = Connection

    def connection(self, address: Address, timeout: float, **options: Any) -> AbstractConnection:
        """A connection of redis-py that will connect when first used, and retries nothing."""
        return self.connection_class(
            **{
                "socket_timeout": timeout,
                "socket_connect_timeout": timeout,
                "driver_info": None,
                "retry": Retry(NoBackoff(), 0),
                "protocol": 2,
                **self.options,
                **dict(address),
                **options,
            }
        )


def parse_location(url: str) -> Location:
    """Read a URL. Raises InvalidArgument, with the password masked."""
    try:
        parts = urlsplit(url)
        _check_password(url, parts)
        scheme, _, kind = parts.scheme.partition("+")
        if kind not in ("", "sentinel", "cluster") or scheme not in ("redis", "rediss", "unix"):
            _refuse(url, f"has an unknown scheme: {_SHAPES}")
        location = (
            _spread(url, parts, "sentinel" if kind == "sentinel" else "cluster")
            if kind
            else _single(url, parts)
        )
        location.connection(location.nodes[0], 1.0)
    except InvalidArgument:
        raise
    except (AttributeError, RedisError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()).removeprefix("AbstractConnection.__init__() ")
        _refuse(url, f"cannot be used ({reason}): {_SHAPES}")
    return location


def _refuse(url: str, reason: str) -> NoReturn:
    if is_ambiguous(str(url)):  # the reason may quote what was taken for a port or a database
        reason = f"cannot be used ({NOT_ENCODED}): {_SHAPES}"
    raise InvalidArgument(f"redis_url {masked(str(url))!r} {reason}") from None


def _check_password(url: str, parts: SplitResult) -> None:
    """Refuse a URL with an @ where it cannot but be the end of a password."""
    options = parts.query.partition("=")[2]
    if "@" in parts.path + parts.query.removesuffix(options) + parts.fragment and is_ambiguous(url):
        _refuse(url, NOT_ENCODED)


def _single(url: str, parts: SplitResult) -> Location:
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            _refuse(url, "names no socket: give unix:///path/of/socket")
    else:
        if not parts.hostname:
            _refuse(url, f"names no host: {_SHAPES}")
        _check_database(url, parts.path)
    options = dict(parse_url(url))  # type: ignore[no-untyped-call]
    connection_class = options.pop("connection_class", Connection)
    where = ("path",) if parts.scheme == "unix" else ("host", "port")
    defaults = {"host": "localhost", "port": _PORTS["single"]}
    address = tuple((name, options.pop(name, defaults.get(name))) for name in where)
    return Location("single", (address,), "", options, connection_class)


def _spread(url: str, parts: SplitResult, kind: Kind) -> Location:
    userinfo, at, hosts = parts.netloc.rpartition("@")
    nodes = tuple(_node(url, host, _PORTS[kind]) for host in hosts.split(","))
    service, _, database = parts.path.strip("/").partition("/")
    if kind == "sentinel" and not service:
        _refuse(url, "names no service: give redis+sentinel://host:port/service/db")
    if kind == "cluster" and service not in ("", "0"):
        _refuse(url, "has a database, and a cluster has only one: leave it out")
    _check_database(url, database)
    scheme = parts.scheme.partition("+")[0]
    options = dict(parse_url(f"{scheme}://{userinfo}{at}host/{database}?{parts.query}"))  # type: ignore[no-untyped-call]
    del options["host"]
    connection_class = options.pop("connection_class", Connection)
    return Location(kind, nodes, service, options, connection_class)


def _node(url: str, text: str, default_port: int) -> Address:
    found = _HOST.fullmatch(text)
    if not found or int(found[2] or default_port) > 65535:
        _refuse(url, f"names {text!r} where a host:port belongs: separate nodes with commas")
    return (("host", found[1].strip("[]")), ("port", int(found[2] or default_port)))


def _check_database(url: str, path: str) -> None:
    database = path.strip("/")
    if database and not database.isdecimal():
        _refuse(url, f"has the database {database!r}: give its number")
