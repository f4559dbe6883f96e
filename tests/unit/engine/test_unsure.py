"""Answers that are not what they seem, and callers who are not who may."""

from __future__ import annotations

import pytest

from bridge_payments.errors import AccessDenied, ProviderRejected
from bridge_payments.models import OperationState, PaymentStatus, Principal, RefundStatus, Verb

pytestmark = pytest.mark.anyio


async def test_an_adapter_that_breaks_after_it_asked_leaves_unknown_and_one_charge(house, monkeypatch):
    payment = await house.new()
    provider = house.engine.provider("dummy")
    confirm = provider.confirm_payment

    async def stumbles(request, *, step):
        await confirm(request, step=step)
        raise KeyError("a field that the answer does not have")

    monkeypatch.setattr(provider, "confirm_payment", stumbles)
    answer = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert answer.unknown_operation_id, "money may have moved: that is not a refusal"
    await house.settle()
    assert (await house.row(payment.id)).status is PaymentStatus.SUCCEEDED
    assert len(house.gateway.charges) == 1


async def test_a_repeat_that_is_refused_leaves_the_refund_unknown(house, monkeypatch):
    """The first send may have been executed since it was looked up: the no is about the repeat."""
    payment = await house.paid()
    provider = house.engine.provider("dummy")
    house.gateway.fail_next("broken_before")
    refund = await house.engine.refund_payment(payment.id, amount_cents=500)
    asked = []

    async def refuses(request, *, step):
        asked.append(step)
        raise ProviderRejected("more than was captured", provider_code="too_much")

    with monkeypatch.context() as patched:
        patched.setattr(provider, "refund_payment", refuses)
        await house.settle()
    assert [step.repeat for step in asked][:1] == [True]
    [row] = await house.refunds(payment.id)
    [operation] = [each for each in await house.operations(payment.id) if each.verb is Verb.REFUND]
    assert (row.id, row.status) == (refund.id, RefundStatus.PENDING), "its share was given back"
    assert operation.state is OperationState.UNKNOWN
    await house.settle(minutes=20)
    [row] = await house.refunds(payment.id)
    assert row.status is RefundStatus.SUCCEEDED
    assert len(house.gateway.refunds) == 1


async def test_a_payer_does_not_collect_what_is_held_for_the_merchant(house):
    ada = Principal.user("ada")
    payment = await house.new(capture_method="manual", principal=ada)
    held = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", principal=ada)
    assert held.status is PaymentStatus.REQUIRES_CAPTURE
    for asked in (None, 1):
        with pytest.raises(AccessDenied):
            await house.engine.capture_payment(payment.id, amount_cents=asked, principal=ada)
    assert house.gateway.charges == []
