"""Numbers as an operator reads them: percent, durations, megabytes."""

from __future__ import annotations

from ohlcache.telemetry.metric import Unit

_KB, _MB = 2**10, 2**20
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def in_words(value: float, unit: Unit) -> str:
    """A number of a unit: 0.842 of "ratio" is "84.2%", 0.0012 of "seconds" is "1.2 ms"."""
    if unit == "ratio":
        return f"{_plain(round(100 * value, 1))}%"
    if unit == "seconds":
        return duration(value)
    if unit == "bytes":
        return _size(value)
    return _digits(value)


def duration(seconds: float) -> str:
    """Seconds to about two digits: "1.2 ms", "45 s", "20 min", "2 h 20 min", "1 day 6 h"."""
    if seconds < _MINUTE:
        for scale, name in ((1.0, "s"), (1e3, "ms")):
            if seconds * scale >= 1:
                return f"{_digits(seconds * scale)} {name}"
        return f"{_digits(seconds * 1e6)} µs"
    if seconds < 59.5 * _MINUTE:
        return f"{round(seconds / _MINUTE)} min"
    if seconds < 23.5 * _HOUR:
        hours, tens = divmod(round(seconds / 600), 6)
        return f"{hours} h {tens}0 min" if tens else f"{hours} h"
    days, hours = divmod(round(seconds / _HOUR), 24)
    named = "1 day" if days == 1 else f"{days:,} days"
    return f"{named} {hours} h" if hours and days < 7 else named


def _size(nbytes: float) -> str:
    if nbytes >= 10 * _MB:
        return f"{round(nbytes / _MB):,} MB"
    return f"{nbytes / _MB:.1f} MB" if nbytes >= _MB else f"{round(nbytes / _KB)} KB"


def _digits(value: float) -> str:
    """Three digits, never as a power of ten."""
    return _plain(float(f"{value:.3g}"))


def _plain(value: float) -> str:
    return f"{value:,.9f}".rstrip("0").rstrip(".")
