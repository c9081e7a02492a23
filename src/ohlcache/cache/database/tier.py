"""The database tier: the steps of a shared tier, on SQLite or PostgreSQL.

It is for the processes of machines whose clocks agree: entries and leases end by the wall clock.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from ohlcache.cache.database import notices, reading
from ohlcache.cache.database.board import DatabaseBoard
from ohlcache.cache.database.changing import Changing
from ohlcache.cache.database.engine import Engine, Session
from ohlcache.cache.database.listener import Listener
from ohlcache.cache.database.location import is_postgres, sqlite_path
from ohlcache.cache.database.sweeper import Sweeper
from ohlcache.cache.database.tables import stored_key
from ohlcache.cache.tiers import Change, Events, Stored
from ohlcache.drive import Step
from ohlcache.errors import InvalidArgument
from ohlcache.telemetry import Counters

Result = TypeVar("Result")
Clock = Callable[[], float]

_VERSION_USE_MICROSECONDS = 86_400_000_000  # a use that is noted is not noted again for so long


class DatabaseTier:
    """A :class:`ohlcache.cache.tiers.SharedTier` that outlives its processes."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "ohlcache",
        max_bytes: int | None = None,
        timeout_seconds: float = 5.0,
        origin: str | None = None,
        clock: Clock = time.time,
        sweep_seconds: float = 30.0,
    ) -> None:
        """A tier on the database that ``url`` names.

        url: ``sqlite:///cache.db`` (relative), ``sqlite:////srv/cache.db`` (absolute), created
            where it does not exist, or ``postgresql://…``, connected to when first used.
        namespace: tiers of different namespaces in one database know nothing of each other.
        max_bytes: limit of what the namespace holds: keys, values, and 100 bytes for each entry.
        timeout_seconds: how long to wait for the server, or for another process's write.
        origin: by what the processes tell each other apart; a unique one by default.
        clock: the wall clock, in seconds.
        sweep_seconds: how often expired entries are removed.

        Raises InvalidArgument, MissingExtra, and for a SQLite file the StoreErrors: StoreForeign,
        StoreVersionUnsupported, StoreLocked, StoreReadOnly.
        """
        _check(namespace, max_bytes, timeout_seconds)
        self._namespace = namespace
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._origin = origin or uuid.uuid4().hex
        self._clock = clock
        self._counters = Counters()
        self._entries = self._bytes = 0  # when this process last changed something
        self._engine = _engine(url, namespace, timeout_seconds)
        self.refusals = self._engine.refusals
        self.board = DatabaseBoard(self._engine, self._change, namespace)
        self._listener = Listener(self._engine, self._origin, self._counters)
        self._sweeper = Sweeper(
            self._engine, self._change, namespace, clock, sweep_seconds, self._counters
        )

    # -- values ---------------------------------------------------------------------------------

    def read(self, keys: Sequence[str]) -> Step:
        """See SharedTier."""
        return partial(self._read, keys)

    def write(self, changes: Sequence[Change], *, publish: bool = True) -> Step:
        """See SharedTier. All is one transaction."""
        return partial(self._write, changes, publish)

    def _read(self, keys: Sequence[str]) -> dict[str, Stored]:
        self._sweeper.start()
        names = {stored_key(key): key for key in keys}
        now = self._now()
        found = self._engine.read(
            lambda session: reading.states(session, self._namespace, names, now)
        )
        if self._max_bytes is not None:
            self._sweeper.note_use(found, now)
        return {key: state.stored for key, state in found.items()}

    def _write(self, changes: Sequence[Change], publish: bool) -> dict[str, int]:
        if not changes:
            return {}

        def work(changing: Changing) -> dict[str, int]:
            stamps = changing.write(changes)
            made = {key: stamp for key, stamp in stamps.items() if stamp}
            if publish and made:
                changing.session.announce(notices.encode(self._origin, made))
            return stamps

        stamps = self._change(work)
        self._counters.count("written", sum(map(bool, stamps.values())))
        self._counters.count("refused", len(stamps) - sum(map(bool, stamps.values())))
        return stamps

    # -- leases ---------------------------------------------------------------------------------

    def claim(
        self,
        keys: Sequence[str],
        lease: str,
        lease_ms: int,
        useless: Mapping[str, int] | None = None,
    ) -> Step:
        """See SharedTier."""
        names = {stored_key(key): key for key in keys}
        known = useless or {}
        return partial(self._change, lambda changing: changing.claim(names, lease, lease_ms, known))

    def renew(self, leases: Mapping[str, str], lease_ms: int) -> Step:
        """See SharedTier."""
        held = {stored_key(key): lease for key, lease in leases.items()}
        return partial(self._change, lambda changing: changing.renew(held, lease_ms))

    def release(self, keys: Iterable[str], lease: str) -> Step:
        """See SharedTier."""
        stored = [stored_key(key) for key in keys]
        return partial(self._change, lambda changing: changing.release(stored, lease))

    # -- versions -------------------------------------------------------------------------------

    def versions(self, names: Sequence[str]) -> Step:
        """See SharedTier."""
        return partial(self._versions, {stored_key(name): name for name in names})

    def bump(self, versions: Mapping[str, str]) -> Step:
        """See SharedTier."""

        def work(changing: Changing) -> None:
            changing.bump(versions)
            changing.session.announce(notices.encode(self._origin, {}, versions))

        return partial(self._change, work)

    def _versions(self, names: Mapping[bytes, str]) -> dict[str, str]:
        since = self._now() - _VERSION_USE_MICROSECONDS
        found = self._engine.read(
            lambda session: reading.versions(session, self._namespace, names, since)
        )
        if len(found) < len(names):
            found = self._change(lambda changing: changing.versions(names))
        return found

    # -- the whole ------------------------------------------------------------------------------

    def probe(self) -> Step:
        """See SharedTier."""
        return partial(self._change, Changing.touch)

    def listen(self, events: Events) -> None:
        """See SharedTier."""
        self._listener.listen(events)

    def renew_after_fork(self) -> None:
        """See SharedTier."""
        self._origin = uuid.uuid4().hex
        self._engine.renew_after_fork()
        self._sweeper.renew_after_fork()
        self._listener.renew_after_fork(self._origin)

    def stats(self) -> dict[str, object]:
        """Counts since the start, and ``entries`` and ``bytes`` as this process last saw them."""
        return {
            **self._counters.snapshot(),
            **self._engine.numbers(),
            "entries": self._entries,
            "bytes": self._bytes,
        }

    def close(self) -> None:
        """See SharedTier."""
        self._sweeper.close(self._timeout_seconds)
        self._listener.close(self._timeout_seconds)
        self._engine.close()

    def _change(self, work: Callable[[Changing], Result]) -> Result:
        self._sweeper.start()

        def begin(session: Session) -> tuple[Changing, Result]:
            changing = Changing(session, self._namespace, self._now(), self._max_bytes)
            return changing, work(changing)

        changing, result = self._engine.change(begin)
        self._entries, self._bytes = changing.entries, changing.total_bytes
        if changing.evicted or changing.oversized:
            self._counters.count("evicted", changing.evicted)
            self._counters.count("oversized", changing.oversized)
        return result

    def _now(self) -> int:
        return int(self._clock() * 1e6)


def _engine(url: str, namespace: str, timeout_seconds: float) -> Engine:
    if is_postgres(url):
        import ohlcache.postgres  # noqa: F401  # it says what to install where psycopg is missing
        from ohlcache.cache.database.postgres import PostgresEngine

        return PostgresEngine(url, namespace, timeout_seconds)
    from ohlcache.cache.database.sqlite import SQLiteEngine

    return SQLiteEngine(sqlite_path(url), namespace, timeout_seconds)


def _check(namespace: str, max_bytes: int | None, timeout_seconds: float) -> None:
    if not isinstance(namespace, str) or not namespace or "\0" in namespace:
        raise InvalidArgument(f"namespace {namespace!r} is no name: give some text")
    if max_bytes is not None and max_bytes < 1:
        raise InvalidArgument(f"max_bytes {max_bytes} holds nothing: give more, or None")
    if timeout_seconds <= 0:
        raise InvalidArgument(f"timeout_seconds {timeout_seconds} is no time: give more than 0")
