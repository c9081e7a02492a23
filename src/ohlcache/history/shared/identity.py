"""The name that a store has for all who use it, wherever they reach it from."""

from __future__ import annotations

import logging

from ohlcache.errors import StoreError
from ohlcache.history.engine import Engine

_log = logging.getLogger(__name__)


def store_identity(engine: Engine) -> str | None:
    """The unique name that a store was given; None for an older one that cannot be given any."""
    try:
        with engine.reading() as session:
            ((name,),) = session.rows("SELECT id FROM identity")
    except StoreError as error:
        _log.warning(
            "%s: candles are not shared in Redis, it has no identity: %s", engine.name, error
        )
        return None
    return str(name)
