"""Alert events posted to a web address: signed, tried again, bounded in time.

The body is the event as JSON (:meth:`AlertEvent.as_dict`) with the name of the ``process``.
Any 2xx status means that it arrived. An event may arrive twice, when an answer got lost: its ``id``
is the same each time. How a receiver checks the signature stands in
:mod:`ohlcache.telemetry.alerts.handlers.signature`.
"""

from __future__ import annotations

import json
import time
from math import isfinite
from typing import Any

from ohlcache.errors import AlertUndelivered, InvalidArgument
from ohlcache.quiet import keep_quiet
from ohlcache.telemetry.alerts.event import AlertEvent
from ohlcache.telemetry.alerts.handlers.signature import SIGNATURE_HEADER, sign
from ohlcache.telemetry.alerts.handlers.target import target_of
from ohlcache.telemetry.process import this_process

_TOO_MANY_REQUESTS = 429


class WebhookHandler:
    """Posts each event to a URL.

    url: http or https; redirects are not followed and certificates are verified.
    secret: to sign with; None sends no signature. It appears in no log, repr or error, nor does
        the path of the URL.
    timeout_seconds: for one attempt. attempts: at most so many, further and further apart, after
        failures of the network, timeouts, 5xx and 429; any other status is final.
    total_seconds: after so long no further attempt is planned.

    Raises InvalidArgument.
    """

    def __init__(
        self,
        url: str,
        secret: str | bytes | None = None,
        *,
        timeout_seconds: float = 5.0,
        attempts: int = 5,
        total_seconds: float = 30.0,
    ) -> None:
        self._target = target_of(url)
        self._secret = _checked_secret(secret)
        self._timeout_seconds = _checked_seconds("timeout_seconds", timeout_seconds)
        self._total_seconds = _checked_seconds("total_seconds", total_seconds)
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise InvalidArgument(f"attempts {attempts!r} is not a count: give 1 or more")
        self._attempts = attempts
        self.name = f"webhook {self._target.shown}"

    def __repr__(self) -> str:
        signed = "unsigned" if self._secret is None else "signed"
        return f"<WebhookHandler {self._target.shown} {signed}>"

    def handle(self, event: AlertEvent) -> None:
        """Post it. Raises AlertUndelivered when it did not arrive."""
        from http.client import HTTPException

        import stamina

        keep_quiet("stamina")
        told = {**event.as_dict(), "process": this_process().name}
        body = json.dumps(told, allow_nan=False).encode()
        tried = 0
        try:
            for attempt in stamina.retry_context(
                on=_is_passing,
                attempts=self._attempts,
                timeout=self._total_seconds,
                wait_initial=0.5,
            ):
                with attempt:
                    tried += 1
                    self._post(body)
        except (OSError, HTTPException, _UnexpectedStatus) as error:
            times = "1 attempt" if tried == 1 else f"{tried} attempts"
            raise AlertUndelivered(
                f"{self.name}: {type(error).__name__.lstrip('_')} ({error}) after {times}: check "
                "that the receiver runs, is reached under this URL and accepts the event"
            ) from error

    def _post(self, body: bytes) -> None:
        from ohlcache.telemetry.alerts.handlers.post import post

        headers = {"Content-Type": "application/json", "User-Agent": "ohlcache"}
        if self._secret is not None:
            # The moment is signed anew with each attempt, or a late one would look like a replay.
            headers[SIGNATURE_HEADER] = sign(body, self._secret, int(time.time()))
        status = post(self._target, body, headers, self._timeout_seconds)
        if not 200 <= status < 300:
            raise _UnexpectedStatus(status)


class _UnexpectedStatus(Exception):
    """The server answered, but not that it took the event."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


def _is_passing(error: Exception) -> bool:
    """Whether another attempt may do better."""
    from http.client import HTTPException
    from ssl import SSLCertVerificationError

    if isinstance(error, _UnexpectedStatus):
        return error.status >= 500 or error.status == _TOO_MANY_REQUESTS
    if isinstance(error, SSLCertVerificationError):
        return False
    return isinstance(error, OSError | HTTPException)


def _checked_secret(secret: Any) -> bytes | None:
    if secret is None:
        return None
    if not isinstance(secret, str | bytes) or not secret:
        raise InvalidArgument("secret is empty or not text: give one, or None for no signature")
    return secret.encode() if isinstance(secret, str) else secret


def _checked_seconds(field: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not isfinite(value) or value <= 0:
        raise InvalidArgument(f"{field} {value!r} is not a duration: give more than 0 seconds")
    return float(value)
