"""Writers and readers of one store, killed at random and replaced: ``python -m chaos.crew PLAN``.

The plan is JSON with the fields of :class:`Plan`. Members are forked from here, because starting
the interpreter takes far longer than what they do between two kills. Each notes in a file of its
own what it did, in lines of JSON; the moments are those of the clock that all processes share.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ohlcache
import ohlcache.cache.redis  # these so that a member loses no time on imports
import ohlcache.history.postgres_engine
import ohlcache.history.shared.redis_chunks
import ohlcache.runtime
from made_candles import MINUTE, T0

from .marked import SHARED, TIMEFRAME, candles, growing, grown, marks_in, slots

_MARKS = 1_000_000  # of each member: more than it will ever write


class Plan(NamedTuple):
    """Who works on what, for how long, and how often one of them is killed."""

    location: str
    settings: dict[str, Any]
    folder: str
    seconds: float
    seed: int = 0
    writers: int = 4
    readers: int = 4
    kills_per_second: float = 8.0


class Member:
    """One process: it does its work until the time is over, unless it is killed."""

    def __init__(self, plan: Plan, number: int, life: int, until: float) -> None:
        """``number``: which writer or reader; ``life``: how many were started before."""
        self.plan = plan
        self.number = number
        self.first_mark = (life + 1) * _MARKS
        self.until = until
        self.random = random.Random(plan.seed * _MARKS + life)
        self._log = os.open(
            Path(plan.folder) / f"log-{life}", os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )

    def work(self) -> None:
        is_writer = self.number < self.plan.writers
        with ohlcache.open(self.plan.location, settings=self.plan.settings) as md:
            (self._write if is_writer else self._read)(md)

    def _goes_on(self) -> bool:
        return time.monotonic() < self.until

    def _note(self, *what: Any) -> None:
        # What was given to the kernel survives the process; only the machine could lose it.
        os.write(self._log, (json.dumps(what) + "\n").encode())

    def _write(self, md: ohlcache.MarketData) -> None:
        mine = [slot for slot in slots(self.plan.writers) if slot.owner in (None, self.number)]
        symbol = growing(self.number)
        length = grown(md.candles(symbol, TIMEFRAME, as_="numpy"))
        mark = self.first_mark
        while self._goes_on():
            slot = self.random.choice(mine)
            data = candles(slot.start, mark, slot.rows)
            self._noted(
                slot.name, mark, lambda slot=slot, data=data: md.write(slot.symbol, TIMEFRAME, data)
            )
            candle = candles(T0 + length * MINUTE, length, 1)
            self._noted(symbol, length, lambda candle=candle: md.append(symbol, TIMEFRAME, candle))
            mark += 1
            length += 1

    def _noted(self, slot: str, mark: int, change: Callable[[], Any]) -> None:
        began = time.monotonic()
        self._note("began", slot, mark, began)
        change()
        self._note("ended", slot, mark, began, time.monotonic())

    def _read(self, md: ohlcache.MarketData) -> None:
        every = slots(self.plan.writers)
        while self._goes_on():
            if self.number % 2:
                views = [[slot] for slot in every]  # covered, so that memory answers
            else:
                views = [[slot for slot in every if slot.symbol == symbol] for symbol in SHARED]
                md.drop_decoded(2**40)
            for view in views:
                began = time.monotonic()
                end = max(slot.end for slot in view)
                read = md.candles(view[0].symbol, TIMEFRAME, view[0].start, end, as_="numpy")
                self._note("read", marks_in(read, view), began)
            symbol = growing(self.random.randrange(self.plan.writers))
            began = time.monotonic()
            read = md.candles(symbol, TIMEFRAME, as_="numpy")
            self._note("read", {symbol: grown(read) - 1}, began)


class Crew:
    """All members of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._until = time.monotonic() + plan.seconds
        self._lives = 0
        self._numbers: dict[int, int] = {}  # by pid
        self.kills = 0

    def run(self) -> None:
        for number in range(self._plan.writers + self._plan.readers):
            self._start(number)
        while (left := self._until - time.monotonic()) > 0:
            time.sleep(min(left, self._random.expovariate(self._plan.kills_per_second)))
            self._kill_one()
        for member in self._numbers:
            os.waitpid(member, 0)

    def _start(self, number: int) -> None:
        life, self._lives = self._lives, self._lives + 1
        child = os.fork()
        if child:
            self._numbers[child] = number
            return
        try:
            Member(self._plan, number, life, self._until).work()
        except BaseException:  # noqa: BLE001  # a child must not go on as its parent; it is told
            (Path(self._plan.folder) / f"error-{life}").write_text(traceback.format_exc())
            os._exit(1)
        os._exit(0)

    def _kill_one(self) -> None:
        victim = self._random.choice(list(self._numbers))
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        self.kills += os.WIFSIGNALED(status)
        self._start(self._numbers.pop(victim))


if __name__ == "__main__":
    crew = Crew(Plan(**json.loads(sys.argv[1])))
    crew.run()
    print(crew.kills)
