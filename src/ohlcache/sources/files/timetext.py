"""Text that stands for a time.

ISO 8601 is read as it is, with or without an offset. A few other forms whose meaning is beyond
doubt are first rewritten into it, so that one strict parser checks every date. Forms that could
be read in two ways, such as 01/02/2013, are not read at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ohlcache.candles.block import Times
from ohlcache.sources.files.faults import BadRow, BadTimeText

_NS_PER_MS = 1_000_000

_UTC_SUFFIX = (r"\s*(?:UTC|GMT)$", "Z")
_SPACED_OFFSET = (r"\s+([+-]\d{2}:?\d{2})$", r"\1")
_YEAR_FIRST = (r"^(\d{4})[-./](\d{2})[-./](\d{2})", r"\1-\2-\3")
_DAY_FIRST = (r"^(\d{2})\.(\d{2})\.(\d{4})", r"\3-\2-\1")
_DIGITS = (r"^(\d{4})(\d{2})(\d{2})(\D|$)", r"\1-\2-\3\4")
_CLOCK_DIGITS = (r"[ T](\d{2})(\d{2})(\d{2})?$", r" \1:\2:\3")
_NO_SECONDS = (r":$", "")
_SHORT_HOUR = (r" (\d:)", r" 0\1")
_BEFORE_CLOCK = (_CLOCK_DIGITS, _NO_SECONDS, _SHORT_HOUR)


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write a time: rewrites (pattern, replacement) into ISO 8601, offset or none."""

    has_offset: bool
    rewrites: tuple[tuple[str, str], ...] = ()

    def parse(self, texts: Any) -> Any:
        """An Arrow array of strings as timestamps in ns; BadTimeText unless all fit the form."""
        texts = pc.utf8_trim_whitespace(texts)
        for pattern, replacement in self.rewrites:
            texts = pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement)
        try:
            return texts.cast(pa.timestamp("ns", "UTC" if self.has_offset else None))
        except pa.ArrowInvalid as error:
            raise BadTimeText(str(error)) from None


FORMS = (
    Form(has_offset=False),
    Form(has_offset=True),
    Form(has_offset=True, rewrites=(_UTC_SUFFIX, _SPACED_OFFSET)),
    *(
        Form(has_offset=False, rewrites=(date, *_BEFORE_CLOCK))
        for date in (_YEAR_FIRST, _DAY_FIRST, _DIGITS)
    ),
)


def find_form(texts: Any) -> Form:
    """The form that the first of these texts is written in; BadRow if none is known."""
    first = texts.slice(0, 1)
    for form in FORMS:
        try:
            form.parse(first)
        except BadTimeText:
            continue
        return form
    raise BadRow(0, f"time {first[0].as_py()!r} cannot be read: {_REMEDY}")


def parse_texts(texts: Any, form: Form, *, exact: bool) -> Times:
    """Milliseconds of an Arrow array of strings without nulls, all written in ``form``.

    Of a form with an offset they count in UTC, otherwise on the wall clock. What is finer than a
    millisecond is cut off, or, with ``exact``, refused with BadRow, as is a text of another form.
    """
    try:
        stamps = form.parse(texts)
    except BadTimeText:
        row = _first_failure(texts, form)
        raise BadRow(row, f"time {texts[row].as_py()!r} cannot be read: {_REMEDY}") from None
    nanoseconds = stamps.cast(pa.int64()).to_numpy(zero_copy_only=False)
    times, rest = np.divmod(nanoseconds, _NS_PER_MS)
    if exact and rest.any():
        row = int(np.argmax(rest != 0))
        raise BadRow(row, f"time {texts[row].as_py()!r} is no whole millisecond: correct the file")
    return np.asarray(times, np.int64)


_REMEDY = "write every time in one form, ISO 8601 (2024-01-31T12:00:00Z) or epoch numbers"


def _first_failure(texts: Any, form: Form) -> int:
    """The first row that ``form`` does not parse, found by halving."""
    good, bad = 0, len(texts)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            form.parse(texts.slice(good, middle - good))
            good = middle
        except BadTimeText:
            bad = middle
    return good
