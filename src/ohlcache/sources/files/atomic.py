"""A file that appears complete under its name, or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import zstandard

from ohlcache.errors import InvalidArgument, OhlcacheError


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside ``path``, put in its place when the block ends without an error.

    It is synced to disk before that; after an error it is removed and what was there stays.
    Raises InvalidArgument where the path cannot be written to, OhlcacheError where the disk is
    full or fails.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InvalidArgument(f"file {path} is no ordinary file: give another path")
    written = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        file = written.open("xb")  # with the permissions that any new file gets
    except OSError as error:
        raise InvalidArgument(
            f"file {path} cannot be written ({error.strerror}): give a path in a folder that "
            "exists and may be written to"
        ) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        written.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise OhlcacheError(
            f"file {path} cannot be written ({error.strerror or error}): what was there before is "
            "kept; free space or give another path"
        ) from error
    finally:
        written.unlink(missing_ok=True)


@contextmanager
def compressed(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """What to write to so that ``file`` gets the compression that ``name`` ends with, if any."""
    suffix = Path(name).suffix.lower()
    stream: Any
    if suffix == ".gz":
        stream = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6)
    elif suffix == ".xz":
        stream = lzma.LZMAFile(file, "wb")  # noqa: SIM115  # closed below, with all others
    elif suffix == ".bz2":
        stream = bz2.BZ2File(file, "wb")
    elif suffix == ".zst":
        stream = zstandard.ZstdCompressor().stream_writer(file, closefd=False)
    else:
        yield file
        return
    with stream:
        yield stream


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a crash, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
