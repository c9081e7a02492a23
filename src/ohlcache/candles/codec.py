"""The chunk codec: a block of candles as bytes, and back, bit for bit.

``docs/format.md`` writes the format down. In short: a header with a version, then one section
for the times, one for the four prices and one for each further column, then a CRC-32 of all of
it. Prices that are decimals become tick integers and are stored as differences (DESIGN: close,
open - previous close, high - max(open, close), min(open, close) - low), volumes as tick integers;
what is not a decimal stays a float. Integers and floats are compressed by pcodec
(https://github.com/pcodec/pcodec).
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, ModeSpec
from pcodec.standalone import simple_compress, simple_decompress_into

from ohlcache.candles.block import CLOSE, HIGH, LOW, OHLCV, OPEN, VOLUME, Block, Times, Values
from ohlcache.candles.ticks import SCALES, Ticks, to_ticks
from ohlcache.errors import ChunkDamaged, ChunkVersionUnsupported, InvalidArgument

FORMAT_VERSION = 1

_MAGIC = b"OHLC"
_HEADER = struct.Struct("<4sBxHI")  # magic, version, number of extra columns, rows
_SECTION = struct.Struct("<BI")  # kind, length of the payload
_CHECKSUM = struct.Struct("<I")
_PAIR = struct.Struct("<qq")
_LENGTH = struct.Struct("<I")

_Section = tuple[int, memoryview]

_scratch = threading.local()

# Kinds of section. Numbers are part of the format: never reuse one.
_TIMES_REGULAR, _TIMES_STEPS, _TIMES_PLAIN = 1, 2, 3
_PRICES_FROM_PREVIOUS_CLOSE, _PRICES_FROM_OPEN, _PRICES_SEPARATE = 16, 17, 18
_COLUMN_RAW, _COLUMN_CONSTANT, _COLUMN_FLOAT, _COLUMN_TICKS = 32, 33, 34, 35

_INTEGER_TYPES = (np.dtype("<i2"), np.dtype("<i4"), np.dtype("<i8"))
_LEVEL = 8
_CONFIG = ChunkConfig(_LEVEL)
_SAMPLE = 4096  # values looked at to choose how to compress a column
_MOST = 0.4
# Beyond nine decimals the integers are mostly noise, and the float form may be the smaller one.
_CLEARLY_DECIMAL = 9


@dataclass(frozen=True, slots=True)
class Header:
    """What a chunk says of itself: the number of rows and the names of its columns."""

    rows: int
    names: tuple[str, ...]


def encode(block: Block) -> bytes:
    """The block as a compressed chunk. Every time and every float64 comes back bit for bit."""
    times = [_times_section(block.times)]
    prices = _prices_section(block.values[: CLOSE + 1])
    others = [_column_section(column) for column in block.values[VOLUME:]]
    return _assemble(block, [*times, prices, *others])


def encode_plain(block: Block) -> bytes:
    """The block as an uncompressed chunk: for a few rows, where compressing gains nothing."""
    times = _section(_TIMES_PLAIN, b"\0" + block.times.astype("<i8").tobytes())
    prices = _section(_PRICES_SEPARATE, b"".join(map(_raw, block.values[: CLOSE + 1])))
    return _assemble(block, [times, prices, *map(_raw, block.values[VOLUME:])])


def read_header(data: bytes) -> Header:
    """Rows and columns of a chunk, without looking at the rest.

    Raises ChunkDamaged for bytes that are no chunk, ChunkVersionUnsupported for a newer version.
    """
    return _parse_header(data)[0]


def decode(data: bytes) -> Block:
    """The block that a chunk holds.

    Raises ChunkDamaged for truncated, altered or foreign bytes, ChunkVersionUnsupported for a
    chunk of a newer ohlcache.
    """
    header, at = _open(data)
    times = np.empty(header.rows, np.int64)
    values = np.empty((len(header.names), header.rows))
    _decode_sections(data, at, header, times, values, header.names)
    return Block(times, values, header.names)


def decode_into(data: bytes, times: Times, values: Values, names: tuple[str, ...]) -> None:
    """Decode a chunk into arrays: ``times`` (n,) and ``values`` (len(names), n), n its rows.

    ``names`` must hold the chunk's columns; one that the chunk lacks becomes NaN. Raises as
    :func:`decode` does.
    """
    header, at = _open(data)
    if header.rows != len(times):
        raise ChunkDamaged(f"chunk holds {header.rows} rows, not {len(times)}: fetch it again")
    _decode_sections(data, at, header, times, values, names)


def _open(data: bytes) -> tuple[Header, int]:
    """The header, and where the sections begin, of a chunk whose checksum is right."""
    header, at = _parse_header(data)
    if zlib.crc32(memoryview(data)[: -_CHECKSUM.size]) != _CHECKSUM.unpack(data[-4:])[0]:
        raise ChunkDamaged("chunk fails its checksum: fetch or import its range again")
    return header, at


def _decode_sections(
    data: bytes, at: int, header: Header, times: Times, values: Values, names: tuple[str, ...]
) -> None:
    try:
        sections = _sections(memoryview(data)[at : -_CHECKSUM.size])
        _decode_times(next(sections), times)
        _decode_prices(next(sections), values[: CLOSE + 1])
        _decode_column(next(sections), values[VOLUME])
        for name in header.names[len(OHLCV) :]:
            _decode_column(next(sections), values[names.index(name)])
    except (RuntimeError, ValueError, TypeError, struct.error, StopIteration, IndexError) as error:
        raise ChunkDamaged(f"chunk cannot be decoded ({error}): fetch its range again") from error
    for row in range(len(OHLCV), len(names)):
        if names[row] not in header.names:
            values[row] = np.nan


# -- framing ------------------------------------------------------------------------------------


def _assemble(block: Block, sections: list[bytes]) -> bytes:
    if len(set(block.names)) < len(block.names):
        raise InvalidArgument(f"columns {', '.join(block.names)} repeat a name: rename one")
    extras = [name.encode() for name in block.extras]
    if any(len(name) > 0xFF for name in extras):
        raise InvalidArgument("a column name is longer than 255 bytes: rename the column")
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, len(extras), len(block))
    names = b"".join(bytes([len(name)]) + name for name in extras)
    body = b"".join([header, names, *sections])
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _parse_header(data: bytes) -> tuple[Header, int]:
    if not isinstance(data, bytes):
        raise ChunkDamaged(f"chunk is a {type(data).__name__}, not bytes: fetch its range again")
    if len(data) < _HEADER.size + _CHECKSUM.size:
        raise ChunkDamaged(f"chunk of {len(data)} bytes is cut short: fetch its range again")
    magic, version, extras, rows = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ChunkDamaged(f"chunk starts with {magic!r}, not {_MAGIC!r}: it is not a chunk")
    if version > FORMAT_VERSION:
        raise ChunkVersionUnsupported(
            f"chunk format {version} is newer than {FORMAT_VERSION}, the newest that this "
            "ohlcache reads: upgrade ohlcache"
        )
    at = _HEADER.size
    names = list(OHLCV)
    try:
        for _ in range(extras):
            end = at + 1 + data[at]
            names.append(data[at + 1 : end].decode())
            at = end
    except (IndexError, UnicodeDecodeError) as error:
        raise ChunkDamaged("chunk has a damaged header: fetch its range again") from error
    return Header(rows, tuple(names)), at


def _section(kind: int, payload: bytes) -> bytes:
    return _SECTION.pack(kind, len(payload)) + payload


def _sections(data: memoryview) -> Iterator[_Section]:
    """Kind and payload of each; payloads are views, copied only where pcodec needs bytes."""
    at = 0
    while at < len(data):
        kind, length = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        yield kind, data[at : at + length]
        at += length


def _integers(values: Ticks) -> bytes:
    """Integers in the narrowest type that holds them (it decodes fastest), compressed."""
    low, high = int(values.min()), int(values.max())
    bits = max(low.bit_length(), high.bit_length()) + 1
    code = 0 if bits <= 16 else 1 if bits <= 32 else 2
    return bytes([code]) + _compress(values.astype(_INTEGER_TYPES[code]), _best_config(values))


def _compress(values: npt.NDArray[np.generic], config: ChunkConfig = _CONFIG) -> bytes:
    data: bytes = simple_compress(np.ascontiguousarray(values), config)
    return data


def _best_config(values: Ticks) -> ChunkConfig:
    """How pcodec should look at integers most of which are round.

    Where a few prices have eight decimals and the others two, nearly all ticks are multiples of a
    power of ten. pcodec looks for such a base, but not always finds the best one; so the likely
    ones are tried on a sample.
    """
    bases = _likely_bases(values)
    if not bases:
        return _CONFIG
    configs = [_CONFIG, *(ChunkConfig(_LEVEL, mode_spec=ModeSpec.try_int_mult(b)) for b in bases)]
    sample = values[:_SAMPLE]
    return min(configs, key=lambda config: len(_compress(sample, config)))


def _likely_bases(values: Ticks) -> list[int]:
    """The powers of ten that divide most, but not all, of the values that are not 0."""
    sample = values[:: max(1, len(values) // _SAMPLE)]
    sample = sample[sample != 0]
    found = []
    for digits in range(1, len(SCALES)):
        share = float(np.mean(sample % 10**digits == 0)) if len(sample) else 0.0
        if share < _MOST:
            break
        if share < 1.0:
            found.append(10**digits)
    return found


def _decode_integers(data: memoryview, rows: int) -> npt.NDArray[np.signedinteger]:
    """The integers of a stream, in memory that the next call in this thread uses again."""
    values = _scratch_memory(rows).view(_INTEGER_TYPES[data[0]])[:rows]
    _decompress(data[1:], values)
    return values


def _scratch_memory(rows: int) -> npt.NDArray[np.int64]:
    """Fresh memory has to be found and cleared by the system, which costs as much as decoding."""
    memory: npt.NDArray[np.int64] | None = getattr(_scratch, "memory", None)
    if memory is None or len(memory) < rows:
        memory = _scratch.memory = np.empty(rows, np.int64)
    return memory


def _decompress(data: memoryview, into: npt.NDArray[np.generic]) -> None:
    progress = simple_decompress_into(bytes(data), into)
    if progress.n_processed != len(into) or not progress.finished:
        raise ValueError(f"{progress.n_processed} values where {len(into)} belong")


# -- times --------------------------------------------------------------------------------------


def _times_section(times: Times) -> bytes:
    if not len(times):
        return _section(_TIMES_REGULAR, _PAIR.pack(0, 0))
    first = int(times[0])
    steps = np.diff(times)
    # Differences of far-apart int64 wrap around, and then times are kept as they are.
    wraps = bool(len(times)) and int(times.max()) - int(times.min()) >= 2**62
    if not len(steps) or (not wraps and (steps == steps[0]).all()):
        step = int(steps[0]) if len(steps) else 0
        return _section(_TIMES_REGULAR, _PAIR.pack(first, step))
    unit = 0 if wraps else int(np.gcd.reduce(steps))
    if unit == 0:
        return _section(_TIMES_PLAIN, b"\1" + _compress(times))
    return _section(_TIMES_STEPS, _PAIR.pack(first, unit) + _integers(steps // unit))


def _decode_times(section: _Section, times: Times) -> None:
    kind, data = section
    if kind == _TIMES_PLAIN:
        if data[0]:
            _decompress(data[1:], times)
        else:
            times[:] = np.frombuffer(data, "<i8", offset=1)
        return
    first, step = _PAIR.unpack_from(data)
    if kind == _TIMES_REGULAR:
        times[:] = np.arange(len(times), dtype=np.int64)
        times *= step
        times += first
    elif kind == _TIMES_STEPS:
        steps = _decode_integers(data[_PAIR.size :], len(times) - 1)
        times[0] = first
        np.multiply(steps, step, out=times[1:], dtype=np.int64)
        np.cumsum(times, out=times)
    else:
        raise ValueError(f"unknown kind of times {kind}")


# -- prices -------------------------------------------------------------------------------------


def _prices_section(prices: Values) -> bytes:
    scaled = to_ticks(prices) if prices.size else None
    if scaled is None:
        columns = b"".join(_column_section(column) for column in prices)
        return _section(_PRICES_SEPARATE, columns)
    exponent, ticks = scaled
    opens, highs, lows, closes = ticks
    from_previous = opens.copy()
    from_previous[1:] -= closes[:-1]
    from_previous[0] -= closes[0]
    body = closes - opens
    above = highs - np.maximum(opens, closes)
    below = np.minimum(opens, closes) - lows
    if _cost(from_previous) <= _cost(body):
        kind, streams = _PRICES_FROM_PREVIOUS_CLOSE, (closes, from_previous, above, below)
    else:
        kind, streams = _PRICES_FROM_OPEN, (opens, body, above, below)
    payload = [bytes([exponent])]
    for stream in streams:
        data = _integers(stream)
        payload += [_LENGTH.pack(len(data)), data]
    return _section(kind, b"".join(payload))


def _cost(values: Ticks) -> float:
    """About how many bits the values need: decides which difference is the smaller to store."""
    sample = values[:: max(1, len(values) // _SAMPLE)]
    return float(np.log2(np.abs(sample) + 1.0).sum())


def _decode_prices(section: _Section, prices: Values) -> None:
    kind, data = section
    if kind == _PRICES_SEPARATE:
        for column, part in zip(prices, _sections(data), strict=True):
            _decode_column(part, column)
        return
    if kind not in (_PRICES_FROM_PREVIOUS_CLOSE, _PRICES_FROM_OPEN):
        raise ValueError(f"unknown kind of prices {kind}")
    rows = prices.shape[1]
    streams = _price_streams(data, rows)
    # Ticks stay below 2**53, so sums and differences are exact in float64.
    opens, highs, lows, closes = prices[OPEN], prices[HIGH], prices[LOW], prices[CLOSE]
    if kind == _PRICES_FROM_OPEN:
        opens[:] = next(streams)
        np.add(opens, next(streams), out=closes)
    else:
        closes[:] = next(streams)
        from_previous = next(streams)
        np.add(closes[:-1], from_previous[1:], out=opens[1:])
        opens[0] = closes[0] + from_previous[0]
    np.maximum(opens, closes, out=highs)
    highs += next(streams)
    np.minimum(opens, closes, out=lows)
    lows -= next(streams)
    if data[0]:
        prices /= SCALES[data[0]]


def _price_streams(data: memoryview, rows: int) -> Iterator[npt.NDArray[np.signedinteger]]:
    """The four streams; each is to be used before the next is asked for."""
    at = 1
    for _ in range(4):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        yield _decode_integers(data[at : at + length], rows)
        at += length


# -- one column ---------------------------------------------------------------------------------


def _column_section(column: Values) -> bytes:
    if not len(column):
        return _raw(column)
    bits = column.view(np.int64)
    if (bits == bits[0]).all():
        return _section(_COLUMN_CONSTANT, column[:1].astype("<f8").tobytes())
    scaled = to_ticks(column)
    if scaled is None:
        return _float(column)
    exponent, ticks = scaled
    decimal = _section(_COLUMN_TICKS, bytes([exponent]) + _integers(ticks))
    return decimal if exponent <= _CLEARLY_DECIMAL else min(decimal, _float(column), key=len)


def _raw(column: Values) -> bytes:
    return _section(_COLUMN_RAW, column.astype("<f8").tobytes())


def _float(column: Values) -> bytes:
    return _section(_COLUMN_FLOAT, _compress(column))


def _decode_column(section: _Section, column: Values) -> None:
    kind, data = section
    if kind == _COLUMN_RAW:
        column[:] = np.frombuffer(data, "<f8")
    elif kind == _COLUMN_CONSTANT:
        column[:] = np.frombuffer(data, "<f8")[0]
    elif kind == _COLUMN_FLOAT:
        _decompress(data, column)
    elif kind == _COLUMN_TICKS:
        column[:] = _decode_integers(data[1:], len(column))
        if data[0]:
            column /= SCALES[data[0]]
    else:
        raise ValueError(f"unknown kind of column {kind}")
