"""The guide is right: its programs run, and its tables say what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.settings import Settings
from bridge_payments.webhooks import DEFAULT_SCHEDULE, endpoints_from_settings, new_signing_secret
from bridge_payments.webhooks.payloads import body_for

GUIDE = Path(__file__).parents[3].joinpath("docs", "guides", "webhooks-out.md").read_text()

pytestmark = pytest.mark.anyio


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


async def test_its_programs_run_and_fit_together(lab: Any) -> None:
    done: list[Any] = []

    async def mark_paid(reference: str, once: str) -> None:
        done.append(("paid", reference, once))

    namespace: dict[str, Any] = {
        "store": lab.store,
        "mark_paid": mark_paid,
        "add_to_ledger": lambda event_id, payment: done.append(("ledger", event_id)),
        "first_time": lambda event_id: True,
        "handle": lambda type_, data: done.append((type_, data["id"])),
    }
    for program in blocks("python"):
        exec(program, namespace)
    webhooks = namespace["webhooks"]
    webhooks._transport = lab.network
    paid, refund = await lab.happen("payment.success", "refund.created")
    await webhooks.run_once()
    assert ("paid", "order-1", paid.id) in done
    assert ("ledger", refund.id) in done
    (sent,) = lab.network.sent
    namespace["receive"](sent.body, sent.headers)
    assert done[-1] == ("payment.success", paid.payment.id)


async def test_its_variables_are_read() -> None:
    lines = dict(line.split("=", 1) for line in blocks("sh")[0].strip().splitlines())
    (endpoint,) = endpoints_from_settings(
        Settings.from_env(lines | {"WEBHOOK_1_SECRET": new_signing_secret()})
    )
    assert endpoint.events == ("payment.*", "refund.succeeded")
    assert endpoint.timeout_seconds == 30
    assert len(endpoint.schedule) == 8


async def test_its_body_has_the_fields_of_a_body(make_event: Any) -> None:
    shown, real = json.loads(blocks("json")[0]), json.loads(body_for(make_event()))
    assert shown.keys() == real.keys()
    assert shown["data"].keys() - {"..."} <= real["data"].keys()


async def test_its_schedule_is_the_schedule() -> None:
    assert DEFAULT_SCHEDULE == (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600)
    assert "5 seconds, 5 minutes, 30 minutes, 2 hours, 5 hours, 10 hours and\n10 hours" in GUIDE
