"""Which column of a file is which.

A layout is made either from names that the caller gives, column by column, or from the names a
file itself holds. Both go through the same aliases, so ``o`` given and ``O`` found mean ``open``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ohlcache.candles.columns import (
    CANDLE_ALIASES,
    CLOCK_ALIASES,
    DATE_ALIASES,
    STAMP_ALIASES,
    plain,
)
from ohlcache.sources.files.faults import BadLayout

TIMESTAMP = "timestamp"
SKIP = "_"
ABSENT = -1

_UNNAMED = ("", "index", "unnamed:0", "level0")


@dataclass(frozen=True, slots=True)
class Roles:
    """What a reader looks for: value columns by role, in the order it delivers them.

    aliases: role → names. optional: roles a file may lack. extras: whether further columns
    travel along. unnamed: names of a first column that is the time if no other one is.
    """

    aliases: Mapping[str, tuple[str, ...]]
    optional: frozenset[str] = frozenset()
    extras: bool = False
    unnamed: tuple[str, ...] = _UNNAMED


CANDLES = Roles(
    aliases=CANDLE_ALIASES,
    optional=frozenset({"volume"}),
    extras=True,
    unnamed=(*_UNNAMED, "price"),  # where yfinance writes the names of its column levels
)
TRADES = Roles(
    aliases={
        "price": ("price", "p", "rate", "tradeprice"),
        "amount": ("amount", "qty", "quantity", "size", "volume", "vol", "baseqty", "q"),
    },
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file, by position.

    labels: what each column of the file is called, for messages; its length is the file's width.
    time: position of the time, or of date and time of day. names: the value columns in the order
    they are delivered; positions: where each stands in the file, ABSENT where the file lacks it.
    """

    labels: tuple[str, ...]
    time: tuple[int, ...]
    names: tuple[str, ...]
    positions: tuple[int, ...]

    @property
    def width(self) -> int:
        """How many columns each row of the file has."""
        return len(self.labels)

    @property
    def expected(self) -> str:
        """The columns of a row, for messages."""
        return f"{self.width} ({', '.join(self.labels)})"

    def without(self, dropped: Iterable[int]) -> Layout:
        """The same layout with the columns at these positions left out."""
        unwanted = set(dropped)
        kept = [pair for pair in self._pairs() if pair[1] not in unwanted]
        return replace(
            self,
            names=tuple(name for name, _ in kept),
            positions=tuple(position for _, position in kept),
        )

    def with_time(self, *positions: int) -> Layout:
        """The same layout with the time at these positions."""
        return replace(self, time=positions)

    def _pairs(self) -> list[tuple[str, int]]:
        return list(zip(self.names, self.positions, strict=True))


def make_layout(labels: Sequence[str], roles: Roles) -> Layout:
    """The layout of columns called like this; a label ``_`` skips its column.

    A name of a role itself goes before its aliases. Raises BadLayout where the time or a role
    that is not optional is missing, or two columns that travel along have one name.
    """
    labels = [" ".join(str(label).strip().splitlines()) for label in labels]
    keys = [plain(label.strip("<>\"'")) for label in labels]
    keys = [SKIP if label == SKIP else key for label, key in zip(labels, keys, strict=True)]
    time = _find_time(keys, roles)
    taken = set(time)
    found: dict[str, int] = {}
    for role, aliases in roles.aliases.items():
        found[role] = _find(keys, aliases, taken)
        if found[role] == ABSENT and role == "volume":
            found[role] = _find_prefixed(keys, role, taken)
        taken.add(found[role])
    missing = [] if time else ["time"]
    missing += [role for role in found if found[role] == ABSENT and role not in roles.optional]
    if missing:
        raise BadLayout(f"no column for {', '.join(missing)} among {', '.join(labels)}")
    if roles.extras:
        for position, label in enumerate(labels):
            if position in taken or label in ("", SKIP):
                continue
            if label in found:
                raise BadLayout(f"two columns are called {label}")
            found[label] = position
    return Layout(tuple(labels), time, tuple(found), tuple(found.values()))


def _find_time(keys: Sequence[str], roles: Roles) -> tuple[int, ...]:
    stamp = _find(keys, STAMP_ALIASES, set())
    if stamp != ABSENT:
        return (stamp,)
    date, clock = _find(keys, DATE_ALIASES, set()), _find(keys, CLOCK_ALIASES, set())
    found = tuple(position for position in (date, clock) if position != ABSENT)
    if not found and keys and keys[0] in roles.unnamed:
        return (0,)
    return found


def _find(keys: Sequence[str], aliases: tuple[str, ...], taken: set[int]) -> int:
    for alias in aliases:
        for position, key in enumerate(keys):
            if key == alias and position not in taken:
                return position
    return ABSENT


def _find_prefixed(keys: Sequence[str], prefix: str, taken: set[int]) -> int:
    """The first column whose name only begins like this, as ``Volume BTC`` does."""
    for position, key in enumerate(keys):
        if key.startswith(prefix) and position not in taken:
            return position
    return ABSENT
