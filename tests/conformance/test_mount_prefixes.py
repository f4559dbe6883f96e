"""Every route of the table, under several prefixes, alone and behind a proxy that has a prefix of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

from bridge_payments.bridge import Bridge
from bridge_payments.http import ROUTES, Router
from bridge_payments.http.openapi import operations
from bridge_payments.messages import Request
from bridge_payments.mounts.fastapi import payments_router
from bridge_payments.mounts.flask import payments_blueprint
from bridge_payments.mounts.starlette import payments_mount
from bridge_payments.testing.mounts import PROXY, Client, asgi_client, served_bridge, wsgi_client

ABSENT = "pay_01938e5f-0000-7000-8000-000000000000"


def starlette(bridge: Bridge, prefix: str, root: str) -> Client:
    app = Starlette(routes=[payments_mount(bridge, prefix)])
    return _asgi(app, bridge, root)


def fastapi(bridge: Bridge, prefix: str, root: str) -> Client:
    app = FastAPI()
    app.include_router(payments_router(bridge), prefix=prefix)
    return _asgi(app, bridge, root)


def flask(bridge: Bridge, prefix: str, root: str) -> Client:
    app = Flask(__name__)
    app.register_blueprint(payments_blueprint(bridge), url_prefix=prefix)

    def behind(environ: dict[str, Any], start: Any) -> Any:
        inside = environ["PATH_INFO"].removeprefix(root)
        return app({**environ, "SCRIPT_NAME": root, "PATH_INFO": inside}, start)

    return wsgi_client(behind)


def _asgi(app: Any, bridge: Bridge, root: str) -> Client:
    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": root}, receive, send)

    return asgi_client(behind, bridge)


@pytest.fixture(scope="module")
def bridge() -> Iterator[Bridge]:
    with served_bridge() as bridge:
        yield bridge


@pytest.mark.parametrize("mount", [starlette, fastapi, flask])
@pytest.mark.parametrize("root", ["", "/shop"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_the_bare_prefix_is_answered_and_sends_nobody_on(
    bridge: Bridge, mount: Callable[..., Client], root: str, method: str
) -> None:
    prefix = "/bridge-payment"
    client, router = mount(bridge, prefix, root), Router(bridge)
    headers = {"host": "testserver", "x-request-id": "bare"}
    request = Request(method=method, path="/", headers=headers, peer=PROXY, prefix=root + prefix)
    expected = bridge.blocking.call(router.answer, request)
    assert expected.status in (200, 204, 405)
    for target in (root + prefix, root + prefix + "/"):
        found = client(method, target, headers, b"")
        assert (found.status, found.body) == (expected.status, expected.body)
        assert dict(found.headers) == dict(expected.headers)
    assert client(method, root + prefix + "-elsewhere", headers, b"").status == 404


@pytest.mark.parametrize("mount", [starlette, fastapi, flask])
@pytest.mark.parametrize(("prefix", "root"), [("/bridge-payment", "/shop"), ("/a/b-c/d_e", "")])
@pytest.mark.parametrize("caller", ["root", ""])
def test_the_whole_table_is_the_same_wherever_it_is_mounted(
    bridge: Bridge, mount: Callable[..., Client], root: str, prefix: str, caller: str
) -> None:
    client, router = mount(bridge, prefix, root), Router(bridge)
    asked = 0
    for route, method, template in operations(ROUTES):
        path = template
        while "{" in path:  # what is not there is answered alike, however often one asks
            path = path[: path.index("{")] + ABSENT + path[path.index("}") + 1 :]
        body = json.dumps({"guest_data": {}}).encode() if route.takes else b""
        headers = {
            "host": "testserver",
            "content-type": "application/json",
            "x-request-id": "prefixes",
            "idempotency-key": "k",
            **({"content-length": str(len(body))} if body else {}),
            **({"x-session-id": caller} if caller else {}),
        }
        request = Request(
            method=method, path=path, headers=headers, body=body, peer=PROXY, prefix=root + prefix
        )
        expected = bridge.blocking.call(router.answer, request)
        found = client(method, root + prefix + path, headers, body)
        where = f"{method} {template}"
        assert found.status == expected.status, where
        if "health" not in path:  # which says how long it took
            assert found.body == expected.body, where
            assert dict(found.headers) == dict(expected.headers), where
        asked += 1
    assert asked == len(list(operations(ROUTES)))
