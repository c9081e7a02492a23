"""Which limit on the memory of the process is in force.

The least counts of: the setting, the limits of the control groups that the process is in (of all
that are above its own, too), those of the shell (``ulimit``, setrlimit) and what the machine has.

All limits are given in terms of RSS, because that is what can be measured and brought down. Most
count something else: a control group what all its processes take, RLIMIT_AS the address space. So
each also ends where its *headroom* does: RSS plus what it still allows at present. With others in
the same group, or with much address space taken and not used (see ``address_space``), the limit is
lower than its figure.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ohlcache.memory.address_space import AddressSpace
from ohlcache.memory.usage import Usage

_UNLIMITED = 2**60  # cgroup v1 says "no limit" with a number that no machine has


class Limit(NamedTuple):
    """A bound in bytes of RSS and what set it, in words for the operator."""

    bytes: int
    source: str


class Bound(NamedTuple):
    """A limit as the system states it, and how much of it is counted as taken; cheap to ask."""

    source: str
    bytes: int
    counted: Callable[[Usage], int]

    def for_rss(self, usage: Usage) -> Limit:
        """The RSS at which the bound is reached, if all else stays as it is."""
        headroom = max(0, self.bytes - self.counted(usage))
        return Limit(max(1, min(self.bytes, usage.rss + headroom)), self.source)


def limit_in_force(setting_bytes: int, usage: Usage, bounds: list[Bound]) -> Limit:
    """The least of the setting and the bounds; the setting where they are equal."""
    limits = [Limit(max(1, setting_bytes), "setting memory.limit_mb")]
    limits += [bound.for_rss(usage) for bound in bounds]
    return min(limits, key=lambda limit: limit.bytes)


def system_bounds(usage: Usage) -> list[Bound]:
    """The bounds that the system sets for this process, which takes ``usage`` now.

    What other processes take of a bound is read now and then taken as it is.
    """
    return [*_cgroup_bounds(usage), *_resource_bounds(), *_machine_bounds()]


def _rss(usage: Usage) -> int:
    return usage.rss


# -- control groups -------------------------------------------------------------------------------


def _cgroup_bounds(
    usage: Usage,
    membership: Path = Path("/proc/self/cgroup"),
    mounts: Path = Path("/proc/self/mountinfo"),
) -> Iterator[Bound]:
    """The limits of the process's groups and of those above them, versions 1 and 2.

    In a container, the path that the process is told may not exist in what is mounted there; the
    groups above it that do exist are its own then.
    """
    try:
        groups = membership.read_text(encoding="utf-8").splitlines()
        roots = _cgroup_roots(mounts.read_text(encoding="utf-8").splitlines())
    except OSError:
        return  # not Linux
    for line in groups:
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        kind = "" if not controllers else "memory" if "memory" in controllers.split(",") else None
        root = None if kind is None else roots.get(kind)
        if root is None:
            continue
        parts = root.parts_to(path)
        for depth in range(len(parts), -1, -1):
            group = root.where.joinpath(*parts[:depth])
            yield from _group_bounds(group, usage, is_v2=not controllers)


class _Root(NamedTuple):
    """Where a hierarchy of groups is mounted, and from which of them on."""

    where: Path
    top: str

    def parts_to(self, path: str) -> list[str]:
        """The folders from here to a group."""
        top = self.top.rstrip("/")
        below = path.removeprefix(top) if f"{path}/".startswith(f"{top}/") else path
        return [part for part in below.split("/") if part not in ("", "..")]


def _cgroup_roots(mounts: list[str]) -> dict[str, _Root]:
    """Where version 2 (key "") and version 1's memory controller are mounted."""
    roots: dict[str, _Root] = {}
    for line in mounts:
        before, _, after = line.partition(" - ")
        if not after:
            continue
        kind, _, options = after.split(" ", 2)
        top, where = map(_unescaped, before.split(" ")[3:5])
        if kind == "cgroup2":
            roots.setdefault("", _Root(Path(where), top))
        elif kind == "cgroup" and "memory" in options.split(","):
            roots.setdefault("memory", _Root(Path(where), top))
    return roots


def _unescaped(text: str) -> str:
    """The kernel writes a space as ``\\040``, and so on."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _group_bounds(group: Path, usage: Usage, *, is_v2: bool) -> Iterator[Bound]:
    """Above ``memory.max`` processes are killed, above ``memory.high`` slowed down to a crawl."""
    for name in ("memory.max", "memory.high") if is_v2 else ("memory.limit_in_bytes",):
        file = group / name
        limit = _number(file)
        if limit is not None and limit < _UNLIMITED:
            of_others = max(0, _taken(group, is_v2=is_v2) - usage.rss)
            yield Bound(f"control group ({file})", limit, partial(_with_others, of_others))


def _with_others(of_others: int, usage: Usage) -> int:
    return usage.rss + of_others


def _taken(group: Path, *, is_v2: bool) -> int:
    """What the group's processes take; file cache that the kernel would drop is not counted."""
    taken = _number(group / ("memory.current" if is_v2 else "memory.usage_in_bytes")) or 0
    droppable = "inactive_file " if is_v2 else "total_inactive_file "
    try:
        lines = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return taken
    found = [int(line.removeprefix(droppable)) for line in lines if line.startswith(droppable)]
    return taken - sum(found)


def _number(file: Path) -> int | None:
    """The number in a file; None where there is no such file or it says ``max``."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


# -- setrlimit and the machine --------------------------------------------------------------------


_data = AddressSpace(lambda usage: usage.data)
_all = AddressSpace(lambda usage: usage.virtual)


def _resource_bounds() -> Iterator[Bound]:
    if sys.platform == "win32":
        return
    import resource

    counted: dict[str, Callable[[Usage], int]] = {
        "RLIMIT_DATA": _data.counted,
        "RLIMIT_AS": _all.counted,
        "RLIMIT_RSS": _rss,
    }
    for name, count in counted.items():
        number = getattr(resource, name, None)
        if number is None:
            continue
        soft, _ = resource.getrlimit(number)
        if soft != resource.RLIM_INFINITY:
            yield Bound(name, soft, count)


def _machine_bounds() -> Iterator[Bound]:
    import psutil

    yield Bound("memory of the machine", psutil.virtual_memory().total, _rss)
