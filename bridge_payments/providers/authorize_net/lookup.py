"""Was it executed? Judgements on what was read after a call was lost. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...models import Verb
from ..base import Absent, CannotSay, Evidence, Found, Lookup, ProviderPayment
from .answers import Json, text_of
from .listings import Sighting
from .mapping import ATTEMPT, STATUS, is_live, status_of
from .refusals import response_of

__all__ = ["GIVEN_UP", "HELD", "is_approved", "is_of", "judge", "nowhere"]

HELD: Final = frozenset(
    {"authorizedPendingCapture", "FDSAuthorizedPendingReview", "authorizedPendingRelease"}
)
GIVEN_UP: Final = ATTEMPT | {"voided", "expired"}


def is_approved(answer: Json) -> bool:
    """Both have to say so: the request was Ok, and the transaction is approved (1) or held for review (4)."""
    messages = answer.get("messages")
    ok = isinstance(messages, dict) and messages.get("resultCode") == "Ok"
    return ok and text_of(response_of(answer).get("responseCode")) in ("1", "4")


def judge(transaction: Json, evidence: Evidence, read: Callable[[], ProviderPayment]) -> Lookup:
    """Judge a capture or a void by the transaction that it was about."""
    word = status_of(transaction)
    if word not in STATUS and word not in GIVEN_UP:
        return CannotSay(f"the transaction is {word}, which this version does not know")
    done = word == "voided" if evidence.verb is Verb.CANCEL else word not in HELD | GIVEN_UP
    if done:
        return Found(read())
    return Absent(f"the transaction itself is {word}")


def is_of(transaction: Json, evidence: Evidence) -> bool:
    """Whether a transaction that carries our invoice is what this operation made.

    What took money is the payment's, whichever operation asked for it. A refused attempt belongs to the
    operation whose reference it carries; where it shows none, to the last one, if it was not known before.
    """
    if is_live(status_of(transaction)):
        return True
    return text_of(transaction.get("transrefId")) in (None, evidence.reference)


def nowhere(found: Sighting, invoice: str) -> str:
    return (
        f"none of {found.seen} transactions, unsettled or in {found.batches} batches since,"
        f" carries the invoice {invoice}"
    )
