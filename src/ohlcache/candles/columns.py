"""Which column of a table is which: the names that exchanges, brokers and tools use."""

from __future__ import annotations

from collections.abc import Iterable

from ohlcache.candles.block import OHLCV
from ohlcache.errors import InvalidArgument

TIME = "timestamp"

# Compared in the form of :func:`plain`; where several occur, earlier ones win.
STAMP_ALIASES = (
    *("timestamp", "timestampms", "ts", "unix", "unixtimestamp", "unixtime", "epoch"),
    *("opentime", "opentimestamp", "timeopen", "starttime", "startat", "start", "windowstart"),
    *("periodstart", "timeperiodstart", "bartime", "datetime", "gmttime", "utctime", "timeutc"),
    *("tradetime", "transacttime", "t"),
)
DATE_ALIASES = ("date", "day", "tradedate")
CLOCK_ALIASES = ("time", "hour")
CANDLE_ALIASES = {
    "open": ("open", "o", "openprice", "priceopen", "opening"),
    "high": ("high", "h", "highprice", "pricehigh"),
    "low": ("low", "l", "lowprice", "pricelow"),
    "close": ("close", "c", "closeprice", "priceclose", "closing"),
    "volume": (
        *("volume", "v", "vol", "volumebase", "basevolume", "basevol", "volumetraded"),
        *("tradedvolume", "tickvolume", "tickvol"),
    ),
}
_ALIASES = {TIME: (*STAMP_ALIASES, *DATE_ALIASES, *CLOCK_ALIASES), **CANDLE_ALIASES}


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
