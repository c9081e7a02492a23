"""The properties of symbols as this process knows them, in step with the store."""

from __future__ import annotations

from copy import deepcopy

from ohlcache.history.engine import Token
from ohlcache.history.listing import Listing
from ohlcache.history.properties import Properties
from ohlcache.history.store import Store

_Symbol = tuple[str, str]  # venue and symbol
_Known = dict[_Symbol, Properties]


class Symbols:
    """Properties by venue and symbol; the store is asked again after each change of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._state: tuple[Token, _Known] = (None, {})

    def properties(self, venue: str, symbol: str) -> Properties:
        """The properties of a symbol, the caller's to change; empty where none were set."""
        return deepcopy(self._known(venue, symbol))

    def session(self, venue: str, symbol: str) -> str | None:
        """The name of the trading session of a symbol, if it has one of its own."""
        named: str | None = self._known(venue, symbol).get("session")
        return named

    def listing(self, venue: str, symbol: str) -> Listing:
        """When a symbol is traded."""
        return Listing.of(self._known(venue, symbol))

    def _known(self, venue: str, symbol: str) -> Properties:
        # The token is read first: a commit in between only costs another look. What was known goes
        # with its token, so that nothing looked up before a change is kept under the one after it.
        token = self._store.token()
        known_at, known = self._state
        if known_at != token:
            known = {}
            self._state = (token, known)
        found = known.get((venue, symbol))
        if found is None:
            found = known[venue, symbol] = self._store.metadata(venue, symbol)
        return found
