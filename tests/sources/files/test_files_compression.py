"""Streams through every compression, whole and broken."""

import bz2
import gzip
import lzma
import zipfile

import pytest
import zstandard
from candle_files import csv_text, load, make_candles, refused, same

from ohlcache.errors import FileFormatError, InvalidArgument
from ohlcache.sources.files.compression import Stream, open_seekable

CANDLES = make_candles(5_000)
TEXT = csv_text(CANDLES).encode()


def zipped(path, members, **kwargs):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **kwargs) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write(path, data):
    path.write_bytes(data)
    return path


def compress(path, kind):
    if kind == "zip":
        return zipped(path, {"candles.csv": TEXT})
    functions = {
        "gzip": gzip.compress,
        "xz": lzma.compress,
        "bzip2": bz2.compress,
        "zstd": zstandard.ZstdCompressor().compress,
        "zstd-stream": lambda data: zstandard.ZstdCompressor().compressobj().compress(data),
    }
    return write(path, functions[kind](TEXT))


@pytest.mark.parametrize("kind", ["gzip", "zip", "xz", "bzip2", "zstd"])
@pytest.mark.parametrize("name", ["candles.csv.gz", "wrongly named.bin"])
def test_the_content_decides_not_the_name(tmp_path, kind, name):
    path = compress(tmp_path / name, kind)
    same(load(path), CANDLES)
    with Stream(path) as stream:
        assert stream.compression == kind
        assert stream.fraction < 0.9
        pieces = []
        while data := stream.read(10_000):
            pieces.append(data)
            assert 0 <= stream.fraction <= 1
        assert b"".join(pieces) == TEXT
        assert stream.fraction > 0.99  # a zip ends with its directory


@pytest.mark.parametrize("kind", ["gzip", "zip", "xz", "bzip2", "zstd"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_archive_is_refused(tmp_path, kind, kept):
    path = compress(tmp_path / "candles.csv.x", kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    refused(path, "download it again", format="csv")


@pytest.mark.parametrize("kind", ["gzip", "zip", "xz", "zstd"])
def test_a_damaged_archive_is_refused(tmp_path, kind):
    path = compress(tmp_path / "candles.csv.x", kind)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 60):
        data[at] ^= 0xFF
    path.write_bytes(data)
    refused(path, "candles.csv.x", format="csv")


def test_zstd_frames_follow_one_another(tmp_path):
    half = len(TEXT) // 2
    frames = [zstandard.compress(part) for part in (TEXT[:half], b"", TEXT[half:])]
    same(load(write(tmp_path / "candles.csv.zst", b"".join(frames))), CANDLES)


def test_a_zip_without_its_end_is_no_zip(tmp_path):
    path = write(tmp_path / "candles.zip", b"PK\x03\x04" + b"\x00" * 100)
    refused(path, "zip", "download it again")


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "candles.zip", {"candles.csv": TEXT})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # in the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    path.write_bytes(data)
    refused(path, "candles.csv", "encrypted", "password")


def test_a_zip_of_an_unknown_method_is_refused(tmp_path):
    path = zipped(tmp_path / "candles.zip", {"candles.csv": TEXT})
    data = bytearray(path.read_bytes())
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 97
    path.write_bytes(data)
    refused(path, "cannot be read")


def test_the_one_data_file_in_a_zip_is_found(tmp_path):
    members = {"__MACOSX/._candles.csv": b"x", "readme.md": b"about", "in/candles.csv": TEXT}
    path = zipped(tmp_path / "candles.zip", members)
    same(load(path), CANDLES)
    with Stream(path) as stream:
        assert stream.name == "candles.csv"


def test_several_data_files_in_a_zip_are_refused(tmp_path):
    members = {f"{name}.csv": TEXT for name in "abcd"}
    path = zipped(tmp_path / "candles.zip", members)
    refused(path, "4 files (a.csv, b.csv, c.csv, …)", "one by one")


def test_an_empty_zip_and_an_office_document_are_refused(tmp_path):
    refused(zipped(tmp_path / "none.zip", {}), "holds no file")
    document = {"[Content_Types].xml": b"x", "xl/workbook.xml": b"x"}
    refused(zipped(tmp_path / "table.xlsx", document), "Office", "CSV")


def test_what_is_no_file_is_refused(tmp_path):
    refused(tmp_path / "none.csv", "does not exist", error=InvalidArgument)
    refused(tmp_path, "is a folder", error=InvalidArgument)
    refused(write(tmp_path / "empty.feather", b""), "empty (0 bytes)", "again")


def test_peek_does_not_consume(tmp_path):
    with Stream(compress(tmp_path / "candles.csv.gz", "gzip")) as stream:
        assert stream.peek(10) == TEXT[:10]
        assert stream.read(4) == TEXT[:4]
        assert stream.peek(10) == TEXT[4:14]
        assert stream.peek(10**9) == TEXT[4:]
        assert stream.read(10**9) == TEXT[4:]
        assert stream.read(1) == b""


def test_seekable_is_the_file_itself_unless_compressed(tmp_path):
    plain = write(tmp_path / "candles.csv", TEXT)
    with open_seekable(plain) as file:
        assert file == plain
    with open_seekable(compress(tmp_path / "candles.csv.gz", "gzip")) as file:
        assert file.read() == TEXT


def test_a_damaged_stream_says_so_where_it_is_read(tmp_path):
    path = write(tmp_path / "candles.csv.gz", gzip.compress(TEXT)[:-100])
    with Stream(path) as stream:
        assert stream.read(1_000) == TEXT[:1_000]
        with pytest.raises(FileFormatError, match="gzip data is truncated"):
            stream.read(10**9)
