"""The shop prices its own orders, and believes the newest that it heard."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge_payments import Event, Payment, Principal
from bridge_payments.engine import PaymentDraft
from bridge_payments.errors import ConfigurationError, DuplicateReference, IllegalState, InvalidRequest
from bridge_payments.models import PaymentStatus, Pricing
from bridge_payments.sandbox.notebook import Notebook
from bridge_payments.sandbox.shop import Shop
from bridge_payments.sandbox.world import refuse_live_keys

NOW = datetime(2026, 11, 23, tzinfo=UTC)
GUEST = Principal.anonymous()


def draft(
    reference: str | None, *, total: int = 1, currency: str = "USD", payment_id: str | None = None
) -> PaymentDraft:
    pricing = Pricing(subtotal=total, tax=0, discount=0, total=total)
    return PaymentDraft(currency=currency, pricing=pricing, reference_code=reference, payment_id=payment_id)


def event(number: str, kind: str, status: str, version: int, *, payment: str = "pay_1") -> Event:
    return Event(
        id=f"evt_{payment}_{version}",
        type=kind,
        created_at=NOW,
        payment=Payment(
            id=payment,
            provider_id="stripe",
            status=PaymentStatus(status),
            currency="USD",
            subtotal_cents=1998,
            tax_cents=0,
            discount_cents=0,
            total_cents=1998,
            created_at=NOW,
            updated_at=NOW,
            version=version,
            reference_code=number,
        ),
    )


def test_an_order_is_priced_by_the_shop_and_everything_else_is_free() -> None:
    shop = Shop()
    order = shop.place({"guji": 2, "cups": 1}, "USD")
    assert shop.approve(draft(order.number), GUEST).pricing == Pricing(
        subtotal=6500, tax=520, discount=0, total=7020
    )
    assert shop.approve(draft("somebody else's"), GUEST).pricing.total == 1
    assert shop.approve(draft(None), GUEST).pricing.total == 1


def test_an_order_is_paid_in_its_own_currency() -> None:
    shop = Shop()
    order = shop.place({"guji": 1}, "JPY")
    assert shop.approve(draft(order.number, currency="JPY"), GUEST).pricing.total == 2970
    with pytest.raises(InvalidRequest, match="JPY"):
        shop.approve(draft(order.number), GUEST)


def test_an_order_has_one_open_payment_and_none_once_it_is_paid() -> None:
    shop = Shop()
    number = shop.place({"guji": 1}, "USD").number
    shop.hear(event(number, "payment.created", "pending", 1))
    with pytest.raises(DuplicateReference) as refused:
        shop.approve(draft(number), GUEST)
    assert refused.value.payment_id == "pay_1"
    assert shop.approve(draft(number, payment_id="pay_1"), GUEST).pricing.total == 1998
    shop.hear(event(number, "payment.success", "succeeded", 2))
    with pytest.raises(IllegalState):
        shop.approve(draft(number, payment_id="pay_1"), GUEST)


def test_events_may_come_twice_and_in_any_order() -> None:
    shop = Shop()
    number = shop.place({"guji": 1}, "USD").number
    paid, made = (
        event(number, "payment.success", "succeeded", 4),
        event(number, "payment.created", "pending", 1),
    )
    for one in (paid, made, paid, made):
        shop.hear(one)
    assert shop.orders[number].state == "paid"
    assert [heard["type"] for heard in shop.orders[number].heard] == ["payment.success", "payment.created"]


def test_a_payment_that_was_given_up_leaves_room_for_another() -> None:
    shop = Shop()
    number = shop.place({"guji": 1}, "USD").number
    shop.hear(event(number, "payment.created", "pending", 1))
    shop.hear(event(number, "payment.canceled", "canceled", 2))
    assert shop.approve(draft(number), GUEST).pricing.total == 1998
    shop.hear(event(number, "payment.success", "succeeded", 3, payment="pay_2"))
    shop.hear(event(number, "payment.refunded", "refunded", 5, payment="pay_2"))
    assert (shop.orders[number].state, shop.orders[number].payment_id) == ("refunded", "pay_2")


@pytest.mark.parametrize(
    ("items", "currency"),
    [
        ({}, "USD"),
        ({"gold": 1}, "USD"),
        ({"guji": 21}, "USD"),
        ({"guji": -1}, "USD"),
        ({"guji": "1"}, "USD"),
        ({"guji": 1}, "XAU"),
    ],
)
def test_nonsense_is_no_order(items: dict[str, object], currency: str) -> None:
    with pytest.raises(InvalidRequest):
        Shop().place(items, currency)


def test_orders_outlive_the_process(tmp_path: Path) -> None:
    shop = Shop()
    number = shop.place({"guji": 1}, "USD").number
    shop.hear(event(number, "payment.success", "succeeded", 2))
    notebook = Notebook.beside(f"sqlite:///{tmp_path}/shop.db?timeout=5")
    notebook.write(lambda: {"shop": shop.dump()})
    assert notebook.path == tmp_path / "shop.db.sandbox.json"
    assert notebook.path.stat().st_mode & 0o077 == 0, "it names payers"
    again = Shop(notebook.read()["shop"])
    assert again.orders == shop.orders


def test_a_broken_notebook_is_a_new_beginning(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / "broken.json")
    assert notebook.read() == {}
    notebook.path.write_text(json.dumps({"shop": {}})[:-3])
    assert notebook.read() == {}


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc", " pk_live_abc"])
def test_the_sandbox_refuses_to_run_beside_a_live_key_and_does_not_repeat_it(key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        refuse_live_keys({"EU_STRIPE_SECRET_KEY": key, "HOME": "/"})
    assert "EU_STRIPE_SECRET_KEY" in str(refused.value)
    assert "abc" not in str(refused.value)
    refuse_live_keys({"STRIPE_SECRET_KEY": "sk_test_abc"})
