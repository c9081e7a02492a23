"""Signatures of webhooks: who sent it, that nobody changed it, and that it is not an old one.

The header ``X-Ohlcache-Signature: t=1700000000,v1=5257a8…`` carries the moment of sending (Unix
seconds) and the HMAC-SHA256, in hex, of the bytes ``<t>.<body>`` under the shared secret: the
scheme of Stripe's webhooks. A receiver takes the raw body and checks:

    import time
    from ohlcache.telemetry.alerts import SIGNATURE_HEADER, verify_signature

    if not verify_signature(body, headers[SIGNATURE_HEADER], secret, now=time.time()):
        return 400
"""

from __future__ import annotations

import hmac

SIGNATURE_HEADER = "X-Ohlcache-Signature"


def sign(body: bytes, secret: bytes, at: int) -> str:
    """The value of the signature header for a body sent at a moment (Unix seconds)."""
    return f"t={at},v1={_digest(body, secret, str(at))}"


def verify_signature(
    body: bytes,
    header: str,
    secret: str | bytes,
    *,
    now: float,
    tolerance_seconds: float = 300.0,
) -> bool:
    """Whether the header was made for this body by who knows the secret, and not too long ago.

    body: as received, byte for byte. now: Unix seconds; a moment of sending that differs by more
    than ``tolerance_seconds`` is refused. False also for a header that makes no sense.
    """
    fields = [part.strip().partition("=") for part in header.split(",")]
    moments = [value for name, _, value in fields if name == "t"]
    if len(moments) != 1 or not _is_recent(moments[0], now, tolerance_seconds):
        return False
    expected = _digest(body, _bytes_of(secret), moments[0]).encode()
    offered = [value.encode() for name, _, value in fields if name == "v1"]
    return any(hmac.compare_digest(expected, digest) for digest in offered)


def _digest(body: bytes, secret: bytes, at: str) -> str:
    return hmac.digest(secret, at.encode() + b"." + body, "sha256").hex()


def _bytes_of(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret


def _is_recent(moment: str, now: float, tolerance_seconds: float) -> bool:
    is_plain = moment.isascii() and moment.isdigit() and len(moment) <= 12
    return is_plain and abs(now - int(moment)) <= tolerance_seconds
