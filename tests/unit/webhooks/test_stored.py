"""Endpoints that an operator keeps in the store: every process tells them, and each may be changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import standardwebhooks
import svix.webhooks

from bridge_payments.errors import InvalidRequest, NotFound
from bridge_payments.models import DeliveryState, SigningSecret, StoredEndpoint, new_id

pytestmark = pytest.mark.anyio

URL = "https://crm.example/hooks"


async def kept(webhooks: Any, **more: Any) -> StoredEndpoint:
    view = await webhooks.stored.create(**({"name": "crm", "url": URL, "events": ["payment.*"]} | more))
    found: StoredEndpoint = view.endpoint
    return found


async def test_every_process_tells_an_endpoint_that_another_one_stored(lab: Any) -> None:
    endpoint = await kept(lab.dispatcher())
    (event,) = await lab.happen()
    await lab.dispatcher().run_once()
    assert [sent.id for sent in lab.network.to("crm.example")] == [event.id]
    assert [d.endpoint for d in await lab.deliveries()] == [endpoint.id]


async def test_a_change_counts_from_the_next_event_on(lab: Any) -> None:
    webhooks = lab.dispatcher()
    endpoint = await kept(webhooks)
    await webhooks.stored.update(
        endpoint.id, url="https://new.example/", events=["refund.*"], headers={"X-Shop": "7"}
    )
    _, refund = await lab.happen("payment.success", "refund.succeeded")
    await webhooks.run_once()
    (sent,) = lab.network.sent
    assert (sent.host, sent.id, sent.headers["x-shop"]) == ("new.example", refund.id, "7")


async def test_a_deleted_endpoint_hears_nothing_more(lab: Any) -> None:
    webhooks = lab.dispatcher()
    endpoint = await kept(webhooks)
    await webhooks.stored.delete(endpoint.id)
    await lab.happen()
    await webhooks.run_once()
    assert lab.network.sent == []
    with pytest.raises(NotFound):
        await webhooks.stored.delete(endpoint.id)


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(lab: Any) -> None:
    lab.clock.offset = datetime.now(UTC) - lab.clock()
    webhooks = lab.dispatcher()
    endpoint = await kept(webhooks)
    (old,) = (secret.value for secret in endpoint.secrets)
    _, new = await webhooks.stored.rotate_secret(endpoint.id)
    await lab.happen()
    await webhooks.run_once()
    (sent,) = lab.network.sent
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(sent.body, sent.headers)
        svix.webhooks.Webhook(secret).verify(sent.body, sent.headers)
    lab.wait(hours=25)
    await lab.happen()
    await webhooks.run_once()
    assert len(lab.network.sent[-1].headers["webhook-signature"].split()) == 1


async def test_of_a_leaked_secret_nothing_is_left(lab: Any) -> None:
    webhooks = lab.dispatcher()
    endpoint = await kept(webhooks, secret="whsec_" + "QUJD" * 8)
    view, new = await webhooks.stored.rotate_secret(endpoint.id, overlap=timedelta(0))
    assert view.endpoint.secrets == (SigningSecret(value=new),)


async def test_a_chat_needs_no_secret_and_gets_a_message(lab: Any) -> None:
    webhooks = lab.dispatcher()
    endpoint = await kept(webhooks, url="https://hooks.slack.com/services/T/B/x")
    assert endpoint.secrets == ()
    await lab.happen()
    await webhooks.run_once()
    (sent,) = lab.network.sent
    assert "webhook-signature" not in sent.headers
    assert "blocks" in json.loads(sent.body)


async def test_switched_off_by_hand_it_hears_nothing_and_misses_nothing(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint("shop"))
    endpoint = await kept(webhooks)
    assert await webhooks.stored.switch(endpoint.id, on=False)
    assert await webhooks.stored.switch("shop", on=False)  # a configured one, too
    await lab.happen()
    await webhooks.run_once()
    assert (lab.network.sent, await lab.deliveries()) == ([], [])
    assert await webhooks.stored.switch(endpoint.id, on=True)
    assert not await webhooks.stored.switch(endpoint.id, on=True)
    (event,) = await lab.happen()
    await webhooks.run_once()
    assert [sent.id for sent in lab.network.sent] == [event.id]


async def test_a_test_event_goes_to_that_endpoint_alone(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint("shop"))
    endpoint = await kept(webhooks, events=["refund.*"])
    delivery = await webhooks.stored.send_test(endpoint.id)
    await webhooks.run_once()
    (sent,) = lab.network.sent
    assert (sent.host, json.loads(sent.body)["type"]) == ("crm.example", "webhook.test")
    assert [(d.id, d.state) for d in await lab.deliveries()] == [(delivery.id, DeliveryState.DELIVERED)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://crm.example/"}, "url"),
        ({"url": "https://hooks.slack.com/…"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["payments.*"]}, "events"),
        ({"name": ""}, "name"),
        ({"secret": "whsec_???"}, "secret"),
        ({"headers": {"host": "x"}}, "headers"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"tries": 0}, "tries"),
        ({"concurrency": 500}, "concurrency"),
        ({"format": "callable"}, "format"),
        ({"metadata": {"claimed_organization_id": "org-1"}}, "metadata"),
    ],
)
async def test_what_cannot_work_is_refused_by_its_field(lab: Any, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await kept(lab.dispatcher(), **wrong)
    assert refused.value.field == field
    assert await lab.dispatcher().stored.list() == []


async def test_an_endpoint_that_another_release_wrote_keeps_nobody_else_from_being_told(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint("shop"))
    now = lab.clock()
    strange = StoredEndpoint(
        id=new_id("whe"), name="x", url="gopher://x", events=("*",), created_at=now, updated_at=now
    )
    await lab.store.run(lambda unit: unit.endpoints.add(strange))
    (event,) = await lab.happen()
    await webhooks.run_once()
    assert [sent.id for sent in lab.network.sent] == [event.id]


async def test_an_installation_may_tell_nobody_outside(lab: Any) -> None:
    webhooks = lab.dispatcher()
    await kept(webhooks)
    webhooks.external = False
    await lab.happen()
    await webhooks.run_once()
    assert (lab.network.sent, await lab.deliveries()) == ([], [])


# --- how an endpoint is doing ---------------------------------------------------------------------


async def fail_for(lab: Any, webhooks: Any, days: int) -> None:
    lab.network.answers["shop.example"] = lambda sent: httpx.Response(503)
    for _ in range(days * 4):
        await lab.happen()
        await webhooks.run_once()
        lab.wait(hours=6)


async def test_after_five_days_without_success_it_is_switched_off_and_the_others_hear_of_it(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint("shop"), lab.endpoint("ops", events=("webhook.*",)))
    await fail_for(lab, webhooks, days=4)
    assert lab.network.to("ops.example") == []
    await fail_for(lab, webhooks, days=2)
    await webhooks.run_once()
    (told,) = lab.network.to("ops.example")
    event = json.loads(told.body)
    assert event["type"] == "webhook.disabled"
    assert (event["data"]["endpoint"], event["data"]["reason"]) == ("shop", "failing")
    before = len(lab.network.to("shop.example"))
    await lab.happen()
    await webhooks.run_once()
    assert len(lab.network.to("shop.example")) == before
    lab.network.answers.clear()
    missed = await webhooks.redeliver_dead("shop")
    assert missed >= 1
    while await webhooks.run_once():
        pass
    assert not [d for d in await lab.deliveries(limit=500) if d.state is not DeliveryState.DELIVERED]


async def test_one_success_in_five_days_keeps_it_on(lab: Any) -> None:
    webhooks = lab.dispatcher(lab.endpoint("shop"))
    await fail_for(lab, webhooks, days=4)
    lab.network.answers.clear()
    await lab.happen()
    await webhooks.run_once()
    await fail_for(lab, webhooks, days=4)
    assert (await webhooks.stored.health())["shop"].disabled_at is None


async def test_a_few_failures_far_apart_prove_nothing(lab: Any) -> None:
    lab.network.answers["shop.example"] = lambda sent: httpx.Response(400)
    webhooks = lab.dispatcher(lab.endpoint("shop"))
    for _ in range(5):
        await lab.happen()
        await webhooks.run_once()
        lab.wait(days=3)
    assert (await webhooks.stored.health())["shop"].disabled_at is None


async def test_a_handler_of_the_application_is_never_switched_off(lab: Any) -> None:
    webhooks = lab.dispatcher()

    @webhooks.on("*")
    def breaks(event: Any) -> None:
        raise RuntimeError

    for _ in range(40):
        await lab.happen()
        await webhooks.run_once()
        lab.wait(hours=6)
    assert await webhooks.stored.health() == {}


# --- whose event it is ----------------------------------------------------------------------------


async def test_an_endpoint_for_some_hears_of_nobody_else(lab: Any, payment: Any) -> None:
    from dataclasses import replace

    webhooks = lab.dispatcher(
        lab.endpoint("org-a", organizations=("A",)),
        lab.endpoint("org-b", organizations=("B", "C")),
        lab.endpoint("ada", users=("ada",)),
        lab.endpoint("web", metadata={"channel": "web"}),
        lab.endpoint("both", organizations=("A",), metadata={"channel": "web"}),
        lab.endpoint("all"),
    )
    told = [
        replace(payment, organization_id="A", metadata={"channel": "web"}),
        replace(payment, organization_id="B", user_id="ada", metadata={"channel": "app"}),
        replace(payment, metadata={"claimed_organization_id": "A", "organization_id": "A"}),
    ]
    events = [lab.make_event(payment=each) for each in told] + [lab.make_event("webhook.test", payment=None)]
    await lab.store.run(lambda unit: [unit.events.add(event) for event in events])
    await webhooks.run_once()
    number = {event.id: index for index, event in enumerate(events)}
    heard = {
        endpoint.name: [number[sent.id] for sent in lab.network.to(f"{endpoint.name}.example")]
        for endpoint in webhooks.endpoints
    }
    assert {name: sorted(found) for name, found in heard.items()} == {
        "org-a": [0], "org-b": [1], "ada": [1], "web": [0], "both": [0], "all": [0, 1, 2, 3],
    }  # fmt: skip


async def test_closing_gives_back_what_was_claimed_and_not_begun(lab: Any) -> None:
    import asyncio

    asked = asyncio.Event()

    async def hang(sent: Any) -> httpx.Response:
        asked.set()
        return await asyncio.Future()

    lab.network.answers["shop.example"] = hang
    webhooks = lab.dispatcher(lab.endpoint("shop", timeout_seconds=300))
    await lab.happen(*["payment.success"] * 5)
    round_ = asyncio.create_task(webhooks.run_once())
    await asked.wait()
    webhooks._lanes["shop"][1].cancel()
    await asyncio.gather(round_, return_exceptions=True)
    await webhooks.aclose()
    lab.network.answers.clear()
    before = len(lab.network.sent)
    await lab.dispatcher(lab.endpoint("shop")).run_once()  # at once, without waiting for a lease
    assert len(lab.network.sent) == before + 5
    assert {(d.state, d.attempts) for d in await lab.deliveries()} == {(DeliveryState.DELIVERED, 1)}
