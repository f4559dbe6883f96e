"""Every method of the Python face, given what its annotations do not say: a clear no, nothing written."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import BridgeError, InvalidRequest, NotFound
from bridge_payments.messages import Request
from bridge_payments.models import (
    AddressType,
    BillingInterval,
    CaptureMethod,
    Claim,
    GuestData,
    InboxState,
    Money,
    PaymentStatus,
    Pricing,
    Principal,
    new_id,
)
from bridge_payments.providers.base import BillingDetails
from bridge_payments.stores.base import (
    AddressQuery,
    CustomerQuery,
    PaymentMethodQuery,
    PaymentQuery,
    SubscriptionQuery,
)

pytestmark = pytest.mark.anyio

USD = Money(2000, "USD")
REQUIRED: dict[str, dict[str, Any]] = {
    "cancel_payment": {"payment_id": new_id("pay")},
    "cancel_subscription": {"subscription_id": new_id("sub")},
    "capture_payment": {"payment_id": new_id("pay")},
    "charge_saved_method": {"amount": USD, "payment_method": new_id("pm")},
    "clean_client_secrets": {},
    "confirm_payment": {"payment_id": new_id("pay")},
    "confirm_payment_method": {"payment_method_id": new_id("pm")},
    "convert_guest": {"guest_email": "ada@example.com", "user_id": "u_1"},
    "count_unknown": {},
    "create_address": {"line1": "1 Main St", "city": "London", "postal_code": "1", "country": "GB"},
    "create_customer": {"email": "ada@example.com"},
    "create_payment_intent": {"amount": USD},
    "create_payment_method": {"token": "dummy_ok"},
    "create_subscription": {"amount": USD, "payment_method": "dummy_ok"},
    "delete_address": {"address_id": new_id("addr")},
    "delete_customer": {"customer_id": new_id("cust")},
    "delete_payment_method": {"payment_method_id": new_id("pm")},
    "forget_old": {},
    "get_address": {"address_id": new_id("addr")},
    "get_customer": {"customer_id": new_id("cust")},
    "get_payment": {"payment_id": new_id("pay")},
    "get_payment_method": {"payment_method_id": new_id("pm")},
    "get_subscription": {"subscription_id": new_id("sub")},
    "list_addresses": {"query": AddressQuery()},
    "list_customers": {"query": CustomerQuery()},
    "list_events": {"payment_id": new_id("pay")},
    "list_inbox": {},
    "list_operations": {"payment_id": new_id("pay")},
    "list_payment_methods": {"query": PaymentMethodQuery()},
    "list_payments": {"query": PaymentQuery()},
    "list_refunds": {"payment_id": new_id("pay")},
    "list_subscriptions": {"query": SubscriptionQuery()},
    "list_unknown": {},
    "look_up_operation": {"operation_id": new_id("op")},
    "pause_subscription": {"subscription_id": new_id("sub")},
    "preview_guest": {"guest_email": "ada@example.com", "user_id": "u_1"},
    "process_inbox": {},
    "receive_webhook": {"provider_id": "dummy", "request": Request(method="POST", path="/", body=b"{}")},
    "reconcile": {},
    "refund_payment": {"payment_id": new_id("pay")},
    "replay_webhook": {"entry_id": new_id("wh")},
    "resolve_operation": {"operation_id": new_id("op"), "outcome": "not_executed", "evidence": "seen"},
    "resume_subscription": {"subscription_id": new_id("sub")},
    "set_billing_address": {"payment_method_id": new_id("pm"), "billing_address_id": None},
    "set_default_address": {"address_id": new_id("addr")},
    "set_default_payment_method": {"payment_method_id": new_id("pm")},
    "sweep": {},
    "sync_payment": {"payment_id": new_id("pay")},
    "sync_payment_method": {"payment_method_id": new_id("pm")},
    "sync_subscription": {"subscription_id": new_id("sub")},
    "update_address": {"address_id": new_id("addr"), "line1": "1 Main St"},
    "update_customer": {"customer_id": new_id("cust"), "name": "Ada"},
    "update_payment_intent": {"payment_id": new_id("pay"), "total_cents": 100},
    "update_payment_method": {"payment_method_id": new_id("pm"), "alias": "mine"},
    "update_subscription": {"subscription_id": new_id("sub"), "total_cents": 100},
}
"""The face: each method with what it cannot do without."""

INNER = frozenset(
    """
    aclose adopt_subscription apply apply_event apply_row asked backlog carry_out change_row choose
    choose_address clean_other_secrets collect_by_hand customer_to_keep_with drain ensure_customer finished
    give_up_by_hand instruct instruct_row leased leave_unknown look_for_given_up methods_of payer_email proved
    record record_charges record_row refresh refresh_customer refresh_method refresh_subscription reserve
    reserve_row retry_waiting_refunds shielded sweep_subscriptions visible write_outcome write_row
    """.split()
)
"""What the engine's parts call of each other."""

TEXT, NUMBER = (5, b"x", ["x"], {"x": 1}, object()), ("5", 1.5, True, [5], object(), 10**30)
OTHER: dict[Any, tuple[Any, ...]] = {
    str: (*TEXT, "a\x00b", "\ud800"),
    int: NUMBER,
    bool: ("yes", 1, [], object()),
    datetime: ("2026-01-01", 5, datetime(2026, 1, 1)),  # noqa: DTZ001 - a moment nowhere
    Money: ((2000, "USD"), "20.00", 2000),
    Pricing: ({"total": 5}, Pricing(subtotal="5", tax=0, discount=0, total=5)),  # type: ignore[arg-type]
    GuestData: ("ada@example.com", {"email": "ada@example.com"}, GuestData(email=5)),  # type: ignore[arg-type]
    BillingDetails: ({"name": "Ada"}, BillingDetails(name=5)),  # type: ignore[arg-type]
    Principal: ("admin", None, {"kind": "admin"}),
    Request: (b"{}", None),
    CaptureMethod: (5, "sometimes"),
    BillingInterval: (5, "hourly"),
    AddressType: (5, "castle"),
    Claim: (5, "perhaps"),
    PaymentStatus: (5, "paid"),
    InboxState: (5, "received"),
    AddressQuery: ("all", AddressQuery(limit="5")),  # type: ignore[arg-type]
    CustomerQuery: ({}, CustomerQuery(limit="5"), CustomerQuery(user_id=5)),  # type: ignore[arg-type]
    PaymentMethodQuery: ([], PaymentMethodQuery(limit="5")),  # type: ignore[arg-type]
    PaymentQuery: ("all", PaymentQuery(limit="5"), PaymentQuery(statuses="paid")),  # type: ignore[arg-type]
    SubscriptionQuery: ("all", SubscriptionQuery(limit="5")),  # type: ignore[arg-type]
}
MAPPING = ("x", 5, [("a", 1)], {1: "x"}, {"x": object()})
WORDS = {CaptureMethod, BillingInterval, AddressType, Claim, PaymentStatus}
"""Closed sets that may be given as texts, too: another text is no word of the set."""


def face() -> dict[str, Any]:
    found = inspect.getmembers(PaymentEngine, inspect.iscoroutinefunction)
    return {name: method for name, method in found if not name.startswith("_")}


def wrong_for(hint: str) -> Iterator[Any]:
    """Yield what does not fit an annotation."""
    kinds = [kind for kind in OTHER if kind.__name__ in hint.replace("|", " ").split()]
    if hint.startswith("Mapping"):
        yield from MAPPING
    elif hint.startswith("Sequence"):
        yield from ("x", 5, {"a": 1}, [object()])
    # Of a closed set another text is no word, whatever else a text may be.
    for kind in [kind for kind in kinds if kind in WORDS] or kinds:
        yield from (value for value in OTHER[kind] if value is not None or "None" not in hint)


def wrongs(name: str) -> Iterator[tuple[str, Any]]:
    for parameter in list(inspect.signature(face()[name]).parameters.values())[1:]:
        given = "line1" if parameter.kind is parameter.VAR_KEYWORD else parameter.name
        for value in wrong_for(str(parameter.annotation)):
            yield given, value


def test_every_method_is_in_the_table_or_an_inner_one() -> None:
    assert set(REQUIRED) | INNER == set(face())
    assert not set(REQUIRED) & INNER
    for name, method in face().items():
        for parameter in list(inspect.signature(method).parameters.values())[1:]:
            if name not in INNER:
                assert list(wrong_for(str(parameter.annotation))), f"{name}: {parameter}"


@pytest.mark.parametrize("name", sorted(REQUIRED))
async def test_what_does_not_fit_is_refused_before_anything_is_written_or_sent(house: Any, name: str) -> None:
    before = await house.everything()
    for argument, value in wrongs(name):
        refused: object = None
        try:
            answer = await getattr(house.engine, name)(**{**REQUIRED[name], argument: value})
            refused = NotFound() if answer is False else None  # `replay_webhook` knows no such entry
        except BridgeError as error:
            refused = error
        assert isinstance(refused, InvalidRequest | NotFound), (argument, value, refused)
        assert isinstance(refused, NotFound) or refused.field, (argument, value)
    assert await house.everything() == before
    assert house.gateway.requests == []


async def test_what_fits_is_taken(house: Any) -> None:
    made = await house.engine.create_payment_intent(
        USD, capture_method="manual", metadata={"a": [1, None]}, guest=GuestData(email="ada@example.com"),
        is_manual_payment=True, manual_payment_date=datetime(2026, 1, 1, tzinfo=UTC),
        applied_coupons=[{"a": 1}],
    )  # fmt: skip
    assert made.total_cents == 2000
