"""How much of a limit on address space is taken, as far as giving memory back can change it.

RLIMIT_AS and RLIMIT_DATA count what is mapped, be it in main memory or not. What a relief frees may
leave main memory and stay mapped, as holes that the allocator fills again before it maps more. If
such holes counted as lost, the limit would fall with each relief by what that brought, and reliefs
would go on until nothing is left.

So what is mapped and not in main memory (the *gap*) counts as it was before it was freed: the gap
grows only by what is mapped anew beyond what comes into main memory meanwhile, and becomes less
when it really is. This is seen from one reading to the next. Holes that are too small for
what comes are taken for room, so such a process is seen nearer to its limit only as it maps more.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ohlcache.memory.usage import Usage


class AddressSpace:
    """The address space of this process, by one of the sizes that the system tells."""

    def __init__(self, mapped: Callable[[Usage], int]) -> None:
        self._mapped = mapped
        self._gap: float = math.inf
        self._last = Usage(0)

    def counted(self, usage: Usage) -> int:
        """Bytes that count as taken."""
        anew = self._mapped(usage) - self._mapped(self._last)
        filled = max(0, usage.rss - self._last.rss)
        self._last = usage
        self._gap = min(self._mapped(usage) - usage.rss, self._gap + max(0, anew - filled))
        return usage.rss + int(self._gap)
