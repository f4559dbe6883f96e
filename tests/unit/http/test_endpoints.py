"""An operator's day over HTTP: endpoints, deliveries, what providers sent. Real store, real dispatcher."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import standardwebhooks

from bridge_payments.auth import AuthBridge
from bridge_payments.bridge import Bridge
from bridge_payments.engine import PaymentEngine
from bridge_payments.http import Router
from bridge_payments.messages import Request
from bridge_payments.models import Money, MovableClock, Principal
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.providers.dummy.inbox import SIGNATURE, sign
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore
from bridge_payments.webhooks import Endpoint, WebhookDispatcher

pytestmark = pytest.mark.anyio


class Office:
    """An admin at a desk: asks the router, and sees what goes out."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.store = MemoryStore(self.clock)
        self.gateway = DummyGateway(clock=self.clock)
        self.sent: list[dict[str, Any]] = []
        self.answer = 200
        engine = PaymentEngine(
            self.store,
            {"dummy": DummyProvider(self.gateway)},
            settings=Settings(allow_sandbox=True, default_provider="dummy", inprocess_worker=False),
            clock=self.clock,
        )
        webhooks = WebhookDispatcher(
            self.store,
            endpoints=[Endpoint(name="till", url="https://till.example/", events=("payment.*",))],
            transport=self,  # type: ignore[arg-type]
            clock=self.clock,
        )
        self.bridge = Bridge(engine, auth=AuthBridge(lambda _: Principal.admin("root")), webhooks=webhooks)
        self.router = Router(self.bridge, starts_itself=True)
        self.engine, self.webhooks = engine, webhooks

    async def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        self.sent.append({"url": url, "headers": dict(more["headers"]), "body": more["content"]})
        return httpx.Response(self.answer)

    async def aclose(self) -> None: ...

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        content = b"" if body is None else json.dumps(body).encode()
        response = await self.router.answer(
            Request(
                method=method,
                path=path,
                headers={"content-type": "application/json"},
                query=query,
                body=content,
            )
        )
        return response.status, json.loads(response.body)

    async def good(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        status, answer = await self.ask(method, path, body, **query)
        assert 200 <= status < 300, answer
        return answer.get("data", answer)

    async def sell(self) -> str:
        payment = await self.engine.create_payment_intent(Money(2000, "USD"), provider="dummy")
        return (await self.engine.confirm_payment(payment.id, payment_method="dummy_ok")).id

    async def hear(self) -> None:
        """Let the provider tell us the last thing that happened there."""
        body = json.dumps(self.gateway.events[-1]).encode()
        headers = {SIGNATURE: sign(body, "dummy-webhook-secret")}
        request = Request(method="POST", path="/webhooks/dummy", headers=headers, body=body)
        assert (await self.router.answer(request)).status == 200


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    await office.bridge.start()
    yield office
    await office.bridge.aclose()


NEW = {"name": "shop", "url": "https://shop.example/hooks", "events": ["payment.success"]}


async def test_an_endpoint_is_made_told_changed_and_deleted(office: Office) -> None:
    made = await office.good("POST", "/webhooks", NEW)
    assert made["secret"].startswith("whsec_")
    await office.sell()
    await office.webhooks.run_once()
    (told,) = [sent for sent in office.sent if "shop.example" in sent["url"]]
    said = standardwebhooks.Webhook(made["secret"]).verify(told["body"], told["headers"])
    assert said["type"] == "payment.success"
    (delivery,) = await office.good("GET", f"/webhooks/{made['id']}/deliveries")
    assert (delivery["state"], delivery["status_code"], delivery["attempts"]) == ("delivered", 200, 1)

    changed = await office.good(
        "PATCH", f"/webhooks/{made['id']}", {"events": ["refund.*"], "enabled": False}
    )
    assert (changed["events"], changed["enabled"], changed["disabled_reason"]) == (
        ["refund.*"],
        False,
        "by_hand",
    )
    assert (await office.good("PUT", f"/webhooks/{made['id']}", {"enabled": True}))["enabled"] is True
    assert (await office.good("DELETE", f"/webhooks/{made['id']}"))["id"] == made["id"]
    assert (await office.ask("GET", f"/webhooks/{made['id']}"))[0] == 404


async def test_a_secret_is_shown_once_and_a_chats_address_never_again(office: Office) -> None:
    made = await office.good("POST", "/webhooks", NEW | {"headers": {"authorization": "Bearer HUSH"}})
    chat = await office.good("POST", "/webhooks", NEW | {"url": "https://hooks.slack.com/services/T/B/HUSH"})
    rotated = await office.good("POST", f"/webhooks/{made['id']}/rotate-secret")
    assert rotated["secret"] not in (made["secret"], None)
    assert chat["secret"] is None
    read = [await office.good("GET", path) for path in ("/webhooks", f"/webhooks/{made['id']}")]
    for hidden in (made["secret"], rotated["secret"], "HUSH"):
        assert hidden not in json.dumps(read)
    assert [each["url"] for each in read[0]][-1] == "https://hooks.slack.com/…"
    status, _ = await office.ask("PATCH", f"/webhooks/{chat['id']}", {"url": "https://hooks.slack.com/…"})
    assert status == 400  # what was shown is not the address


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://shop.example/x"}, "url"),
        ({"events": ["payments.*"]}, "events"),
        ({"headers": {"host": "x"}}, "headers"),
        ({"metadata": {"claimed_project_id": "p"}}, "metadata"),
        ({"secret": "whsec_????????????????????"}, "secret"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
    ],
)
async def test_what_cannot_work_is_refused_with_the_name_of_the_field(
    office: Office, wrong: dict[str, Any], field: str
) -> None:
    status, answer = await office.ask("POST", "/webhooks", NEW | wrong)
    assert status == 400
    assert field in json.dumps(answer)


async def test_configured_endpoints_are_seen_switched_and_tried_but_changed_elsewhere(office: Office) -> None:
    (till,) = await office.good("GET", "/webhooks")
    assert (till["id"], till["source"], till["enabled"]) == ("till", "configured", True)
    assert (await office.ask("PATCH", "/webhooks/till", {"events": ["*"]}))[0] == 400
    assert (await office.ask("DELETE", "/webhooks/till"))[0] == 400
    tried = await office.good("POST", "/webhooks/till/test")
    await office.webhooks.run_once()
    assert json.loads(office.sent[-1]["body"])["type"] == "webhook.test"
    (delivery,) = await office.good("GET", "/webhooks/deliveries", endpoint="till")
    assert (delivery["id"], delivery["state"]) == (tried["id"], "delivered")
    await office.good("PATCH", "/webhooks/till", {"enabled": False})
    await office.sell()
    before = len(office.sent)
    await office.webhooks.run_once()
    assert len(office.sent) == before


async def test_dead_letters_are_seen_and_sent_again_one_by_one_or_all(office: Office) -> None:
    office.answer = 404
    await office.sell()
    await office.webhooks.run_once()
    dead = await office.good("GET", "/webhooks/deliveries", state="dead")
    assert {each["error"] for each in dead} == {"refused with 404"}
    assert len(dead) > 1
    office.answer = 200
    again = await office.good("POST", f"/webhooks/deliveries/{dead[0]['id']}/redeliver")
    assert again["state"] == "pending"
    assert await office.good("POST", "/webhooks/till/redeliver") == {"redelivered": len(dead) - 1}
    await office.webhooks.run_once()
    assert await office.good("GET", "/webhooks/deliveries", state="dead") == []
    assert (await office.ask("POST", "/webhooks/deliveries/dlv_none/redeliver"))[0] == 404


async def test_what_providers_sent_is_seen_counted_and_processed_again(office: Office) -> None:
    payment = await office.sell()
    await office.hear()
    (entry,) = await office.good("GET", "/webhooks/received", state="received")
    assert (await office.good("POST", "/webhooks/process"))["handled"] == 1
    found = await office.good("GET", f"/webhooks/received/{entry['id']}")
    assert (found["state"], found["payment_id"], found["error"]) == ("processed", payment, None)
    assert "payload" not in found
    stats = await office.good("GET", "/webhooks/stats", provider_id="dummy")
    assert stats["webhooks"] == {"total": 1, "processed": 1, "pending": 0, "dead": 0}
    assert stats["events"]["by_event_type"]["payment.success"] == 1
    assert [each["id"] for each in await office.good("GET", "/webhooks/provider/dummy")] == [entry["id"]]
    await office.good("POST", f"/webhooks/received/{entry['id']}/replay")
    assert (await office.good("GET", f"/webhooks/received/{entry['id']}"))["state"] == "received"
    assert (await office.ask("POST", "/webhooks/received/wh_none/replay"))[0] == 404


async def test_the_clean_up_forgets_bodies_and_keeps_the_event_known(office: Office) -> None:
    await office.sell()
    await office.hear()
    await office.good("POST", "/webhooks/process")
    office.clock.move(timedelta(days=8))
    assert await office.good("DELETE", "/webhooks/cleanup", days="7") == {
        "deleted_webhooks": 1, "deleted_events": 0,
    }  # fmt: skip
    await office.hear()
    assert len(await office.good("GET", "/webhooks/received")) == 1
    assert (await office.ask("DELETE", "/webhooks/cleanup", days="0"))[0] == 400
