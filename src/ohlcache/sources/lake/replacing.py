"""Making a new manifest count, and deleting at once the parts that it does not use.

Tools that know nothing of manifests read every part that is there: one that was replaced shows them
candles twice. All deletions happen in a turn of their own, after the manifest was replaced, so that
an export that dies in between leaves it to the next one, which finds them listed as retired.

A part that no manifest lists may be of an export that is still at work. It is deleted when it is an
hour old. An export whose parts were deleted before its turn finds so and is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ohlcache.errors import FetchError, SourceError
from ohlcache.sources.lake import manifest as manifests
from ohlcache.sources.lake.manifest import Manifest, Part
from ohlcache.sources.lake.parts import is_ours
from ohlcache.sources.lake.storage import Storage, join
from ohlcache.sources.lake.turns import own_turn

ABANDONED_MS = 3_600_000  # far more than an export takes from its first part to its manifest


@dataclass(frozen=True, slots=True)
class Plan:
    """What an export found and wants: to replace ``document`` by ``manifest``.

    needed: the parts whose files have to be there then. uploaded: those that it has put.
    """

    document: bytes | None
    manifest: Manifest
    is_changed: bool
    needed: frozenset[Part]
    uploaded: tuple[Part, ...]


def document_of(storage: Storage, folder: str) -> bytes | None:
    """The manifest of a series as it is stored; None where there is none."""
    try:
        return storage.read(join(folder, manifests.NAME))
    except FileNotFoundError:
        return None


def carry_out(storage: Storage, folder: str, plan: Plan, now: int) -> int:
    """Replace the manifest, delete what nobody uses, and tell how many parts that were.

    Raises SourceError where another export came first, and what Storage raises.
    """
    with own_turn(storage, folder):
        document = document_of(storage, folder)
        files = storage.files(folder, ".parquet")
        if document != plan.document or any(
            files.get(part.path) != part.bytes for part in plan.needed
        ):
            _take_back(storage, folder, document, plan.uploaded)
            raise overtaken(storage, folder)
        if plan.is_changed:
            storage.put(join(folder, manifests.NAME), manifests.encoded(plan.manifest))
        return _delete(storage, folder, unused(storage, folder, plan.manifest, files, now))


def overtaken(storage: Storage, folder: str) -> SourceError:
    """The error of an export that another one overtook."""
    return SourceError(
        f"{join(storage.name, folder)} was changed by another export meanwhile: export again, one "
        "at a time for each series"
    )


def unused(
    storage: Storage, folder: str, manifest: Manifest, files: Collection[str], now: int
) -> list[str]:
    """Those of ``files`` that have to go: parts that were retired, or left by a dead export."""
    used = {part.path for part in manifest.parts}
    retired = {path for path, _ in manifest.retired}
    return [
        path
        for path in files
        if path not in used
        and is_ours(path)
        and (path in retired or _is_abandoned(storage, join(folder, path), now))
    ]


def _is_abandoned(storage: Storage, path: str, now: int) -> bool:
    try:
        put = storage.modified(path)
    except FileNotFoundError:
        return False  # its export was refused and took it back
    return put is not None and put <= now - ABANDONED_MS


def _take_back(
    storage: Storage, folder: str, document: bytes | None, uploaded: Iterable[Part]
) -> None:
    """Delete what a refused export has put, unless the other one uses the same."""
    try:
        current = manifests.decoded(document, folder) if document else Manifest()
    except FetchError:
        return  # nobody can tell what it uses
    used = {part.path for part in current.parts}
    _delete(storage, folder, [part.path for part in uploaded if part.path not in used])


def _delete(storage: Storage, folder: str, paths: Iterable[str]) -> int:
    deleted = 0
    for path in paths:
        try:
            storage.remove(join(folder, path))
        except FileNotFoundError:
            continue  # somebody did it by hand
        deleted += 1
    return deleted
