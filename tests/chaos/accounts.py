"""What a crew did to a store, and whether what was read of it can be.

A slot holds the mark of a write, which is replaced once another write of the slot, begun after it
was acknowledged, has been acknowledged too. A read that gives it later is stale; if reads do so for
ever, the other write was lost. A write whose writer was killed may have been done or not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import ohlcache
from made_candles import T0

from .crew import Plan
from .marked import SHARED, TIMEFRAME, candles, growing, grown, marks_in, slots

_BOUND = 0.1  # seconds after which a write is known everywhere, on an idle machine
_SLACK = 0.4  # eight busy processes on two cores: a thread may wait so long for its turn
_LONG_AGO, _NEVER = float("-inf"), float("inf")


def seconds(default: float) -> float:
    """For how long a crew works: ``OHLCACHE_CHAOS_SECONDS``, or as long as a suite can bear."""
    return float(os.environ.get("OHLCACHE_CHAOS_SECONDS", default))


def fill(plan: Plan) -> None:
    """Give every slot its first candles, of mark 0."""
    with ohlcache.open(plan.location, settings=plan.settings) as md:
        for slot in slots(plan.writers):
            md.write(slot.symbol, TIMEFRAME, candles(slot.start, 0, slot.rows))
        for writer in range(plan.writers):
            md.append(growing(writer), TIMEFRAME, candles(T0, 0, 1))


@contextmanager
def at_work(plan: Plan) -> Iterator[subprocess.Popen]:
    """A crew that has begun; it is done, and nobody of it has failed, when this ends."""
    fill(plan)
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), tests]))
    command = [sys.executable, "-m", "chaos.crew", json.dumps(plan._asdict())]
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as crew:
        try:
            yield crew
            assert crew.wait(plan.seconds + 60) == 0
        finally:
            crew.kill()
    errors = [file.read_text() for file in Path(plan.folder).glob("error-*")]
    assert not errors, "\n".join(errors)


class Accounts:
    """The notes of all members."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._done = defaultdict(list)  # slot -> (ended, began) of the acknowledged writes
        self._ended = defaultdict(lambda: {0: _LONG_AGO})  # slot -> mark -> when
        self.reads = []
        for log in Path(plan.folder).glob("log-*"):
            for line in log.read_text().splitlines():
                self._take(*json.loads(line))
        self._begun = defaultdict(list)  # slot -> the latest beginning of all up to each
        for slot, writes in self._done.items():
            writes.sort()
            self._begun[slot] = list(accumulate((began for _, began in writes), max))

    @property
    def acknowledged(self) -> int:
        return sum(map(len, self._done.values()))

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} writes, {len(self.reads)} reads, "
            f"the stalest by {1000 * self.stalest()[0]:.0f} ms"
        )

    def _take(self, what, *rest):
        if what == "read":
            self.reads.append(rest)
        elif what == "began":
            slot, mark, _ = rest
            self._ended[slot].setdefault(mark, _NEVER)
        else:
            slot, mark, began, ended = rest
            self._ended[slot][mark] = ended
            self._done[slot].append((ended, began))

    def staleness(self, slot: str, mark: int, moment: float) -> float:
        """For how long a mark had been replaced when a read of it began; 0.0 if it had not."""
        done, ended = self._done[slot], self._ended[slot][mark]
        # The first write that began after the marked one had ended, by when it was acknowledged.
        first = bisect_right(self._begun[slot], ended)
        return max(0.0, moment - done[first][0]) if first < len(done) else 0.0

    def stalest(self) -> list[float]:
        """How stale each read was, the stalest first."""
        stale = (
            self.staleness(slot, mark, moment)
            for marks, moment in self.reads
            for slot, mark in marks.items()
        )
        return sorted(stale, reverse=True)

    def check_store(self, md: ohlcache.MarketData) -> None:
        """Everything acknowledged is there, whole, and nothing is damaged."""
        found = {}
        for symbol in SHARED:
            of = [slot for slot in slots(self._plan.writers) if slot.symbol == symbol]
            found |= marks_in(md.candles(symbol, TIMEFRAME, as_="numpy"), of)
        for symbol in map(growing, range(self._plan.writers)):
            found[symbol] = grown(md.candles(symbol, TIMEFRAME, as_="numpy")) - 1
        lost = {slot: mark for slot, mark in found.items() if self.staleness(slot, mark, _NEVER)}
        assert not lost
        report = md.verify()
        assert report.ok, report.problems


def check_staleness(accounts: Accounts, plan: Plan) -> None:
    """Each read had what was acknowledged before it, as far as the database promises that."""
    stale = accounts.stalest()
    if plan.location.startswith("postgresql:"):  # commits are heard of
        assert stale[0] <= _BOUND + _SLACK
        assert stale[len(stale) // 1000] <= _BOUND
    else:
        assert stale[0] == 0.0
