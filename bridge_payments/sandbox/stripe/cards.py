"""The cards this gateway knows: what each number does. A number that is not listed here is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

__all__ = ["NUMBERS", "TOKENS", "Behaviour", "Card", "brand_of", "passes_luhn"]


class Behaviour(StrEnum):
    APPROVE = "approve"
    DECLINE = "decline"
    CHALLENGE = "challenge"
    """The payer's bank asks first; what follows is the outcome of the challenge and then `then`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is kept of a card: never its number, never its security code."""

    brand: str = "visa"
    last4: str
    funding: str = "credit"
    country: str = "US"
    behaviour: Behaviour = Behaviour.APPROVE
    code: str | None = None
    decline_code: str | None = None
    then_decline: bool = False
    """Declined although the challenge was passed."""
    once_authenticated: bool = False
    """No further challenge after it was attached with one (set up for later use)."""
    blocked: bool = False
    """Refused by the gateway's own risk check; the issuer is never asked."""
    can_be_kept: bool = False
    """Stored with a customer although every charge of it is declined."""
    disputed: str | None = None
    """``fraudulent`` or ``inquiry``: what the payer's bank opens as soon as it is charged."""
    refund: str = "succeeded"
    """The status with which its refunds begin."""


def _declines(last4: str, decline_code: str, code: str = "card_declined", *, blocked: bool = False) -> Card:
    return Card(
        last4=last4, behaviour=Behaviour.DECLINE, code=code, decline_code=decline_code, blocked=blocked
    )


# The numbers and what they do are Stripe's own test cards (2026-11, https://docs.stripe.com/testing).
NUMBERS: Final[Mapping[str, Card]] = {
    "4242424242424242": Card(last4="4242"),
    "4000056655665556": Card(last4="5556", funding="debit"),
    "5555555555554444": Card(last4="4444", brand="mastercard"),
    "2223003122003222": Card(last4="3222", brand="mastercard"),
    "5200828282828210": Card(last4="8210", brand="mastercard", funding="debit"),
    "378282246310005": Card(last4="0005", brand="amex"),
    "371449635398431": Card(last4="8431", brand="amex"),
    "6011111111111117": Card(last4="1117", brand="discover"),
    "3056930009020004": Card(last4="0004", brand="diners"),
    "3566002020360505": Card(last4="0505", brand="jcb"),
    "6200000000000005": Card(last4="0005", brand="unionpay", country="CN"),
    "4000000000000077": Card(last4="0077"),
    "4000000000000002": _declines("0002", "generic_decline"),
    "4000000000009995": _declines("9995", "insufficient_funds"),
    "4000000000009987": _declines("9987", "lost_card"),
    "4000000000009979": _declines("9979", "stolen_card"),
    "4000000000006975": _declines("6975", "card_velocity_exceeded"),
    "4000000000000069": _declines("0069", "expired_card", "expired_card"),
    "4000000000000127": _declines("0127", "incorrect_cvc", "incorrect_cvc"),
    "4000000000000119": _declines("0119", "processing_error", "processing_error"),
    "4100000000000019": _declines("0019", "fraudulent", blocked=True),
    # Can be attached to a customer; every charge of it fails.
    "4000000000000341": replace(_declines("0341", "generic_decline"), can_be_kept=True),
    "4000000000000259": Card(last4="0259", disputed="fraudulent"),
    "4000000000001976": Card(last4="1976", disputed="inquiry"),
    "4000000000003220": Card(last4="3220", behaviour=Behaviour.CHALLENGE),
    "4000000000003063": Card(last4="3063", behaviour=Behaviour.CHALLENGE),
    "4000002760003184": Card(last4="3184", behaviour=Behaviour.CHALLENGE, country="DE"),
    "4000002500003155": Card(
        last4="3155", behaviour=Behaviour.CHALLENGE, country="FR", once_authenticated=True
    ),
    "4000008260003178": Card(
        last4="3178",
        behaviour=Behaviour.CHALLENGE,
        country="GB",
        code="card_declined",
        decline_code="insufficient_funds",
        then_decline=True,
    ),
    "4000008400001629": Card(
        last4="1629",
        behaviour=Behaviour.CHALLENGE,
        code="card_declined",
        decline_code="generic_decline",
        then_decline=True,
    ),
    "4000000000007726": Card(last4="7726", refund="pending"),
    "4000000000005126": Card(last4="5126", refund="succeeded"),
}

_BY_LAST4: Final = {card.last4: card for card in NUMBERS.values()}

# Names that stand for a fresh payment method with that card (2026-11, https://docs.stripe.com/testing).
TOKENS: Final[Mapping[str, Card]] = {
    "pm_card_visa": NUMBERS["4242424242424242"],
    "pm_card_visa_debit": NUMBERS["4000056655665556"],
    "pm_card_mastercard": NUMBERS["5555555555554444"],
    "pm_card_mastercard_debit": NUMBERS["5200828282828210"],
    "pm_card_amex": NUMBERS["378282246310005"],
    "pm_card_discover": NUMBERS["6011111111111117"],
    "pm_card_diners": NUMBERS["3056930009020004"],
    "pm_card_jcb": NUMBERS["3566002020360505"],
    "pm_card_unionpay": NUMBERS["6200000000000005"],
    "pm_card_bypassPending": NUMBERS["4000000000000077"],
    "pm_card_chargeCustomerFail": NUMBERS["4000000000000341"],
    "pm_card_threeDSecure2Required": NUMBERS["4000000000003220"],
    "pm_card_threeDSecureRequired": NUMBERS["4000000000003063"],
    "pm_card_authenticationRequired": NUMBERS["4000002760003184"],
    "pm_card_authenticationRequiredOnSetup": NUMBERS["4000002500003155"],
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": NUMBERS["4000008260003178"],
    "pm_card_threeDSecureRequiredChargeDeclined": NUMBERS["4000008400001629"],
    "pm_card_createDispute": NUMBERS["4000000000000259"],
    "pm_card_createDisputeInquiry": NUMBERS["4000000000001976"],
    "pm_card_pendingRefund": NUMBERS["4000000000007726"],
    "pm_card_refundFail": NUMBERS["4000000000005126"],
    **{
        f"{prefix}{name}": _BY_LAST4[last4]
        for prefix in ("pm_card_", "pm_card_visa_")
        for name, last4 in (
            ("chargeDeclined", "0002"),
            ("chargeDeclinedInsufficientFunds", "9995"),
            ("chargeDeclinedLostCard", "9987"),
            ("chargeDeclinedStolenCard", "9979"),
            ("chargeDeclinedExpiredCard", "0069"),
            ("chargeDeclinedIncorrectCvc", "0127"),
            ("chargeDeclinedProcessingError", "0119"),
            ("chargeDeclinedFraudulent", "0019"),
            ("chargeDeclinedVelocityLimitExceeded", "6975"),
        )
    },
}


def passes_luhn(number: str) -> bool:
    """Whether the check digit is right."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def brand_of(number: str) -> str:
    """Return the brand by the first digits, for the hosted field's badge and for refusals."""
    prefixes = (("34", "amex"), ("37", "amex"), ("4", "visa"), ("5", "mastercard"), ("2", "mastercard"))
    rest = (("6011", "discover"), ("35", "jcb"), ("30", "diners"), ("62", "unionpay"))
    return next((brand for prefix, brand in prefixes + rest if number.startswith(prefix)), "unknown")
