"""Tables that a store gained after its first version, in the SQL common to all databases.

They are created where they are missing when a store is opened, so that older stores go on working.
BYTEA holds bytes in SQLite too, whose types are only names.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from ohlcache.history import lineage
from ohlcache.history.engine import Session

# What was known when. Each record says what stood there before the write of a revision; nothing
# is recorded of candles that came as they closed.
_PAST = """
CREATE TABLE IF NOT EXISTS past_write (
    revision BIGINT NOT NULL,
    series   BIGINT NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    at       BIGINT NOT NULL,  -- ms; of a later revision never less
    PRIMARY KEY (revision, series)
);
CREATE INDEX IF NOT EXISTS past_write_at ON past_write (at);
CREATE TABLE IF NOT EXISTS past_series (
    series      BIGINT NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    revision    BIGINT NOT NULL,
    extras      TEXT,    -- as in series; NULL: there was no such series
    zone        TEXT,
    zone_offset BIGINT,
    PRIMARY KEY (series, revision)
);
CREATE TABLE IF NOT EXISTS past_coverage (
    series   BIGINT NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL,
    start    BIGINT NOT NULL,
    "end"    BIGINT NOT NULL,
    covered  BIGINT NOT NULL,  -- 1: all of it was, 0: nothing was
    PRIMARY KEY (series, revision, start)
);
CREATE TABLE IF NOT EXISTS past_rows (
    series   BIGINT NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL,
    start    BIGINT NOT NULL,  -- in [start, end) stood exactly these rows
    "end"    BIGINT NOT NULL,
    rows     BIGINT NOT NULL,
    data     BYTEA,            -- a chunk; NULL: there were none, or they were damaged and are lost
    PRIMARY KEY (series, revision, start)
);
CREATE TABLE IF NOT EXISTS past_deleted (
    venue     TEXT NOT NULL,
    symbol    TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    revision  BIGINT NOT NULL,  -- that removed the series, with all its records
    since     BIGINT NOT NULL,  -- ms; when it was created
    at        BIGINT NOT NULL,
    PRIMARY KEY (venue, symbol, timeframe, revision)
);
CREATE TABLE IF NOT EXISTS past_closed (
    at BIGINT NOT NULL  -- ms; every write to come is stamped later
);
CREATE TABLE IF NOT EXISTS known_since (
    revision BIGINT NOT NULL,  -- of the oldest state that can be read
    at       BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshot (
    name     TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    at       BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshot_series (
    snapshot  TEXT NOT NULL REFERENCES snapshot (name) ON DELETE CASCADE,
    venue     TEXT NOT NULL,
    symbol    TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    series    BIGINT REFERENCES series (id) ON DELETE SET NULL,  -- NULL: it was deleted
    rows_end     BIGINT NOT NULL,  -- all its candles opened before this time
    coverage_end BIGINT NOT NULL,
    checksum     BIGINT NOT NULL,  -- of these times and of the snapshot's, see snapshots.py
    PRIMARY KEY (snapshot, venue, symbol, timeframe)
);
"""

# Who is fetching what, and the name that all users of a store know it by.
_SHARED = """
CREATE TABLE IF NOT EXISTS fetching (
    venue     TEXT NOT NULL,
    symbol    TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    start     BIGINT NOT NULL,
    "end"     BIGINT NOT NULL,
    owner     TEXT NOT NULL,
    until     BIGINT NOT NULL,  -- ms since the epoch, by the database's clock
    lasts     BIGINT NOT NULL,  -- ms from the clock's time of then
    PRIMARY KEY (venue, symbol, timeframe, start)
);
CREATE TABLE IF NOT EXISTS identity (
    one BIGINT PRIMARY KEY,  -- 1: there is one row
    id  TEXT NOT NULL
);
"""

ADDED: Final = _PAST + _SHARED + lineage.TABLE

NAMES: Final = frozenset(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", ADDED))

# Of a store that holds candles already nothing is known about the time before.
_BEGIN_THE_PAST = """
INSERT INTO known_since
SELECT revision, CASE WHEN revision = 0 THEN -4611686018427387904 ELSE {now} END
FROM clock WHERE NOT EXISTS (SELECT 1 FROM known_since)
"""

_NOTHING_CLOSED = """
INSERT INTO past_closed
SELECT -4611686018427387904 FROM clock WHERE NOT EXISTS (SELECT 1 FROM past_closed)
"""

_GIVE_IDENTITY = "INSERT INTO identity (one, id) VALUES (1, ?) ON CONFLICT (one) DO NOTHING"


def add_tables(session: Session) -> None:
    """Create what is missing."""
    for statement in ADDED.split(";\n"):
        if statement.strip():
            session.run(statement)
    session.run(_BEGIN_THE_PAST.format(now=session.NOW))
    session.run(_NOTHING_CLOSED)
    session.run(_GIVE_IDENTITY, uuid.uuid4().hex)
    lineage.mark_present(session)
