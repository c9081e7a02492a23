"""The source that a name on the command line means."""

from __future__ import annotations

import logging

from ohlcache.sources import CcxtSource, Source, SyntheticSource

SYNTHETIC = "synthetic"


def source_named(name: str) -> Source:
    """An exchange by its ccxt name, or the synthetic generator.

    Raises MissingExtra without ccxt, InvalidArgument for a name that ccxt does not know.
    """
    # Retries are logged; what came of them is what the command says.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    return SyntheticSource() if name == SYNTHETIC else CcxtSource(name)
