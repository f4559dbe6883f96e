"""Authorize.net holds what `providers/base.py` promises, on a gateway without keys and with settlement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

import pytest
from bridge_lab.authorize_net import AnetRecorder
from bridge_lab.plugin import specs_folder
from bridge_lab.recorded import authorize_net_transactions

from bridge_payments.models import CaptureMethod, Money, Noun
from bridge_payments.providers.authorize_net import AuthorizeNetProvider, lookup, mapping
from bridge_payments.providers.base import PaymentProvider, ProviderPayment
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.sandbox.authorize_net.api import is_instruction
from bridge_payments.testing.providers import (
    GatewayControl,
    Instruction,
    Moved,
    NotChecked,
    ProviderConformance,
)
from bridge_payments.transport import Transport

COLLECTED = ("capturedPendingSettlement", "settledSuccessfully")


class AnetControl(GatewayControl):
    signs_time = False
    settles_later = True

    def __init__(self, fake: FakeAuthorizeNet) -> None:
        self.fake, self.url = fake, fake.url

    # A token is good once, and whoever asks for a method gets a fresh one.

    @property
    def succeeds(self) -> str:  # type: ignore[override]
        return self.fake.token()

    @property
    def declines(self) -> str:  # type: ignore[override]
        return self.fake.token("declined")

    def _moved(self, each: Mapping[str, Any], charge: Mapping[str, Any]) -> Moved:
        amount = Money.from_decimal(str(each["settles"]), "USD")
        return Moved(payment=f"anet_{charge['invoice']}", amount=amount)

    def _refunded(self) -> list[Moved]:
        voided = [
            each
            for each in self.fake.transactions(status="voided")
            if each["type"] == "authCaptureTransaction"
        ]
        made = [self._moved(each, self.fake.transaction(each["original"])) for each in self.fake.refunds()]
        return [*(self._moved(each, each) for each in voided), *made]

    def charges(self) -> Sequence[Moved]:
        """A void gives back what was collected: both stand in the books."""
        taken = [
            each
            for each in self.fake.transactions()
            if each["type"] != "refundTransaction"
            and (
                each["status"] in COLLECTED
                or (each["status"] == "voided" and each["type"] == "authCaptureTransaction")
            )
        ]
        return [self._moved(each, each) for each in taken]

    def refunds(self) -> Sequence[Moved]:
        return self._refunded()

    def requests(self) -> Sequence[Instruction]:
        return [
            Instruction(what=each.transaction or each.operation, body=each.body)
            for each in self.fake.requests()
            if is_instruction(each.transaction or each.operation)
        ]

    def objects(self, noun: Noun) -> Sequence[str]:
        customers = self.fake.customers()
        match noun:
            case Noun.CUSTOMER:
                return [each["id"] for each in customers]
            case Noun.PAYMENT_METHOD:
                return [f"{each['id']}:{method['id']}" for each in customers for method in each["methods"]]
            case _:
                return [each["id"] for each in self.fake.subscriptions()]

    def new_token(self, *, declined: bool = False) -> str | None:
        return self.fake.token("declined" if declined else "visa")

    def renew(self, subscription: str) -> None:
        """Let the night come in which it collects next, the first time or again."""
        before = len(self.fake.charges())
        while len(self.fake.charges()) == before:
            self.fake.clock.move(timedelta(days=1))
            self.fake.collect()

    def lose_next_answer(self) -> None:
        self.fake.lose_next_answer("instruction")

    def hang_next(self) -> None:
        self.fake.spoil("hang_after", "instruction")

    def break_next(self) -> None:
        self.fake.spoil("error_before", "instruction")

    def garble_next(self) -> None:
        self.fake.spoil("unreadable", "instruction")

    def settle(self) -> None:
        self.fake.settle()

    def events(self) -> Sequence[bytes]:
        return [json.dumps(event).encode() for event in self.fake.events()]

    def signed_webhook(self, body: bytes, *, at: datetime, other_account: bool = False) -> Mapping[str, str]:
        from bridge_payments.sandbox.authorize_net.webhooks import sign

        return {"x-anet-signature": sign(body, "A" * 128 if other_account else self.fake.signature_key)}

    def invent_status(self, reference: str) -> None:
        invoice = reference.removeprefix("anet_")
        with self.fake.books.lock:
            for each in self.fake.books.transactions.values():
                if each.invoice == invoice:
                    each.status = "sparkling"

    def secrets(self) -> Sequence[str]:
        return [self.fake.transaction_key, self.fake.signature_key]

    def close(self) -> None:
        self.fake.faults.clear()


class TestAuthorizeNet(ProviderConformance):
    each_event_suffices = False  # a refund is a transaction of its own, which no charge mentions
    fake: ClassVar[FakeAuthorizeNet]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _listening(cls) -> Iterator[None]:
        with FakeAuthorizeNet() as cls.fake:
            yield

    @pytest.fixture(autouse=True)
    def _laboratory(self, anet_lab: AnetRecorder) -> None:
        self.lab = anet_lab

    def make_gateway(self) -> GatewayControl:
        self.fake.reset(endpoints=True)
        return AnetControl(self.fake)

    def make_provider(self, transport: Transport) -> PaymentProvider:
        return AuthorizeNetProvider(
            login_id=self.fake.login_id,
            transaction_key=self.fake.transaction_key,
            signature_keys=[self.fake.signature_key],
            transport=transport,
            api_base=self.fake.url,
        )

    def recorded_answers(self) -> Mapping[str, Callable[[], ProviderPayment]]:
        """The charges that it approved; where the vendor's contracts are not installed, those in JSON."""
        folder = specs_folder()
        if folder is None:
            raise NotChecked("recorded_answers: they are in the folder that BRIDGE_SPECS names")
        approved = (
            (name, answer)
            for name, answer in authorize_net_transactions(folder, xml_encoder())
            if lookup.is_approved(answer) and not mapping.is_test(answer)
        )
        return {name: partial(_charge, answer) for name, answer in approved}


def _charge(answer: dict[str, Any]) -> ProviderPayment:
    return mapping.charge_from(
        answer, intent="anet_00000000000000000001", amount=Money(500, "USD"),
        capture_method=CaptureMethod.AUTOMATIC, livemode=False, payload={},
    )  # fmt: skip


def xml_encoder() -> Any:
    try:
        from bridge_payments.providers.authorize_net.encoders.xml import XmlEncoder
    except ModuleNotFoundError:
        return None
    return XmlEncoder()
