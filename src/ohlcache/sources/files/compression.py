"""A file as a stream of plain bytes, through whatever it is compressed with.

What a file is compressed with is told from its first bytes, not from its name. Every way in which
an archive can be broken ends in one FileFormatError.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Protocol

import zstandard

from ohlcache.errors import FileFormatError, InvalidArgument

PathLike = str | os.PathLike[str]

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
_SUFFIXES = {"gzip": ".gz", "zip": ".zip", "zstd": ".zst", "xz": ".xz", "bzip2": ".bz2"}
_DATA_SUFFIXES = {".csv", ".tsv", ".txt", ".json", ".parquet", ".feather", ".arrow", ".ipc"}
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, zstandard.ZstdError)
# What zipfile lets through: unknown methods, passwords, names and numbers that make no sense.
_BROKEN_ZIP = (NotImplementedError, RuntimeError, ValueError, struct.error)
_ZSTD_PIECE = 8 << 10  # what it can grow to is bounded: zstd blocks hold 128 KB at most
_COPY_PIECE = 4 << 20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def existing_file(path: PathLike) -> Path:
    """The path, if it is a file with at least one byte.

    Raises InvalidArgument for what is no file and FileFormatError for an empty one.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InvalidArgument(f"file {path} {what}: give the path of a file of candles")
    if path.stat().st_size == 0:
        raise FileFormatError(
            f"{path}: the file is empty (0 bytes), as after a crash while it was written: "
            "download or export it again"
        )
    return path


class Stream:
    """The plain bytes of one file, read once from front to back.

    ``compression`` is None or one of gzip, zip, zstd, xz and bzip2; ``name`` is the name of what
    is inside: the member of a zip, else the file's own name without the suffix of the
    compression. Raises InvalidArgument where there is no file, FileFormatError where it is empty,
    damaged, encrypted or holds several data files.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = existing_file(path)
        self._size = self.path.stat().st_size
        self._ahead = b""
        try:
            self._raw: IO[bytes] = self.path.open("rb")
        except OSError as error:
            raise InvalidArgument(
                f"file {self.path} cannot be opened ({error.strerror}): check its permissions"
            ) from error
        try:
            self.compression = _compression_of(self._raw)
            self.name = self.path.name.removesuffix(_SUFFIXES.get(self.compression or "", ""))
            self._plain: _Readable = self._open()
        except BaseException:
            self._raw.close()
            raise

    @property
    def fraction(self) -> float:
        """How much of the file, as it lies on disk, has been read: 0 to 1."""
        return min(1.0, self._raw.tell() / self._size) if not self._raw.closed else 1.0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end. FileFormatError where the file is damaged."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        try:
            return self._plain.read(size)
        except _BROKEN as error:
            raise FileFormatError(
                f"{self.path}: the {self.compression or 'file'} data is truncated or damaged "
                f"({_reason(error)}): download it again"
            ) from error

    def peek(self, size: int) -> bytes:
        """The next bytes, ``size`` of them unless the file ends before, without consuming them."""
        ahead = [self._ahead]
        missing = size - len(self._ahead)
        self._ahead = b""
        while missing > 0 and (data := self.read(missing)):
            ahead.append(data)
            missing -= len(data)
        self._ahead = b"".join(ahead)
        return self._ahead[:size]

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> _Readable:
        if self.compression == "zip":
            return self._open_zip()
        if self.compression == "gzip":
            return gzip.GzipFile(fileobj=self._raw)
        if self.compression == "xz":
            return lzma.LZMAFile(self._raw)
        if self.compression == "bzip2":
            return bz2.BZ2File(self._raw)
        return _ZstdFile(self._raw) if self.compression == "zstd" else self._raw

    def _open_zip(self) -> _Readable:
        try:
            archive = zipfile.ZipFile(self._raw)
            member = _data_member(archive, self.path)
            if member.flag_bits & 0x1:
                raise FileFormatError(
                    f"{self.path}: {member.filename} in it is encrypted: unpack it with its "
                    "password first"
                )
            self.name = PurePosixPath(member.filename).name
            return archive.open(member)
        except (*_BROKEN, *_BROKEN_ZIP) as error:
            raise FileFormatError(
                f"{self.path}: the zip archive cannot be read ({_reason(error)}): download it again"
            ) from error


@contextmanager
def open_seekable(path: PathLike) -> Iterator[Path | IO[bytes]]:
    """The file itself if it is not compressed, else a temporary file with its plain bytes."""
    with Stream(path) as stream:
        if stream.compression is None:
            yield stream.path
            return
        with tempfile.TemporaryFile() as plain:
            while data := stream.read(_COPY_PIECE):
                plain.write(data)
            plain.seek(0)
            yield plain


class _ZstdFile:
    """Zstandard frames, one after the other; unlike zstandard's own reader it sees a cut end."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = bytearray()

    def read(self, size: int, /) -> bytes:
        while len(self._ready) < size and self._fill():
            pass
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def _fill(self) -> bool:
        data = self._raw.read(_ZSTD_PIECE)
        if not data:
            if self._frame is not None:
                raise EOFError("the last zstd frame is not complete")
            return False
        while data:
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._ready += self._frame.decompress(data)
            data = b""
            if self._frame.eof:
                data, self._frame = self._frame.unused_data, None
        return True


def _compression_of(raw: IO[bytes]) -> str | None:
    head = raw.read(8)
    raw.seek(0)
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def _data_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """The one file with data in a zip archive."""
    members = [info for info in archive.infolist() if not _is_noise(info)]
    data = [info for info in members if PurePosixPath(info.filename).suffix in _DATA_SUFFIXES]
    candidates = members if len(members) == 1 else data or members
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise FileFormatError(f"{path}: the zip archive holds no file: download it again")
    if any(info.filename == "[Content_Types].xml" for info in members):
        raise FileFormatError(f"{path}: this is an Office document: save its table as CSV")
    names = ", ".join(info.filename for info in candidates[:3])
    more = ", …" if len(candidates) > 3 else ""
    raise FileFormatError(
        f"{path}: the zip archive holds {len(candidates)} files ({names}{more}): unpack it and "
        "import them one by one"
    )


def _is_noise(info: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(info.filename)
    return info.is_dir() or name.parts[0] == "__MACOSX" or name.name.startswith(".")


def _reason(error: BaseException) -> str:
    return str(error).split("\n")[0].rstrip(".") or type(error).__name__
