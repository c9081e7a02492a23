"""Whose turn it is to fetch a missing range, among all processes and machines of a store."""

from __future__ import annotations

from ohlcache.history.turns.leases import Claim, Leases
from ohlcache.history.turns.process import LEASE_SECONDS, Turns

__all__ = ["LEASE_SECONDS", "Claim", "Leases", "Turns"]
