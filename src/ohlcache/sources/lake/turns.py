"""One export at a time replaces the manifest of a series.

In a local folder a lock sees to that, which the operating system ends with its process.

Elsewhere there is neither a lock nor a put that looks first, on which all of fsspec's file systems
agree. Each export puts an object of its own, a claim, and then looks for those of others. Of two
that do so, the second to put sees the claim of the first, where listings show all that was put
before, as those of S3, Google and Azure do. Both may give up, but never do both go on. (The flag
principle: Herlihy and Shavit, The Art of Multiprocessor Programming, chapter 1.) The claim of an
export that died counts for an hour.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ohlcache.errors import SourceError
from ohlcache.sources.lake.storage import Storage, join

STALE_MS = 3_600_000  # far more than a manifest takes to replace and clocks differ

_LOCK = "_manifest.lock"
_CLAIM = "_exporting-"  # and when, in ms since the epoch, and a random end


@contextmanager
def own_turn(storage: Storage, folder: str) -> Iterator[None]:
    """While it lasts no other export gets a turn in this folder.

    Raises SourceError where another one has it, and what Storage raises.
    """
    if storage.is_local:
        with storage.locked(join(folder, _LOCK)) as is_free:
            if not is_free:
                raise SourceError(
                    f"{join(storage.name, folder)} is being changed by another export: nothing was "
                    "changed, export again"
                )
            yield
        return
    claim = f"{_CLAIM}{_now()}-{secrets.token_hex(8)}"
    storage.put(join(folder, claim), b"")
    try:
        _refuse_others(storage, folder, claim)
        yield
    finally:
        _withdraw(storage, folder, claim)


def _withdraw(storage: Storage, folder: str, claim: str) -> None:
    try:
        storage.remove(join(folder, claim))
    except FileNotFoundError:
        raise SourceError(
            f"{join(storage.name, folder)} may have been changed by another export, which took "
            f"{claim} for that of a dead one: compare the clocks, and export again"
        ) from None


def _refuse_others(storage: Storage, folder: str, own: str) -> None:
    for name in storage.objects(folder):
        if not name.startswith(_CLAIM) or name == own:
            continue
        if _began(name) > _now() - STALE_MS:
            raise SourceError(
                f"{join(storage.name, folder)} is being changed by another export: nothing was "
                f"changed, export again (if none runs, it died: delete {name} or wait an hour)"
            )
        try:
            storage.remove(join(folder, name))
        except FileNotFoundError:
            continue  # another export has


def _began(claim: str) -> int:
    """When an export made its claim, in ms; a name that tells no time is as good as a new one."""
    began = claim.removeprefix(_CLAIM).partition("-")[0]
    return int(began) if began.isdecimal() else _now()


def _now() -> int:
    return time.time_ns() // 1_000_000
