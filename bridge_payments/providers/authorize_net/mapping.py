"""What Authorize.net's transactions mean in our words. Pure: plain values in, frozen values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from ...models import CaptureMethod, DisputeStatus, Money, Noun, PaymentStatus, ProviderEvent, RefundStatus
from ..base import (
    UNRECOGNISED,
    Decline,
    KnownPayment,
    ProviderDispute,
    ProviderPayment,
    ProviderRefund,
    ProviderStatus,
    RefundRequest,
)
from .answers import Json, moment_of, text_of
from .declines import DECLINES, decline_from, reason_of
from .forms import intent_of, invoice_for, is_reference
from .money import cents_of, from_gateway
from .paid_with import method_of, method_of_answer
from .profiles import reference_of_pair
from .refusals import error_from, read_error_from, response_of

__all__ = [
    "ATTEMPT",
    "DECLINES",
    "SETTLED",
    "STATUS",
    "UNSETTLED",
    "captured_from",
    "charge_from",
    "error_from",
    "event_from",
    "intent_from",
    "invoice_of",
    "is_live",
    "is_test",
    "local_payment",
    "original_of",
    "payment_from",
    "read_error_from",
    "refund_from",
    "refund_seen",
    "status_of",
    "subscription_in",
    "takes_money",
    "transaction_of",
    "void_reference",
    "void_refund",
    "waiting_refund",
]

ATTEMPT: Final = frozenset({"declined", "generalError", "communicationError", "failedReview"})
"""Words of a transaction that took no money: an attempt, after which the intent can still be paid."""

UNSETTLED: Final = frozenset({"capturedPendingSettlement"})
"""It can be voided, and not yet refunded."""

SETTLED: Final = frozenset({"settledSuccessfully", "returnedItem", "chargeback", "chargebackReversal"})

_BEING_SETTLED: Final = frozenset({"pendingFinalSettlement", "pendingSettlement", "updatingSettlement"})

# A bank may return a debit that its holder did not agree to for about 60 days
# (2026-11, https://support.authorize.net/knowledgebase/Knowledgearticle/?code=000001216).
_RETURNABLE: Final = timedelta(days=60)
_LONGEST: Final = _RETURNABLE + timedelta(days=30)
"""After which a charge that still has not settled is not waited for any more."""

# (2026-11, https://developer.authorize.net/api/reference/#transaction-reporting-get-transaction-details and
# `transactionStatusEnum` of the schema). `approvedReview` and `voided` depend on what was asked or is known
# and are read below. `couldNotVoid` does not say what became of the charge: it is not recognised.
STATUS: Final[Mapping[str, PaymentStatus]] = {
    "authorizedPendingCapture": PaymentStatus.REQUIRES_CAPTURE,
    "capturedPendingSettlement": PaymentStatus.SUCCEEDED,
    "pendingFinalSettlement": PaymentStatus.SUCCEEDED,
    "pendingSettlement": PaymentStatus.SUCCEEDED,
    "updatingSettlement": PaymentStatus.SUCCEEDED,
    "settledSuccessfully": PaymentStatus.SUCCEEDED,
    "chargeback": PaymentStatus.SUCCEEDED,
    "chargebackReversal": PaymentStatus.SUCCEEDED,
    "FDSPendingReview": PaymentStatus.PROCESSING,
    "FDSAuthorizedPendingReview": PaymentStatus.PROCESSING,
    "underReview": PaymentStatus.PROCESSING,
    "authorizedPendingRelease": PaymentStatus.PROCESSING,
    "declined": PaymentStatus.PENDING,
    "generalError": PaymentStatus.PENDING,
    "communicationError": PaymentStatus.PENDING,
    "failedReview": PaymentStatus.PENDING,
    "expired": PaymentStatus.CANCELED,
    # The bank took the money back, or settlement failed after a success was told.
    "returnedItem": PaymentStatus.FAILED,
    "settlementError": PaymentStatus.FAILED,
}

_TAKING: Final = frozenset(
    {PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_CAPTURE, PaymentStatus.SUCCEEDED}
)
_IN_REVIEW: Final = frozenset({"FDSPendingReview", "FDSAuthorizedPendingReview", "underReview"})
_ATTEMPT_CODES: Final = {
    "generalError": "processing_error",
    "communicationError": "processing_error",
    "failedReview": "fraudulent",
}
_REFUNDS: Final[Mapping[str, RefundStatus]] = {
    "refundPendingSettlement": RefundStatus.SUCCEEDED,
    "refundSettledSuccessfully": RefundStatus.SUCCEEDED,
    "voided": RefundStatus.CANCELED,
    "declined": RefundStatus.FAILED,
    "generalError": RefundStatus.FAILED,
    "communicationError": RefundStatus.FAILED,
    "settlementError": RefundStatus.FAILED,
    "returnedItem": RefundStatus.FAILED,
}
_DISPUTES: Final = {"chargeback": DisputeStatus.OPEN, "chargebackReversal": DisputeStatus.WON}
_GONE: Final = frozenset({RefundStatus.FAILED, RefundStatus.CANCELED})


# --- intents that are ours alone ------------------------------------------------------------------


def local_payment(
    intent: str,
    total: Money,
    *,
    status: PaymentStatus = PaymentStatus.PENDING,
    livemode: bool | None,
    payment_id: str | None = None,
    final: bool = True,
) -> ProviderPayment:
    """Return an intent of which the gateway knows nothing: it is what our books say."""
    return ProviderPayment(
        reference=intent,
        status=status,
        amount=total,
        livemode=livemode,
        our_reference=invoice_for(intent),
        payment_id=payment_id,
        final=final,
        provider_status="local",
    )


# --- answers to our own calls ---------------------------------------------------------------------


def charge_from(
    answer: Json,
    *,
    intent: str,
    amount: Money,
    capture_method: CaptureMethod,
    livemode: bool | None,
    payload: Json,
) -> ProviderPayment:
    """Read an approval, or a charge that is held for review. Raises ValueError for what is neither."""
    response = response_of(answer)
    said = text_of(response.get("responseCode"))
    transaction = text_of(response.get("transId"))
    if said not in ("1", "4") or transaction in (None, "0"):
        raise ValueError("neither approved nor held")
    if _is_partial(response, amount):
        raise ValueError("only a part was approved")
    method = method_of_answer(response, payload)
    held, manual = said == "4", capture_method is CaptureMethod.MANUAL
    status = (
        PaymentStatus.PROCESSING
        if held
        else PaymentStatus.REQUIRES_CAPTURE
        if manual
        else PaymentStatus.SUCCEEDED
    )
    return ProviderPayment(
        reference=intent,
        status=status,
        amount=amount,
        authorized=amount.minor_units if status is PaymentStatus.REQUIRES_CAPTURE else 0,
        captured=amount.minor_units if status is PaymentStatus.SUCCEEDED else 0,
        charge=transaction,
        livemode=livemode,
        our_reference=invoice_for(intent),
        review=held,
        method=method,
        customer=method.customer if method else None,
        final=False,
        provider_status=(
            "heldForReview" if held else "authorizedPendingCapture" if manual else "capturedPendingSettlement"
        ),
        raw=answer,
    )


def _is_partial(response: Json, amount: Money) -> bool:
    """A prepaid card may have covered a part: that is also said with the code of a hold (reason 295)."""
    prepaid = response.get("prePaidCard")
    approved = text_of(prepaid.get("approvedAmount")) if isinstance(prepaid, Mapping) else None
    if approved is not None and from_gateway(approved, amount.currency) != amount:
        return True
    return reason_of(response)[0] == "295"


def is_test(answer: Json) -> bool:
    """Whether the account is in Test Mode: it approves everything, and nothing of it exists afterwards."""
    response = response_of(answer)
    return text_of(response.get("responseCode")) == "1" and text_of(response.get("transId")) in (None, "0")


def captured_from(
    answer: Json, *, intent: str, charge: str, amount: Money, total: Money, livemode: bool | None
) -> ProviderPayment:
    return ProviderPayment(
        reference=intent,
        status=PaymentStatus.SUCCEEDED,
        amount=total,
        captured=amount.minor_units,
        charge=charge,
        livemode=livemode,
        our_reference=invoice_for(intent),
        final=False,
        provider_status="capturedPendingSettlement",
        raw=answer,
    )


def refund_from(
    answer: Json, *, intent: str, amount: Money, refund_id: str, reference: str, reason: str | None = None
) -> ProviderRefund:
    """Read an approved refund. The gateway has taken it; it settles with the next batch."""
    transaction = text_of(response_of(answer).get("transId"))
    if transaction in (None, "0"):
        raise ValueError("a refund without a transaction")
    return ProviderRefund(
        reference=str(transaction),
        payment=intent,
        amount=amount,
        status=RefundStatus.SUCCEEDED,
        our_reference=reference,
        refund_id=refund_id,
        reason=reason,
        raw=answer,
    )


def void_refund(charge: str, request: RefundRequest, *, raw: object = None) -> ProviderRefund:
    return replace(
        waiting_refund(request),
        reference=void_reference(charge),
        status=RefundStatus.SUCCEEDED,
        failure=None,
        raw=raw,
    )


def waiting_refund(request: RefundRequest) -> ProviderRefund:
    """Return a refund that the gateway takes only after settlement, and only then gives a number."""
    return ProviderRefund(
        reference=request.reference,
        payment=request.payment,
        amount=request.amount,
        status=RefundStatus.WAITING,
        our_reference=request.reference,
        refund_id=request.refund_id,
        reason=request.reason,
        failure="The payment has not settled yet; the refund is made when it has.",
    )


def void_reference(charge: str) -> str:
    """Return the name of the refund that a void is: the gateway gives a void no number of its own."""
    return f"void-{charge}"


# --- transactions that were read ------------------------------------------------------------------


def transaction_of(answer: Json) -> Json:
    """Return the transaction of `getTransactionDetails`, with the reference of the call that made it."""
    found = answer["transaction"]
    if not isinstance(found, Mapping):
        raise ValueError("no transaction")  # noqa: TRY004 - an unreadable answer, not a wrong argument
    return {**found, "transrefId": answer.get("transrefId")}


def status_of(transaction: Json) -> str:
    return text_of(transaction["transactionStatus"]) or ""


def invoice_of(transaction: Json) -> str | None:
    order = transaction.get("order")
    return text_of(order.get("invoiceNumber")) if isinstance(order, Mapping) else None


def original_of(transaction: Json) -> str | None:
    """Return the charge to which a refund belongs."""
    return text_of(transaction.get("refTransId"))


def subscription_in(transaction: Json) -> str | None:
    """Return the subscription that a charge was collected for."""
    found = transaction.get("subscription")
    return text_of(found.get("id")) if isinstance(found, Mapping) else None


def intent_from(transaction: Json) -> str | None:
    """Return what a charge's payment is called: its intent, which it carries as its invoice.

    What a subscription collects has none, and carries the subscription's: it is called by its own number.
    """
    if subscription_in(transaction) is not None:
        return text_of(transaction["transId"])
    invoice = invoice_of(transaction) or ""
    return intent_of(invoice) if is_reference(invoice) else None


def is_live(word: str) -> bool:
    """Whether a transaction of this status took, holds or may take money, or did."""
    return word not in ATTEMPT


def takes_money(word: str) -> bool:
    """Whether a charge of this status took, holds or may take money now: not one that was given back,
    returned or never settled, and no refund."""
    return STATUS.get(word) in _TAKING or word in ("approvedReview", "couldNotVoid")


def is_final(transaction: Json, *, now: datetime) -> bool:
    """Whether a charge stays what it is: a card's has settled, a bank's can be returned no more."""
    word = status_of(transaction)
    submitted = moment_of(transaction.get("submitTimeUTC")) or now
    if word in UNSETTLED | _BEING_SETTLED or word == "approvedReview":
        return now - submitted > _LONGEST
    payment, batch = transaction.get("payment"), transaction.get("batch")
    if word != "settledSuccessfully" or not isinstance(payment, Mapping) or "bankAccount" not in payment:
        return True
    settled = moment_of(batch.get("settlementTimeUTC")) if isinstance(batch, Mapping) else None
    return now - (settled or submitted) > _RETURNABLE


def payment_from(
    transaction: Json,
    *,
    known: KnownPayment,
    currency: str,
    livemode: bool | None,
    refunds: tuple[ProviderRefund, ...] = (),
    others: tuple[str, ...] = (),
    now: datetime,
) -> ProviderPayment:
    """Read a charge. *refunds* are seen ones that our books may lack; the charge shows none itself.
    *others* carry the same invoice.

    Raises KeyError, TypeError, ValueError or InvalidRequest for what is no charge.
    """
    word = status_of(transaction)
    charge = text_of(transaction["transId"])
    status = _status(word, transaction, known)
    authorised = from_gateway(transaction["authAmount"], currency)
    settles = cents_of(transaction.get("settleAmount"), currency)
    captured = settles if status is PaymentStatus.SUCCEEDED else 0
    if word == "voided" and known.captured:
        # What we had collected was given back before it settled: a refund of all of it.
        captured = known.captured
        refunds = (*refunds, _void(charge or "", known))
    listed = _refunds(known, refunds)
    given = sum(each.amount.minor_units for each in listed if each.status not in _GONE)
    decline = _decline(word, transaction) if status is PaymentStatus.PENDING else None
    subscription, method = subscription_in(transaction), method_of(transaction)
    return ProviderPayment(
        reference=known.reference,
        status=status,
        # An authorisation of which a part was collected is the payment's total, whichever of the two
        # amounts the gateway goes on showing.
        amount=known.total if 0 < settles == known.captured else authorised,
        authorized=authorised.minor_units if status is PaymentStatus.REQUIRES_CAPTURE else 0,
        captured=captured,
        refunded=min(given, max(captured, known.captured)),
        disputed=captured if word == "chargeback" else 0,
        disputes=_disputes(word, charge or "", Money(captured, currency)),
        charge=None if decline else charge,
        livemode=livemode,
        our_reference=invoice_of(transaction) if subscription is None else None,
        decline=decline,
        review=word in _IN_REVIEW,
        method=method,
        customer=method.customer if method else None,
        refunds=listed,
        subscription=subscription,
        final=is_final(transaction, now=now),
        others=tuple(other for other in others if other != charge),
        provider_status=word,
        created_at=moment_of(transaction.get("submitTimeUTC")),
        raw=transaction,
    )


def _disputes(word: str, charge: str, amount: Money) -> tuple[ProviderDispute, ...] | None:
    """Read a charge back off the status, which is all that is shown of one: it has no number of its own.

    It is of the whole amount as far as that says, and won when it is reversed.
    """
    status = _DISPUTES.get(word)
    if status is None:
        return None
    reference = f"chargeback-{charge}"
    return (
        ProviderDispute(
            reference=reference, amount=amount, status=status, charge=charge, provider_status=word
        ),
    )


def _status(word: str, transaction: Json, known: KnownPayment) -> ProviderStatus:
    if word == "voided":
        return PaymentStatus.SUCCEEDED if known.captured else PaymentStatus.CANCELED
    if word == "approvedReview":
        only = text_of(transaction.get("transactionType")) == "authOnlyTransaction"
        return PaymentStatus.REQUIRES_CAPTURE if only else PaymentStatus.SUCCEEDED
    if word in ATTEMPT and known.captured:
        return PaymentStatus.FAILED
    return STATUS.get(word, UNRECOGNISED)


def _decline(word: str, transaction: Json) -> Decline | None:
    if word not in ATTEMPT:
        return None
    decline = decline_from(
        text_of(transaction.get("responseReasonCode")),
        text_of(transaction.get("responseReasonDescription")),
        reference=text_of(transaction["transId"]),
        card_code=text_of(transaction.get("cardCodeResponse")),
    )
    # A refused review carries the reason of the hold, or of its approval.
    word_says = _ATTEMPT_CODES.get(word)
    return replace(decline, code=word_says, message=_SENTENCES[word]) if word_says else decline


_SENTENCES: Final = {
    "generalError": "The payment could not be processed.",
    "communicationError": "The payment could not be processed.",
    "failedReview": "The payment was not approved.",
}


def _void(charge: str, known: KnownPayment) -> ProviderRefund:
    """Return the refund that a void was: ours, if one of ours asked for it and was not answered yet."""
    mine = [
        row
        for row in known.refunds
        if row.reference is None
        and row.status is RefundStatus.PENDING
        and row.amount.minor_units == known.captured
    ]
    return ProviderRefund(
        reference=void_reference(charge),
        payment=known.reference,
        amount=Money(known.captured, known.total.currency),
        status=RefundStatus.SUCCEEDED,
        refund_id=mine[0].id if mine else None,
    )


def _refunds(known: KnownPayment, seen: tuple[ProviderRefund, ...]) -> tuple[ProviderRefund, ...]:
    """Return every refund that we know of: as it was read just now, else as our books have it."""
    read = {each.reference: each for each in seen}
    ours = {
        row.reference: ProviderRefund(
            reference=row.reference,
            payment=known.reference,
            amount=row.amount,
            status=row.status,
            refund_id=row.id,
        )
        for row in known.refunds
        if row.reference is not None
    }
    return tuple({**ours, **read}.values())


def refund_seen(transaction: Json, *, known: KnownPayment, currency: str) -> ProviderRefund | None:
    """Read a refund that a webhook named, if it is one of this charge and no operation of ours awaits it."""
    if text_of(transaction.get("refTransId")) != known.charge or known.charge is None:
        return None
    word = status_of(transaction)
    reference = str(text_of(transaction["transId"]))
    status = _REFUNDS.get(word)
    if status is None or text_of(transaction.get("transactionType")) != "refundTransaction":
        return None
    row = next((row for row in known.refunds if row.reference == reference), None)
    awaited = any(
        each.reference is None and each.status in (RefundStatus.PENDING, RefundStatus.WAITING)
        for each in known.refunds
    )
    invoice = invoice_of(transaction) or ""
    ours = is_reference(invoice) and invoice != invoice_for(known.reference)
    if row is None and awaited and ours:
        # Its invoice is an operation's: the answer to that operation, or its look-up, records it.
        return None
    return ProviderRefund(
        reference=reference,
        payment=known.reference,
        amount=from_gateway(transaction["authAmount"], currency),
        status=status,
        refund_id=row.id if row else None,
        failure=text_of(transaction.get("responseReasonDescription")) if status in _GONE else None,
        raw=transaction,
    )


# --- events ---------------------------------------------------------------------------------------


# (2026-11, https://developer.authorize.net/api/reference/features/webhooks.html).
_NOUNS: Final = {
    "transaction": Noun.PAYMENT,
    "customerProfile": Noun.CUSTOMER,
    "customerPaymentProfile": Noun.PAYMENT_METHOD,
    "subscription": Noun.SUBSCRIPTION,
}


def event_from(event: Json, *, body: str = "") -> ProviderEvent:
    """Read a verified notification. Raises KeyError, TypeError or ValueError for what is none."""
    payload: Any = event["payload"]
    if not isinstance(payload, Mapping):
        raise ValueError("no payload")  # noqa: TRY004 - an unreadable body, not a wrong argument
    identity, kind = text_of(event["notificationId"]), text_of(event["eventType"])
    if identity is None or kind is None:
        raise ValueError("neither an id nor a type")
    noun = _NOUNS.get(str(payload.get("entityName")))
    number, owner = text_of(payload.get("id")), text_of(payload.get("customerProfileId"))
    if noun is Noun.PAYMENT_METHOD:
        number = reference_of_pair(owner, number) if owner and number else None
    # The reference of the call, or the mark of a customer; of what was made in the dashboard, nothing.
    mark = payload.get("merchantReferenceId" if noun is Noun.PAYMENT else "merchantCustomerId")
    return ProviderEvent(
        id=identity,
        type=kind,
        reference=number if noun else None,
        noun=noun or Noun.PAYMENT,
        our_reference=text_of(mark) if noun else None,
        created_at=moment_of(event.get("eventDate")),
        body=body,
    )
