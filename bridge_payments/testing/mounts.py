"""
What every mount must do, for whoever writes one for another framework.

    class TestMyMount(MountConformance):
        def serve(self, bridge):
            app = my_framework_app(bridge, prefix=PREFIX)
            return asgi_client(app, bridge)          # or wsgi_client(app)

Each test sends the same request twice, through the mount and straight into the route table, and compares
status, headers and bytes. A mount reads and hands over; whatever else it does shows up here.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import pytest

from ..auth import AuthBridge
from ..auth.limits import Limits, MemoryCounters
from ..bridge import Bridge
from ..engine import PaymentEngine
from ..http import Router
from ..messages import Request
from ..models import Principal
from ..providers.dummy import DummyProvider
from ..providers.dummy.inbox import SIGNATURE, sign
from ..settings import Settings
from ..stores import MemoryStore

__all__ = ["PREFIX", "Answer", "Client", "MountConformance", "asgi_client", "served_bridge", "wsgi_client"]

PREFIX: Final = "/bridge-payment"
NOW: Final = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
LIMIT: Final = 2000
PROXY: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over the wire; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Client = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Sends (method, target with prefix and query, headers, body) to the mounted application."""


def asgi_client(app: Any, bridge: Bridge, *, peer: str = PROXY) -> Client:
    """Return a client of an ASGI application; it runs on the bridge's own event loop, without lifespan."""

    def send(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return bridge.blocking.call(_ask_asgi, app, peer, (method, target, headers, body))

    return send


async def _ask_asgi(app: Any, peer: str, asked: tuple[str, str, Mapping[str, str], bytes]) -> Answer:
    method, target, headers, body = asked
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": (peer, 4711),
        "server": ("testserver", 80),
    }
    # In two pieces, so that a mount which takes the first for the whole is found out.
    pieces = iter([(body[: len(body) // 2], True), (body[len(body) // 2 :], False)])
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        for piece, more in pieces:
            return {"type": "http.request", "body": piece, "more_body": more}
        await asyncio.Event().wait()  # a caller that waits for its answer
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    return Answer(
        status=start["status"],
        headers=_headers((name.decode(), value.decode("latin-1")) for name, value in start["headers"]),
        body=b"".join(
            message.get("body", b"") for message in sent if message["type"] == "http.response.body"
        ),
    )


def wsgi_client(app: Any, *, peer: str = PROXY) -> Client:
    """Return a client of a WSGI application."""

    def send(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": peer,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, found: list[tuple[str, str]], *_: Any) -> Any:
            begun.append((status, found))
            return io.BytesIO().write

        answer = app(environ, start_response)
        try:
            content = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        status, found = begun[-1]
        return Answer(status=int(status.split(" ", 1)[0]), headers=_headers(found), body=content)

    return send


def _headers(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in found}


def _who(request: Request) -> Principal | None:
    match request.header("x-session-id"):
        case None:
            return None
        case "broken":
            raise ValueError("the host's login broke")
        case "away":
            raise ConnectionError("the host's session store is away")
        case "root":
            return Principal.admin("root")
        case name:
            return Principal.user(name)


@contextmanager
def served_bridge() -> Iterator[Bridge]:
    """A bridge to mount: memory, the dummy provider, a still clock, users named by X-Session-ID."""
    settings = Settings(
        allow_sandbox=True,
        default_provider="dummy",
        inprocess_worker=False,
        max_request_size=LIMIT,
        rate_limit_enabled=False,  # every request is sent twice, and a count would tell them apart
        trusted_proxies=(PROXY,),
        cors_origins=("https://shop.example",),
    )
    engine = PaymentEngine(MemoryStore(), {"dummy": DummyProvider()}, settings=settings, clock=lambda: NOW)
    bridge = Bridge(engine, auth=AuthBridge(_who))
    try:
        yield bridge
    finally:
        bridge.blocking.call(bridge.aclose)
        bridge.blocking.close()


CREATE: Final[dict[str, Any]] = {"total_cents": 5500, "currency": "USD", "reference_code": "order-1"}
GUEST: Final[dict[str, Any]] = {"guest_data": {"email": "ada@example.com", "name": "Ada"}}


_INTENT: Final = b'{"id": "di_9", "secret": "x", "metadata": {}, "created": 0}'


class MountConformance:
    """Derive from this, say how to serve a bridge, and run the tests."""

    def serve(self, bridge: Bridge) -> Client:
        """Mount *bridge* below `PREFIX` and return a client of the application."""
        raise NotImplementedError

    @pytest.fixture
    def bridge(self) -> Iterator[Bridge]:
        with served_bridge() as bridge:
            yield bridge

    @pytest.fixture
    def send(self, bridge: Bridge) -> Callable[..., Answer]:
        """Ask through the mount; the prefix, the content type and a request id are added."""
        client = self.serve(bridge)

        def ask(method: str, target: str, body: object = b"", **headers: str) -> Answer:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return client(method, PREFIX + target, _sent(headers, content), content)

        return ask

    @pytest.fixture
    def both(self, bridge: Bridge, send: Callable[..., Answer]) -> Callable[..., Answer]:
        """Ask through the mount and the route table, compare, and return the answer."""
        router = Router(bridge)

        def ask(method: str, target: str, body: object = b"", **headers: str) -> Answer:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            path, _, query = target.partition("?")
            request = Request(
                method=method,
                path=path,
                headers=_sent(headers, content),
                query=dict(pair.split("=", 1) for pair in query.split("&") if pair),
                body=content,
                peer=headers.get("x_forwarded_for", PROXY),
                prefix=PREFIX,
            )
            expected = bridge.blocking.call(router.answer, request)
            found = send(method, target, body, **headers)
            assert found.status == expected.status
            assert found.body == expected.body
            assert dict(found.headers) == dict(expected.headers)
            return found

        return ask

    # --- the answers are the route table's ----------------------------------------------------------

    def test_a_payment_is_created_and_read(self, both: Callable[..., Answer]) -> None:
        """The same key gives the same payment, whichever way it is asked."""
        made = both("POST", "/payments/intents", CREATE, x_session_id="ada", idempotency_key="k1")
        assert made.status == 201
        payment = made.json["data"]["id"]
        assert both("GET", f"/payments/{payment}", x_session_id="ada").json["data"]["id"] == payment
        assert both("GET", f"/payments/{payment}", x_session_id="eve").status == 403
        assert both("GET", f"/payments/{payment}").status == 401
        listed = both("GET", "/payments?limit=5&page=1&status=pending", x_session_id="ada")
        assert listed.json["meta"]["total"] == 1

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_both_verbs_update(self, both: Callable[..., Answer], method: str) -> None:
        made = both("POST", "/payments/intents", CREATE, x_session_id="ada", idempotency_key="k1")
        payment = made.json["data"]["id"]
        body = {"description": "A present"}
        target = f"/payments/intents/{payment}"
        changed = both(method, target, body, x_session_id="ada", idempotency_key="u1")
        assert changed.status == 200

    @pytest.mark.parametrize(
        ("method", "target"),
        [
            ("GET", "/"),
            ("GET", "/openapi.json"),
            ("GET", "/providers"),
            ("GET", "/providers?x=1"),
            ("GET", "/nowhere"),
            ("GET", "/nowhere/at/all"),
            ("GET", "//payments"),
            ("GET", "/payments/"),
            ("GET", "/payments/a b"),
            ("GET", "/payments/é"),
            ("GET", "/payments/a\nb/c"),
            ("POST", "/nowhere\n/at/all"),
            ("GET", "/payments/guest/ada@example.com"),
            ("HEAD", "/payments"),
            ("HEAD", "/providers"),
            ("OPTIONS", "/payments"),
            ("OPTIONS", "/nowhere"),
            ("DELETE", "/payments"),
            ("PUT", "/payments"),
            ("TRACE", "/payments"),
            ("PURGE", "/payments"),
            ("PURGE", "/nowhere"),
        ],
    )
    def test_everything_below_the_prefix_is_the_route_tables(
        self, both: Callable[..., Answer], method: str, target: str
    ) -> None:
        """Unknown paths and methods included: no page of the framework's own ever shows."""
        both(method, target)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{nope", 400),
            (b"[]", 400),
            (b'{"a": "\xff"}', 400),
            ({"currency": "USD", "total_cents": "5"}, 400),
            ({"currency": "USD", "total_cents": 5500}, 400),
            (b"x" * LIMIT, 400),
            (b"x" * (LIMIT + 1), 413),
            (b"x" * (LIMIT * 50), 413),
        ],
    )
    def test_a_bad_body_is_refused_in_the_contracts_words(
        self, both: Callable[..., Answer], body: object, status: int
    ) -> None:
        assert both("POST", "/payments/intents", body).status == status

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
    )
    def test_another_content_type_is_refused(self, both: Callable[..., Answer], kind: str) -> None:
        assert both("POST", "/payments/intents", b"a=1", content_type=kind).status == 400

    @pytest.mark.parametrize(("session", "status"), [("broken", 500), ("away", 503)])
    def test_a_login_that_breaks_is_answered_alike(
        self, both: Callable[..., Answer], session: str, status: int
    ) -> None:
        assert both("GET", "/payments", x_session_id=session).status == status

    def test_browsers_get_their_headers(self, both: Callable[..., Answer]) -> None:
        known = both("GET", "/providers", origin="https://shop.example")
        assert known.headers["access-control-allow-origin"] == "https://shop.example"
        preflight = both(
            "OPTIONS",
            "/payments/intents",
            origin="https://shop.example",
            access_control_request_method="POST",
        )
        assert preflight.status == 204
        assert "content-type" not in preflight.headers

    def test_head_says_how_long_the_body_would_be(self, send: Callable[..., Answer]) -> None:
        got, head = send("GET", "/providers"), send("HEAD", "/providers")
        assert head.body == b""
        assert head.headers["content-length"] == str(len(got.body))

    def test_every_answer_has_an_id(self, send: Callable[..., Answer]) -> None:
        assert send("GET", "/nowhere", x_request_id="abc").headers["x-request-id"] == "abc"

    # --- what the mount hands over -------------------------------------------------------------------

    def test_the_bytes_of_a_webhook_arrive_untouched(
        self, both: Callable[..., Answer], send: Callable[..., Answer]
    ) -> None:
        """Their signature is over the bytes: blanks, escapes, a wrong content type and all."""
        raw = b'{ "id": "de_1",  "type": "intent.paid", "intent": %s, "x": "\\u00e9" }\n' % _INTENT
        signature = {SIGNATURE.replace("-", "_"): sign(raw, "dummy-webhook-secret")}
        assert send("POST", "/webhooks/dummy", raw, **signature).json["duplicate"] is False
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = both("POST", "/webhooks/dummy", raw, content_type=kind, **signature)
            assert answer.json["duplicate"] is True
        assert both("POST", "/webhooks/dummy", raw + b" ", **signature).status == 401
        assert both("POST", "/webhooks/dummy", raw).status == 400
        assert both("POST", "/webhooks/nobody", raw).status == 404

    def test_the_caller_is_who_our_proxy_says(self, send: Callable[..., Answer], bridge: Bridge) -> None:
        seen: list[str | None] = []

        async def who(request: Request) -> None:
            seen.append(request.peer)

        bridge.auth = AuthBridge(who)
        send("GET", "/payments", x_forwarded_for="6.6.6.6, 198.51.100.7")
        assert seen == ["198.51.100.7"]

    def test_documents_name_urls_as_callers_see_them_behind_a_proxy_of_ours(
        self, send: Callable[..., Answer]
    ) -> None:
        outside = f"/shop{PREFIX}"
        for path, headers, prefix in [
            ("/openapi.json", {}, PREFIX),
            ("/openapi.json", {"x_forwarded_prefix": "/shop"}, outside),
            ("/openapi.json", {"x_forwarded_prefix": "/made-up, /shop/"}, outside),
            ("/openapi.json", {"x_forwarded_prefix": "//evil.example"}, PREFIX),
        ]:
            assert send("GET", path, **headers).json["servers"] == [{"url": prefix}]
        told = send("GET", "/", x_forwarded_prefix="/shop").json["endpoints"]["documents"]
        assert f"GET {outside}/openapi.json" in told

    def test_the_host_may_know_the_caller_from_a_cookie(
        self, send: Callable[..., Answer], bridge: Bridge
    ) -> None:
        def who(request: Request) -> Principal | None:
            return Principal.user("ada") if request.cookies.get("sid") == "s1" else None

        bridge.auth = AuthBridge(who)
        assert send("GET", "/payments", cookie="theme=dark; sid=s1").status == 200
        assert send("GET", "/payments", cookie="sid=s2").status == 401

    def test_what_is_left_of_a_quota_is_said_and_kept(
        self, send: Callable[..., Answer], bridge: Bridge
    ) -> None:
        bridge.limits = Limits(MemoryCounters(), requests=1)
        first = send("GET", "/payments", x_session_id="ada")
        assert (first.status, first.headers["x-ratelimit-remaining"]) == (200, "0")
        second = send("GET", "/payments", x_session_id="ada")
        assert (second.status, second.json["error"]) == (429, "Too many requests; wait before the next one.")
        assert int(second.headers["retry-after"]) >= 1

    def test_the_document_knows_where_it_is_mounted(self, send: Callable[..., Answer]) -> None:
        assert send("GET", "/openapi.json").json["servers"] == [{"url": PREFIX}]
        assert f"GET {PREFIX}/payments" in send("GET", "/").json["endpoints"]["payments"]

    def test_a_guest_pays(self, send: Callable[..., Answer]) -> None:
        """The whole checkout of somebody nobody knows: begin, pay, and no way to read it back."""
        made = send("POST", "/payments/intents", {**CREATE, **GUEST})
        assert made.status == 201
        payment = made.json["data"]["id"]
        paid = send("POST", f"/payments/intents/{payment}/confirm", {"payment_method_id": "dummy_ok"})
        assert (paid.status, paid.json["data"]["status"]) == (200, "succeeded")
        assert send("GET", f"/payments/{payment}").status == 401
        refund = {"amount_cents": 500}
        assert send("POST", f"/payments/{payment}/refund", refund, idempotency_key="r").status == 401
        given = send("POST", f"/payments/{payment}/refund", refund, idempotency_key="r", x_session_id="root")
        assert (given.status, given.json["data"]["amount_cents"]) == (201, 500)


def _sent(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"host": "testserver", "x-request-id": "conformance", "content-type": "application/json", **given}
    if body:
        sent["content-length"] = str(len(body))
    return sent
