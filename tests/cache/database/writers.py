"""Processes that write to a database tier: ``writers.py many URL COUNT`` or ``pairs URL``."""

from __future__ import annotations

import os
import sys
from itertools import count

from ohlcache.cache.database import DatabaseTier
from ohlcache.cache.tiers import Change

TURNS = 60
PAIR = ("left", "right")


def write_many(url: str, processes: int) -> None:
    """Have processes overwrite shared keys, and print each stamp with what was written under it.

    They are forked, since starting an interpreter takes far longer than what it does here.
    """
    children = [os.fork() or os._exit(_write_some(url, number)) for number in range(processes)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(any(codes))


def _write_some(url: str, number: int) -> int:
    tier = DatabaseTier(url, timeout_seconds=30)
    lines = []
    for turn in range(TURNS):
        data = f"{number} {turn}"
        stamp = tier.write([Change(f"key {turn % 3}", data.encode(), None)])()
        lines.append(f"{turn % 3} {next(iter(stamp.values()))} {data}\n")
    tier.close()
    os.write(sys.stdout.fileno(), "".join(lines).encode())  # short enough to stay in one piece
    return 0


def write_pairs(url: str) -> None:
    """Write two keys at once, always the same, until killed."""
    tier = DatabaseTier(url)
    tier.claim(["lease"], "of the dead", 500)()
    for turn in count():
        data = b"%d" % turn * 2000
        tier.write([Change(key, data, None) for key in PAIR])()
        if not turn:
            print("begun", flush=True)


if __name__ == "__main__":
    what, url, *rest = sys.argv[1:]
    if what == "many":
        write_many(url, int(*rest))
    else:
        write_pairs(url)
