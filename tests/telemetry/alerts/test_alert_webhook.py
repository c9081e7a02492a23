"""Webhooks against a real server: signed, tried again where that may help, bounded in any case."""

from __future__ import annotations

import json
import logging
import shutil
import ssl
import subprocess
import threading
import time

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st
from webhook_server import HANG, TRICKLE, Receiver

from ohlcache.errors import AlertUndelivered, InvalidArgument
from ohlcache.telemetry.alerts import (
    SIGNATURE_HEADER,
    AlertEngine,
    AlertEvent,
    Dispatcher,
    WebhookHandler,
    verify_signature,
)
from ohlcache.telemetry.alerts.handlers.signature import sign
from ohlcache.telemetry.process import this_process

KNOWN = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
SECRET = "correct horse"
EVENT = AlertEvent("hot", "firing", 5.0, 81.0, severity="critical", metric="heat", reason="too hot")


@pytest.fixture(autouse=True)
def _without_waits():
    """As many attempts as the handler wants, without the waits between them."""
    with stamina.set_testing(True, attempts=1000, cap=True):
        yield


class TestDelivering:
    def test_the_event_as_json_and_signed(self):
        with Receiver([204]) as receiver:
            WebhookHandler(receiver.url, SECRET).handle(EVENT)
        (request,) = receiver.received
        assert request.path == "/hooks/T0KEN?to=ops"
        assert request.headers["Content-Type"] == "application/json"
        assert json.loads(request.body) == {**EVENT.as_dict(), "process": this_process().name}
        header = request.headers[SIGNATURE_HEADER]
        assert verify_signature(request.body, header, SECRET, now=time.time())
        assert not verify_signature(request.body, header, "another", now=time.time())
        assert not verify_signature(request.body + b" ", header, SECRET, now=time.time())

    def test_unsigned_without_a_secret(self):
        with Receiver([200]) as receiver:
            WebhookHandler(receiver.url).handle(EVENT)
        assert SIGNATURE_HEADER not in receiver.received[0].headers

    @pytest.mark.parametrize("status", [500, 502, 503, 429])
    def test_tried_again_after_passing_failures(self, status):
        with Receiver([status, status, 200]) as receiver:
            WebhookHandler(receiver.url, SECRET).handle(EVENT)
        ids = {json.loads(request.body)["id"] for request in receiver.received}
        assert len(receiver.received) == 3
        assert ids == {EVENT.id}

    def test_tried_again_where_nobody_listened(self):
        with Receiver([200]) as receiver:
            url = receiver.url
        with pytest.raises(AlertUndelivered, match=r"ConnectionRefusedError .* after 3 attempts"):
            WebhookHandler(url, attempts=3).handle(EVENT)

    def test_it_leaves_no_thread_behind(self):
        before = set(threading.enumerate())
        with Receiver([200]) as receiver:
            WebhookHandler(receiver.url, timeout_seconds=100).handle(EVENT)
        left = set(threading.enumerate()) - before
        for thread in left:
            thread.join(10)
        assert not any(thread.is_alive() for thread in left)


class TestGivingUp:
    def test_500_for_ever(self):
        with Receiver([500]) as receiver, pytest.raises(AlertUndelivered) as caught:
            WebhookHandler(receiver.url, SECRET, attempts=5).handle(EVENT)
        assert len(receiver.received) == 5
        assert f"webhook http://127.0.0.1:{receiver.port}: " in str(caught.value)
        assert "(HTTP 500) after 5 attempts: check" in str(caught.value)

    @pytest.mark.parametrize("status", [400, 401, 404, 410, 302, 304])
    def test_a_final_answer_is_not_asked_for_again(self, status):
        with (
            Receiver([status]) as receiver,
            pytest.raises(AlertUndelivered, match=rf"\(HTTP {status}\) after 1 attempt:"),
        ):
            WebhookHandler(receiver.url).handle(EVENT)
        assert len(receiver.received) == 1

    @pytest.mark.parametrize("kind", [HANG, TRICKLE])
    def test_a_server_without_an_end(self, kind):
        with Receiver([kind]) as receiver:
            handler = WebhookHandler(receiver.url, timeout_seconds=0.15, attempts=2)
            with pytest.raises(AlertUndelivered, match="after 2 attempts"):
                handler.handle(EVENT)
            assert len(receiver.received) == 2

    def test_no_attempt_after_the_total_time(self):
        with stamina.set_testing(False), Receiver([HANG]) as receiver:
            handler = WebhookHandler(
                receiver.url, timeout_seconds=0.05, attempts=1000, total_seconds=0.01
            )
            with pytest.raises(AlertUndelivered, match="after 1 attempt:"):
                handler.handle(EVENT)


class TestInADispatcher:
    def test_an_outage_delays_nobody_and_is_visible(self):
        engine = AlertEngine([{"name": "hot", "metric": "heat", "above": 0}])
        with Receiver([HANG]) as receiver:
            handler = WebhookHandler(receiver.url, SECRET)
            dispatcher = Dispatcher([handler], capacity=10)
            for at in range(100):
                dispatcher.dispatch(engine.observe({"heat": at % 2}, at=at))
            receiver.wait_for(1)
            dispatcher.close(timeout=0.01)
            stats = dispatcher.stats()[handler.name]
            assert (stats["delivered"], stats["dropped"], stats["waiting"]) == (0, 98, 0)
            assert stats["busy_seconds"] > 0

    def test_failures_are_counted_with_their_reason(self):
        with Receiver([500]) as receiver:
            handler = WebhookHandler(receiver.url, SECRET, attempts=2)
            with Dispatcher([handler]) as dispatcher:
                dispatcher.dispatch([EVENT, EVENT])
        stats = dispatcher.stats()[handler.name]
        assert stats["failed"] == 2
        assert "HTTP 500" in stats["last_failure"]
        assert "T0KEN" not in stats["last_failure"]

    def test_one_that_hangs_does_not_keep_another_from_delivering(self):
        with Receiver([HANG]) as hanging, Receiver([200]) as working:
            dispatcher = Dispatcher([WebhookHandler(hanging.url), WebhookHandler(working.url)])
            dispatcher.dispatch([EVENT])
            working.wait_for(1)
            hanging.wait_for(1)
            dispatcher.close(timeout=0.01)


class TestSecrets:
    def test_neither_secret_nor_path_is_told(self, caplog):
        caplog.set_level(logging.DEBUG)
        with Receiver([500]) as receiver:
            handler = WebhookHandler(receiver.url, SECRET, attempts=2)
            with pytest.raises(AlertUndelivered) as caught:
                handler.handle(EVENT)
        records = [str(vars(record)) for record in caplog.records]
        told = [repr(handler), str(handler), handler.name, str(caught.value), *records]
        for text in told:
            assert SECRET not in text
            assert "T0KEN" not in text
        assert repr(handler) == f"<WebhookHandler http://127.0.0.1:{receiver.port} signed>"

    @pytest.mark.parametrize("secret", ["", b"", 7])
    def test_a_secret_that_is_none(self, secret):
        with pytest.raises(InvalidArgument, match="secret is empty or not text"):
            WebhookHandler("https://example.com", secret)


class TestRefusing:
    @pytest.mark.parametrize(
        "url",
        [
            "ftp://example.com/x",
            "file:///etc/passwd",
            "example.com/hook",
            "http://",
            "https:///path",
            "http://example.com:99999/",
            "http://example.com:http/",
            "http://[::1/",
            "http://me:pa55@example.com/",
            "http://example.com/a b",
            "http://example.com/\r\nX-Evil: 1",
            "http://exämple.com/",
            "",
            None,
            b"http://example.com",
        ],
    )
    def test_what_is_no_web_address(self, url):
        with pytest.raises(InvalidArgument, match=r"^url [^\n]*: [^\n]+$") as caught:
            WebhookHandler(url)
        assert "pa55" not in str(caught.value)

    @pytest.mark.parametrize(
        "fields",
        [
            {"timeout_seconds": 0},
            {"timeout_seconds": "5"},
            {"timeout_seconds": float("nan")},
            {"total_seconds": -1},
            {"total_seconds": True},
            {"attempts": 0},
            {"attempts": 2.5},
            {"attempts": None},
        ],
    )
    def test_numbers_that_make_no_sense(self, fields):
        (name,) = fields
        with pytest.raises(InvalidArgument, match=name):
            WebhookHandler("https://example.com", **fields)

    @pytest.mark.parametrize("url", ["http://[::1]:8080/x", "HTTPS://Example.com?a=b#c"])
    def test_unusual_but_right(self, url):
        assert WebhookHandler(url).name in (
            "webhook http://[::1]:8080",
            "webhook https://example.com",
        )


class TestSignature:
    NOW = 1_700_000_000

    @given(st.binary(max_size=100), st.text(min_size=1, max_size=20), st.integers(-300, 300))
    def test_what_was_signed_is_accepted_within_the_tolerance(self, body, secret, age):
        secret = secret.encode(errors="surrogatepass")
        header = sign(body, secret, self.NOW - age)
        assert verify_signature(body, header, secret, now=self.NOW)
        assert not verify_signature(
            body, header, secret, now=self.NOW - age + 301, tolerance_seconds=300
        )
        assert not verify_signature(
            body, header, secret, now=self.NOW - age - 301, tolerance_seconds=300
        )

    def test_a_known_answer(self):
        # printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        header = sign(b"{}", b"secret", self.NOW)
        assert header == KNOWN
        assert verify_signature(b"{}", header, "secret", now=self.NOW)

    def test_one_of_several_is_enough_while_a_secret_is_changed(self):
        old, new = (sign(b"{}", secret, self.NOW) for secret in (b"old", b"new"))
        both = f"{old},{new.split(',')[1]}"
        assert all(verify_signature(b"{}", both, s, now=self.NOW) for s in ("old", "new"))
        assert not verify_signature(b"{}", both, "other", now=self.NOW)

    def test_the_time_is_signed_too(self):
        digest = sign(b"{}", b"secret", self.NOW).split(",")[1]
        assert not verify_signature(b"{}", f"t={self.NOW + 1},{digest}", "secret", now=self.NOW)

    @given(st.text(max_size=80) | st.from_regex(r"(t=[-0-9_ ]*,?|v1=[0-9a-fé]*,?){0,4}"))
    def test_a_header_that_makes_no_sense_is_refused_and_harmless(self, header):
        assert not verify_signature(b"{}", header, SECRET, now=self.NOW)

    def test_nan_is_not_now(self):
        header = sign(b"{}", b"secret", self.NOW)
        assert not verify_signature(b"{}", header, "secret", now=float("nan"))


@pytest.fixture
def certified(tmp_path):
    """A certificate for 127.0.0.1 that nobody vouches for: its file, and a context to serve it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        f"-keyout {key} -out {certificate} -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


class TestHttps:
    def test_a_certificate_that_nobody_vouches_for_is_final(self, certified):
        _, context = certified
        with Receiver([200], context) as receiver:
            handler = WebhookHandler(receiver.url, SECRET)
            with pytest.raises(AlertUndelivered, match="SSLCertVerificationError .* 1 attempt:"):
                handler.handle(EVENT)
        assert receiver.received == []

    def test_one_that_the_system_trusts(self, certified, monkeypatch):
        certificate, context = certified
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Receiver([503, 200], context) as receiver:
            WebhookHandler(receiver.url, SECRET).handle(EVENT)
        assert len(receiver.received) == 2

    @pytest.mark.parametrize("kind", [HANG, TRICKLE])
    def test_a_server_without_an_end(self, certified, monkeypatch, kind):
        certificate, context = certified
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Receiver([kind], context) as receiver:
            handler = WebhookHandler(receiver.url, timeout_seconds=0.15, attempts=2)
            with pytest.raises(AlertUndelivered, match="after 2 attempts"):
                handler.handle(EVENT)
            assert len(receiver.received) == 2
