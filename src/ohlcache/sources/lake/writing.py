"""A series into a lake: only the partitions whose candles differ from what is there.

A new part is uploaded under a name of its own, made of a digest of its candles; the manifest,
which is replaced last, is what makes it part of the series. What the lake knows and the caller does
not is kept. Parts that are no longer used are deleted by a later export, a day after they were
replaced, so that a reader has a day to finish.

Damage heals: a part that is missing or cut short is written again, and a manifest that cannot be
read is made anew from what the caller knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ohlcache.candles import Block, Interval, IntervalSet, Timeframe
from ohlcache.candles.interval import difference, intersection, union
from ohlcache.errors import OhlcacheError
from ohlcache.sources.files.options import Options
from ohlcache.sources.lake import manifest as manifests
from ohlcache.sources.lake.layout import Partition, partitions, series_folder
from ohlcache.sources.lake.manifest import DamagedManifest, Manifest, Part
from ohlcache.sources.lake.parts import digest, encode, footer_of, read
from ohlcache.sources.lake.storage import Storage, join

KEPT_MS = 24 * 3_600_000  # a part that was replaced, for those who still read it

# The candles that open in [start, end), sorted, and what of it they are all of.
Known = Callable[[int, int], tuple[Block, IntervalSet]]


@dataclass(frozen=True, slots=True)
class LakeExport:
    """What an export did: partitions written and left as they were, rows and bytes written.

    deleted: parts that earlier exports had replaced. repaired: parts and manifests that were
    missing or damaged; what only they knew is no longer known to the lake.
    """

    written: int = 0
    unchanged: int = 0
    rows: int = 0
    bytes: int = 0
    deleted: int = 0
    repaired: int = 0

    def __add__(self, other: LakeExport) -> LakeExport:
        return LakeExport(
            self.written + other.written,
            self.unchanged + other.unchanged,
            self.rows + other.rows,
            self.bytes + other.bytes,
            self.deleted + other.deleted,
            self.repaired + other.repaired,
        )


def export_series(
    storage: Storage,
    venue: str,
    symbol: str,
    timeframe: Timeframe,
    covered: IntervalSet,
    known: Known,
    now: int,
) -> LakeExport:
    """Bring what is known of a series (about ``covered``, in ms) into a lake.

    It is asked for a partition at a time, candles and coverage of one moment; ``now`` is ms.

    Raises SourceError or SourceUnavailable where the lake cannot be written, OhlcacheError where
    another export changed the series meanwhile; the lake then is as it was before.
    """
    folder = series_folder(venue, symbol, timeframe)
    document = _document(storage, folder)
    try:
        before, repaired = _manifest(storage, folder, document), 0
    except DamagedManifest:
        before, repaired = None, 1
    manifest = before or Manifest()
    lost = _lost(storage, folder, manifest)
    changed: dict[Interval, Part | None] = {}
    names = manifest.columns
    all_known = manifest.covered
    unchanged = 0
    for partition in partitions(timeframe, covered):
        block, newly = known(*partition.range)
        old = manifest.part_of(partition.range)
        if old in lost:
            repaired += 1
            left = difference(manifest.covered, [partition.range])
            manifest = replace(manifest, covered=left)
            all_known = difference(all_known, [partition.range])
        all_known = union(all_known, newly)
        block = _with_theirs(storage, folder, manifest, partition, block, newly)
        names = tuple(dict.fromkeys((*names, *block.names)))
        mark = digest(block) if len(block) else None
        if old not in lost and mark == (old.digest if old else None):
            unchanged += 1
        elif mark is None:
            changed[partition.range] = None
        else:
            changed[partition.range] = _upload(storage, folder, partition, block, mark)
    after = replace(manifest.with_parts(changed, now), columns=names, covered=all_known)
    after, deleted = _cleaned(storage, folder, after, now)
    if after != before:
        _replace(storage, folder, document, after)
    uploaded = [part for part in changed.values() if part is not None]
    return LakeExport(
        written=len(changed),
        unchanged=unchanged,
        rows=sum(part.rows for part in uploaded),
        bytes=sum(part.bytes for part in uploaded),
        deleted=deleted,
        repaired=repaired,
    )


def load(storage: Storage, folder: str) -> Manifest | None:
    """The manifest of a series; None where there is none. Raises what ``decoded`` raises."""
    return _manifest(storage, folder, _document(storage, folder))


def _document(storage: Storage, folder: str) -> bytes | None:
    try:
        return storage.read(join(folder, manifests.NAME))
    except FileNotFoundError:
        return None


def _manifest(storage: Storage, folder: str, document: bytes | None) -> Manifest | None:
    if document is None:
        return None
    return manifests.decoded(document, join(storage.name, folder, manifests.NAME))


def _lost(storage: Storage, folder: str, manifest: Manifest) -> set[Part]:
    """The parts whose files are missing or not as long as they were; costs one listing."""
    if not manifest.parts:
        return set()
    sizes = storage.files(folder, ".parquet")
    return {part for part in manifest.parts if sizes.get(part.path) != part.bytes}


def _with_theirs(
    storage: Storage,
    folder: str,
    manifest: Manifest,
    partition: Partition,
    ours: Block,
    known: IntervalSet,
) -> Block:
    """The candles of a partition: ours where we know them, those of the lake elsewhere."""
    part = manifest.part_of(partition.range)
    theirs = difference(intersection(manifest.covered, [partition.range]), known)
    blocks = [ours.between(*range_) for range_ in known]
    if part is not None and theirs:
        stored = read(storage, part, folder, partition.range, Options())
        blocks += [stored.between(*range_) for range_ in theirs]
    filled = [block for block in blocks if len(block)]
    return filled[0] if len(filled) == 1 else Block.concatenate(sorted(filled, key=_first))


def _first(block: Block) -> int:
    return int(block.times[0])


def _upload(storage: Storage, folder: str, partition: Partition, block: Block, mark: str) -> Part:
    data = encode(block)
    path = join(partition.folder, f"part-{mark}.parquet")
    storage.put(join(folder, path), data)
    return Part(path, partition.range, len(block), len(data), footer_of(data), mark)


def _cleaned(storage: Storage, folder: str, manifest: Manifest, now: int) -> tuple[Manifest, int]:
    """The manifest without the parts that were retired long ago, which are deleted."""
    kept = tuple((path, at) for path, at in manifest.retired if at + KEPT_MS > now)
    old = [path for path, at in manifest.retired if at + KEPT_MS <= now]
    for path in old:
        try:
            storage.remove(join(folder, path))
        except FileNotFoundError:
            continue  # an export that died after it had deleted it
    return replace(manifest, retired=kept), len(old)


def _replace(storage: Storage, folder: str, before: bytes | None, after: Manifest) -> None:
    if _document(storage, folder) != before:
        raise OhlcacheError(
            f"{join(storage.name, folder)} was changed by another export meanwhile: export again, "
            "one at a time for each series"
        )
    storage.put(join(folder, manifests.NAME), manifests.encoded(after))
