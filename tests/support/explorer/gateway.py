"""A provider in a few fields: what it holds, took and gave back, and which calls it has executed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bridge_payments.errors import ProviderDeclined, ProviderRejected, ProviderStateConflict
from bridge_payments.models import Money, Operation, PaymentStatus, RefundStatus, Verb
from bridge_payments.providers.base import Decline, ProviderPayment, ProviderRefund

__all__ = ["CURRENCY", "INTENT", "TOTAL", "Gateway"]

INTENT = "pi_1"
CURRENCY = "USD"
TOTAL = 2

_UNPAID = ("pending", "action")
_STATUS = {
    "pending": PaymentStatus.PENDING,
    "action": PaymentStatus.REQUIRES_ACTION,
    "held": PaymentStatus.REQUIRES_CAPTURE,
    "paid": PaymentStatus.SUCCEEDED,
    "canceled": PaymentStatus.CANCELED,
    "returned": PaymentStatus.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One payment as its provider has it.

    With *keys* a call under a key that was used answers as it did then; without (Authorize.net) each call
    is executed anew. *intent* is whether the provider itself lets one payment be paid once.
    """

    manual: bool = False
    keys: bool = True
    intent: bool = True
    exists: bool = False
    status: str = "pending"
    captured: int = 0
    charges: int = 0
    refunds: tuple[tuple[str, int, str | None], ...] = ()
    """Reference, amount, our refund id; those made in the dashboard carry none."""
    disputed: int = 0
    attempt: int = 0
    """The attempt that was declined last, if it was the last one."""
    attempts: int = 0
    executed: frozenset[str] = field(default=frozenset())
    """Operations whose instruction took effect."""

    @property
    def refunded(self) -> int:
        return sum(amount for _, amount, _ in self.refunds)

    def truth(self) -> ProviderPayment:
        """Return what a read shows."""
        declined = self.attempt and self.status == "pending"
        return ProviderPayment(
            reference=INTENT,
            status=_STATUS[self.status],
            amount=Money(TOTAL, CURRENCY),
            authorized=TOTAL if self.status == "held" else 0,
            captured=self.captured,
            refunded=self.refunded,
            disputed=self.disputed,
            payment_id="pay_1",
            decline=Decline(code="declined", message="no", reference=f"try_{self.attempt}")
            if declined
            else None,
            refunds=tuple(
                ProviderRefund(
                    reference=reference,
                    payment=INTENT,
                    amount=Money(amount, CURRENCY),
                    status=RefundStatus.SUCCEEDED,
                    refund_id=ours,
                )
                for reference, amount, ours in self.refunds
            ),
        )

    # --- what callers ask: each outcome that this gateway may choose --------------------------------

    def execute(self, operation: Operation) -> Iterator[tuple[Gateway, object]]:
        """Yield the gateway afterwards and its answer: a payment, a refund, or the error it raises."""
        if self.keys and operation.id in self.executed:
            yield self, self._answer(operation)
            return
        match operation.verb:
            case Verb.CREATE:
                yield self._did(operation, exists=True), self.truth()
            case Verb.CONFIRM:
                yield from self._confirm(operation)
            case Verb.CAPTURE if self.status == "held":
                made = self._did(operation, status="paid", captured=TOTAL)
                yield made, made.truth()
            case Verb.CANCEL if self.status in (*_UNPAID, "held"):
                made = self._did(operation, status="canceled", attempt=0)
                yield made, made.truth()
            case Verb.REFUND:
                yield from self._refund(operation)
            case _:
                yield self, ProviderStateConflict("it is in another state")

    def _confirm(self, operation: Operation) -> Iterator[tuple[Gateway, object]]:
        if self.status not in _UNPAID and self.intent:
            yield self, ProviderStateConflict("it is in another state")
            return
        for made in self._paid():
            done = made._did(operation)
            yield done, done.truth()
        yield from self._declined()
        if self.status == "pending" and self.intent:
            asked = self._did(operation, status="action", attempt=0)
            yield asked, asked.truth()

    def _declined(self) -> Iterator[tuple[Gateway, object]]:
        if self.attempts < 2 and self.status in _UNPAID:
            number = self.attempts + 1
            refused = replace(self, status="pending", attempt=number, attempts=number)
            error = ProviderDeclined("no", decline_code="declined", payment=INTENT, attempt=f"try_{number}")
            yield refused, error

    def _refund(self, operation: Operation) -> Iterator[tuple[Gateway, object]]:
        amount = operation.inputs["amount"]["minor_units"]
        if self.status != "paid" or self.refunded + amount > self.captured or self.disputed:
            yield self, ProviderRejected("no such amount is left")
            return
        reference = f"re_{len(self.refunds) + 1}"
        made = self._did(operation, refunds=(*self.refunds, (reference, amount, operation.refund_id)))
        yield made, made._answer(operation)

    def _answer(self, operation: Operation) -> object:
        if operation.verb is not Verb.REFUND:
            return self.truth()
        [seen] = [refund for refund in self.truth().refunds or () if refund.refund_id == operation.refund_id]
        return seen

    # --- what happens without us ---------------------------------------------------------------------

    def by_itself(self) -> Iterator[tuple[str, Gateway]]:
        """Yield what a browser, the dashboard, a bank may do: its name, and the gateway afterwards."""
        if not self.exists:
            return
        if self.status in _UNPAID and self.intent:  # elsewhere a browser has nothing to confirm
            for made in self._paid():
                yield "browser pays", made
            for made, _ in self._declined():
                yield "browser is declined", made
        if self.status == "held":
            yield "dashboard captures", replace(self, status="paid", captured=TOTAL)
        if self.status in ("pending", "held"):
            yield "dashboard cancels", replace(self, status="canceled", attempt=0)
        if self.status == "paid" and self.refunded < self.captured and len(self.refunds) < 2:
            reference = f"re_{len(self.refunds) + 1}"
            yield "dashboard refunds", replace(self, refunds=(*self.refunds, (reference, 1, None)))
        if self.status == "paid" and not self.disputed:
            yield "bank disputes", replace(self, disputed=1)
        if self.disputed:
            yield "dispute is won", replace(self, disputed=0)
        if self.status == "paid" and not self.refunds:
            yield "settlement fails", replace(self, status="returned")

    def _paid(self) -> Iterator[Gateway]:
        if self.manual:
            yield replace(self, status="held", charges=self.charges + 1, attempt=0)
        else:
            yield replace(self, status="paid", captured=TOTAL, charges=self.charges + 1, attempt=0)

    def _did(self, operation: Operation, **changes: object) -> Gateway:
        return replace(self, executed=self.executed | {operation.id}, **changes)  # type: ignore[arg-type]
