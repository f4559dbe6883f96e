"""A gateway that speaks JSON over HTTP, for fakes that plugin authors write: they answer, it misbehaves."""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from .gateway import GatewayControl, Instruction

__all__ = ["Asked", "HttpGateway", "Refusal"]

Fault = Literal["lose", "hang", "break", "garble"]
_POLL: Final = 0.01


class Refusal(Exception):
    """Answer with this status and body: the gateway's definite no."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status: int = status
        self.body: Mapping[str, Any] = body
        super().__init__(f"HTTP {status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request to the gateway."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    """Names are lower-case."""
    json: Any = field(repr=False)
    """The body; None where there is none."""


class HttpGateway(GatewayControl):
    """Listens on loopback from its construction to `close`. Write `answer` and keep books; the rest is here.

    It keeps idempotency keys as a careful gateway does: the first answer to a key is repeated, another
    body under it is refused with 409, and a refusal by `turn_away` (a wrong API key) is not kept.
    """

    key_header: str = "idempotency-key"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._instructions: list[Instruction] = []
        self._answers: dict[str, tuple[str, int, bytes]] = {}
        self._faults: list[Fault] = []
        self._closing = threading.Event()
        self.failures: list[Exception] = []
        """What `answer` stumbled over: a mistake in the fake, which `close` raises."""
        self._server = _Server(self)
        self.url: str = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(_POLL,), daemon=True).start()

    @abstractmethod
    def answer(self, asked: Asked) -> Mapping[str, Any]:
        """Carry out one request and return what a 200 says. Raises Refusal. One call at a time."""

    def turn_away(self, asked: Asked) -> None:
        """Raise Refusal for a request without the right credentials. Nothing was looked at yet."""
        return

    def is_instruction(self, asked: Asked) -> bool:
        """Whether a request may change something: reads and logins may not."""
        return asked.method != "GET"

    # --- what the suite asks -----------------------------------------------------------------------

    def requests(self) -> Sequence[Instruction]:
        with self._lock:
            return list(self._instructions)

    def lose_next_answer(self) -> None:
        self._faults.append("lose")

    def hang_next(self) -> None:
        self._faults.append("hang")

    def break_next(self) -> None:
        self._faults.append("break")

    def garble_next(self) -> None:
        self._faults.append("garble")

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        for failure in self.failures:
            if isinstance(failure, NotImplementedError):
                raise failure
            raise AssertionError(f"{type(self).__name__} failed while it answered: {failure!r}") from failure

    # --- one request -------------------------------------------------------------------------------

    def _serve(self, asked: Asked, body: bytes) -> tuple[int, bytes] | None:
        """Return status and body of the answer, or None for none at all."""
        with self._lock:
            fault = None
            if self.is_instruction(asked):
                key = asked.headers.get(self.key_header)
                what = f"{asked.method} {asked.path}"
                self._instructions.append(Instruction(what=what, key=key, body=body.decode()))
                fault = self._faults.pop(0) if self._faults else None
            if fault == "break":
                return 500, b'{"code": "internal_error"}'
            status, said = self._once(asked, body)
        if fault == "hang":
            self._closing.wait(60)
        if fault in ("hang", "lose"):
            return None
        return (200, b"<html>Please stand by</html>") if fault == "garble" else (status, said)

    def _once(self, asked: Asked, body: bytes) -> tuple[int, bytes]:
        key = asked.headers.get(self.key_header) if self.is_instruction(asked) else None
        said = f"{asked.method} {asked.path} {body.decode()}"
        try:
            self.turn_away(asked)
            if key in self._answers:
                first, status, answer = self._answers[key]
                if first != said:
                    raise Refusal(409, {"code": "key_reused"})
                return status, answer
        except Refusal as refusal:
            return refusal.status, json.dumps(refusal.body).encode()
        try:
            status, found = 200, self.answer(asked)
        except Refusal as refusal:
            status, found = refusal.status, refusal.body
        except Exception as failure:  # noqa: BLE001 - told by `close`; here it would only end a thread
            self.failures.append(failure)
            return 500, b'{"code": "fake_failed"}'
        answer = json.dumps(found).encode()
        if key is not None:
            self._answers[key] = (said, status, answer)
        return status, answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, gateway: HttpGateway) -> None:
        self.gateway = gateway
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the client dropped is no news; the suite drops some on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body of an answer in one packet,
    disable_nagle_algorithm = True  # or the client waits 40 ms for the second
    server: _Server

    def _answer(self) -> None:
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            said = json.loads(body) if body else None
        except ValueError:
            said = None
        asked = Asked(
            method=self.command,
            path=unquote(target.path),
            query=dict(parse_qsl(target.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            json=said,
        )
        answer = self.server.gateway._serve(asked, body)  # noqa: SLF001 - the two halves of one thing
        self.close_connection = answer is None
        if answer is None:
            self.connection.close()
            return
        self.send_response(answer[0])
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1])

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names of the base class

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """A test's output is not a server's log."""
