"""Candles drawn with characters: a column for each, half a line is the finest step of a price."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.text import Text

from ohlcache.candles import Block
from ohlcache.candles.block import CLOSE, HIGH, LOW, OPEN, Values
from ohlcache.cli.output import moment
from ohlcache.cli.prices import places_of, price_texts

UP, DOWN = "green", "red"

_LABELS = 3  # prices written beside the axis
# What the upper and the lower half of a cell hold (0 nothing, 1 wick, 2 body) to a character.
_GLYPHS = {
    (0, 0): " ",
    (0, 1): "╷",
    (0, 2): "╻",
    (1, 0): "╵",
    (1, 1): "│",
    (1, 2): "╽",
    (2, 0): "╹",
    (2, 1): "╿",
    (2, 2): "┃",
}


def chart(block: Block, width: int, height: int) -> Iterator[Text]:
    """Lines of a candlestick chart, at most ``width`` characters wide.

    Where there are more candles than columns, several that follow one another share a column, as
    one longer candle. Prices are on the left, the first and the last open time below. Nothing is
    drawn of fewer than two candles, or where there is no room.
    """
    prices = block.values[[OPEN, HIGH, LOW, CLOSE]]
    if len(block) < 2:
        return
    low, high = float(prices[2].min()), float(prices[1].max())
    labels = _labels(low, high, height)
    margin = max(map(len, labels.values())) + 2
    columns = width - margin
    if columns < 10 or height < _LABELS:
        return
    opens, highs, lows, closes = _squeezed(prices, columns)
    levels = 2 * height
    step = (high - low) / levels or 1.0

    def level(values: Values) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.clip((values - low) / step, 0, levels - 1).astype(np.int64)

    wicks = zip(level(lows), level(highs), strict=True)
    bodies = zip(level(np.minimum(opens, closes)), level(np.maximum(opens, closes)), strict=True)
    cells = np.zeros((levels, len(opens)), np.int64)
    for column, (wick, body) in enumerate(zip(wicks, bodies, strict=True)):
        cells[wick[0] : wick[1] + 1, column] = 1
        cells[body[0] : body[1] + 1, column] = 2
    spacing = " " if 2 * len(opens) <= columns else ""
    styles = [UP if close >= open_ else DOWN for open_, close in zip(opens, closes, strict=True)]
    for line in range(height):
        upper, lower = cells[levels - 1 - 2 * line], cells[levels - 2 - 2 * line]
        text = Text(no_wrap=True)
        text.append(f"{labels.get(line, ''):>{margin - 2}} ┤", style="dim")
        for top, bottom, style in zip(upper.tolist(), lower.tolist(), styles, strict=True):
            text.append(_GLYPHS[top, bottom] + spacing, style=style)
        yield text
    first, last = moment(int(block.times[0])), moment(int(block.times[-1]))
    if len(first) + 1 + len(last) > columns:
        last = ""
    gap = max(1, len(opens) * (1 + len(spacing)) - len(first) - len(last))
    yield Text(f"{'':{margin}}{first}{'':{gap}}{last}".rstrip(), style="dim", no_wrap=True)


def _squeezed(prices: Values, columns: int) -> Values:
    """Open, high, low and close of at most ``columns`` candles that look like all of them."""
    count = prices.shape[1]
    if count <= columns:
        return prices
    starts = np.arange(columns) * count // columns
    ends = np.append(starts[1:], count)
    return np.stack(
        (
            prices[0, starts],
            np.maximum.reduceat(prices[1], starts),
            np.minimum.reduceat(prices[2], starts),
            prices[3, ends - 1],
        )
    )


def _labels(low: float, high: float, height: int) -> dict[int, str]:
    """Prices by line: the highest, the middle and the lowest one."""
    lines = [0, height // 2, height - 1]
    places = places_of(np.array([high, low]))
    texts = price_texts(np.array([high, (low + high) / 2, low]), places)
    return dict(zip(lines, texts, strict=True))
