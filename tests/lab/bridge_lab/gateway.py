"""A server that says what it is told, for what a stateful fake cannot be talked into: the worst second."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from .exchanges import NOT_PAYPAL, NOT_STRIPE
from .forms import decode_form

__all__ = ["Received", "ScriptedGateway", "serving"]


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def form(self) -> dict[str, Any]:
        return decode_form(self.content.decode() if self.method == "POST" else urlsplit(self.path).query)


@dataclass(frozen=True)
class _Said:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    hold: threading.Event | None = None


class ScriptedGateway:
    """`answer`, `refuse`, `break_` and `hang_up` queue what the next requests hear, in order."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.url = ""
        self._script: deque[_Said] = deque()
        self._released = threading.Event()
        self._heard = threading.Event()

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        """Say what the provider could say; the laboratory judges it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._script.append(
            _Said(
                status,
                json.dumps(body).encode(),
                {"Request-Id": "req_lab", "PayPal-Debug-Id": "debug_lab", **named},
            )
        )

    def refuse(self, status: int, **error: Any) -> None:
        self.answer({"error": {"type": "invalid_request_error", **error}}, status)

    def break_(self, body: bytes, status: int = 200) -> None:
        """Say something that no provider would."""
        self._script.append(_Said(status, body, {NOT_STRIPE: "on purpose", NOT_PAYPAL: "on purpose"}))

    def hang_up(self) -> None:
        """Take the request and say nothing: the lost answer."""
        self._script.append(_Said(hang_up=True))

    def hold(self) -> None:
        """Take the request and never answer: the timeout."""
        self._script.append(_Said(hold=self._released))

    def wait(self) -> None:
        """Return when a request has arrived."""
        assert self._heard.wait(10), "no request came"

    def release(self) -> None:
        self._released.set()

    def hear(self, received: Received) -> _Said:
        self.received.append(received)
        self._heard.set()
        return self._script.popleft() if self._script else _Said(599, b"the script is over")


def _handler(gateway: ScriptedGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            names = {name.lower(): value for name, value in self.headers.items()}
            said = gateway.hear(Received(self.command, self.path, names, self.rfile.read(length)))
            if said.hold is not None:
                said.hold.wait(30)
            if said.hang_up or said.hold is not None:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        do_GET: Callable[[], None] = _serve  # noqa: N815 - the name that the base class calls
        do_POST: Callable[[], None] = _serve  # noqa: N815 - the same
        do_DELETE: Callable[[], None] = _serve  # noqa: N815 - the same

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """A test's output is its own."""

    return Handler


@contextmanager
def serving() -> Iterator[ScriptedGateway]:
    gateway = ScriptedGateway()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(gateway))
    server.daemon_threads = True
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        gateway.release()
        server.shutdown()
        server.server_close()
        thread.join()
