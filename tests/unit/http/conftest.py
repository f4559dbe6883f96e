"""The rim over an engine that does what it is told: it records what it was asked and answers the script."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge_payments.auth import AuthBridge
from bridge_payments.auth.limits import Limits, MemoryCounters
from bridge_payments.caching import CacheStats
from bridge_payments.errors import StoreError
from bridge_payments.http import Route, Router
from bridge_payments.http.routes import ROUTES
from bridge_payments.messages import Request, Response
from bridge_payments.models import (
    GuestData,
    Payment,
    PaymentMethod,
    PaymentStatus,
    Principal,
    Refund,
    RefundStatus,
)
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.recall import Recall
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore
from bridge_payments.stores.base import Page
from bridge_payments.telemetry import Watch
from bridge_payments.webhooks import WebhookDispatcher

NOW = datetime(2026, 1, 15, 10, 30, 0, 123456, tzinfo=UTC)
JSON = {"content-type": "application/json"}

ADMIN = Principal.admin("root")
USER = Principal.user("u1", email="ada@example.com")
GUEST = Principal.guest("ada@example.com")


def a_payment(**more: Any) -> Payment:
    values: dict[str, Any] = {
        "id": "pay_1",
        "provider_id": "dummy",
        "status": PaymentStatus.PENDING,
        "currency": "USD",
        "subtotal_cents": 5000,
        "tax_cents": 500,
        "discount_cents": 0,
        "total_cents": 5500,
        "created_at": NOW,
        "updated_at": NOW,
        "provider_intent_id": "di_1",
        "client_secret": "di_1_secret_x",
        "is_guest_payment": True,
        "guest_email": "ada@example.com",
        "guest_data": GuestData(email="ada@example.com", name="Ada"),
        "reference": "internal0reference00",
        "error_message": "the operator's eyes only",
    }
    return Payment(**{**values, **more})


def a_refund(**more: Any) -> Refund:
    values: dict[str, Any] = {
        "id": "re_1",
        "payment_id": "pay_1",
        "provider_id": "dummy",
        "amount_cents": 1000,
        "currency": "USD",
        "status": RefundStatus.PENDING,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Refund(**{**values, **more})


class ScriptedStore:
    def __init__(self) -> None:
        self.away = False

    async def check(self) -> None:
        if self.away:
            raise StoreError("could not connect to postgresql://shop:hunter2@db/shop")


class ScriptedEngine:
    """Every verb answers with what is in `script` under its name: a value, or an error to raise."""

    def __init__(self) -> None:
        self.script: dict[str, Any] = {}
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.store = ScriptedStore()
        self.providers = {"dummy": DummyProvider(), "authorize_net": DummyProvider()}

    @staticmethod
    def clock() -> datetime:
        return NOW

    @property
    def provider_ids(self) -> tuple[str, ...]:
        return tuple(self.providers)

    def provider(self, provider_id: str) -> DummyProvider:
        return self.providers[provider_id]

    async def methods_of(self, *_: object, **__: object) -> dict[str, PaymentMethod]:
        """Read beside a payment, and not what a test asks about."""
        return {}

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def verb(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            answer = self.script.get(name, a_payment() if name.endswith(("payment", "intent")) else None)
            if name == "list_payments" and answer is None:
                answer = Page(items=(a_payment(),), total=1)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return verb

    @property
    def asked(self) -> dict[str, Any]:
        """The keyword arguments of the last call."""
        return self.calls[-1][2]


@dataclass
class ScriptedBridge:
    engine: ScriptedEngine
    auth: AuthBridge
    settings: Settings
    limits: Limits
    started: bool = True
    starts: int = 0
    recall: Recall = field(init=False)
    webhooks: WebhookDispatcher = field(default_factory=lambda: WebhookDispatcher(MemoryStore()))
    watch: Watch = field(default_factory=Watch)
    metrics: None = None

    def __post_init__(self) -> None:
        self.recall = Recall(self.engine, ttl=0)  # type: ignore[arg-type]

    def cache_stats(self) -> dict[str, CacheStats]:
        return {}

    async def start(self) -> None:
        self.starts += 1
        self.started = True


@dataclass
class Rim:
    """Ask the router as a mount would."""

    engine: ScriptedEngine
    bridge: ScriptedBridge
    router: Router
    principal: Principal | None = None
    last: Response | None = field(default=None)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        scheme: str = "http",
    ) -> Response:
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {**(JSON if method in ("POST", "PUT", "PATCH") else {}), **(headers or {})}
        request = Request(
            method=method,
            path=path,
            headers={name: value for name, value in sent.items() if value},
            query=query or {},
            body=content,
            peer="192.0.2.7",
            scheme=scheme,
        )
        self.last = await self.router.answer(request)
        return self.last

    async def json(self, method: str, path: str, body: object = None, **more: Any) -> dict[str, Any]:
        """Ask, and return the parsed answer."""
        answer: dict[str, Any] = json.loads((await self.ask(method, path, body, **more)).body)
        return answer


Build = Callable[..., Rim]


@pytest.fixture
def build() -> Build:
    def make(
        *,
        principal: Principal | None = None,
        who: Any = None,
        routes: Sequence[Route] = ROUTES,
        **settings: Any,
    ) -> Rim:
        engine = ScriptedEngine()
        auth = AuthBridge(who or (lambda request: principal))
        chosen = {"default_provider": "dummy", "cors_origins": ("https://shop.example",), **settings}
        given = Settings(**chosen)
        bridge = ScriptedBridge(engine, auth, given, Limits.from_settings(given, MemoryCounters()))
        return Rim(engine, bridge, Router(bridge, routes), principal)  # type: ignore[arg-type]

    return make


@pytest.fixture
def rim(build: Build) -> Rim:
    """Nobody is signed in."""
    return build()


@pytest.fixture
def admin(build: Build) -> Rim:
    return build(principal=ADMIN)


@pytest.fixture
def user(build: Build) -> Rim:
    return build(principal=USER)


@pytest.fixture
def guest(build: Build) -> Rim:
    return build(principal=GUEST)


@pytest.fixture
def payment() -> Callable[..., Payment]:
    return a_payment


@pytest.fixture
def refund() -> Callable[..., Refund]:
    return a_refund
