"""The memory manager of the process."""

from __future__ import annotations

import os
import threading

from ohlcache.memory.manager import MemoryManager
from ohlcache.settings import MemorySettings, as_settings, checked_section

_lock = threading.RLock()  # a signal handler may ask for it meanwhile
_manager: MemoryManager | None = None


def get_memory_manager(memory_limit_mb: float | None = None) -> MemoryManager:
    """The memory manager of this process, built on first use from the settings in force.

    It watches once it is started: ``get_memory_manager().start()``.

    memory_limit_mb: sets this limit, also where the manager runs already. The limit in force is
        lower where the system sets a lower one: see ``MemoryManager.snapshot``.

    Raises InvalidArgument for settings that cannot be used.
    """
    global _manager  # noqa: PLW0603  # one for the process is what this is about
    with _lock:
        if _manager is None:
            _manager = MemoryManager(_settings(memory_limit_mb))
        elif memory_limit_mb is not None:
            _manager.set_limit(memory_limit_mb)
        return _manager


def _settings(memory_limit_mb: float | None) -> MemorySettings:
    settings = as_settings(None).memory
    if memory_limit_mb is None:
        return settings
    fields = {**settings.model_dump(), "limit_mb": memory_limit_mb}
    return checked_section(MemorySettings, "memory", fields)


def _renew_lock() -> None:
    """A thread that held the lock is not in a forked child, which keeps the manager."""
    global _lock  # noqa: PLW0603  # as above
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
