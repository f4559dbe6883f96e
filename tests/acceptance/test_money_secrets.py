"""A client secret lets whoever has it go on with a payment: a day and an hour later our database has none."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from crashlab.dump import dump, leftovers
from crashlab.flows import CARD, DECLINED
from crashlab.plugin import Premises
from crashlab.premises import RETURN_URL, Shop, open_shop

from bridge_payments.bridge import Bridge
from bridge_payments.errors import BridgeError, OperationInProgress, PaymentDeclined, Unavailable
from bridge_payments.models import GuestData, OperationState, Payment, Principal

pytestmark = pytest.mark.anyio

CHALLENGED = "pm_card_threeDSecure2Required"
PASSER_BY = Principal.anonymous(peer="192.0.2.7")
USER = Principal.user("u1", email="grace@example.com")


async def test_no_column_holds_a_client_secret_after_twenty_five_hours(
    premises: Premises, tmp_path: Path
) -> None:
    address = premises.address()
    async with open_shop(address) as shop:
        bridge = Bridge(shop.engine)
        stuck = await busy_day(premises, shop)
        secrets = {str(intent["client_secret"]) for intent in premises.gateway.intents()}
        issued = len(secrets)
        assert issued > 12
        during = dump(address.database)
        assert [secret for secret in secrets if secret in during], "while it is needed it is there"
        await hear_everything(premises, shop, secrets)

        for _ in range(25 * 3):
            await shop.move(minutes=20)
            await bridge.run_worker(once=True)

        text = dump(address.database)
        assert all(row.payment.id in text for row in await shop.rows()), "the dump shows what there is"
        assert found(secrets, text) == []
        assert found(secrets, leftovers(address.database, tmp_path).decode("latin-1")) == []
        assert re.findall(r"pi_\w+_secret_\w+", text) == []

        # What stayed unknown all day is found in the end, and its secret is not let in again.
        operation = (await shop.row(stuck.id)).operations[-1]
        assert operation.state is OperationState.UNKNOWN
        premises.gateway.faults.clear()
        for _ in range(8):
            await shop.move(minutes=20)
            await bridge.run_worker(once=True)
        assert found(secrets, dump(address.database)) == []
        assert premises.audit(await shop.rows()).findings == []
        assert len(premises.gateway.intents()) == issued


def found(secrets: set[str], text: str) -> list[str]:
    return [
        f"{secret[:12]}… near {text[max(text.index(secret) - 300, 0) :][:300]}"
        for secret in secrets
        if secret in text
    ]


async def busy_day(premises: Premises, shop: Shop) -> Payment:
    """Do everything that a payment can go through. Returns the payment of which nobody hears all day."""
    engine, gateway = shop.engine, premises.gateway

    async def begun(principal: Principal = USER, **more: object) -> Payment:
        guest = GuestData(email="ada@example.com", name="Ada") if principal.is_anonymous else None
        return await engine.create_payment_intent(
            total_cents=2000, currency="USD", guest=guest, principal=principal,
            **{"return_url": RETURN_URL, **more},  # type: ignore[arg-type]
        )  # fmt: skip

    # left alone
    await begun()
    await begun(PASSER_BY, idempotency_key="k")
    # paid: by us, by a browser
    await engine.confirm_payment((await begun()).id, payment_method=CARD, principal=USER)
    premises.pay_in_browser((await begun(PASSER_BY)).provider_intent_id)
    # paid, and given back in part, as a whole, and in vain
    for amount in (600, None):
        paid = await begun(confirm=True, payment_method=CARD)
        refund = await engine.refund_payment(paid.id, amount_cents=amount, idempotency_key="r")
        assert refund.provider_refund_id
    gateway.settle(refund.provider_refund_id, succeeded=False)
    # declined; challenged by us, challenged in the browser, and answered
    with pytest.raises(PaymentDeclined):
        await engine.confirm_payment((await begun()).id, payment_method=DECLINED)
    await engine.confirm_payment((await begun(PASSER_BY)).id, payment_method=CHALLENGED)
    premises.pay_in_browser((await begun(PASSER_BY)).provider_intent_id, card=CHALLENGED)
    answered = await begun(confirm=True, payment_method=CHALLENGED)
    assert answered.provider_intent_id
    gateway.authenticate(answered.provider_intent_id)
    # held, collected, released, changed, canceled with the secret
    await begun(capture_method="manual", confirm=True, payment_method=CARD)
    held = await begun(capture_method="manual", confirm=True, payment_method=CARD)
    await engine.capture_payment(held.id, amount_cents=1500)
    changed = await begun(PASSER_BY)
    secret = gateway.intent(str(changed.provider_intent_id))["client_secret"]
    for verb in (engine.update_payment_intent, engine.cancel_payment):
        description = {"description": "new"} if verb == engine.update_payment_intent else {}
        await verb(changed.id, client_secret=secret, principal=PASSER_BY, **description)
    # lost: the answer to a create, the answer to a confirm
    gateway.lose_next_answer()
    with contextlib.suppress(Unavailable):
        await begun(idempotency_key="lost")
    unheard = await begun()
    gateway.lose_next_answer()
    await engine.confirm_payment(unheard.id, payment_method=CARD)
    # lost, and nobody can be asked
    stuck = await begun(PASSER_BY)
    gateway.lose_next_answer()
    await engine.confirm_payment(stuck.id, payment_method=CARD)
    path = f"/v1/payment_intents/{stuck.provider_intent_id}"
    gateway.faults.add("error_before", path=path, method="GET", times=10_000)
    with contextlib.suppress(OperationInProgress):
        await engine.cancel_payment(stuck.id)
    return stuck


async def hear_everything(premises: Premises, shop: Shop, secrets: set[str]) -> None:
    """Receive every webhook; their raw bodies hold client secrets, by name and within addresses of pages."""
    events = premises.gateway.events()
    bodies = [shop.signed(event).body.decode() for event in events]
    assert [body for body in bodies if any(f'"client_secret": "{secret}"' in body for secret in secrets)]
    assert [body for body in bodies if any(f"client_secret={secret}" in body for secret in secrets)]
    for event in events:
        try:
            await shop.deliver(event)
        except BridgeError as error:
            raise AssertionError(f"{event['type']}: {error}") from error
