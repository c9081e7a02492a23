"""Which process this is, among all of all machines."""

from __future__ import annotations

import os
import time
from typing import NamedTuple


class Process(NamedTuple):
    """host: the machine's name. started: when it began to report, seconds since the epoch."""

    host: str
    pid: int
    started: float

    @property
    def name(self) -> str:
        """One that no other process has, also none that gets its pid later."""
        return f"{self.host}:{self.pid}:{round(self.started * 1e6)}"


_this: Process | None = None


def this_process() -> Process:
    """The process that asks; a forked child is another than its parent."""
    global _this  # noqa: PLW0603  # one for the process is what this is about
    if _this is None or _this.pid != os.getpid():
        import socket

        _this = Process(socket.gethostname(), os.getpid(), time.time())
    return _this
