"""What a history needs, from what single things cost: the model that docs/capacity.md explains.

It says that every cost is in proportion to what it is counted by, and does not depend on how much
else the store holds. ``benchmarks.scale`` checks that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MINUTES_OF_A_YEAR = 525_960
WINDOW = 32_768  # candles of a chunk
BYTES_DECODED = 56  # of a candle in memory: two times and five values of 8 bytes
PAGE = 1_000  # candles that an exchange gives for one request


class Scale(NamedTuple):
    """So many symbols that trade around the clock, each with so many years of minutes."""

    symbols: int
    years: float

    @property
    def candles_of_a_symbol(self) -> int:
        return int(self.years * MINUTES_OF_A_YEAR)


class Costs(NamedTuple):
    """What single things cost, in bytes and in seconds of one process."""

    stored: float  # bytes of a candle in the database
    shared: float  # bytes of a candle in Redis
    decoded: float  # bytes of a candle in memory
    imported: float  # seconds for a candle of many
    appended: float  # seconds for a candle that comes alone
    month: float  # seconds for a month of a symbol that is not decoded
    shared_month: float  # seconds for one that Redis has


def candles(scale: Scale) -> int:
    return scale.symbols * scale.candles_of_a_symbol


def chunks(scale: Scale) -> int:
    return scale.symbols * math.ceil(scale.candles_of_a_symbol / WINDOW)


def stored_bytes(scale: Scale, costs: Costs) -> float:
    return candles(scale) * costs.stored


def shared_bytes(scale: Scale, costs: Costs) -> float:
    """When Redis is to hold all of it."""
    return candles(scale) * costs.shared


def decoded_bytes(scale: Scale) -> float:
    """When processes are to hold all of it."""
    return candles(scale) * BYTES_DECODED


def nodes(needed: float, of_a_node: float) -> int:
    return math.ceil(needed / of_a_node)


def import_seconds(scale: Scale, costs: Costs) -> float:
    return candles(scale) * costs.imported


def requests(scale: Scale) -> int:
    """To fetch all of it from an exchange."""
    return scale.symbols * math.ceil(scale.candles_of_a_symbol / PAGE)


def appends_per_second(scale: Scale) -> float:
    """To keep up with the market."""
    return scale.symbols / 60


def writer_share(scale: Scale, costs: Costs) -> float:
    """Of the time of one writing process, to keep up with the market; above 1.0 it takes more."""
    return appends_per_second(scale) * costs.appended


def reads_per_second(seconds_of_a_read: float, cores: int) -> float:
    return cores / seconds_of_a_read
