"""The moments whose state can be read: times, and snapshots by their names.

What is read as of a time is the same whenever it is read. A time is read only once it is settled:
it has been closed, so that no write to come bears it (see ``stamping``), or a later stamp is there
and no candle can come any more as one that just closed, of which there would be no record.
Its state is that of the last revision stamped with it or before; where nothing is stamped later,
of the present one, above which every revision to come is. Who may not write cannot close a time,
and reads only those that are a while ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from ohlcache.candles import Timeframe
from ohlcache.candles.instant import Instant, to_iso, to_ms
from ohlcache.errors import InvalidArgument, UnknownSnapshot
from ohlcache.history.engine import Session
from ohlcache.history.past.stamping import SET_BACK, STAMPS, is_closed

MAY_BE_COMMITTING = 60_000  # ms after its stamp that a write may still be doing so, at most
_CLOCKS_DIFFER = 1000  # ms, from one machine to another

_LAST_REVISION = f"""
SELECT coalesce((SELECT min(revision) FROM {STAMPS} AS stamps WHERE at > ?) - 1, revision)
FROM clock
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known once a revision was written, at the time ``at`` in ms.

    snapshot: its name, if it is one. It knows what had been stored; a plain time knows of candles
    that came as they closed only that they closed.
    """

    revision: int
    at: int
    snapshot: str | None = None

    def __str__(self) -> str:
        if self.snapshot is None:
            return to_iso(self.at)
        return f"snapshot {self.snapshot!r} of {to_iso(self.at)}"


def is_time(text: str) -> bool:
    """Whether a text means a time, and therefore cannot name a snapshot."""
    try:
        to_ms(text, "as_of")
    except InvalidArgument:
        return False
    return True


def time_meant(as_of: Instant) -> int | None:
    """The time in ms that a user means; None for a text that names a snapshot.

    Raises InvalidArgument.
    """
    if isinstance(as_of, str) and not is_time(as_of):
        return None
    try:
        return _whole_ms(as_of)
    except InvalidArgument as error:
        raise InvalidArgument(f"{error}, or the name of a snapshot") from None


def unsettled_for(timeframe: Timeframe) -> int:
    """How long after a time (ms) what was known then may still grow without a record of it.

    By candles of the timeframe or of finer ones, which are never fresh for longer: such a candle
    comes as it closed, by a clock that may be set back, and its write may still be committing.
    """
    return int(timeframe.freshness * 1000) + SET_BACK + MAY_BE_COMMITTING


def is_settled(session: Session, at: int, now: int, timeframe: Timeframe) -> bool:
    """Whether what is read of a timeframe as of a time is what it will be for ever.

    Raises InvalidArgument for a time to come.
    """
    if is_closed(session, at, now, unsettled_for(timeframe)):
        return True
    if at > now + _CLOCKS_DIFFER:
        raise InvalidArgument(f"as_of is {to_iso(at)}, which lies in the future: leave it out")
    return False


def find_moment(session: Session, as_of: Instant) -> Moment:
    """The moment that a user means, by a time that is settled or the name of a snapshot.

    Raises UnknownSnapshot, and InvalidArgument for a time that is not kept.
    """
    at = time_meant(as_of)
    if at is None:
        return _snapshot(session, str(as_of))
    ((revision,),) = session.rows(_LAST_REVISION, at)
    moment = Moment(revision, at)
    ((since, since_at),) = session.rows("SELECT revision, at FROM known_since")
    if at < since_at or revision < since:
        raise InvalidArgument(
            f"as_of is {to_iso(at)}: earlier values are kept since {to_iso(since_at)}, give a "
            "later time (history.revisions_days says for how long)"
        )
    return moment


def _whole_ms(as_of: Instant) -> int:
    """In ms; between two of them it is the earlier one, since the later one is yet to come."""
    at = to_ms(as_of, "as_of")
    if isinstance(as_of, datetime):
        at -= bool(as_of.microsecond % 1000 or getattr(as_of, "nanosecond", 0))  # of a Timestamp
    return at


def check_kept(session: Session, moment: Moment) -> None:
    """Raises InvalidArgument where the state of a moment was given up meanwhile."""
    ((since,),) = session.rows("SELECT revision FROM known_since")
    if moment.revision < since:
        raise InvalidArgument(f"as_of is {moment}: its earlier values are no longer kept")


def _snapshot(session: Session, name: str) -> Moment:
    found = session.rows("SELECT revision, at FROM snapshot WHERE name = ?", name)
    for revision, at in found:
        return Moment(revision, at, name)
    raise unknown_snapshot(session, name)


def unknown_snapshot(session: Session, name: str) -> UnknownSnapshot:
    """The error for a name that no snapshot has: it lists those that look like it."""
    names = [known for (known,) in session.rows("SELECT name FROM snapshot ORDER BY at DESC")]
    near = get_close_matches(name, names, n=5, cutoff=0.5) or names[:5]
    there_are = f"there are {', '.join(near)}" if near else "there are none"
    return UnknownSnapshot(
        f"snapshot {name!r} does not exist ({there_are}): give one of them, or a time such as "
        "2024-01-31T12:00"
    )
