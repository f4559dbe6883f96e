"""The calls that move money: a charge and what is done to it later, each sent once and never again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ...errors import (
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from ...models import CaptureMethod, Money, PaymentStatus
from ..base import ProviderPayment, Step
from . import forms, lookup, mapping
from .answers import Json
from .client import Budget, Client
from .payment_methods import PaymentMethods
from .transactions import Transactions, readable

__all__ = ["CHARGE", "Charge", "Charging"]

CHARGE: Final = "charge"
"""The call that charges, where another one follows that makes a stored method of what was paid with."""

_LOOK_SECONDS: Final = 8.0
"""For a look before a call that moves money: what it takes is taken from the call's own deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is charged, to whom, and whether it may be charged again."""

    intent: str
    amount: Money
    capture_method: CaptureMethod
    payment_method: str | None = field(repr=False)
    description: str | None = None
    customer: str | None = None
    off_session: bool = False
    keep: bool = False
    """Make a stored method of the token, once it has paid."""
    after: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def payload(self) -> dict[str, Any]:
        return forms.charge_payload(
            amount=self.amount,
            invoice=forms.reference_of(self.intent),
            capture_method=self.capture_method,
            payment_method=self.payment_method,
            description=self.description,
            customer=self.customer,
            off_session=self.off_session,
            keep=self.keep,
            after=self.after,
            extra=self.extra,
        )


class Charging:
    def __init__(
        self, client: Client, transactions: Transactions, methods: PaymentMethods, *, livemode: bool
    ) -> None:
        self._client, self._transactions, self._methods = client, transactions, methods
        self._livemode = livemode

    async def charge(self, charge: Charge, step: Step) -> ProviderPayment:
        payload, budget = charge.payload, Budget(step.deadline)
        if not charge.keep or forms.pair_of(charge.payment_method) is not None:
            return await self._made(charge, payload, step, budget)
        response = await step.once(CHARGE, lambda _: self._sent(charge, payload, step, budget))
        paid = readable(lambda: self._read(charge, payload, {"transactionResponse": response}))
        if paid.charge is None or paid.status is PaymentStatus.PROCESSING:
            return paid  # held for review: nothing is kept of what may be refused yet
        kept = await self._methods.keep(
            paid.charge, customer=charge.customer, reference=forms.reference_of(charge.intent),
            shown=paid.method, step=step, deadline=budget.left,
        )  # fmt: skip
        if kept is None:
            return paid
        shown = paid.method or kept
        return replace(paid, method=replace(kept, wallet_type=shown.wallet_type), customer=kept.customer)

    async def _made(
        self, charge: Charge, payload: Mapping[str, Any], step: Step, budget: Budget
    ) -> ProviderPayment:
        if step.repeat and (made := await self._made_before(charge)) is not None:
            return made
        try:
            answer = await self.write(payload, step, budget=budget, intent=charge.intent)
        except ProviderStateConflict as refused:
            if (made := await self._transactions.made_before(charge.intent, charge.amount)) is not None:
                return made
            raise refused from None
        return readable(lambda: self._read(charge, payload, answer))

    async def _made_before(self, charge: Charge) -> ProviderPayment | None:
        """Look before a charge goes out once more. A token is good once; a stored method would pay again."""
        made = await self._transactions.made_before(charge.intent, charge.amount)
        if made is None and forms.pair_of(charge.payment_method) is not None:
            raise ProviderUnknown("a stored method is not charged again where there are no keys")
        return made

    async def _sent(
        self, charge: Charge, payload: Mapping[str, Any], step: Step, budget: Budget
    ) -> dict[str, Any]:
        """Charge, and return of the approval what is read of it: no more is stored."""
        made = await self._made(charge, payload, step, budget)
        method = made.method
        shown = (
            {
                "accountNumber": f"XXXX{method.last_four}",
                "accountType": "eCheck" if method.type == "bank_account" else method.brand,
            }
            if method is not None
            else {}
        )
        return {"responseCode": "4" if made.review else "1", "transId": made.charge, **shown}

    def _read(self, charge: Charge, payload: Json, answer: Json) -> ProviderPayment:
        return mapping.charge_from(
            answer,
            intent=charge.intent,
            amount=charge.amount,
            capture_method=charge.capture_method,
            livemode=self._livemode,
            payload=payload,
        )

    async def look(self, transaction: str, step: Step) -> Json:
        """Read before a call that moves money. If that fails, nothing of the call has left."""
        try:
            return await self._transactions.details(
                transaction, deadline=min(_LOOK_SECONDS, step.deadline / 2)
            )
        except ProviderRejected:
            raise
        except ProviderError as error:
            failure = ProviderNeverSent(
                f"not sent, because the transaction could not be read: {error.message}"
            )
        raise failure

    async def write(
        self, payload: Mapping[str, Any], step: Step, *, intent: str, budget: Budget | None = None
    ) -> Json:
        """Send the one call that moves money and return its approval, or that it is held for review."""
        deadline = budget.left if budget is not None else step.deadline
        answer = await self._client.write(payload, reference=step.reference, deadline=deadline)
        if lookup.is_approved(answer):
            if mapping.is_test(answer) and not step.repeat:
                raise ProviderRejected(
                    "the account is in Test Mode: nothing was charged", provider_code="test_mode"
                )
            return answer
        error = readable(
            lambda: mapping.error_from(answer, repeat=step.repeat, intent=intent, attempt=step.reference)
        )
        if isinstance(error, ProviderNotFound):
            # It is the method that is gone; "no such object" would be said of the payment.
            error = ProviderRejected(error.message, provider_code=error.provider_code)
        raise error
