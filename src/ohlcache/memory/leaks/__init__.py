"""Does the process leak, or does its memory only move?"""

from __future__ import annotations

from ohlcache.memory.leaks.assess import LeakAssessment, assess_leak

__all__ = ["LeakAssessment", "assess_leak"]
