"""A gateway per test, its official client, and a receiver for its webhooks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from stripe import StripeClient

from bridge_payments.sandbox.stripe import FakeStripe


@pytest.fixture(scope="session")
def _listening() -> Iterator[FakeStripe]:
    with FakeStripe() as gateway:
        yield gateway


@pytest.fixture
def gateway(_listening: FakeStripe) -> FakeStripe:
    """One server for the whole run, as new for each test."""
    _listening.reset(endpoints=True)
    return _listening


@pytest.fixture
def stripe(gateway: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> StripeClient:
    """Stripe's own Python client, pointed at the gateway."""
    monkeypatch.setattr("stripe.enable_telemetry", False)
    return StripeClient(gateway.secret_key, base_addresses={"api": gateway.url}, max_network_retries=0)


@pytest.fixture
def raw(gateway: FakeStripe) -> Iterator[httpx.Client]:
    """A bare HTTP client with the secret key."""
    headers = {"authorization": f"Bearer {gateway.secret_key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=5, trust_env=False) as client:
        yield client


@pytest.fixture
def browser(gateway: FakeStripe) -> Iterator[httpx.Client]:
    """What the payer's browser may do: the publishable key, in the form as Stripe.js sends it."""
    headers = {"authorization": f"Bearer {gateway.publishable_key}", "origin": "http://shop.example"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=5, trust_env=False) as client:
        yield client


class Receiver:
    """A merchant's webhook endpoint."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        self.deliveries: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        """Answers to give before it begins to answer 200."""

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.deliveries]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.deliveries.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def conforms(require: Callable[[str], Path]) -> Callable[[str, Any], None]:
    """Check an object against the schema that Stripe publishes."""
    jsonschema = pytest.importorskip("jsonschema")
    path = require("specs") / "stripe" / "spec3-2026-07-29.subset.json"
    document = _without_nullable(json.loads(path.read_text()))

    def check(schema: str, value: object) -> None:
        root = {**document, "$ref": f"#/components/schemas/{schema}"}
        errors = list(jsonschema.Draft4Validator(root).iter_errors(value))
        shown = [f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in errors[:5]]
        assert not errors, shown

    return check


def _without_nullable(node: Any) -> Any:
    """OpenAPI 3.0 says ``nullable``, JSON Schema says another type."""
    if isinstance(node, list):
        return [_without_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    read = {name: _without_nullable(value) for name, value in node.items() if name != "nullable"}
    if node.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, read]}
    return read
