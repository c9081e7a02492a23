"""The tables. Their names carry the version, so that two versions can live side by side.

Keys are stored as bytes: PostgreSQL's text cannot hold every character, and bytes compare fast.
Times are microseconds of the wall clock.
"""

from __future__ import annotations

import hashlib
from string import Template

VERSION = 1
LONGEST_KEY = 1024  # bytes; PostgreSQL cannot index more than about 2,700

_TABLES = Template("""
CREATE TABLE $if_new ohlcache1_clock (
    namespace TEXT NOT NULL PRIMARY KEY,
    stamp     BIGINT NOT NULL,  -- the largest one given or taken
    entries   BIGINT NOT NULL,
    bytes     BIGINT NOT NULL   -- the sum of their sizes
);
CREATE TABLE $if_new ohlcache1_entries (
    namespace TEXT NOT NULL,
    key       $bytes NOT NULL,
    stamp     BIGINT NOT NULL,
    data      $bytes,           -- NULL: a tombstone
    size      BIGINT NOT NULL,  -- what it counts for the limit
    expires   BIGINT,           -- NULL: never
    used      BIGINT NOT NULL,  -- to within a minute; of a tombstone: when it expires
    PRIMARY KEY (namespace, key)
);
CREATE INDEX $if_new ohlcache1_entries_expires ON ohlcache1_entries (namespace, expires)
    WHERE expires IS NOT NULL;
CREATE INDEX $if_new ohlcache1_entries_used ON ohlcache1_entries (namespace, used);
CREATE TABLE $if_new ohlcache1_leases (
    namespace TEXT NOT NULL,
    key       $bytes NOT NULL,
    lease     TEXT NOT NULL,
    ends      BIGINT NOT NULL,
    PRIMARY KEY (namespace, key)
);
CREATE TABLE $if_new ohlcache1_versions (
    namespace TEXT NOT NULL,
    name      $bytes NOT NULL,
    version   TEXT NOT NULL,
    used      BIGINT NOT NULL,  -- to within a day
    PRIMARY KEY (namespace, name)
);
CREATE INDEX $if_new ohlcache1_versions_used ON ohlcache1_versions (namespace, used);
""")

# By the database's clock; created by the board when it is first used.
REPORTS = Template("""
CREATE TABLE IF NOT EXISTS ohlcache1_reports (
    namespace TEXT NOT NULL,
    process   TEXT NOT NULL,
    posted    BIGINT NOT NULL,
    ends      BIGINT NOT NULL,
    report    $bytes NOT NULL,
    PRIMARY KEY (namespace, process)
)
""")

SQLITE = (
    _TABLES.substitute(if_new="", bytes="BLOB")
    + """
CREATE TABLE ohlcache1_notices (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,  -- without holes: one that is missing was missed
    namespace TEXT NOT NULL,
    notice    TEXT NOT NULL
);
"""
)
POSTGRES = (
    _TABLES.substitute(if_new="IF NOT EXISTS", bytes="BYTEA")
    # Values are compressed already where that saves something.
    + "ALTER TABLE ohlcache1_entries ALTER data SET STORAGE EXTERNAL;\n"
)


def stored_key(key: str) -> bytes:
    """What stands for a key, or a name, in the tables: itself, or a digest where it is long."""
    stored = key.encode("utf-8", "surrogatepass")
    if len(stored) <= LONGEST_KEY:
        return stored
    digest = hashlib.blake2b(stored).digest()
    return stored[: LONGEST_KEY - len(digest)] + digest
