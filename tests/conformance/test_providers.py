"""Every provider of ours holds what `providers/base.py` promises, and so may anybody's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from bridge_lab.plugin import specs_folder
from bridge_lab.recorded import paypal_orders
from bridge_lab.recorder import Recorder

from bridge_payments.models import Money, MovableClock, Noun
from bridge_payments.providers.base import PaymentProvider, ProviderPayment
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.providers.dummy.gateway import DECLINED, NEEDS_ACTION, SUCCEEDS
from bridge_payments.providers.dummy.inbox import SIGNATURE, sign
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.providers.paypal.mapping import payment_from as order_from
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.providers.stripe.mapping import payment_from
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.sandbox.paypal.gateway import INSTRUCTIONS
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.sandbox.stripe.webhooks import sign as stripe_sign
from bridge_payments.testing.providers import (
    GatewayControl,
    Instruction,
    Moved,
    NotChecked,
    ProviderConformance,
)
from bridge_payments.transport import Transport

SECRET, FOREIGN = "whsec_conformance_0001", "whsec_conformance_0002"


# --- the sandbox provider, in this process ----------------------------------------------------------


class DummyControl(GatewayControl):
    succeeds = SUCCEEDS
    declines = next(iter(DECLINED))
    challenges = NEEDS_ACTION
    signs_time = False

    def __init__(self, gateway: DummyGateway, clock: MovableClock) -> None:
        self.gateway = gateway
        self.clock = clock

    def new_token(self, *, declined: bool = False) -> str | None:
        return "dummy_expired" if declined else SUCCEEDS

    def agree(self, reference: str) -> None:
        self.gateway.agree(reference)

    def objects(self, noun: Noun) -> Sequence[str]:
        found = {
            Noun.CUSTOMER: self.gateway.customers,
            Noun.PAYMENT_METHOD: self.gateway.methods,
            Noun.SUBSCRIPTION: self.gateway.subscriptions,
        }
        return list(found[noun])

    def renew(self, subscription: str) -> None:
        self.clock.move(timedelta(days=31))
        self.gateway.bill()

    def charges(self) -> Sequence[Moved]:
        return [
            Moved(payment=each["intent"], amount=Money(each["amount"], each["currency"]))
            for each in self.gateway.charges
        ]

    def refunds(self) -> Sequence[Moved]:
        return [
            Moved(payment=each["intent"], amount=Money(each["amount"], each["currency"]))
            for each in self.gateway.refunds.values()
        ]

    def requests(self) -> Sequence[Instruction]:
        return [Instruction(what=f"POST {path}", key=key) for path, key in self.gateway.requests]

    def lose_next_answer(self) -> None:
        self.gateway.lose_next_answer()

    def break_next(self) -> None:
        self.gateway.fail_next("broken_before")

    def events(self) -> Sequence[bytes]:
        return [json.dumps(event).encode() for event in self.gateway.events]

    def signed_webhook(self, body: bytes, *, at: datetime, other_account: bool = False) -> Mapping[str, str]:
        return {SIGNATURE: sign(body, FOREIGN if other_account else SECRET)}

    def answer_challenge(self, reference: str, *, passed: bool) -> None:
        self.gateway.challenge(reference, passed=passed)

    def invent_status(self, reference: str) -> None:
        self.gateway.intents[reference]["state"] = "sparkling"

    def secrets(self) -> Sequence[str]:
        return [SECRET]


class TestDummy(ProviderConformance):
    gateway: DummyControl

    def make_gateway(self) -> GatewayControl:
        return DummyControl(DummyGateway(clock=self.clock), self.clock)

    def make_provider(self, transport: Transport) -> PaymentProvider:
        return DummyProvider(self.gateway.gateway, webhook_secret=SECRET)


# --- Stripe -----------------------------------------------------------------------------------------


class StripeControl(GatewayControl):
    """The fake Stripe of the sandbox, over HTTP."""

    succeeds = "pm_card_visa"
    declines = "pm_card_chargeDeclinedInsufficientFunds"
    challenges = "pm_card_threeDSecure2Required"

    def __init__(self, fake: FakeStripe, lab: Recorder) -> None:
        self.fake, self.url = fake, fake.url
        self.lab = lab

    def charges(self) -> Sequence[Moved]:
        return [
            Moved(payment=each["payment_intent"], amount=_money(each["amount_captured"], each["currency"]))
            for each in self.fake.charges(paid=True)
            if each["captured"]
        ]

    def refunds(self) -> Sequence[Moved]:
        return [
            Moved(payment=each["payment_intent"], amount=_money(each["amount"], each["currency"]))
            for each in self.fake.refunds()
            if each["status"] not in ("failed", "canceled")
        ]

    def requests(self) -> Sequence[Instruction]:
        return [
            Instruction(
                what=f"{each.method} {each.path}", key=each.key, body=json.dumps(each.params, sort_keys=True)
            )
            for each in self.fake.requests(caller="server")
            if each.method != "GET"
        ]

    def lose_next_answer(self) -> None:
        self.fake.lose_next_answer()

    def hang_next(self) -> None:
        self.fake.faults.add("hang_after")

    def break_next(self) -> None:
        self.fake.faults.add("error_before")

    def garble_next(self) -> None:
        self.fake.faults.add("unreadable")

    def events(self) -> Sequence[bytes]:
        return [json.dumps(event, indent=2).encode() for event in self.fake.events()]

    def signed_webhook(self, body: bytes, *, at: datetime, other_account: bool = False) -> Mapping[str, str]:
        secret = FOREIGN if other_account else SECRET
        return {"stripe-signature": stripe_sign(body, secret, timestamp=int(at.timestamp()))}

    def answer_challenge(self, reference: str, *, passed: bool) -> None:
        self.fake.authenticate(reference, passed=passed)

    def new_token(self, *, declined: bool = False) -> str | None:
        return self.fake.new_method(self.declines if declined else self.succeeds)

    def agree(self, reference: str) -> None:
        if reference.startswith("seti_"):
            self.fake.pay_in_browser(reference)

    def objects(self, noun: Noun) -> Sequence[str]:
        found = {
            Noun.CUSTOMER: self.fake.customers(),
            Noun.PAYMENT_METHOD: self.fake.methods(stored=True),
            Noun.SUBSCRIPTION: self.fake.subscriptions(),
        }
        return [each["id"] for each in found[noun]]

    def renew(self, subscription: str) -> None:
        self.fake.clock.move(timedelta(days=31))
        self.fake.bill()

    def invent_status(self, reference: str) -> None:
        self.lab.foreign.add(self.url)  # what it says from now on is not Stripe's, on purpose
        with self.fake.books.lock:
            self.fake.books.intents[reference]["status"] = "sparkling"

    def secrets(self) -> Sequence[str]:
        return [self.fake.secret_key, SECRET]

    def close(self) -> None:
        self.fake.faults.clear()


class TestStripe(ProviderConformance):
    several_captures: ClassVar[Mapping[str, Any]] = {
        "payment_method_options": {"card": {"request_multicapture": "if_available"}}
    }
    gateway: StripeControl
    fake: ClassVar[FakeStripe]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _listening(cls) -> Iterator[None]:
        with FakeStripe() as cls.fake:
            yield

    @pytest.fixture(autouse=True)
    def _laboratory(self, stripe_lab: Recorder) -> None:
        self.lab = stripe_lab

    def make_gateway(self) -> GatewayControl:
        self.fake.reset(endpoints=True)
        self.lab.foreign.discard(self.fake.url)
        return StripeControl(self.fake, self.lab)

    def make_provider(self, transport: Transport) -> PaymentProvider:
        return StripeProvider(
            secret_key=self.fake.secret_key,
            webhook_secrets=[SECRET],
            transport=transport,
            api_base=self.fake.url,
        )

    def recorded_answers(self) -> Mapping[str, Callable[[], ProviderPayment]]:
        file = recorded_in() / "stripe" / "recorded" / "pay_rails_interactions.json"
        recorded = json.loads(file.read_text())
        intents = [
            each["response"] for each in recorded if each["response"].get("object") == "payment_intent"
        ]
        return {
            f"{number} {intent['id']}": partial(payment_from, intent)
            for number, intent in enumerate(intents)
            if "currency" in intent
        }


# --- PayPal -----------------------------------------------------------------------------------------

WEBHOOK, OTHER_WEBHOOK = "8PT597110X687430L", "1JE447722X110201K"


class PayPalControl(GatewayControl):
    """The fake PayPal of the sandbox: its payer approves an order before it is confirmed."""

    succeeds, declines, challenges = "balance", "refused", "card_challenge"
    payer_chooses = True
    signs_time = False  # it is signed, but nothing is too old: PayPal repeats a delivery for three days

    def __init__(self, fake: FakePayPal, lab: Recorder, clock: MovableClock) -> None:
        self.fake, self.url = fake, fake.url
        self.lab, self.clock = lab, clock

    def approve(self, reference: str, method: str) -> None:
        if method == self.challenges:
            self.fake.ask(reference, method)
        else:
            self.fake.approve(reference, method)

    def answer_challenge(self, reference: str, *, passed: bool) -> None:
        if passed:  # who fails it stays where they are
            self.fake.approve(reference, self.challenges)

    def charges(self) -> Sequence[Moved]:
        return [self._moved(each) for each in self.fake.captures(taken=True)]

    def refunds(self) -> Sequence[Moved]:
        return [
            self._moved(each) for each in self.fake.refunds() if each["status"] in ("COMPLETED", "PENDING")
        ]

    def _moved(self, payment: Mapping[str, Any]) -> Moved:
        order = self.fake.books.order_of.get(payment["id"], payment["id"])
        amount = payment["amount"]
        return Moved(payment=order, amount=Money.from_decimal(amount["value"], amount["currency_code"]))

    def requests(self) -> Sequence[Instruction]:
        return [
            Instruction(what=f"{each.method} {each.path}", key=each.key, body=each.body)
            for each in self.fake.requests("/v")
            if each.method != "GET" and not each.path.startswith(("/v1/oauth2", "/v1/notifications"))
        ]

    def lose_next_answer(self) -> None:
        self.fake.lose_next_answer()

    def hang_next(self) -> None:
        self.fake.faults.add("hang_after", path=INSTRUCTIONS)

    def break_next(self) -> None:
        self.fake.faults.add("error_before", path=INSTRUCTIONS)

    def garble_next(self) -> None:
        self.fake.faults.add("unreadable", path=INSTRUCTIONS)

    def events(self) -> Sequence[bytes]:
        return [json.dumps(event).encode() for event in self.fake.events()]

    def signed_webhook(self, body: bytes, *, at: datetime, other_account: bool = False) -> Mapping[str, str]:
        return self.fake.signed_webhook(body, webhook_id=OTHER_WEBHOOK if other_account else WEBHOOK, at=at)[
            0
        ]

    def new_token(self, *, declined: bool = False) -> str | None:
        return None  # the payer agrees to a set-up

    def agree(self, reference: str) -> None:
        if reference.startswith("I-"):
            self.fake.subscribe(reference)
        else:
            self.fake.agree(reference, "card")

    def objects(self, noun: Noun) -> Sequence[str]:
        if noun is Noun.SUBSCRIPTION:
            return [each["id"] for each in self.fake.subscriptions()]
        begun = [each for each in self.fake.setup_tokens() if each["status"] != "VAULTED"]
        return [each["id"] for each in (*begun, *self.fake.payment_tokens())]

    def renew(self, subscription: str) -> None:
        self.clock.move(timedelta(days=31))
        self.fake.advance(days=31)

    def invent_status(self, reference: str) -> None:
        self.lab.foreign.add(self.url)
        with self.fake.books.lock:
            self.fake.books.orders[reference]["status"] = "SPARKLING"

    def secrets(self) -> Sequence[str]:
        return [self.fake.client_secret, *self.fake.api.tokens]

    def close(self) -> None:
        self.fake.faults.clear()


class TestPayPal(ProviderConformance):
    free_text = "summary"
    subscribes_with_method = False
    finds_set_ups = False
    gateway: PayPalControl
    fake: ClassVar[FakePayPal]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _listening(cls) -> Iterator[None]:
        with FakePayPal() as cls.fake:
            yield

    @pytest.fixture(autouse=True)
    def _laboratory(self, stripe_lab: Recorder) -> None:
        self.lab = stripe_lab

    def make_gateway(self) -> GatewayControl:
        self.fake.reset(endpoints=True)
        self.fake.add_webhook("http://127.0.0.1:9/nobody", webhook_id=WEBHOOK)
        self.fake.webhooks.off = True
        self.lab.foreign.discard(self.fake.url)
        return PayPalControl(self.fake, self.lab, self.clock)

    def make_provider(self, transport: Transport) -> PaymentProvider:
        return PayPalProvider(
            client_id=self.fake.client_id,
            client_secret=self.fake.client_secret,
            webhook_ids=[WEBHOOK],
            transport=transport,
            api_base=self.fake.url,
        )

    def recorded_answers(self) -> Mapping[str, Callable[[], ProviderPayment]]:
        return {name: partial(order_from, order) for name, order in paypal_orders(recorded_in())}


def recorded_in() -> Path:
    folder = specs_folder()
    if folder is None:
        raise NotChecked("recorded_answers: they are in the folder that BRIDGE_SPECS names")
    return folder


def _money(units: int, currency: str) -> Money:
    """Stripe's unit in ours, from its own table and not from the adapter's."""
    return Money(units // 100 if currency in ("isk", "ugx") else units, currency)
