"""A process whose memory the tests set, and a clock that they advance."""

from __future__ import annotations

import pytest

from ohlcache.memory import MemoryManager
from ohlcache.memory.usage import Usage
from ohlcache.settings import MemorySettings

MB = 2**20


class Process:
    """Takes what parts hold and what nobody can give back."""

    def __init__(self):
        self.fixed = 50 * MB
        self.accounted = 0
        self.parts = []
        self.now = 1000.0

    @property
    def rss(self):
        return self.fixed + sum(part.held for part in self.parts)

    def read(self):
        return Usage(self.rss)

    def clock(self):
        return self.now

    def part(self, held_mb, **behaviour):
        part = Part(held_mb * MB, **behaviour)
        self.parts.append(part)
        return part


class Part:
    """Holds memory and gives it back, in pieces. asked: the bytes wanted, each time."""

    def __init__(self, held, piece=MB, claims=None, raises=None, does=lambda: None):
        self.held = held
        self.asked = []
        self._piece = piece
        self._claims = claims
        self._raises = raises
        self._does = does

    def free(self, wanted):
        self.asked.append(wanted)
        self._does()
        if self._raises is not None:
            raise self._raises
        freed = min(self.held, -(-wanted // self._piece) * self._piece)
        if self._claims is not None:
            return self._claims
        self.held -= freed
        return freed


@pytest.fixture
def process():
    return Process()


@pytest.fixture
def make_manager(process):
    made = []

    def make(limit_mb=1000, **settings):
        manager = MemoryManager(
            MemorySettings(limit_mb=limit_mb, **settings),
            read=process.read,
            clock=process.clock,
            bounds=lambda usage: [],
            held=lambda: process.accounted,
        )
        made.append(manager)
        return manager

    yield make
    for manager in made:
        manager.stop()
