"""Was it executed? Judgements on the order as it was read after a call was lost. Pure.

`Absent` is only said of what the order itself would show: its captures, authorisations and refunds. PayPal's
transaction search is up to three hours late (2026-11,
https://developer.paypal.com/docs/api/transaction-search/v1/), so nothing here is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ...models import PaymentStatus, Verb
from ..base import UNRECOGNISED, Absent, CannotSay, Evidence, Found, Lookup, ProviderPayment
from .mapping import held_authorization, is_untouched
from .objects import Json, items_of

__all__ = ["NEVER_APPROVED", "judge", "judge_charge"]

NEVER_APPROVED: Final = Absent(
    "an order moves no money until its payer approves it, and nobody was given the address of this one"
)
"""A lost create: PayPal lists no orders, and needs not. A repeat with the same key brings the same order."""


def judge(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    """Judge a verb on an existing order by the order as it is now."""
    if seen.status is UNRECOGNISED:
        return CannotSay("PayPal reports a status that this version does not know")
    if evidence.verb not in _JUDGEMENTS:
        return CannotSay(f"there is no look-up for {evidence.verb}")
    assert isinstance(seen.raw, Mapping)
    return _JUDGEMENTS[evidence.verb](seen, seen.raw, evidence)


def _confirm(seen: ProviderPayment, order: Json, evidence: Evidence) -> Lookup:
    """A confirm leaves a capture or an authorisation in the order, refused ones included."""
    known = seen.decline is not None and seen.decline.reference == evidence.baseline.get("decline_reference")
    if is_untouched(order) or known:
        return Absent(f"the order is {order['status']} and shows no payment since the operation was reserved")
    return Found(seen)


def _capture(seen: ProviderPayment, order: Json, evidence: Evidence) -> Lookup:
    """Each of our captures carries its operation's reference as its invoice number."""
    captures = [each for unit in items_of(order, "purchase_units") for each in _payments(unit, "captures")]
    if any(each.get("invoice_id") == evidence.reference for each in captures):
        return Found(seen)
    return Absent(f"none of the order's {len(captures)} captures carries the reference {evidence.reference}")


def _cancel(seen: ProviderPayment, order: Json) -> Lookup:
    """What holds nothing has nothing left to release: whatever it is now is the answer."""
    if is_untouched(order):
        return Absent("the order was never paid, and nothing had to be sent to give it up")
    if held_authorization(order) is not None:
        return Absent("the authorisation still holds the money")
    return Found(seen)


def _refund(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    for refund in seen.refunds or ():
        if refund.our_reference == evidence.reference or (
            evidence.refund_id is not None and refund.refund_id == evidence.refund_id
        ):
            return Found(seen, refund)
    return Absent(
        f"none of the order's {len(seen.refunds or ())} refunds carries the reference {evidence.reference}"
    )


def judge_charge(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    """Judge a verb on what a subscription collected: a capture, which does not list its refunds."""
    if evidence.verb is not Verb.REFUND:
        return CannotSay(f"there is no look-up for {evidence.verb} of a subscription's charge")
    if any(each.our_reference == evidence.reference for each in seen.refunds or ()):
        return _refund(seen, evidence)
    if seen.status is PaymentStatus.SUCCEEDED and seen.provider_status == "capture COMPLETED":
        return Absent("nothing of the capture was refunded")
    return CannotSay("the capture was refunded, and PayPal does not say by which refund")


_JUDGEMENTS: Final[Mapping[Verb, Callable[[ProviderPayment, Json, Evidence], Lookup]]] = {
    Verb.CREATE: _confirm,  # of an order that a stored method was to pay at once
    Verb.CONFIRM: _confirm,
    Verb.CAPTURE: _capture,
    Verb.CANCEL: lambda seen, order, _: _cancel(seen, order),
    Verb.REFUND: lambda seen, _, evidence: _refund(seen, evidence),
}


def _payments(unit: Json, noun: str) -> list[Json]:
    return list(items_of(unit, "payments", noun))
