"""The one lock of telemetry's bookkeeping, which is free in a forked child.

Whatever is held by another thread when a process forks stays locked in the child for ever. A lock
for each counter could not be looked after; one for all is taken before a fork and let go on both
sides. Counting itself takes no lock.
"""

from __future__ import annotations

import os
import threading

bookkeeping = threading.RLock()

os.register_at_fork(
    before=bookkeeping.acquire,
    after_in_parent=bookkeeping.release,
    after_in_child=bookkeeping.release,
)
