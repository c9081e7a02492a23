"""What a series of a lake consists of: a small JSON document, replaced as a whole.

Readers see the parts of the old or of the new manifest, never a mixture. A part that a newer one
replaced is listed as retired, with the time: whoever finds its file there has to delete it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ohlcache.candles import OHLCV, Interval, IntervalSet
from ohlcache.candles.interval import normalise
from ohlcache.errors import FetchError

NAME = "_manifest.json"

_FORMAT, _VERSION = "ohlcache-lake", 1


class DamagedManifest(FetchError):
    """A manifest that cannot be read, which the next export writes anew."""


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file: its candles open in ``range``.

    path: below the folder of the series. footer: length and CRC-32 of the file's end, and digest:
    of the candles; both None in files that others wrote.
    """

    path: str
    range: Interval
    rows: int
    bytes: int
    footer: tuple[int, int] | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Parts in order of time, the open times known, and parts that must go, with since when."""

    columns: tuple[str, ...] = OHLCV
    covered: IntervalSet = ()
    parts: tuple[Part, ...] = ()
    retired: tuple[tuple[str, int], ...] = ()

    def part_of(self, range_: Interval) -> Part | None:
        """The part of a partition."""
        return next((part for part in self.parts if part.range == range_), None)

    def overlapping(self, start: int, end: int) -> list[Part]:
        """The parts that may hold candles which open in [start, end)."""
        return [part for part in self.parts if part.range.start < end and start < part.range.end]

    def with_parts(self, changed: dict[Interval, Part | None], now: int) -> Manifest:
        """The manifest after partitions got other parts, or none; what they had is retired."""
        kept = {part.range: part for part in self.parts}
        kept.update({range_: part for range_, part in changed.items() if part is not None})
        for range_ in [range_ for range_, part in changed.items() if part is None]:
            kept.pop(range_, None)
        used = {part.path for part in kept.values()}
        gone = dict.fromkeys((part.path for part in self.parts if part.path not in used), now)
        retired = {path: at for path, at in self.retired if path not in used} | gone
        return replace(
            self,
            parts=tuple(kept[range_] for range_ in sorted(kept)),
            retired=tuple(retired.items()),
        )

    def retiring(self, there: Container[str]) -> Manifest:
        """The manifest without the retired parts that are not ``there`` any more."""
        return replace(self, retired=tuple(one for one in self.retired if one[0] in there))


def encoded(manifest: Manifest) -> bytes:
    """The document."""
    parts = [
        {
            "path": part.path,
            "range": part.range,
            "rows": part.rows,
            "bytes": part.bytes,
            "footer": part.footer,
            "digest": part.digest,
        }
        for part in manifest.parts
    ]
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "columns": manifest.columns,
        "covered": manifest.covered,
        "parts": parts,
        "retired": manifest.retired,
    }
    return json.dumps(document, indent=1).encode()


def decoded(data: bytes, where: str) -> Manifest:
    """The manifest in a document.

    Raises DamagedManifest, naming ``where``, for one that cannot be read, and FetchError for one of
    another version or another kind of document.
    """
    try:
        document = json.loads(data)
        is_ours = document["format"] == _FORMAT
        version = document["version"]
        if is_ours and version == _VERSION:
            return _manifest(document)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedManifest(
            f"{where} is damaged ({type(error).__name__}: {error}): export the series again"
        ) from None
    if is_ours:
        raise FetchError(f"{where} is of version {version!r}, not {_VERSION}: update ohlcache")
    raise FetchError(f"{where} is not a manifest of ohlcache: give the URL of a lake")


def _manifest(document: dict[str, Any]) -> Manifest:
    return Manifest(
        columns=tuple(document["columns"]),
        covered=_ranges(document["covered"]),
        parts=tuple(_part(part) for part in document["parts"]),
        retired=tuple((str(path), int(at)) for path, at in document["retired"]),
    )


def _part(part: dict[str, Any]) -> Part:
    length, crc = part["footer"]
    return Part(
        str(part["path"]),
        Interval(*part["range"]),
        int(part["rows"]),
        int(part["bytes"]),
        (int(length), int(crc)),
        str(part["digest"]),
    )


def _ranges(ranges: Iterable[list[int]]) -> IntervalSet:
    return normalise((int(start), int(end)) for start, end in ranges)
