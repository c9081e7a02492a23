"""DataFrames of any size in the cache, cut so that reading a part costs only that part.

Structure: rows are cut into *slabs* of at most ``chunk_size_bytes``, the columns of each slab into
*groups*; a slab of a group is a chunk, and so is a slab of the index. The *manifest*, under the
dataset's own key, tells how it was cut and what it looks like without rows.

Each writing has an id of its own in the keys of its chunks, and the manifest is written last: it
switches from one whole dataset to the next, and a reader sees either. The chunks of the one before
are removed afterwards; a reader who meets that reads the manifest once more.
"""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ohlcache.cache.categories import CacheCategory
from ohlcache.cache.keys import key_text
from ohlcache.cache.process import get_cache_manager
from ohlcache.drive import Walk, drive, drive_async
from ohlcache.errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd

    from ohlcache.cache.manager import CacheManager
    from ohlcache.cache.market.slabs import Bound, Plan

CHUNK_SIZE_BYTES = 50 * 2**20

_CATEGORY = CacheCategory.HISTORICAL_DATA


class HistoricalDataCache:
    """Large DataFrames by key, on a CacheManager; read back whole, or by range and columns.

    Dtypes, index, labels, categories, time zones and attrs are preserved. A dataset that lacks a
    part, because it expired, was evicted or is damaged, is a miss, never a shorter frame. Every
    method has an async door with an ``a`` before its name.
    """

    def __init__(
        self, cache: CacheManager | None = None, *, chunk_size_bytes: int = CHUNK_SIZE_BYTES
    ) -> None:
        """``cache``: where to keep them; None: the process-wide cache manager.

        chunk_size_bytes: the most that a chunk takes in memory; a single row may exceed it.
        """
        if chunk_size_bytes < 1:
            raise InvalidArgument(f"chunk_size_bytes is {chunk_size_bytes!r}: give 1 or more")
        self.chunk_size_bytes = chunk_size_bytes
        self._given = cache

    @property
    def _cache(self) -> CacheManager:
        return self._given or get_cache_manager()

    def cache_large_dataset(self, data: pd.DataFrame, dataset_key: Hashable) -> bool:
        """Keep a frame in place of the one that was there. True if it can be read back whole.

        Otherwise (no tier had room, or none could be reached) nothing of it stays, and what was
        there before is kept where that is possible. Raises InvalidArgument for what is no pandas
        DataFrame, TypeError for columns of objects that a shared tier cannot hold.
        """
        return drive(self._write(data, dataset_key))

    async def acache_large_dataset(self, data: pd.DataFrame, dataset_key: Hashable) -> bool:
        """:meth:`cache_large_dataset` for async code."""
        return await drive_async(self._write(data, dataset_key))

    def get_large_dataset(
        self,
        dataset_key: Hashable,
        start: Bound | None = None,
        end: Bound | None = None,
        columns: Iterable[Any] | None = None,
    ) -> pd.DataFrame | None:
        """The dataset, or its rows in [start, end) and these columns; None when it is not there.

        start, end: moments for a DatetimeIndex (naive means UTC, on both sides), labels of its
            type for any other index. If the index is sorted only the chunks that are needed are
            read; otherwise all of the index is, and rows keep their order.
        columns: a list of labels, in the order in which they shall stand.

        The frame is the caller's own. Raises InvalidArgument for an unknown column, for bounds
        that cannot be compared with the index, and unless start is before end.
        """
        return drive(self._read(dataset_key, start, end, columns))

    async def aget_large_dataset(
        self,
        dataset_key: Hashable,
        start: Bound | None = None,
        end: Bound | None = None,
        columns: Iterable[Any] | None = None,
    ) -> pd.DataFrame | None:
        """:meth:`get_large_dataset` for async code."""
        return await drive_async(self._read(dataset_key, start, end, columns))

    def delete_large_dataset(self, dataset_key: Hashable) -> bool:
        """Remove a dataset; whether there was one."""
        return drive(self._delete(dataset_key))

    async def adelete_large_dataset(self, dataset_key: Hashable) -> bool:
        """:meth:`delete_large_dataset` for async code."""
        return await drive_async(self._delete(dataset_key))

    # -- what the doors share -------------------------------------------------------------------

    def _write(self, data: pd.DataFrame, dataset_key: Hashable) -> Walk[bool]:
        import pandas as pd

        from ohlcache.cache.market import slabs

        if not isinstance(data, pd.DataFrame):
            raise InvalidArgument(f"data is a {type(data).__name__}: give a pandas DataFrame")
        key = _manifest_key(dataset_key)
        before = yield self._ask("get", key)
        how = yield partial(slabs.plan, data, self.chunk_size_bytes)
        manifest = {"id": secrets.token_hex(8), "plan": vars(how)}
        names = _Names(key, manifest)
        try:
            for slab in range(how.slabs):
                index = data.index[how.edges[slab] : how.edges[slab + 1]]
                yield self._ask("set", names.index(slab), index)
                for group, piece in slabs.pieces(data, how, slab):
                    yield self._ask("set", names.group(slab, group), piece)
            if not (yield from self._is_whole(names)):
                yield from self._remove(names)
                return False
            yield self._ask("set", key, manifest)
        except Exception:
            yield from self._remove(names)
            raise
        kept = yield self._ask("get", key)
        is_kept = kept is not None and kept["id"] == manifest["id"]
        if not is_kept:
            yield from self._remove(names)
        if before is not None:
            yield from self._remove(_Names(key, before))
        return is_kept

    def _read(
        self,
        dataset_key: Hashable,
        start: Bound | None,
        end: Bound | None,
        columns: Iterable[Any] | None,
    ) -> Walk[pd.DataFrame | None]:
        key = _manifest_key(dataset_key)
        columns = columns if columns is None or isinstance(columns, str) else list(columns)
        seen = None
        while True:
            manifest = yield self._ask("get", key)
            if manifest is None or manifest["id"] == seen:
                return None
            frame = yield from self._collect(_Names(key, manifest), start, end, columns)
            if frame is not None or seen is not None:
                return frame
            seen = manifest["id"]  # it may have been replaced while its chunks were read

    def _collect(
        self, names: _Names, start: Bound | None, end: Bound | None, columns: Iterable[Any] | None
    ) -> Walk[pd.DataFrame | None]:
        from ohlcache.cache.market import slabs

        how = names.plan
        positions = how.positions(columns)
        groups = how.groups_with(positions)
        rows = slabs.Rows(how.outline.index, start, end)
        parts = []
        for slab in how.slabs_in(rows):
            index = yield self._ask("get", names.index(slab))
            if index is None or len(index) != how.rows(slab):
                return None
            where = rows.within(index)
            index = index[where]
            if not len(index):
                continue
            wanted = [names.group(slab, group) for group in groups]
            found = yield self._ask("get_many", wanted)
            chunks = [found.get(name) for name in wanted]
            if any(chunk is None or len(chunk) != how.rows(slab) for chunk in chunks):
                return None
            part = yield partial(slabs.part, chunks, where, positions, how.rows(slab))
            parts.append((index, part))
        frame: pd.DataFrame = yield partial(slabs.join, how, parts, positions)
        return frame

    def _delete(self, dataset_key: Hashable) -> Walk[bool]:
        key = _manifest_key(dataset_key)
        manifest = yield self._ask("get", key)
        if manifest is None:
            return False
        yield self._ask("delete", key)
        yield from self._remove(_Names(key, manifest))
        return True

    def _is_whole(self, names: _Names) -> Walk[bool]:
        for name in names.all():
            if (yield self._ask("get", name)) is None:
                return False
        return True

    def _remove(self, names: _Names) -> Walk[None]:
        for name in names.all():
            yield self._ask("delete", name)

    def _ask(self, method: str, *arguments: Any) -> _Ask:
        return _Ask(self._cache, method, (*arguments, _CATEGORY))


class _Names:
    """The keys of the chunks that a manifest speaks of."""

    def __init__(self, key: str, manifest: dict[str, Any]) -> None:
        from ohlcache.cache.market.slabs import Plan

        self.plan: Plan = Plan(**manifest["plan"])
        self._stem = f"{key}/{manifest['id']}"

    def index(self, slab: int) -> str:
        return f"{self._stem}/{slab}/index"

    def group(self, slab: int, group: int) -> str:
        return f"{self._stem}/{slab}/{group}"

    def all(self) -> Iterable[str]:
        for slab in range(self.plan.slabs):
            yield self.index(slab)
            for group in range(len(self.plan.groups)):
                yield self.group(slab, group)


class _Ask(NamedTuple):
    """A call of the cache by whichever door the caller came through (drive.Exchange)."""

    cache: Any
    method: str
    arguments: tuple[Any, ...]

    def run(self) -> Any:
        return getattr(self.cache, self.method)(*self.arguments)

    async def arun(self) -> Any:
        return await getattr(self.cache, f"a{self.method}")(*self.arguments)


def _manifest_key(dataset_key: Hashable) -> str:
    return f"dataset:{key_text(dataset_key)}"
