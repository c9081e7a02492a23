"""One way to read any file: the format is told, the reader found, the batches counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ohlcache.candles.block import Block
from ohlcache.candles.trades import Trades
from ohlcache.errors import FileFormatError, InvalidArgument
from ohlcache.sources.files.binance import read_binance
from ohlcache.sources.files.ccxt_json import read_ccxt_json
from ohlcache.sources.files.columnar import read_columnar
from ohlcache.sources.files.compression import PathLike, existing_file
from ohlcache.sources.files.delimited import read_delimited
from ohlcache.sources.files.detect import FORMATS, detect_format
from ohlcache.sources.files.epoch import TimeUnit
from ohlcache.sources.files.freqtrade import read_freqtrade
from ohlcache.sources.files.lean import read_lean
from ohlcache.sources.files.options import LeanMarket, Options, column_names
from ohlcache.sources.files.progress import Progress
from ohlcache.sources.files.trades import read_trade_batches

_READERS: dict[str, Callable[[Path, Options, Progress], Iterator[Block]]] = {
    "csv": read_delimited,
    "parquet": read_columnar,
    "feather": read_columnar,
    "freqtrade": read_freqtrade,
    "binance": read_binance,
    "lean": read_lean,
    "ccxt-json": read_ccxt_json,
}


class _Batch(Protocol):
    def __len__(self) -> int: ...


_B_co = TypeVar("_B_co", bound=_Batch, covariant=True)


class _File(Generic[_B_co]):
    """One file, iterated in batches; each iteration reads it again from the start."""

    _what = "rows"

    def __init__(
        self,
        path: Path,
        format: str,  # noqa: A002  # the public name of the option
        options: Options,
        read: Callable[[Path, Options, Progress], Iterator[_B_co]],
    ) -> None:
        self.path = path
        self.format = format
        self._options = options
        self._read = read
        self._progress = Progress()

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1, by the iteration begun last."""
        return self._progress.fraction

    def __iter__(self) -> Iterator[_B_co]:
        progress = self._progress = Progress()
        rows = 0
        for batch in self._read(self.path, self._options, progress):
            rows += len(batch)
            if len(batch):
                yield batch
        if not rows:
            raise FileFormatError(
                f"{self.path}: the file holds no {self._what}: check that it is complete"
            )
        progress.fraction = 1.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, format={self.format!r})"


class CandleFile(_File[Block]):
    """A file of candles: iterate over it for Blocks in the file's order.

    Blocks hold at most some hundred thousand rows. They are neither sorted nor freed of
    duplicates. ``path`` and ``format`` say what is read, ``fraction`` (0 to 1) how far it is.
    Iterating raises FileFormatError, naming file, row and what was expected, for what does not
    fit, and where there is no candle at all.
    """

    _what = "candles"


class TradeFile(_File[Trades]):
    """A file of single trades: iterate over it for Trades in the file's order.

    ``path``, ``format`` (``trades``) and ``fraction`` are those of :class:`CandleFile`, and so
    are the errors.
    """

    _what = "trades"


def read_candles(
    path: PathLike,
    *,
    format: str = "auto",  # noqa: A002  # the public name of the option
    columns: str | Sequence[str] | None = None,
    tz: str | None = None,
    time_unit: TimeUnit = "auto",
    lean_market: LeanMarket | None = None,
) -> CandleFile:
    """A file of candles, plain or compressed (gz, zip, zst, xz, bz2), to iterate over.

    format: one of FORMATS, or ``auto``. columns: names of all columns in order (timestamp, open,
    high, low, close, volume or their usual aliases; any other name travels along as an extra
    column, ``_`` skips one); None: as the file says. tz: IANA zone of times without an offset;
    None: UTC, or what the format says (New York for LEAN's US equities). time_unit: of epoch
    numbers, s, ms, us or ns; ``auto`` tells it from their size. lean_market: equity, crypto or
    forex, where a LEAN file's path does not say.

    Raises InvalidArgument for an option that cannot be used or a path that is no file, and
    FileFormatError for an empty file, one of trades, or one whose format cannot be told.
    """
    options = Options(column_names(columns), tz, time_unit, lean_market)
    file = existing_file(path)
    kind = _format(file, format)
    if kind == "trades":
        raise FileFormatError(
            f"{file}: the file holds single trades, not candles: read it with format trades"
        )
    return CandleFile(file, kind, options, _READERS[kind])


def read_trades(
    path: PathLike,
    *,
    columns: str | Sequence[str] | None = None,
    tz: str | None = None,
    time_unit: TimeUnit = "auto",
) -> TradeFile:
    """A file of single trades, plain or compressed, to iterate over.

    JSON, CSV, Feather or Parquet as freqtrade stores them, archives of Binance (trades and
    aggTrades), or any table that names time, price and amount, or whose ``columns`` do. The
    options are those of :func:`read_candles`. Times are cut to the millisecond.

    Raises InvalidArgument for an option that cannot be used or a path that is no file, and
    FileFormatError for an empty file.
    """
    options = Options(column_names(columns), tz, time_unit)
    return TradeFile(existing_file(path), "trades", options, read_trade_batches)


def _format(path: Path, asked: str) -> str:
    if asked == "auto":
        return detect_format(path)
    if asked not in FORMATS:
        raise InvalidArgument(f"format is {asked!r}: use auto or one of {', '.join(FORMATS)}")
    return asked
