"""What a provider's error carries reaches the caller and the operation; a repeat of the key hears it, too."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import (
    BridgeError,
    PaymentDeclined,
    ProviderDeclined,
    ProviderError,
    ProviderRejected,
    ProviderUnknown,
    Unavailable,
)
from bridge_payments.models import GuestData, Operation, OperationState, Principal

pytestmark = pytest.mark.anyio

FACTS: dict[str, Any] = {"provider_code": "card_velocity", "request_id": "req_17", "http_status": 402}


def refusing(monkeypatch: pytest.MonkeyPatch, house: Any, verb: str, error: ProviderError) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    (provider,) = house.engine.providers.values()
    monkeypatch.setattr(type(provider), verb, refuse)


def carried(error: BridgeError) -> dict[str, object]:
    return {name: getattr(error, name) for name in FACTS}


def kept(operation: Operation) -> dict[str, object]:
    return {
        "provider_code": operation.error_code,
        "request_id": operation.request_id,
        "http_status": operation.http_status,
    }


@pytest.mark.parametrize("kind", [ProviderDeclined, ProviderRejected])
async def test_a_refused_payment_says_what_the_provider_said_and_so_does_the_repeat(
    house: Any, monkeypatch: pytest.MonkeyPatch, kind: type[ProviderError]
) -> None:
    payment = await house.new()
    refusing(monkeypatch, house, "confirm_payment", kind("No.", **FACTS))
    heard = []
    for _ in range(2):
        with pytest.raises((PaymentDeclined, ProviderRejected)) as refused:
            await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", idempotency_key="k")
        heard.append((type(refused.value), carried(refused.value), refused.value.message))
    assert heard[0] == heard[1]
    assert heard[0][1] == FACTS
    assert "req_17" not in heard[0][2]
    operation = (await house.operations(payment.id))[-1]
    assert kept(operation) == FACTS


async def test_a_refused_customer_says_it_too(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, house, "create_customer", ProviderRejected("No.", **FACTS))
    for _ in range(2):
        with pytest.raises(ProviderRejected) as refused:
            await house.engine.create_customer(
                guest=GuestData(email="ada@example.com"), idempotency_key="k",
                principal=Principal.user("u_1", email="ada@example.com"),
            )  # fmt: skip
        assert carried(refused.value) == FACTS


async def test_an_unknown_outcome_keeps_what_the_providers_support_is_asked_for(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await house.new()
    refusing(monkeypatch, house, "confirm_payment", ProviderUnknown("Nobody knows.", **FACTS))
    processing = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert processing.unknown_operation_id is not None
    operation = (await house.operations(payment.id))[-1]
    assert operation.state is OperationState.UNKNOWN
    assert kept(operation) == FACTS
    refusing(monkeypatch, house, "create_payment_intent", ProviderUnknown("Nobody knows.", **FACTS))
    with pytest.raises(Unavailable):
        await house.new()
