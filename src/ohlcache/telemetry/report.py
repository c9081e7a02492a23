"""What a process posts for the others, as bytes: a head, then MessagePack compressed by zlib."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from ohlcache.errors import InvalidArgument, ReportUnreadable
from ohlcache.telemetry.process import Process
from ohlcache.telemetry.registry import Readings

_HEAD = b"ohlcache-report-1:"  # with the version
_QUICK = 1  # zlib's level
_LARGEST = 8 << 20  # bytes, decompressed; 2,000 series of full histograms take less

_Content = tuple[str, int, float, float, dict[str, Any]]


class Report(NamedTuple):
    """Who reports, what, and when by its own wall clock (seconds since the epoch)."""

    process: Process
    at: float
    readings: Readings


def encode(report: Report) -> bytes:
    """The report as bytes."""
    import msgspec

    from ohlcache.telemetry.export.tables import as_dict

    content: _Content = (*report.process, report.at, as_dict(report.readings))
    return _HEAD + zlib.compress(msgspec.msgpack.encode(content), _QUICK)


def decode(raw: bytes) -> Report:
    """The report that bytes are. Raises ReportUnreadable for what no ohlcache posted."""
    import msgspec

    from ohlcache.telemetry.export.tables import from_dict

    try:
        content = msgspec.msgpack.decode(_decompressed(raw), type=_Content)
        host, pid, started, at, readings = content
        return Report(Process(host, pid, started), at, from_dict(readings))
    except (zlib.error, msgspec.MsgspecError, InvalidArgument) as error:
        raise ReportUnreadable(
            f"report of {len(raw)} bytes is damaged ({type(error).__name__}): "
            "see who else writes into this namespace"
        ) from error


def _decompressed(raw: bytes) -> bytes:
    if not raw.startswith(_HEAD):
        raise ReportUnreadable(
            f"report of {len(raw)} bytes is foreign, or of another version of ohlcache: "
            "run one version, in a namespace of its own"
        )
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(raw[len(_HEAD) :], _LARGEST)
    if not unpacking.eof:
        raise ReportUnreadable(f"report of {len(raw)} bytes is truncated, or larger than any is")
    return content
