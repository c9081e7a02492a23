"""The unclosed candles that this process knows of. They are never stored."""

from __future__ import annotations

from ohlcache.candles import OHLCV
from ohlcache.history.live.closed import Row
from ohlcache.history.reports import SeriesKey

CandleDict = dict[str, float | int]


class FormingCandles:
    """The newest unclosed candle of each series: its open time, when it is over, and its values."""

    def __init__(self) -> None:
        self._candles: dict[SeriesKey, tuple[int, int, Row]] = {}

    def put(self, key: SeriesKey, time: int, over: int, row: Row) -> None:
        """Remember the state of a candle, unless a newer one is known.

        ``over``: when it is over by this machine's clock, in ms; the venue's may differ.
        """
        known = self._candles.get(key)
        if known is None or time >= known[0]:
            self._candles[key] = (time, over, row)

    def get(self, key: SeriesKey, now: int) -> CandleDict | None:
        """The candle that forms at ``now`` (ms, this machine's), if it is known."""
        known = self._candles.get(key)
        if known is None or known[1] <= now:
            return None
        time, _, row = known
        return {"timestamp": time, **dict(zip(OHLCV, row, strict=True))}

    def drop(self, key: SeriesKey, until: int | None = None) -> None:
        """Forget a series' candle, if it opens before ``until``."""
        known = self._candles.get(key)
        if known is not None and (until is None or known[0] < until):
            del self._candles[key]

    def clear(self) -> None:
        """Forget all."""
        self._candles.clear()
