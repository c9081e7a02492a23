"""Finding the folder of a series: where we put it, or wherever a Hive layout has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ohlcache.candles import Timeframe
from ohlcache.errors import (
    InvalidArgument,
    SourceError,
    UnknownSymbol,
    UnknownTimeframe,
    UnsupportedBySource,
)
from ohlcache.sources.lake.layout import level, symbol_folder
from ohlcache.sources.lake.storage import Storage, join


@dataclass(frozen=True, slots=True)
class Found:
    """A folder, and what its path says of the series below it; None where it says nothing."""

    folder: str = ""
    venue: str | None = None
    symbol: str | None = None
    timeframe: Timeframe | None = None


def walk(storage: Storage, wanted: Found, found: Found | None = None) -> Iterator[Found]:
    """The folders of all series that agree with what is ``wanted``, in order of their names.

    ``found``: the folder to begin with, and what is known of it; that of the lake by default.
    Raises FileNotFoundError where there is nothing at all.
    """
    found = Found() if found is None else found
    if None not in (found.venue, found.symbol, found.timeframe):
        yield found
        return
    levels = []
    for name in storage.folders(found.folder):
        known = level(name)
        if known is not None and known.role is not None:
            levels.append(_below(found, name, known.role, known.value))
    if not levels:
        yield found
        return
    for below in levels:
        if below is not None and _agrees(below, wanted):
            yield from walk(storage, wanted, below)


def _below(found: Found, name: str, role: str, value: str) -> Found | None:
    folder = join(found.folder, name)
    if role == "venue":
        return replace(found, folder=folder, venue=value)
    if role == "symbol":
        return replace(found, folder=folder, symbol=value)
    try:
        return replace(found, folder=folder, timeframe=Timeframe.parse(value))
    except UnknownTimeframe:
        return None  # such as a folder of ticks


def _agrees(found: Found, wanted: Found) -> bool:
    pairs = (
        (found.venue, wanted.venue),
        (found.symbol, wanted.symbol),
        (found.timeframe, wanted.timeframe),
    )
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


def venues(storage: Storage) -> list[str]:
    """The venues that a lake names, sorted. Raises SourceError where there is nothing."""
    try:
        levels = [level(name) for name in storage.folders("")]
    except FileNotFoundError:
        raise SourceError(
            f"{storage.name}: there is nothing: give the URL of the folder that holds the series"
        ) from None
    return [known.value for known in levels if known is not None and known.role == "venue"]


def venue_of(storage: Storage, symbol: str) -> str | None:
    """The only venue of a lake that has a symbol; None where there is nothing to choose from.

    Raises InvalidArgument, naming the venues, where several have it, UnknownSymbol where none of
    several has it, SourceError.
    """
    named = venues(storage)
    if len(named) < 2:
        return None
    having = sorted({found.venue for found in walk(storage, Found(symbol=symbol)) if found.venue})
    if len(having) > 1:
        raise InvalidArgument(
            f"venue is not given, and {storage.name} holds {symbol} of several: name one of "
            f"{', '.join(having)}"
        )
    if not having:
        raise _unknown(storage, " or ".join(named), symbol)
    return having[0]


def folder_of(
    storage: Storage,
    venue: str,
    symbol: str,
    timeframe: Timeframe,
    unnamed: Timeframe | None = None,
) -> str:
    """The folder of a series; ``unnamed`` is the timeframe of those whose path names none.

    Raises UnknownSymbol or UnsupportedBySource, saying what there is.
    """
    wanted = Found(venue=venue, symbol=symbol)
    folders = _folders(walk(storage, wanted), unnamed)
    if timeframe in folders:
        return folders[timeframe]
    if folders:
        offered = ", ".join(map(str, folders))
        raise UnsupportedBySource(
            f"timeframe {timeframe} of {symbol} is not in {storage.name}: use one of {offered}"
        )
    raise _unknown(storage, venue, symbol)


def offered_timeframes(
    storage: Storage, venue: str, symbol: str, unnamed: Timeframe | None = None
) -> frozenset[Timeframe]:
    """The timeframes of a symbol: where we put them, which takes one listing, or else anywhere.

    ``unnamed`` as for :func:`folder_of`. Raises UnknownSymbol.
    """
    wanted = Found(venue=venue, symbol=symbol)
    for begin in (replace(wanted, folder=symbol_folder(venue, symbol)), Found()):
        try:
            found = frozenset(_folders(walk(storage, wanted, begin), unnamed))
        except FileNotFoundError:
            continue
        if found:
            return found
    raise _unknown(storage, venue, symbol)


def _folders(found: Iterable[Found], unnamed: Timeframe | None) -> dict[Timeframe, str]:
    """Folders by timeframe; of several with the same one the first."""
    folders: dict[Timeframe, str] = {}
    for one in found:
        timeframe = one.timeframe or unnamed
        if timeframe is not None:
            folders.setdefault(timeframe, one.folder)
    return folders


def _unknown(storage: Storage, venue: str, symbol: str) -> UnknownSymbol:
    return UnknownSymbol(f"symbol {symbol!r} of {venue} is not in {storage.name}: see its series()")
