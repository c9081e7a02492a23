"""The ``ohlcache`` command."""

from __future__ import annotations

from ohlcache.cli.app import main

__all__ = ["main"]
