"""A series into a lake: only the partitions whose candles differ from what is there.

A new part is uploaded under a name of its own, made of a digest of its candles; the manifest,
which is replaced last, is what makes it part of the series, and then the parts that it replaced are
deleted. Of exports that begin with the same manifest at most one replaces it; the others are
refused. What the lake knows and the caller does not is kept.

Damage heals: a part that is missing or cut short is written again, and a manifest that is missing
or cannot be read is made anew from the parts that are there and what the caller knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ohlcache.candles import Block, Interval, IntervalSet, Timeframe
from ohlcache.candles.interval import difference, intersection, union
from ohlcache.sources.files.options import Options
from ohlcache.sources.lake import manifest as manifests
from ohlcache.sources.lake.adopting import adopted
from ohlcache.sources.lake.layout import Partition, partitions, series_folder
from ohlcache.sources.lake.manifest import DamagedManifest, Manifest, Part
from ohlcache.sources.lake.parts import PartGone, digest, encode, footer_of, name_of, read
from ohlcache.sources.lake.replacing import Plan, carry_out, document_of, overtaken, unused
from ohlcache.sources.lake.storage import Storage, join

# The candles that open in [start, end), sorted, and what of it they are all of.
Known = Callable[[int, int], tuple[Block, IntervalSet]]


@dataclass(frozen=True, slots=True)
class LakeExport:
    """What an export did: partitions written and left as they were, rows and bytes written.

    deleted: files of parts that are no longer used. repaired: parts and manifests that were missing
    or damaged; what only they knew is no longer known to the lake.
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

    Raises SourceError where another export changed the series meanwhile, SourceError or
    SourceUnavailable where the lake cannot be written. Readers see nothing of a refused export; of
    one that ended with SourceUnavailable all or nothing.
    """
    folder = series_folder(venue, symbol, timeframe)
    begun = _begin(storage, folder, timeframe, now)
    wanted = list(partitions(timeframe, covered))
    broken = [one.range for one in wanted if begun.manifest.part_of(one.range) in begun.lost]
    manifest = replace(begun.manifest, covered=difference(begun.manifest.covered, broken))
    names, all_known = manifest.columns, manifest.covered
    changed: dict[Interval, Part | None] = {}
    for partition in wanted:
        ours, newly = known(*partition.range)
        all_known = union(all_known, newly)
        block = _with_theirs(storage, folder, manifest, partition, ours, newly)
        names = tuple(dict.fromkeys((*names, *block.names)))
        mark = digest(block) if len(block) else None
        old = manifest.part_of(partition.range)
        if old in begun.lost or mark != (old.digest if old else None):
            changed[partition.range] = (
                None if mark is None else _upload(storage, folder, partition, block, mark)
            )
    after = replace(manifest.with_parts(changed, now), columns=names, covered=all_known)
    uploaded = tuple(part for part in changed.values() if part is not None)
    return LakeExport(
        written=len(changed),
        unchanged=len(wanted) - len(changed),
        rows=sum(part.rows for part in uploaded),
        bytes=sum(part.bytes for part in uploaded),
        deleted=_finish(storage, folder, begun, after, uploaded, now),
        repaired=begun.repaired + len(broken),
    )


@dataclass(frozen=True, slots=True)
class _Begun:
    """What an export finds: the manifest, or one made anew, and files with their sizes in bytes.

    lost: the parts whose files are missing or not as long as they were.
    """

    document: bytes | None
    manifest: Manifest
    is_made_anew: bool
    files: dict[str, int]

    @property
    def lost(self) -> set[Part]:
        parts = self.manifest.parts
        return {part for part in parts if self.files.get(part.path) != part.bytes}

    @property
    def repaired(self) -> int:
        return int(self.is_made_anew and bool(self.document is not None or self.manifest.parts))


def _begin(storage: Storage, folder: str, timeframe: Timeframe, now: int) -> _Begun:
    document = document_of(storage, folder)
    files = storage.files(folder, ".parquet")
    try:
        manifest = _manifest(storage, folder, document)
    except DamagedManifest:
        manifest = None
    if manifest is None:
        try:
            manifest = adopted(storage, folder, files, timeframe, now)
        except PartGone:
            raise overtaken(storage, folder) from None
        return _Begun(document, manifest, True, files)
    return _Begun(document, manifest.retiring(files), False, files)


def _finish(
    storage: Storage,
    folder: str,
    begun: _Begun,
    after: Manifest,
    uploaded: tuple[Part, ...],
    now: int,
) -> int:
    """Have what was uploaded count, and nothing else; how many parts were deleted."""
    is_changed = begun.is_made_anew or after != begun.manifest
    if not (is_changed or uploaded or unused(storage, folder, after, begun.files, now)):
        return 0
    needed = frozenset(after.parts) - (begun.lost - set(uploaded))
    return carry_out(
        storage, folder, Plan(begun.document, after, is_changed, needed, uploaded), now
    )


def load(storage: Storage, folder: str) -> Manifest | None:
    """The manifest of a series; None where there is none. Raises what ``decoded`` raises."""
    return _manifest(storage, folder, document_of(storage, folder))


def _manifest(storage: Storage, folder: str, document: bytes | None) -> Manifest | None:
    if document is None:
        return None
    return manifests.decoded(document, join(storage.name, folder, manifests.NAME))


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
        try:
            stored = read(storage, part, folder, partition.range, Options())
        except PartGone:  # it was there when this export began
            raise overtaken(storage, folder) from None
        blocks += [stored.between(*range_) for range_ in theirs]
    filled = [block for block in blocks if len(block)]
    return filled[0] if len(filled) == 1 else Block.concatenate(sorted(filled, key=_first))


def _first(block: Block) -> int:
    return int(block.times[0])


def _upload(storage: Storage, folder: str, partition: Partition, block: Block, mark: str) -> Part:
    data = encode(block)
    path = join(partition.folder, name_of(mark))
    storage.put(join(folder, path), data)
    return Part(path, partition.range, len(block), len(data), footer_of(data), mark)
