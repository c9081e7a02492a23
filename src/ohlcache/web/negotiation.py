"""What a client can take: the kind of body it wants, and how it may be compressed."""

from __future__ import annotations

import gzip

import zstandard
from werkzeug.datastructures import Accept, MIMEAccept

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
IDENTITY = "identity"

# In the order in which we would take them.
_MEDIA_TYPES = (JSON, ARROW)
_CODINGS = ("zstd", "gzip", IDENTITY)
_UNNAMED = 1e-9  # the quality of plain bytes that nobody has mentioned


def choose_media_type(accept: MIMEAccept) -> str | None:
    """JSON or ARROW, whichever the client likes better; None where it takes neither."""
    return accept.best_match(_MEDIA_TYPES) if accept.provided else JSON


def choose_coding(accept: Accept, *, prefer_plain: bool = False) -> str | None:
    """zstd, gzip or identity; of equally good ones the first. None where none is acceptable.

    ``prefer_plain`` takes identity whenever it is acceptable. What a client does not name it does
    not take, except that plain bytes are welcome, if less than anything named, unless they are
    refused (RFC 9110, 12.5.3).
    """
    qualities = {name.lower(): quality for name, quality in accept}
    others = qualities.get("*", 0.0)
    qualities.setdefault(IDENTITY, others if "*" in qualities else _UNNAMED)
    if prefer_plain and qualities[IDENTITY] > 0:
        return IDENTITY
    # max() takes the first of equals.
    best = max(_CODINGS, key=lambda coding: qualities.get(coding, others))
    return best if qualities.get(best, others) > 0 else None


def encode(body: bytes, coding: str) -> bytes:
    """The body in a coding; the same bytes every time."""
    if coding == "zstd":
        return zstandard.compress(body, 3)
    if coding == "gzip":
        return gzip.compress(body, 5, mtime=0)
    return body
