"""The three mounts, each against the route table; and what each of them does beyond it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from fastapi import Request as HostRequest
from flask import Flask, request, session
from starlette.applications import Starlette

from bridge_payments.auth import AuthBridge
from bridge_payments.bridge import Bridge
from bridge_payments.http import ROUTES, openapi
from bridge_payments.messages import Request
from bridge_payments.models import Principal
from bridge_payments.mounts.fastapi import health_router, payments_router
from bridge_payments.mounts.flask import health_blueprint, payments_blueprint
from bridge_payments.mounts.starlette import health_routes, payments_app, payments_mount
from bridge_payments.testing.mounts import (
    PREFIX,
    Answer,
    Client,
    MountConformance,
    asgi_client,
    served_bridge,
    wsgi_client,
)

Ask = Callable[..., Answer]


class TestStarlette(MountConformance):
    def serve(self, bridge: Bridge) -> Client:
        app = Starlette(routes=[payments_mount(bridge, PREFIX), *health_routes(bridge)])
        return asgi_client(app, bridge)


class TestBareASGI(MountConformance):
    """Mounted by a server's root path, without any framework."""

    def serve(self, bridge: Bridge) -> Client:
        app = payments_app(bridge)

        async def below(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "root_path": PREFIX}, receive, send)

        return asgi_client(below, bridge)


class TestFastAPI(MountConformance):
    def serve(self, bridge: Bridge) -> Client:
        app = FastAPI()
        app.include_router(payments_router(bridge), prefix=PREFIX)
        app.include_router(health_router(bridge))
        return asgi_client(app, bridge)


class TestFlask(MountConformance):
    def serve(self, bridge: Bridge) -> Client:
        app = Flask(__name__)
        app.register_blueprint(payments_blueprint(bridge), url_prefix=PREFIX)
        app.register_blueprint(health_blueprint(bridge))
        return wsgi_client(app)


class TestFlaskWithALowerLimit(TestFlask):
    """The host's own MAX_CONTENT_LENGTH must not answer in the host's words."""

    def serve(self, bridge: Bridge) -> Client:
        app = Flask(__name__)
        app.config["MAX_CONTENT_LENGTH"] = 2000
        app.register_blueprint(payments_blueprint(bridge), url_prefix=PREFIX)
        return wsgi_client(app)


HEADERS = {"content-type": "application/json"}


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    with served_bridge() as bridge:
        yield bridge


# --- the root of the host ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TestStarlette, TestFastAPI, TestFlask])
def test_monitors_find_health_at_the_root(bridge: Bridge, kind: type[MountConformance]) -> None:
    client = kind().serve(bridge)
    for path in ("/health", "/health/live", "/health/ready", "/health/database", "/health/providers"):
        assert client("GET", path, {}, b"").status == 200, path
    assert client("GET", "/payments", {}, b"").status == 404


# --- life -------------------------------------------------------------------------------------------


def run_lifespan(app: Any, bridge: Bridge) -> list[tuple[str, bool]]:
    """Send an application through its lifespan; return each message with whether the bridge had started."""
    seen: list[tuple[str, bool]] = []

    async def go() -> None:
        incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> dict[str, Any]:
            return next(incoming)

        async def send(message: Mapping[str, Any]) -> None:
            seen.append((message["type"], bridge.started))

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(go())
    return seen


def starlette_host(bridge: Bridge) -> Any:
    return Starlette(routes=[payments_mount(bridge, PREFIX)], lifespan=bridge.lifespan)


def fastapi_host(bridge: Bridge) -> Any:
    app = FastAPI()
    app.include_router(payments_router(bridge), prefix=PREFIX)
    return app


@pytest.mark.parametrize("host", [starlette_host, fastapi_host, payments_app])
def test_the_bridge_lives_as_long_as_the_application(bridge: Bridge, host: Callable[[Bridge], Any]) -> None:
    seen = run_lifespan(host(bridge), bridge)
    assert seen == [("lifespan.startup.complete", True), ("lifespan.shutdown.complete", False)]


def test_a_host_that_forgot_the_lifespan_is_told_and_served(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestStarlette().serve(bridge)
    for _ in range(2):
        assert client("GET", f"{PREFIX}/providers", {}, b"").status == 200
    assert bridge.started
    assert caplog.text.count("bridge.lifespan") == 1


def test_flask_starts_it_at_the_first_request_without_a_word(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    assert TestFlask().serve(bridge)("GET", f"{PREFIX}/providers", {}, b"").status == 200
    assert bridge.started
    assert "not started" not in caplog.text


def test_a_thread_starts_it_before_the_first_request_and_closes_it_after_the_last(bridge: Bridge) -> None:
    """What gunicorn's `post_fork` and `worker_exit` do."""
    bridge.close()
    assert not bridge.blocking.running, "closing what never ran starts nothing"
    bridge.call(bridge.start)
    assert bridge.started
    bridge.close()
    assert not bridge.started
    assert not bridge.blocking.running


def test_a_body_that_never_ends_is_given_up(bridge: Bridge) -> None:
    """A caller that sends a byte a minute must not hold a connection for ever."""
    hasty = Bridge(bridge.engine, settings=bridge.settings.model_copy(update={"request_timeout": 0.05}))
    statuses: list[int] = []

    async def go() -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/payments/intents",
            "headers": [],
            "client": None,
        }
        await payments_app(hasty)(scope, receive, send)

    asyncio.run(go())
    assert statuses == [408]


def test_a_caller_that_goes_away_is_not_answered(bridge: Bridge) -> None:
    async def go() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            raise AssertionError(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/payments/intents",
            "headers": [],
            "client": None,
        }
        await payments_app(bridge)(scope, receive, send)

    asyncio.run(go())


# --- Flask ------------------------------------------------------------------------------------------


def test_flasks_session_is_there_when_the_login_is_asked(bridge: Bridge) -> None:
    """A plain function runs in the request's own thread, before the hop."""

    def who(request: Request) -> Principal | None:
        return Principal.user(session["user"]) if "user" in session else None

    bridge.auth = AuthBridge(who)
    app = Flask(__name__)
    app.secret_key = "not a secret"
    app.register_blueprint(payments_blueprint(bridge), url_prefix=PREFIX)

    @app.get("/login")
    def login() -> str:
        session["user"] = "ada"
        return "hello"

    client = wsgi_client(app)
    assert client("GET", f"{PREFIX}/payments", {}, b"").status == 401
    cookie = client("GET", "/login", {}, b"").headers["set-cookie"].partition(";")[0]
    assert client("GET", f"{PREFIX}/payments", {"cookie": cookie}, b"").status == 200


def test_a_hook_of_the_host_may_read_the_body_first(bridge: Bridge) -> None:
    app = Flask(__name__)
    app.register_blueprint(payments_blueprint(bridge), url_prefix=PREFIX)
    app.before_request(lambda: request.get_json(silent=True) and None)
    answer = wsgi_client(app)("POST", f"{PREFIX}/payments/intents", HEADERS, b'{"currency":"USD"}')
    assert "total" in answer.json["message"]


def test_two_bridges_live_in_one_flask_application(bridge: Bridge) -> None:
    app = Flask(__name__)
    app.register_blueprint(payments_blueprint(bridge, name="one"), url_prefix="/one")
    app.register_blueprint(payments_blueprint(bridge, name="two"), url_prefix="/two")
    client = wsgi_client(app)
    for prefix in ("/one", "/two"):
        assert client("GET", f"{prefix}/openapi.json", {}, b"").json["servers"] == [{"url": prefix}]


@pytest.mark.parametrize("tenant", ["a", "a-tenant-with-a-long-name"])
def test_flasks_prefix_may_have_a_variable(bridge: Bridge, tenant: str) -> None:
    app = Flask(__name__)
    app.register_blueprint(payments_blueprint(bridge), url_prefix="/<tenant>/pay")
    app.register_blueprint(health_blueprint(bridge), url_prefix="/<tenant>")
    client = wsgi_client(app)
    assert client("GET", f"/{tenant}/pay/openapi.json", {}, b"").json["servers"] == [
        {"url": f"/{tenant}/pay"}
    ]
    assert client("GET", f"/{tenant}/pay/payments/guest/a@b.c", {}, b"").status == 401
    assert client("GET", f"/{tenant}/pay/nowhere", {}, b"").json["path"] == "/nowhere"
    assert client("GET", f"/{tenant}/pay/", {}, b"").json["name"] == "Bridge Payments API"
    assert client("GET", f"/{tenant}/health/live", {}, b"").json["alive"] is True


# --- FastAPI ----------------------------------------------------------------------------------------


@pytest.fixture
def documented(bridge: Bridge) -> dict[str, Any]:
    document: dict[str, Any] = fastapi_host(bridge).openapi()
    return document


def test_our_operations_are_in_the_hosts_own_document(documented: dict[str, Any]) -> None:
    pytest.importorskip("openapi_spec_validator").validate(documented)
    shown = {(method.upper(), path) for path, methods in documented["paths"].items() for method in methods}
    served = {
        (method, PREFIX + path)
        for route in ROUTES
        if route.listed
        for path in (route.path, *route.aliases)
        for method in route.methods
    }
    assert shown == served


def test_each_answer_has_the_shape_in_the_hosts_document_that_it_has_in_ours(
    documented: dict[str, Any],
) -> None:
    def shapes(document: dict[str, Any]) -> dict[tuple[str, str, str], Any]:
        found = {
            (method, path.removeprefix(PREFIX), status): dict(answer["content"]["application/json"]["schema"])
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            for status, answer in operation["responses"].items()
            if "application/json" in answer.get("content", {})
        }
        for shape in found.values():
            shape.pop("title", None)  # FastAPI names unions
        del found["get", "/openapi.json", "200"]  # the document itself: anything
        return found

    assert shapes(documented) == shapes(openapi(ROUTES, prefix=PREFIX))


def test_bodies_answers_and_refusals_are_components(documented: dict[str, Any]) -> None:
    create = documented["paths"][f"{PREFIX}/payments/intents"]["post"]
    body = create["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/CreatePayment"}
    answer = create["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/PaymentDetailAnswer"}
    assert create["responses"]["409"]["content"]["application/json"]["schema"]["$ref"].endswith("Problem")
    assert "HTTPValidationError" not in json.dumps(documented)
    assert {"session", "bearer", "guest"} <= documented["components"]["securitySchemes"].keys()
    assert [one["name"] for one in create["parameters"]] == ["Idempotency-Key"]


async def staff_only(x_staff: Annotated[str | None, Header()] = None) -> None:
    if x_staff is None:
        raise HTTPException(418, "staff only")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/payments/intents"),
        ("GET", "/payments"),
        ("HEAD", "/payments"),
        ("OPTIONS", "/payments"),
        ("GET", "/payments/"),
        ("GET", "/nowhere"),
    ],
)
def test_the_hosts_dependencies_run_before_every_route(bridge: Bridge, method: str, path: str) -> None:
    """A host that includes the router with a guard relies on it: no spelling may slip past."""
    app = FastAPI()
    app.include_router(payments_router(bridge), prefix=PREFIX, dependencies=[Depends(staff_only)])
    client = asgi_client(app, bridge)
    assert client(method, PREFIX + path, HEADERS, b"").status == 418
    assert client(method, PREFIX + path, {**HEADERS, "x-staff": "1"}, b"").status != 418


def test_a_dependency_of_the_host_may_read_the_body_too(bridge: Bridge) -> None:
    seen: list[Any] = []

    async def peek(request: HostRequest) -> None:
        seen.append(await request.json())

    app = FastAPI()
    app.include_router(payments_router(bridge), prefix=PREFIX, dependencies=[Depends(peek)])
    client = asgi_client(app, bridge)
    answer = client("POST", f"{PREFIX}/payments/intents", HEADERS, b'{"currency":"USD"}')
    assert seen == [{"currency": "USD"}]
    assert answer.status == 400


def test_the_router_may_be_nested_and_its_prefix_may_have_a_variable(bridge: Bridge) -> None:
    outer = APIRouter(prefix="/{tenant}")
    outer.include_router(payments_router(bridge), prefix="/pay")
    app = FastAPI()
    app.include_router(outer, prefix="/api")
    client = asgi_client(app, bridge)
    assert client("GET", "/api/acme/pay/openapi.json", {}, b"").json["servers"] == [{"url": "/api/acme/pay"}]
    assert client("GET", "/api/acme/pay/payments/guest/a@b.c", {}, b"").status == 401
    assert client("GET", "/api/acme/pay/nowhere", {}, b"").json["path"] == "/nowhere"
