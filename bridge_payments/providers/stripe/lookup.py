"""Was it executed? Judgements on what was read after a call was lost. Pure.

`Absent` is only said of what the read would show: a PaymentIntent itself, or the list of its parent.
Stripe's lists show an object at once, its search up to a minute late or more
(2026-11, https://docs.stripe.com/search#data-freshness), so nothing here is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ...models import PaymentStatus, Verb
from ..base import UNRECOGNISED, Absent, CannotSay, Decline, Evidence, Found, Lookup, ProviderPayment
from .forms import CAPTURE_REFERENCE, UPDATE_REFERENCE
from .mapping import charge_of
from .objects import reference_of, stamp_of

__all__ = ["judge"]

_MOVED: Final = frozenset(
    {
        PaymentStatus.PROCESSING,
        PaymentStatus.REQUIRES_ACTION,
        PaymentStatus.REQUIRES_CAPTURE,
        PaymentStatus.SUCCEEDED,
    }
)


def judge(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    """Judge a verb on an existing intent by the intent as it is now."""
    if seen.status is UNRECOGNISED:
        return CannotSay("Stripe reports a status that this version does not know")
    return _JUDGEMENTS[evidence.verb](seen, evidence)


def _confirm(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    """An intent moves on when it is confirmed, or shows the attempt that was declined.

    The browser may have confirmed instead of us. That is the truth of the payment all the same, and
    our own confirm can no longer run: it would be refused.
    """
    if seen.status in _MOVED:
        return Found(seen)
    if seen.decline is not None and _is_later(seen, seen.decline, evidence):
        return Found(seen)
    return Absent(
        f"the intent is {seen.provider_status} and shows no attempt since the operation was reserved"
    )


def _capture(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    """The last capture closes the intent; one that leaves the rest held stamps it."""
    wanted = evidence.amount.minor_units if evidence.amount else 1
    closed = seen.status is PaymentStatus.SUCCEEDED and seen.captured >= wanted
    if (
        closed
        or seen.status is PaymentStatus.PROCESSING
        or stamp_of(seen.raw, CAPTURE_REFERENCE) == evidence.reference
    ):
        return Found(seen)
    return Absent(
        f"the intent is {seen.provider_status}, {seen.captured} collected, without this capture's stamp"
    )


def _cancel(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    """Only a cancel makes an intent canceled, and nothing makes a canceled one anything else."""
    if seen.status is PaymentStatus.CANCELED:
        return Found(seen)
    collected = evidence.baseline.get("captured_cents")
    if seen.status is PaymentStatus.SUCCEEDED and collected and seen.authorized == 0:
        # Cancelling after a partial capture releases the rest and leaves a success.
        return Found(seen)
    return Absent(f"the intent is {seen.provider_status}, not canceled")


def _update(seen: ProviderPayment, evidence: Evidence) -> Lookup:
    """Every update stamps the intent with its operation."""
    if stamp_of(seen.raw, UPDATE_REFERENCE) == evidence.reference:
        return Found(seen)
    return Absent("the intent does not carry the stamp of this update")


_JUDGEMENTS: Final[Mapping[Verb, Callable[[ProviderPayment, Evidence], Lookup]]] = {
    Verb.UPDATE: _update,
    Verb.CONFIRM: _confirm,
    Verb.CAPTURE: _capture,
    Verb.CANCEL: _cancel,
}


def _is_later(seen: ProviderPayment, decline: Decline, evidence: Evidence) -> bool:
    """Whether a decline was made after the operation was reserved, and not the one that was known then.

    Each attempt has a charge of its own, so a charge that was known is an old attempt, in whichever second
    it was made. Only an attempt without one is told by the time.
    """
    known = evidence.baseline.get("decline_reference")
    if decline.reference != known:
        return True
    charge = charge_of(seen.raw) if isinstance(seen.raw, Mapping) else None
    if charge is None or reference_of(charge) == known:
        return False
    return int(charge.get("created") or 0) >= int(evidence.started_at.timestamp())
