"""Card numbers stay outside, by whichever door they come (money rule 27); ids and times come in."""

from __future__ import annotations

import inspect
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from bridge_payments.engine import PaymentEngine
from bridge_payments.engine.drafts import PaymentDraft
from bridge_payments.errors import InvalidRequest
from bridge_payments.models import SYSTEM, GuestData, Money, MovableClock, Principal, new_id
from bridge_payments.providers.base import BillingDetails
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore
from bridge_payments.tripwire import is_card_in_disguise

CARD = "4242424242424242"

Ask = Callable[[PaymentEngine], Awaitable[object]]


def nobodys(prefix: str) -> str:
    """Return an id that is ours and nobody's, the same one always: names of tests are made of it."""
    return f"{prefix}_01a22387-02e8-75b8-b5d0-bf29cab26850"


def asks(verb: str, *given: Any, **named: Any) -> Any:
    """A call of one verb, named after what it holds."""

    def ask(engine: PaymentEngine) -> Awaitable[object]:
        call: Awaitable[object] = getattr(engine, verb)(*given, **named)
        return call

    return pytest.param(ask, id=f"{verb} {given or ''}{named}".replace(CARD, "CARD")[:90])


def create(**named: Any) -> Any:
    return asks("create_payment_intent", Money(2000, "USD"), **named)


HIDDEN = (
    CARD,
    "4242-4242-4242-4242",
    "4242.4242.4242.4242",
    "4242_4242_4242_4242",
    "4242:4242:4242:4242",
    "4242+4242+4242+4242",
    "42424242-42424242",
    "4242-424242-424242",
    f"{CARD}:123",
    f"{CARD}=2512101",
    f"{CARD}abc",
    f"{CARD}A1230",
    "4242-4242-4242-4242x",
    f"accept:{CARD}",
    f"accept:{CARD}x",
    "accept:4242-4242-4242-4242",
    f"pm_{CARD}",
    "378282246310005",
    "378282246310005x",
)

EVERYWHERE = [
    *(create(payment_method=text, confirm=True) for text in HIDDEN),
    create(description=f"my card is {CARD}"),
    create(concept="5555 5555 5555 4444"),
    create(reference_code=CARD),
    create(category=CARD),
    create(tags=f"a,{CARD}"),
    create(metadata={"card": CARD}),
    create(metadata={"card": int(CARD)}),
    create(metadata={"card": float(CARD)}),
    create(metadata={"deep": [{"er": CARD}]}),
    create(metadata={CARD: "x"}),
    create(guest=GuestData(email="ada@example.com", name=CARD)),
    create(guest=GuestData(email="ada@example.com", phone="4242 4242 4242 4242")),
    create(extra={"payment": {"creditCard": {"cardNumber": CARD}}}),
    create(return_url=f"https://shop.example/?card={CARD}"),
    create(idempotency_key=CARD),
    create(applied_coupons=[{"code": CARD}]),
    create(is_manual_payment=True, manual_payment_reference=CARD),
    asks("charge_saved_method", Money(2000, "USD"), payment_method=nobodys("pm"), description=CARD),
    *(asks("confirm_payment", nobodys("pay"), payment_method=text) for text in HIDDEN),
    asks("update_payment_intent", nobodys("pay"), description=CARD),
    asks("update_payment_intent", nobodys("pay"), metadata={"card": CARD}),
    asks("capture_payment", nobodys("pay"), idempotency_key=CARD),
    asks("cancel_payment", nobodys("pay"), reason=CARD),
    asks("refund_payment", nobodys("pay"), reason=f"paid with {CARD}"),
    asks("create_customer", email="ada@example.com", name=CARD),
    asks("create_customer", email="ada@example.com", phone="4242 4242 4242 4242"),
    asks("update_customer", nobodys("cust"), metadata={"card": CARD}),
    *(asks("create_payment_method", token=text, user_id="u") for text in HIDDEN),
    asks("create_payment_method", token="dummy_ok", user_id="u", alias=CARD),
    asks("create_payment_method", token="dummy_ok", user_id="u", billing=BillingDetails(line1=CARD)),
    asks("update_payment_method", nobodys("pm"), alias=CARD),
    asks("set_billing_address", CARD, None),
    asks("create_subscription", Money(2000, "USD"), payment_method=f"{CARD}x"),
    asks("create_subscription", Money(2000, "USD"), payment_method="dummy_ok", description=CARD),
    asks("update_subscription", nobodys("sub"), description=CARD),
    asks("update_subscription", nobodys("sub"), payment_method=CARD),
    asks("cancel_subscription", nobodys("sub"), reason=CARD),
    asks("create_address", line1=CARD, city="London", postal_code="1", country="GB"),
    asks("update_address", nobodys("addr"), name=CARD),
    asks("resolve_operation", nobodys("op"), outcome="not_executed", evidence=f"the log says {CARD}"),
]


@pytest.fixture
def gateway() -> DummyGateway:
    return DummyGateway(clock=MovableClock())


@pytest.fixture
def engine(gateway: DummyGateway) -> PaymentEngine:
    settings = Settings(allow_sandbox=True, default_provider="dummy")
    return PaymentEngine(MemoryStore(), {"dummy": DummyProvider(gateway)}, settings=settings)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", EVERYWHERE)
async def test_python_is_refused_a_card_number_before_anything_is_written_or_sent(
    engine: PaymentEngine, gateway: DummyGateway, ask: Ask
) -> None:
    before = repr(vars(engine.store))
    with pytest.raises(InvalidRequest, match="card number") as refused:
        await ask(engine)
    assert refused.value.field
    assert CARD not in f"{refused.value!r} {refused.value} {refused.value.details} {refused.value.field}"
    assert repr(vars(engine.store)) == before
    assert gateway.requests == []


@pytest.mark.anyio
async def test_what_the_merchants_hook_adds_is_looked_at_too(
    gateway: DummyGateway,
) -> None:
    def approve(draft: PaymentDraft, _: Principal) -> PaymentDraft:
        return replace(draft, metadata={**draft.metadata, "till": CARD})

    store, settings = MemoryStore(), Settings(allow_sandbox=True, default_provider="dummy")
    engine = PaymentEngine(store, {"dummy": DummyProvider(gateway)}, settings=settings, approve=approve)
    with pytest.raises(InvalidRequest, match="card number"):
        await engine.create_payment_intent(Money(2000, "USD"))
    assert gateway.requests == []


READS = ("get_", "list_", "preview_", "sync_", "count_", "look_up_", "methods_of")
TAKES_NO_TEXT = ("set_default_", "delete_address", "replay_webhook")


def test_every_verb_of_the_engine_is_guarded() -> None:
    verbs = {
        name: verb
        for name, verb in inspect.getmembers(PaymentEngine, inspect.iscoroutinefunction)
        if (given := inspect.signature(verb).parameters.get("principal")) and given.default is SYSTEM
        if not name.startswith((*READS, *TAKES_NO_TEXT))
    }
    bare = [name for name, verb in verbs.items() if not hasattr(verb, "__wrapped__")]
    assert bare == [], "guard it: `@guarded` of bridge_payments.tripwire"
    assert len(verbs) > 15


@pytest.mark.anyio
@pytest.mark.parametrize(
    "named",
    [
        {"metadata": {"order_id": CARD}},
        {"customer_id": CARD},
        {"description": "paid at 1736937000123"},
        {"description": "4242424242424241"},
        {"metadata": {"amount": 1736937000123456}},
    ],
)
async def test_ids_and_times_come_in(engine: PaymentEngine, named: dict[str, Any]) -> None:
    await engine.create_payment_intent(Money(2000, "USD"), **named)


def _methods(count: int) -> list[str]:
    """What providers and we call payment methods: every tenth of decimal digits as far as its form allows."""
    chance = random.Random(27)
    hexadecimal, letters = "0123456789abcdef", "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    found = [new_id("pm") for _ in range(count)]
    for number in range(count):
        alphabet = "0123456789" if number % 10 == 0 else hexadecimal
        digits = "".join(chance.choices(alphabet, k=32))
        token = str(uuid.UUID(digits))
        pair = f"{chance.randrange(10**8, 10**10)}:{chance.randrange(10**8, 10**10)}"
        found += [token, f"tok_{token}", f"pm_{token}", f"accept:{token}", pair, f"acme-{digits}"]
        found += [f"pm_{''.join(chance.choices(letters, k=24))}", "".join(chance.choices(hexadecimal, k=32))]
    return found


def test_tokens_and_ids_are_no_cards_in_disguise() -> None:
    assert [text for text in _methods(10_000) if is_card_in_disguise(text)] == []
