"""A proxy of the tests before any real server that speaks HTTP. It answers what it is told to instead, loses replies,
changes and cuts bodies, and may judge each request as a stricter service would.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request on its way."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def place(self) -> str:
        """The path without its query."""
        return urlsplit(self.path).path

    def asked(self, name: str) -> str:
        """One value of the query."""
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True).get(name, [""])[0]


@dataclass(frozen=True)
class Refusal:
    """An answer without asking the server."""

    status: int
    code: str = "SlowDown"


Judge = Callable[[Request], Refusal | None]
Fault = int | str | Refusal
"""A status to answer instead; `lose`: the server does it and the reply is lost; `cut`: the connection ends before the
server hears of it; `flip`: a changed byte in the answer; `spoil`: a changed byte in what is sent; `short`: an answer
that says less; `break`: an answer that ends in its midst; `stall`: silence; an empty text: nothing."""
STALL = 30.0


class Unruly:
    """The proxy; `faults` says what becomes of the next requests that `chosen` picks, each once."""

    def __init__(self, port: int, judge: Judge | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.faults: list[Fault] = []
        self.chosen: Callable[[Request], bool] = lambda request: True
        self.seen = 0
        self.requests: list[tuple[str, str]] = []
        """Method and path of each."""
        self._turn = threading.Lock()
        self._ending = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

            def _carry(self) -> None:
                if self.headers.get("Expect", "").lower() == "100-continue":
                    pass  # answered by the base class before this is called
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, self.headers, body)
                fault = proxy._fault(request)
                refusal = Refusal(fault) if isinstance(fault, int) else fault if isinstance(fault, Refusal) else None
                if fault == "cut":
                    self.close_connection = True
                    return
                if fault == "stall":
                    proxy._ending.wait(STALL)
                    self.close_connection = True
                    return
                if fault == "spoil" and body:
                    body = bytes([body[0] ^ 1]) + body[1:]
                    request = Request(self.command, self.path, self.headers, body)
                if refusal is None and judge is not None:
                    refusal = judge(request)
                if refusal is not None:
                    text = f"<?xml version='1.0'?><Error><Code>{refusal.code}</Code></Error>".encode()
                    headers = {"x-ms-error-code": refusal.code, "Content-Type": "application/xml"}
                    self._answer(refusal.status, headers, text if self.command != "HEAD" else b"")
                    return
                self._pass_on(body, fault)

            def _pass_on(self, body: bytes, fault: Fault) -> None:
                inner = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                # Asked as a proxy, it is given the whole address.
                place = urlsplit(self.path)._replace(scheme="", netloc="").geturl()
                inner.putrequest(self.command, place, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    inner.putheader(name, value)
                inner.endheaders(body)
                answer = inner.getresponse()
                data = answer.read()
                inner.close()
                if fault == "lose":
                    self.close_connection = True
                    return
                if fault == "flip" and data:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                if fault == "short":
                    data = data[:-5]
                self._answer(answer.status, dict(answer.getheaders()), data, half=fault == "break")

            def _answer(self, status: int, headers: dict[str, str], data: bytes, half: bool = False) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                said = {name.lower(): value for name, value in headers.items()}
                length = said.get("content-length", "0") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length)
                self.end_headers()
                if half:
                    self.wfile.write(data[: len(data) // 2])
                    self.close_connection = True
                elif self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _carry

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])

    def _fault(self, request: Request) -> Fault:
        with self._turn:
            self.seen += 1
            self.requests.append((request.method, request.path))
            return self.faults.pop(0) if self.faults and self.chosen(request) else ""

    def begin(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()

    def calm(self) -> None:
        """No more faults."""
        with self._turn:
            self.faults = []
            self.chosen = lambda request: True


@contextmanager
def before(port: int, judge: Judge | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Unruly]:
    """A proxy before that port for the length of the block."""
    made = Unruly(port, judge, tls)
    made.begin()
    try:
        yield made
    finally:
        made.end()
