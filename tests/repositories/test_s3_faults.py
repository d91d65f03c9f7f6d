"""S3 that stalls, breaks off, refuses for a while or changes bytes: passing faults are outlived, lasting ones named."""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories.contract import read
from aegis_plan.repositories.retry import Retrying
from aegis_plan.repositories.s3 import S3Repository
from tests.servers.bucket import S3Server
from tests.servers.toxiproxy import Toxiproxy, toxiproxy
from tests.servers.versitygw import versitygw

__all__ = ["toxiproxy", "versitygw"]

DATA = os.urandom(12 << 20)
DIGEST = hashlib.sha256(DATA).hexdigest()


class Unruly:
    """A proxy of the test before a real server; `faults` says what becomes of the next requests."""

    def __init__(self, port: int) -> None:
        self.faults: list[int | str] = []
        """A status to answer instead, `lose` for a reply that is lost, `flip` for a changed byte, `short` for a body
        that says less."""
        self.seen = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

            def _carry(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.seen += 1
                fault = proxy.faults.pop(0) if proxy.faults else None
                if isinstance(fault, int):
                    text = b"<Error><Code>SlowDown</Code></Error>" if self.command != "HEAD" else b""
                    self._answer(fault, {}, text)
                    return
                inner = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                inner.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    inner.putheader(name, value)
                inner.endheaders(body)
                answer = inner.getresponse()
                data = answer.read()
                if fault == "lose":
                    self.close_connection = True
                    return
                if fault == "flip":
                    data = data[:-1] + bytes([data[-1] ^ 1])
                if fault == "short":
                    data = data[:-5]
                self._answer(answer.status, dict(answer.getheaders()), data)

            def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _carry

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def unruly(versitygw: S3Server) -> Iterator[Unruly]:
    made = Unruly(versitygw.port)
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@contextmanager
def through(server: S3Server, port: int, read_seconds: float = 5.0) -> Iterator[tuple[Retrying, S3Repository]]:
    """A repository seen through a proxy, and the same one seen directly."""
    near = server.at(port).repository(connect_seconds=2.0, read_seconds=read_seconds)
    far = server.repository(prefix=near.full_key("").rstrip("/"))
    yield Retrying(near, wait=0.01), far
    near.close()
    far.close()


def send(repository: Retrying, key: str, data: bytes = DATA) -> None:
    upload = repository.open(key)
    try:
        upload.write(data)
        upload.commit(hashlib.sha256(data).hexdigest())
    finally:
        upload.abort()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusal_for_a_while_is_outlived(versitygw: S3Server, unruly: Unruly, status: int) -> None:
    with through(versitygw, unruly.port) as (near, far):
        unruly.faults = [status, status]
        send(near, "large")
        unruly.faults = [status]
        near.put("small", b"small")
        unruly.faults = [status]
        assert read(near, "large") == DATA
        unruly.faults = [status]
        assert [found.key for found in near.listing("")] == ["large", "small"]
        assert read(far, "large") == DATA


def test_a_refusal_that_lasts_is_named(versitygw: S3Server, unruly: Unruly) -> None:
    with through(versitygw, unruly.port) as (near, _):
        unruly.faults = [503] * 100
        with pytest.raises(UnavailableError) as caught:
            near.put("small", b"small")
        assert caught.value.code == "repository-unavailable"
        assert unruly.seen == 4
        assert versitygw.secret not in str(caught.value.as_data())


@pytest.mark.parametrize("lost", range(6))
def test_a_lost_reply_does_no_harm(versitygw: S3Server, unruly: Unruly, lost: int) -> None:
    with through(versitygw, unruly.port) as (near, far):
        unruly.faults = [*[""] * lost, "lose"]
        send(near, "large")
        assert read(far, "large") == DATA
        unruly.faults = ["lose"]
        near.put("small", b"small")
        assert read(far, "small") == b"small"


def test_a_body_that_says_less_is_noticed(versitygw: S3Server, unruly: Unruly) -> None:
    with through(versitygw, unruly.port) as (near, _):
        near.put("small", b"some small bytes")
        unruly.faults = ["short"]
        with pytest.raises(UnavailableError) as caught:
            list(near.get("small", 0, 16))
        assert caught.value.code == "short-read"


def test_stalls_and_cuts_on_the_way_back(versitygw: S3Server, toxiproxy: Toxiproxy) -> None:
    proxy = toxiproxy.to(versitygw.port)
    with through(versitygw, proxy.port, read_seconds=0.5) as (near, far):
        upload = far.open("large")
        upload.write(DATA)
        upload.commit(DIGEST)
        with proxy.toxic("limit_data", bytes=5 << 20):
            # Each connection ends after 5 MiB: the reader goes on where it was.
            assert read(near, "large") == DATA
        with proxy.toxic("timeout", timeout=0), pytest.raises(UnavailableError):
            list(near.get("large", 0, 10))
        with proxy.toxic("reset_peer", timeout=0), pytest.raises(UnavailableError):
            near.put("never", b"x")
        assert read(near, "large") == DATA


def test_an_upload_outlives_a_cut(versitygw: S3Server, toxiproxy: Toxiproxy) -> None:
    proxy = toxiproxy.to(versitygw.port)
    with through(versitygw, proxy.port, read_seconds=2.0) as (near, far):
        healed = threading.Timer(1.5, proxy.clear)
        with proxy.toxic("limit_data", stream="upstream", bytes=1 << 20):
            healed.start()
            send(near, "large")
        healed.join()
        assert read(far, "large") == DATA
        assert far.sweep("", -5) == []


def test_whose_bytes_are_under_a_taken_key(versitygw: S3Server, unruly: Unruly) -> None:
    with through(versitygw, unruly.port) as (near, far):
        far.put("taken", b"theirs")
        with pytest.raises(DamageError) as caught:
            near.put("taken", b"ours!!")
        assert caught.value.code == "object-conflict"
        assert read(far, "taken") == b"theirs"


@pytest.mark.parametrize("more", [{"secret_key": "wrong-secret-0123"}, {"access_key": "nobody"}])
def test_wrong_credentials_are_said_to_be_wrong(versitygw: S3Server, more: dict[str, str]) -> None:
    repository = versitygw.repository(**more)  # type: ignore[arg-type]  # fields of the document
    for ask in (
        lambda: repository.put("q", b"1"),
        lambda: repository.head("q"),
        lambda: list(repository.listing("")),
        lambda: list(repository.get("q")),
    ):
        with pytest.raises(AegisError) as caught:
            ask()
        assert caught.value.code == "repository-denied"
        assert "wrong-secret" not in str(caught.value.as_data())
    repository.close()
