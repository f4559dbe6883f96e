"""What PayPal's orders mean in our words. Pure: plain dicts in, frozen values out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ...models import Money, NextAction, NextActionKind, PaymentStatus, RefundStatus
from ..base import UNRECOGNISED, Decline, ProviderMethod, ProviderPayment, ProviderRefund, ProviderStatus
from .declines import DECLINES, decline_from
from .events import event_from, order_of_capture, reference_from
from .money import from_paypal
from .objects import Json, items_of, link_of, moment_of, text_of, text_or_none
from .refusals import error_from, read_error_from
from .vault import kept_from_order

__all__ = [
    "DECLINES",
    "REFUND_STATUS",
    "STATUS",
    "capture_of",
    "captures_of",
    "charge_from",
    "error_from",
    "event_from",
    "held_authorization",
    "is_untouched",
    "merged",
    "order_of_capture",
    "payment_from",
    "read_error_from",
    "reference_from",
    "refund_from",
    "shows_capture",
]

# An order of which nothing was paid (2026-11, https://developer.paypal.com/docs/api/orders/v2/#orders_get).
# APPROVED is the payer's word and not the money: it still has to be captured or authorised (rule 17).
STATUS: Final[Mapping[str, PaymentStatus]] = {
    "CREATED": PaymentStatus.REQUIRES_ACTION,
    "PAYER_ACTION_REQUIRED": PaymentStatus.REQUIRES_ACTION,
    "SAVED": PaymentStatus.REQUIRES_CONFIRMATION,
    "APPROVED": PaymentStatus.REQUIRES_CONFIRMATION,
    "VOIDED": PaymentStatus.CANCELED,
    # Without a payment in it: the payment is still being made.
    "COMPLETED": PaymentStatus.PROCESSING,
}

# (2026-11, https://developer.paypal.com/docs/api/payments/v2/#definition-capture_status). A refunded capture
# was collected first.
_COLLECTED: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
_REFUSED: Final = frozenset({"DECLINED", "FAILED"})
_CAPTURES: Final = _COLLECTED | _REFUSED | {"PENDING"}

# (2026-11, https://developer.paypal.com/docs/api/payments/v2/#definition-authorization_status).
_HOLDS: Final = frozenset({"CREATED", "PARTIALLY_CAPTURED"})
_AUTHORIZATIONS: Final = _HOLDS | {"CAPTURED", "DENIED", "PENDING", "VOIDED"}

REFUND_STATUS: Final[Mapping[str, RefundStatus]] = {
    # A word that we do not know keeps its share.
    "COMPLETED": RefundStatus.SUCCEEDED,
    "PENDING": RefundStatus.PENDING,
    "FAILED": RefundStatus.FAILED,
    "CANCELLED": RefundStatus.CANCELED,
}
_HELD_BACK: Final = frozenset({RefundStatus.FAILED, RefundStatus.CANCELED})

_APPROVALS: Final = ("payer-action", "approve")
_REFERENCE: Final = re.compile(r"[0-9a-z]{20}")


# --- payments -------------------------------------------------------------------------------------


def payment_from(
    order: Json, *, livemode: bool | None = None, request_id: str | None = None
) -> ProviderPayment:
    """Read an order of ours, whole: one purchase unit and what was paid of it.

    Raises KeyError, TypeError, ValueError or InvalidRequest for what is not such an order.
    """
    unit = _unit_of(order)
    amount = from_paypal(unit["amount"])
    captures, authorizations = _captures(order), _authorizations(order)
    refunds = [refund_from(each, order=order["id"]) for each in items_of(unit, "payments", "refunds")]
    captured = _total(captures, _COLLECTED)
    status = _status(order, captures, authorizations)
    attempt = _last_refused(captures, authorizations)
    return ProviderPayment(
        reference=text_of(order["id"]),
        status=status,
        amount=amount,
        authorized=_held(captures, authorizations),
        captured=captured,
        refunded=_refunded(captures, refunds),
        charge=capture_of(order),
        livemode=livemode,
        our_reference=_reference_of(unit),
        payment_id=text_or_none(unit.get("custom_id")),
        next_action=_next_action(order, status),
        decline=_decline(attempt, status),
        review=_in_review(captures, authorizations, status),
        method=_method(order),
        refunds=tuple(refunds),
        provider_status=_word(order, captures, authorizations),
        request_id=request_id,
        created_at=moment_of(order.get("create_time")),
        raw=order,
    )


def merged(before: Json, answer: Json) -> Json:
    """Return the order as it was read before a call, with what the call's answer says of it.

    An answer without representation names the payment it made, and leaves out amounts and intent.
    """
    if text_of(answer["id"]) != text_of(before["id"]):
        raise ValueError("another order than the one that was asked for")
    unit = dict(_unit_of(before))
    if items_of(answer, "purchase_units"):
        unit |= _unit_of(answer)
    return {**before, **answer, "purchase_units": [unit]}


def held_authorization(order: Json) -> Json | None:
    """Return the authorisation that still holds money, or is being looked at; the newest of them."""
    return next(
        (each for each in reversed(_authorizations(order)) if each["status"] in _HOLDS | {"PENDING"}), None
    )


def capture_of(order: Json) -> str | None:
    """Return the capture that took the money, or is about to: the newest of them."""
    taken = [each for each in _captures(order) if each["status"] not in _REFUSED]
    return text_of(taken[-1]["id"]) if taken else None


def captures_of(order: Json) -> Sequence[str]:
    """Return the captures that took money, oldest first: what may be disputed."""
    return [text_of(each["id"]) for each in _captures(order) if each["status"] in _COLLECTED]


def shows_capture(order: Json, capture: str) -> bool:
    return any(each["id"] == capture for each in _captures(order))


def is_untouched(order: Json) -> bool:
    """Whether no payment was made of the order, however it ended."""
    return not _captures(order) and not _authorizations(order)


def _unit_of(order: Json) -> Json:
    units = items_of(order, "purchase_units")
    if len(units) != 1:
        raise ValueError("an order of ours has one purchase unit")
    return units[0]


def _captures(order: Json) -> Sequence[Json]:
    return _by_time(items_of(_unit_of(order), "payments", "captures"))


def _authorizations(order: Json) -> Sequence[Json]:
    return _by_time(items_of(_unit_of(order), "payments", "authorizations"))


def _by_time(things: Sequence[Json]) -> Sequence[Json]:
    """The order of the list is not promised, and no time means that there is nothing to sort by."""
    return sorted(things, key=lambda each: str(each.get("create_time") or ""))


def _status(order: Json, captures: Sequence[Json], authorizations: Sequence[Json]) -> ProviderStatus:
    words = {text_of(each["status"]) for each in captures}
    holds = {text_of(each["status"]) for each in authorizations}
    word = STATUS.get(text_of(order["status"]))
    if word is None or words - _CAPTURES or holds - _AUTHORIZATIONS:
        return UNRECOGNISED
    if "PENDING" in words | holds:
        return PaymentStatus.PROCESSING
    if _held(captures, authorizations):
        return PaymentStatus.REQUIRES_CAPTURE
    if words & _COLLECTED:
        return PaymentStatus.SUCCEEDED
    if "VOIDED" in holds:
        return PaymentStatus.CANCELED
    if words & _REFUSED or "DENIED" in holds:
        # A refused card completes its order, which cannot be paid again; another refusal is an attempt
        # (2020-11, https://github.com/woocommerce/woocommerce-paypal-payments/issues/88).
        return PaymentStatus.FAILED if order["status"] == "COMPLETED" else PaymentStatus.PENDING
    if order["status"] == "CREATED" and _named_card(order):
        # The card fields of PayPal's script have named a card: nothing is left for the payer to do.
        return PaymentStatus.REQUIRES_CONFIRMATION
    return word


def _held(captures: Sequence[Json], authorizations: Sequence[Json]) -> int:
    """What an authorisation still holds. A final capture releases the rest, whatever its word is then."""
    live = [each for each in authorizations if each["status"] in _HOLDS]
    taken = [each for each in captures if each["status"] not in _REFUSED]
    if not live or any(each.get("final_capture") is True for each in taken):
        return 0
    left = from_paypal(live[-1]["amount"]).minor_units
    return max(left - sum(from_paypal(each["amount"]).minor_units for each in taken), 0)


def _total(captures: Sequence[Json], words: frozenset[str]) -> int:
    return sum(from_paypal(each["amount"]).minor_units for each in captures if each["status"] in words)


def _refunded(captures: Sequence[Json], refunds: Sequence[ProviderRefund]) -> int:
    """A capture that was taken back by a bank is called refunded and may show no refund."""
    listed = sum(each.amount.minor_units for each in refunds if each.status not in _HELD_BACK)
    return max(listed, _total(captures, frozenset({"REFUNDED"})))


def _last_refused(captures: Sequence[Json], authorizations: Sequence[Json]) -> Json | None:
    refused = [
        *(each for each in captures if each["status"] in _REFUSED),
        *(each for each in authorizations if each["status"] == "DENIED"),
    ]
    return _by_time(refused)[-1] if refused else None


def _decline(attempt: Json | None, status: ProviderStatus) -> Decline | None:
    if attempt is None or status not in (PaymentStatus.FAILED, PaymentStatus.PENDING):
        return None
    return decline_from(attempt)


def _in_review(captures: Sequence[Json], authorizations: Sequence[Json], status: ProviderStatus) -> bool:
    return status is PaymentStatus.PROCESSING and any(
        (each.get("status_details") or {}).get("reason") == "PENDING_REVIEW"
        for each in (*captures, *authorizations)
        if each["status"] == "PENDING"
    )


def _word(order: Json, captures: Sequence[Json], authorizations: Sequence[Json]) -> str:
    """PayPal's own word that decides: of the payment where there is one, of the order otherwise."""
    if captures:
        return f"capture {captures[-1]['status']}"
    if authorizations:
        return f"authorization {authorizations[-1]['status']}"
    return text_of(order["status"])


def _next_action(order: Json, status: ProviderStatus) -> NextAction | None:
    if status is not PaymentStatus.REQUIRES_ACTION:
        return None
    page = link_of(order, *_APPROVALS)
    if page is None:
        return NextAction(kind=NextActionKind.USE_SDK)
    return NextAction(kind=NextActionKind.REDIRECT, url=page)


def _reference_of(thing: Json) -> str | None:
    """Our 20 characters; a number of somebody else's is no claim to be ours, nor a mismatch."""
    text = text_or_none(thing.get("invoice_id"))
    return text if text and _REFERENCE.fullmatch(text) else None


def _named_card(order: Json) -> Json | None:
    card: Json = (order.get("payment_source") or {}).get("card") or {}
    return card if card.get("last_digits") else None


def _method(order: Json) -> ProviderMethod | None:
    """What pays: kept for later, or a wallet's account. A card that is not kept has no reference."""
    sources: Json = order.get("payment_source") or {}
    for source in ("card", "paypal", "venmo"):
        details: Json = sources.get(source) or {}
        if kept := kept_from_order(source, details):
            return kept
        account = text_or_none(details.get("account_id"))
        if source != "card" and account:
            return ProviderMethod(reference=account, type=source, wallet_type=source)
    return None


# --- charges of subscriptions -----------------------------------------------------------------------


def charge_from(
    capture: Json,
    refunds: Sequence[Json] = (),
    *,
    livemode: bool | None = None,
    request_id: str | None = None,
) -> ProviderPayment:
    """Read a capture that has no order: what a subscription collected. *refunds* are those that we know.

    A capture does not list its refunds, but each of them says how much was given back until then.
    """
    identity, word = text_of(capture["id"]), text_of(capture["status"])
    amount = from_paypal(capture["amount"])
    known = [refund_from(each, order=identity) for each in refunds]
    status = _CHARGES.get(word, UNRECOGNISED)
    taken = amount.minor_units if word in _COLLECTED else 0
    given = sum(each.amount.minor_units for each in known if each.status not in _HELD_BACK)
    totals = [
        from_paypal(total).minor_units
        for each in refunds
        if (total := (each.get("seller_payable_breakdown") or {}).get("total_refunded_amount"))
    ]
    return ProviderPayment(
        reference=identity,
        status=status,
        amount=amount,
        captured=taken,
        refunded=taken if word == "REFUNDED" else min(max([given, *totals]), taken),
        charge=identity,
        livemode=livemode,
        decline=decline_from(capture) if word in _REFUSED else None,
        review=_in_review([capture], (), status),
        refunds=tuple(known) or None,
        provider_status=f"capture {word}",
        request_id=request_id,
        created_at=moment_of(capture.get("create_time")),
        raw=capture,
    )


_CHARGES: Final[Mapping[str, PaymentStatus]] = {
    **dict.fromkeys(_COLLECTED, PaymentStatus.SUCCEEDED),
    **dict.fromkeys(_REFUSED, PaymentStatus.FAILED),
    "PENDING": PaymentStatus.PROCESSING,
}


# --- refunds --------------------------------------------------------------------------------------


def refund_from(refund: Json, *, order: str | None = None, asked: Money | None = None) -> ProviderRefund:
    """Read a refund. *asked* stands in for the amount that an answer without representation leaves out."""
    word = text_of(refund["status"])
    named, _, ours = (text_or_none(refund.get("custom_id")) or "").rpartition(".")
    status = REFUND_STATUS.get(word, RefundStatus.PENDING)
    amount = refund.get("amount")
    if amount is None and asked is None:
        raise ValueError("a refund of no known amount")
    return ProviderRefund(
        reference=text_of(refund["id"]),
        payment=order or named or None,
        amount=from_paypal(amount) if amount is not None else _known(asked),
        status=status,
        our_reference=_reference_of(refund),
        refund_id=ours if named else None,
        reason=text_or_none(refund.get("note_to_payer")),
        failure=f"PayPal says {word}" if status in _HELD_BACK else None,
        raw=refund,
    )


def _known(asked: Money | None) -> Money:
    assert asked is not None
    return asked
