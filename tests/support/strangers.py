"""A shop with Flowless in front, and everybody who might knock: the owner, strangers, nobodies, the admin."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Settings
from bridge_payments.http import Router
from bridge_payments.messages import Request, Response
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.sandbox.flowless import FakeFlowless
from bridge_payments.stores import MemoryStore

__all__ = ["CREATE", "HOME", "NOBODIES", "NOBODY", "OWNER", "STRANGERS", "World", "flowless"]

OWNER = "owner@example.com"
HOME = {"line1": "the-owners", "city": "Madrid", "postal_code": "28013", "country": "ES"}
NOBODY = {"email": "nobody@example.com", "name": "Nobody"}
"""What those say who prove nothing."""
CREATE = {"total_cents": 5500, "currency": "USD"}
STRANGERS = ("other user", "unverified namesake", "other guest")
NOBODIES = ("anonymous", "guest with a stale session")


@dataclass
class World:
    """A shop with Flowless in front: everybody signs in there."""

    flowless: FakeFlowless
    gateway: DummyGateway = field(default_factory=DummyGateway)

    def __post_init__(self) -> None:
        settings = Settings(
            allow_sandbox=True,
            default_provider="dummy",
            inprocess_worker=False,
            rate_limit_enabled=False,
            guest_max_payments_per_email=0,
            flowless_api_url=self.flowless.url,
            bridge_validation_secret=self.flowless.secret,
        )
        self.store = MemoryStore()
        self.secrets: dict[str, str | None] = {}
        engine = PaymentEngine(self.store, {"dummy": DummyProvider(self.gateway)}, settings=settings)
        self.bridge = Bridge(engine, auth=AuthBridge.from_settings(settings), settings=settings)
        self.router = Router(self.bridge)
        stale = self.flowless.sign_in("late", lasts=timedelta(seconds=-1))
        self.callers: dict[str, dict[str, str]] = {
            "anonymous": {},
            "guest with a stale session": {"x-session-id": stale},
            "other user": {"x-session-id": self.flowless.sign_in("other")},
            "unverified namesake": {
                "x-session-id": self.flowless.sign_in("eve", email=OWNER, verified=False)
            },
            "other guest": {"x-guest-token": self.flowless.guest("other@example.com")},
            "owner": {"x-session-id": self.flowless.sign_in("owner", email=OWNER)},
            "admin": {"x-session-id": self.flowless.sign_in("root", user_type="admin")},
        }

    async def ask(self, caller: str, method: str, path: str, body: object = None, **query: str) -> Response:
        sent = {
            "content-type": "application/json",
            "idempotency-key": uuid.uuid4().hex,
            **self.callers[caller],
        }
        content = b"" if body is None else json.dumps(body).encode()
        asked = Request(method=method, path=path, headers=sent, body=content, peer="192.0.2.7", query=query)
        return await self.router.answer(asked)

    async def payment(self, caller: str = "owner") -> str:
        """Return an open payment of somebody's."""
        return await self.id_of("/payments/intents", {**CREATE, "reference_code": "the-owners"}, caller)

    async def customer(self, caller: str = "owner") -> str:
        return await self.id_of("/customers", {"email": OWNER, "metadata": {"of": "the-owners"}}, caller)

    async def method(self, caller: str = "owner") -> str:
        return await self.id_of(
            "/payment-methods", {"payment_method_token": "dummy_ok", "alias": "the-owners"}, caller
        )

    async def address(self, caller: str = "owner") -> str:
        return await self.id_of("/addresses", HOME, caller)

    async def subscription(self, caller: str = "owner") -> str:
        body = {**CREATE, "payment_method_id": "dummy_ok", "description": "the-owners"}
        return await self.id_of("/subscriptions", body, caller)

    async def id_of(self, path: str, body: Mapping[str, Any], caller: str) -> str:
        if caller in NOBODIES:
            body = {**body, "guest_data": NOBODY}
        return str((await self.made(path, body, caller))["id"])

    async def made(self, path: str, body: Mapping[str, Any], caller: str = "owner") -> dict[str, Any]:
        answer = await self.ask(caller, "POST", path, body)
        assert answer.status in (200, 201), answer.body
        made: dict[str, Any] = json.loads(answer.body)["data"]
        self.secrets[made["id"]] = made.get("client_secret")
        return made

    def rows(self) -> str:
        """Return everything that is written down."""
        return repr(self.store._tables)


@pytest.fixture(scope="module")
def flowless() -> Iterator[FakeFlowless]:
    with FakeFlowless() as fake:
        yield fake
