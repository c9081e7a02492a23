"""Processes that read one store at once: ``python fetchers.py LOG`` forks some for each line.

A line is a JSON object: ``location``, ``readers`` (a list of [first, last, die_at] in minutes; a
reader with ``die_at`` kills itself in its so-manieth request) and ``lease_seconds``. They begin
together. The answer is a JSON list: of each reader whether it read what the venue holds, or null
if it was killed. Every request is a line in LOG: process, start, end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import ohlcache
import ohlcache.runtime  # so that a forked reader loses no time on imports
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import to_block

ROWS = 1_000
PAGE = 50
HISTORY = make_block(ROWS)
REQUEST_SECONDS = 0.01  # so that there is a while in which others want the same


class LoggingVenue:
    """Answers from HISTORY and writes down what it was asked."""

    venue = "test"
    capabilities = ohlcache.Capabilities(page_size=PAGE)

    def __init__(self, log, die_at):
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.die_at = die_at
        self.requests = 0

    def now(self):
        return T0 + ROWS * MINUTE

    def fetch(self, symbol, timeframe, start, end):
        os.write(self.log, f"{os.getpid()} {start} {end}\n".encode())
        self.requests += 1
        if self.requests == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(REQUEST_SECONDS)
        return HISTORY.between(start, end)


def read(log, order, first, last, die_at):
    settings = {"history": {"lease_seconds": order["lease_seconds"]}}
    venue = LoggingVenue(log, die_at)
    with ohlcache.open(order["location"], source=venue, settings=settings) as md:
        rows = to_block(md.candles("X", "1m", T0 + first * MINUTE, T0 + last * MINUTE))
        return rows.identical(HISTORY.slice(first, last))


def main(log):
    for line in sys.stdin:
        order = json.loads(line)
        children = []
        waiting, go = os.pipe()
        for reader in order["readers"]:
            child = os.fork()
            if child == 0:
                os.close(go)
                os.read(waiting, 1)  # until the parent has closed its end
                os._exit(0 if read(log, order, *reader) else 1)
            children.append(child)
        os.close(waiting)
        os.close(go)
        outcomes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps([None if code < 0 else code == 0 for code in outcomes]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
