"""A request may claim any organization; no endpoint of that organization hears of it (rule 24)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from bridge_payments.auth import AuthBridge
from bridge_payments.bridge import Bridge
from bridge_payments.engine import PaymentEngine
from bridge_payments.http import Router
from bridge_payments.messages import Request
from bridge_payments.models import Principal
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.webhooks import Endpoint, WebhookDispatcher

pytestmark = pytest.mark.anyio

TENANTS = {"a": "org-a", "b": "org-b"}


def who(request: Request) -> Principal | None:
    name = request.header("x-user")
    return Principal.user(name, organization_id=TENANTS[name]) if name else None


class Town:
    """Two tenants, each with endpoints of its own, configured and stored."""

    def __init__(self) -> None:
        self.heard: dict[str, list[dict[str, Any]]] = {}
        store = MemoryStore()
        settings = Settings(allow_sandbox=True, default_provider="dummy", inprocess_worker=False)
        self.engine = PaymentEngine(store, {"dummy": DummyProvider()}, settings=settings)
        self.webhooks = WebhookDispatcher(
            store,
            endpoints=[
                Endpoint(name=name, url=f"https://{name}.example/", events=("*",), organizations=(tenant,))
                for name, tenant in TENANTS.items()
            ],
            transport=self,  # type: ignore[arg-type]
        )
        self.bridge = Bridge(self.engine, auth=AuthBridge(who), webhooks=self.webhooks)
        self.router = Router(self.bridge, starts_itself=True)

    async def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        self.heard.setdefault(url, []).append(json.loads(more["content"]))
        return httpx.Response(204)

    async def aclose(self) -> None: ...

    async def pay(self, user: str | None, **body: Any) -> dict[str, Any]:
        content = {"total_cents": 2000, "currency": "USD", **body}
        headers = {"content-type": "application/json", **({"x-user": user} if user else {})}
        request = Request(
            method="POST", path="/payments/intents", headers=headers, body=json.dumps(content).encode()
        )
        response = await self.router.answer(request)
        assert response.status == 201, response.body
        answer: dict[str, Any] = json.loads(response.body)["data"]
        return answer


CLAIMS = (
    {"organization_id": "org-a"},
    {"organization_id": "org-a", "project_id": "org-a", "customer_id": None},
    {"metadata": {"organization_id": "org-a", "claimed_organization_id": "org-a"}},
    {"organization_id": "org-a", "metadata": {"organization_id": "org-a"}, "user_id": "a"},
)


@pytest.mark.parametrize("caller", ["b", None])
@pytest.mark.parametrize("claim", CLAIMS)
async def test_a_claimed_organization_reaches_none_of_its_endpoints(
    caller: str | None, claim: dict[str, Any]
) -> None:
    town = Town()
    await town.webhooks.stored.create(
        name="a's own", url="https://stored-a.example/", events=["*"], organization_ids=("org-a",)
    )
    guest = {"guest_data": {"email": "eve@example.com", "name": "Eve"}} if caller is None else {}
    await town.pay(caller, **claim, **guest)
    while await town.webhooks.run_once():
        pass
    assert not [url for url in town.heard if "a.example" in url]
    await town.pay("a", organization_id="org-a")  # who belongs there is told there
    while await town.webhooks.run_once():
        pass
    assert {url for url in town.heard if "a.example" in url} == {
        "https://a.example/", "https://stored-a.example/",
    }  # fmt: skip
    await town.bridge.aclose()
