"""Which column of a table is which: the names that exchanges, brokers and tools use."""

from __future__ import annotations

from collections.abc import Iterable

from ohlcache.candles.block import OHLCV
from ohlcache.errors import InvalidArgument

TIME = "timestamp"

# Names in lower case without blanks, dots and underscores; earlier ones win where several occur.
_ALIASES = {
    TIME: ("timestamp", "opentime", "datetime", "date", "time", "ts", "unix", "unixtimestamp", "t"),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice"),
    "volume": ("volume", "v", "vol", "basevolume", "volumebase", "tickvolume"),
}


def plain(name: str) -> str:
    """A column name as it is compared: lower case, without blanks, dots, dashes, underscores."""
    return "".join(char for char in name.lower() if char not in " ._-")


def find_columns(names: Iterable[str]) -> dict[str, str]:
    """Which given name plays each of timestamp, open, high, low, close and volume.

    Roles that no name fits are left out.
    """
    given: dict[str, str] = {}
    for name in names:
        given.setdefault(plain(str(name)), name)
    return {
        role: given[alias]
        for role, aliases in _ALIASES.items()
        for alias in reversed(aliases)
        if alias in given
    }


def require_columns(found: dict[str, str], given: Iterable[str], *, what: str) -> None:
    """Raise InvalidArgument unless every price and the volume were found."""
    missing = [role for role in OHLCV if role not in found]
    if missing:
        raise InvalidArgument(
            f"{what} has no column {', '.join(missing)} (it has {', '.join(map(str, given))}): "
            "name its columns timestamp, open, high, low, close, volume"
        )
