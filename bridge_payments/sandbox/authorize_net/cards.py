"""Cards that this gateway knows, and what their issuers say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CARDS", "Card", "card_of", "labelled", "number_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    number: str
    brand: str
    code: int = 1
    """1 approved, 2 declined, 3 an error, 4 held for review."""
    reason: int = 1
    sentence: str = "This transaction has been approved."
    card_code: str = "P"


# The approved ones are the gateway's own test cards (2026-11,
# https://developer.authorize.net/hello_world/testing_guide.html), where a ZIP code decides about a decline.
# Here a card does, so that a page can offer it; the reason codes are the gateway's.
CARDS: Final = {
    "visa": Card(number="4111111111111111", brand="Visa"),
    "mastercard": Card(number="5424000000000015", brand="MasterCard"),
    "amex": Card(number="370000000000002", brand="AmericanExpress"),
    "declined": Card(
        number="4000000000000002",
        brand="Visa",
        code=2,
        reason=2,
        sentence="This transaction has been declined.",
    ),
    "expired": Card(
        number="4000000000000069", brand="Visa", code=3, reason=8, sentence="The credit card has expired."
    ),
    "wrong_code": Card(
        number="4000000000000127",
        brand="Visa",
        code=2,
        reason=65,
        sentence="This transaction has been declined.",
        card_code="N",
    ),
    "unsupported": Card(
        number="3530111333300000",
        brand="JCB",
        code=3,
        reason=17,
        sentence="The merchant does not accept this type of credit card.",
    ),
    "held": Card(
        number="4000000000009235",
        brand="Visa",
        code=4,
        reason=252,
        sentence="Your order has been received. Thank you for your business!",
    ),
}


def card_of(number: str) -> Card:
    """Return the card of a number; one that is not listed is approved."""
    listed = next((card for card in CARDS.values() if card.number == number), None)
    return listed or Card(number=number, brand="Visa")


def labelled(number: str) -> str:
    """Return what may be written down of a number: the name of a listed card, or the last four digits."""
    listed = next((name for name, card in CARDS.items() if card.number == number), None)
    return listed or f"{'X' * len(number[:-4])}{number[-4:]}"


def number_of(label: str) -> str:
    """Return the number of a listed card; of another one only the last four digits are known."""
    return CARDS[label].number if label in CARDS else label
