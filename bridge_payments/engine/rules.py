"""What may happen to a payment: the price, the state machine, who may. Pure functions of values."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import unquote

from ..errors import (
    AccessDenied,
    IllegalState,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    NotYours,
    RateLimited,
)
from ..models import (
    Money,
    NextActionKind,
    Operation,
    OperationState,
    Payment,
    PaymentFlag,
    PaymentStatus,
    Pricing,
    Principal,
    PrincipalKind,
    Refund,
    RefundStatus,
    Verb,
    email_key,
)

__all__ = [
    "ABANDON_PAYER_PRESENT_AFTER",
    "ALLOWED",
    "HARMLESS",
    "IDEMPOTENT",
    "NEVER_SENT",
    "REPEATABLE",
    "SETTLING_DELAYS",
    "SWEEP_DELAYS",
    "TO_BE_DONE",
    "as_seen",
    "charges",
    "check_attempts",
    "check_capture",
    "check_collected",
    "check_json",
    "check_metadata",
    "check_refund",
    "check_state",
    "check_tracking",
    "may_come_to_light",
    "may_confirm_or_sync",
    "may_pay",
    "may_read",
    "may_update_or_cancel",
    "next_sync_at",
    "owns",
    "price",
    "require_trusted",
    "secret_expired",
    "secret_is",
    "visible_secret",
    "why_impossible",
]

# --- the state machine: what a caller may ask in which state ---------------------------------------

_BEFORE_MONEY: Final = frozenset(
    {PaymentStatus.PENDING, PaymentStatus.REQUIRES_CONFIRMATION, PaymentStatus.REQUIRES_ACTION}
)

ALLOWED: Final[Mapping[Verb, frozenset[PaymentStatus]]] = {
    # "Terminal" means: no event payload and no caller leaves it. What the provider itself reports on
    # a re-fetch outranks this table (money rule 1): see settlement.merge.
    Verb.UPDATE: _BEFORE_MONEY,
    Verb.CONFIRM: _BEFORE_MONEY,
    Verb.CAPTURE: frozenset({PaymentStatus.REQUIRES_CAPTURE}),
    Verb.CANCEL: _BEFORE_MONEY | {PaymentStatus.REQUIRES_CAPTURE},
    Verb.REFUND: frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.PARTIALLY_REFUNDED}),
}

_SENTENCES: Final[Mapping[Verb, str]] = {
    Verb.UPDATE: "Payment cannot be updated in current status",
    Verb.CONFIRM: "Payment cannot be confirmed in current status",
    Verb.CAPTURE: "Payment cannot be captured. Current status: {status}",
    Verb.CANCEL: "Payment cannot be cancelled in current status",
    Verb.REFUND: "Payment cannot be refunded in current status",
}


def check_state(verb: Verb, payment: Payment) -> None:
    """Raise IllegalState unless *verb* may be asked of *payment* now."""
    if payment.review:
        raise IllegalState(
            "Payment is held for review at the provider", details={"current_status": payment.status.value}
        )
    allowed = ALLOWED[verb]
    if payment.status not in allowed:
        raise IllegalState(
            _SENTENCES[verb].format(status=payment.status.value),
            details={
                "current_status": payment.status.value,
                "allowed_statuses": sorted(status.value for status in allowed),
            },
        )


# --- repeating and abandoning ----------------------------------------------------------------------

REPEATABLE: Final = frozenset(
    {Verb.REFUND, Verb.CANCEL, Verb.CAPTURE, Verb.CANCEL_SUBSCRIPTION, Verb.PAUSE_SUBSCRIPTION}
)
"""Verbs that return or release money or collect what the merchant already holds (rule 8a)."""

HARMLESS: Final = frozenset(
    {
        Verb.CREATE_CUSTOMER,
        Verb.UPDATE_CUSTOMER,
        Verb.DELETE_CUSTOMER,
        Verb.CREATE_METHOD,
        Verb.CONFIRM_METHOD,
        Verb.UPDATE_METHOD,
        Verb.DELETE_METHOD,
    }
)
"""Verbs that move no money: repeated while the key is worth something, abandoned after it."""

TO_BE_DONE: Final = frozenset({Verb.DELETE_METHOD})
"""Verbs that are done for the caller unless the provider refuses: it is told until it has heard."""

IDEMPOTENT: Final = frozenset({Verb.DELETE_CUSTOMER, Verb.DELETE_METHOD, Verb.CANCEL_SUBSCRIPTION})
"""Verbs that may be repeated without any key: done twice is done once."""

ABANDON_PAYER_PRESENT_AFTER: Final = timedelta(minutes=2)
"""Rule 8b: later than this after the caller's request nothing that needs the payer is executed."""


MOST_DECLINES: Final = 10
"""How many methods one payment may try: a shop is no place to find out which cards work."""


def check_attempts(operations: Iterable[Operation]) -> None:
    """Raise RateLimited once a payment was declined often enough."""
    declined = [
        operation
        for operation in operations
        if operation.state is OperationState.REJECTED and operation.decline_code is not None
    ]
    if len(declined) >= MOST_DECLINES:
        raise RateLimited("Too many declined attempts on this payment", retry_after=86_400)


def may_pay(operation: Operation) -> bool:
    """Whether an open operation may be collecting money right now."""
    return operation.is_open and (charges(operation) or operation.verb is Verb.CAPTURE)


def charges(operation: Operation) -> bool:
    """Whether an operation makes a charge of its own."""
    confirms = operation.verb is Verb.CREATE and bool(operation.inputs.get("confirm"))
    return confirms or operation.verb is Verb.CONFIRM


# --- the sweep -------------------------------------------------------------------------------------

SWEEP_DELAYS: Final = (
    timedelta(minutes=2),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""After the last change, then daily until the payment is final at the provider."""

SETTLING_DELAYS: Final = tuple(timedelta(days=days) for days in (1, 1, 2, 4, 7))
"""For a payment that is paid and may still come to nothing: what settles once a day is looked at as often,
and what may be returned for weeks once a week."""


def next_sync_at(
    payment: Payment, now: datetime, *, refund_open: bool = False, final: bool = True
) -> datetime | None:
    """Return when the provider is asked next by itself; None when it has nothing more to say."""
    if payment.provider_intent_id is None:
        return None
    doubtful = payment.flag not in (None, PaymentFlag.ANOTHER_CHARGE)
    unfinished = payment.is_open or doubtful or payment.review or refund_open
    if not unfinished and final:
        return None
    delays = SWEEP_DELAYS if unfinished else SETTLING_DELAYS
    return now + delays[min(payment.sync_count, len(delays) - 1)]


NEVER_SENT: Final = "never sent"
"""How the resolution of an operation begins of which no byte left: there is no charge to wait for."""


def may_come_to_light(operation: Operation, late_hours: float, now: datetime) -> bool:
    """Whether the charge of an operation that was given up as absent may still turn up."""
    ended = operation.finished_at
    return (
        operation.state is OperationState.ABANDONED
        and charges(operation)
        and not (operation.resolution or "").startswith(NEVER_SENT)
        and ended is not None
        and now < ended + timedelta(hours=late_hours)
    )


# --- the price -------------------------------------------------------------------------------------


def price(
    *,
    subtotal: int | None = None,
    tax: int | None = None,
    discount: int | None = None,
    total: int | None = None,
) -> Pricing:
    """Complete a price from what was given, or say which rule it breaks.

    The invariant is total = subtotal + tax - discount, all of them non-negative minor units.
    What is given is never changed; a contradiction is refused, not repaired.
    """
    for name, value in (("subtotal", subtotal), ("tax", tax), ("discount", discount), ("total", total)):
        if value is not None and value < 0:
            raise InvalidRequest("must not be negative", field=f"{name}_cents")
    if subtotal is None and total is None:
        raise InvalidRequest("a subtotal or a total is required", field="total_cents")
    tax, discount = tax or 0, discount or 0
    if subtotal is None and total is not None:
        subtotal = total - tax + discount
    assert subtotal is not None
    computed = subtotal + tax - discount
    if total is not None and total != computed:
        raise InvalidRequest(
            f"does not balance: subtotal {subtotal} + tax {tax} - discount {discount} is {computed}",
            field="total_cents",
        )
    if subtotal < 0 or computed < 0:
        raise InvalidRequest("the price would be negative", field="total_cents")
    return Pricing(subtotal=subtotal, tax=tax, discount=discount, total=computed)


def check_capture(payment: Payment, amount_cents: int | None) -> int:
    """Return the amount to collect, or say why it cannot be."""
    left = payment.authorized_cents - payment.captured_cents
    amount = left if amount_cents is None else amount_cents
    if not 0 < amount <= left:
        raise InvalidRequest(
            f"is not within what is authorised: {Money(left, payment.currency)}", field="amount_cents"
        )
    return amount


def check_collected(payment: Payment, amount_cents: int | None) -> int:
    """Return how much of a payment was collected by hand, or say why it cannot have been."""
    if payment.status is not PaymentStatus.PENDING:
        raise IllegalState(
            _SENTENCES[Verb.CAPTURE].format(status=payment.status.value),
            details={
                "current_status": payment.status.value,
                "allowed_statuses": [PaymentStatus.PENDING.value],
            },
        )
    amount = payment.total_cents if amount_cents is None else amount_cents
    if not 0 < amount <= payment.total_cents:
        raise InvalidRequest(f"is not within the payment: {payment.total}", field="amount_cents")
    return amount


def check_refund(payment: Payment, amount_cents: int | None, *, force: bool) -> int:
    """Return the amount to refund, or say why it cannot be.

    The predicate counts every refund that is not a definite no, wherever it was made.
    """
    check_state(Verb.REFUND, payment)
    left = payment.refundable_cents
    amount = left if amount_cents is None else amount_cents
    if payment.disputed_cents and not force:
        raise IllegalState(
            "Payment is disputed: the money may be taken back twice",
            details={"disputed_cents": payment.disputed_cents},
        )
    if amount <= 0:
        raise InvalidRequest("must be positive", field="amount_cents")
    if amount > left:
        raise InvalidRequest(
            f"is more than what is left to refund: {Money(left, payment.currency)}", field="amount_cents"
        )
    return amount


def why_impossible(payment: Payment, refund: Refund, refunds: Iterable[Refund]) -> str | None:
    """Say why a refund that waits can never be made; None while it still may.

    *refunds* are all refunds of the payment. One that is pending may still fail and leave its room.
    """
    if payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELED):
        return f"Nothing is left to give back: the payment is {payment.status.value}"
    undecided = sum(
        row.amount_cents
        for row in refunds
        if row.status is RefundStatus.PENDING and row.provider_refund_id is not None
    )
    if payment.refunded_cents - undecided + refund.amount_cents > payment.captured_cents:
        return "It does not fit any more: the money was given back otherwise while it waited"
    return None


# --- what strangers may write ----------------------------------------------------------------------

_RESERVED_PREFIX: Final = "bridge_"
_LENGTHS: Final = {"concept": 100, "reference_code": 100, "category": 50, "tags": 500, "description": 2000}


def check_json(**fields: Any) -> None:
    """Refuse what cannot be written down as it is."""
    for name, value in fields.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise InvalidRequest("is not JSON", field=name) from None


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse metadata that would replace ours or that no provider takes."""
    if len(metadata) > 40:
        raise InvalidRequest("has more than 40 keys", field="metadata")
    check_json(metadata=metadata)
    for key in metadata:
        if not 0 < len(key) <= 40:
            raise InvalidRequest("keys have 1 to 40 characters", field="metadata")
        if key.lower().startswith(_RESERVED_PREFIX):
            raise InvalidRequest(f"keys that begin with {_RESERVED_PREFIX} are ours", field="metadata")


def check_tracking(**fields: str | None) -> None:
    """Refuse tracking texts that are longer than their columns."""
    for name, value in fields.items():
        if value is not None and len(value) > _LENGTHS[name]:
            raise InvalidRequest(f"has more than {_LENGTHS[name]} characters", field=name)


# --- who may ---------------------------------------------------------------------------------------


def owns(principal: Principal, payment: Payment) -> bool:
    """Whether *payment* is the principal's own. A guest is matched by a proved e-mail address."""
    if principal.is_trusted:
        return True
    if principal.kind is PrincipalKind.USER:
        return principal.id is not None and payment.user_id == principal.id
    if principal.kind is PrincipalKind.GUEST:
        return (
            payment.is_guest_payment
            and principal.email is not None
            and email_key(payment.guest_email or "") == email_key(principal.email)
        )
    return False


class Secretive(Protocol):
    """A row with a client secret."""

    @property
    def client_secret(self) -> str | None: ...

    @property
    def client_secret_expires_at(self) -> datetime | None: ...


def secret_is(payment: Secretive, presented: str | None, now: datetime) -> bool:
    """Whether *presented* is the row's client secret, compared in constant time."""
    if not presented or not payment.client_secret or secret_expired(payment, now):
        return False
    return hmac.compare_digest(presented.encode(), payment.client_secret.encode())


def secret_expired(payment: Secretive, now: datetime) -> bool:
    return payment.client_secret_expires_at is not None and payment.client_secret_expires_at <= now


def visible_secret(payment: Payment, now: datetime) -> Payment:
    """Return the payment as its owner may see it: an expired or useless secret is gone."""
    if payment.client_secret and (secret_expired(payment, now) or not payment.is_open):
        return payment.without_secret()
    return payment


def as_seen(payment: Payment, principal: Principal, presented: str | None, now: datetime) -> Payment:
    """Return the payment as its caller may see it: an anonymous one gets no secret that it did not bring.

    Redirect URLs of providers carry the client secret; without it the provider's script in the browser
    that holds the secret does the same job.
    """
    if not principal.is_anonymous or secret_is(payment, presented, now):
        return visible_secret(payment, now)
    action = payment.next_action
    if action is not None and action.url is not None and _tells_secret(action.url, payment.client_secret):
        payment = replace(payment, next_action=replace(action, kind=NextActionKind.USE_SDK, url=None))
    return payment.without_secret()


def _tells_secret(url: str, secret: str | None) -> bool:
    return (secret is not None and secret in unquote(url)) or "client_secret" in url


def may_read(principal: Principal, payment: Payment) -> None:
    """Reading needs an identity; the wire contract fixes 403 for somebody else's payment."""
    if principal.is_anonymous:
        raise NotAuthenticated("Authentication required to view payments")
    if not owns(principal, payment):
        raise NotYours("Insufficient privileges for this payment", absent="Payment not found")


def may_confirm_or_sync(principal: Principal, payment: Payment) -> None:
    """A guest checkout has no session: who knows the id of a guest payment may go on with it."""
    if owns(principal, payment) or (principal.is_anonymous and payment.is_guest_payment):
        return
    raise NotYours("Insufficient privileges for this payment", absent="Payment not found")


def may_update_or_cancel(
    principal: Principal, payment: Payment, presented: str | None, now: datetime, verb: Verb
) -> None:
    """An anonymous caller proves the payment is theirs by its client secret; no payer releases held money."""
    if principal.is_trusted:
        return
    if principal.is_anonymous and payment.is_guest_payment and not payment.is_open:
        check_state(verb, payment)  # its secret is gone, and what it proved is no longer of use
    if not owns(principal, payment) and not (
        principal.is_anonymous and payment.is_guest_payment and secret_is(payment, presented, now)
    ):
        raise NotYours("Insufficient privileges for this payment", absent="Payment not found")
    if verb is Verb.CANCEL and payment.status is PaymentStatus.REQUIRES_CAPTURE:
        raise AccessDenied("Only the merchant gives up an authorisation")


def require_admin(principal: Principal) -> None:
    """What is about the whole installation is the merchant's."""
    if not principal.is_trusted:
        raise AccessDenied("Admin privileges required")


def require_trusted(principal: Principal, payment: Payment) -> None:
    """Capture and refund are the merchant's. A stranger does not learn that the payment exists."""
    if principal.is_trusted:
        return
    if principal.is_anonymous:
        raise NotAuthenticated("Admin authentication required")
    if owns(principal, payment):
        raise AccessDenied("Admin privileges required")
    raise NotFound("Payment not found")
