"""What callers may write fits its column in every database, or is refused before one is asked.

PostgreSQL and MySQL refuse a text that is too long, SQLite and the memory keep it; what is refused by the
database of one shop only would be found there, and told as if it was away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from ..errors import InvalidRequest
from ..models import Address, Customer, Payment, PaymentMethod, Subscription

__all__ = ["LENGTHS", "check_key", "check_texts", "fitting"]

Row = TypeVar("Row", Address, Customer, Payment, PaymentMethod, Subscription)


def _lengths(**names: str) -> Mapping[str, int]:
    return {name: int(most.removeprefix("to_")) for most, listed in names.items() for name in listed.split()}


_OWNER: Final = "user_id organization_id guest_email"

LENGTHS: Final[Mapping[type, Mapping[str, int]]] = {
    Payment: _lengths(
        to_255=f"{_OWNER} project_id order_id subscription_id customer_id payment_method_id"
        " billing_address_id manual_payment_reference provider_intent_id provider_payment_id",
        to_100="concept reference_code manual_payment_method",
        to_500="tags",
        to_64="id provider_id reference",
        to_50="category setup_future_usage",
        to_3="currency",
    ),
    Customer: _lengths(
        to_255=f"{_OWNER} guest_name email name provider_customer_id",
        to_64="id provider_id default_payment_method_id",
        to_50="phone",
    ),
    PaymentMethod: _lengths(
        to_255=f"{_OWNER} guest_name alias provider_payment_method_id provider_setup_id",
        to_64="id provider_id customer_id billing_address_id",
        to_50="payment_type wallet_type card_brand",
        to_4="last_four",
    ),
    Address: _lengths(
        to_255=f"{_OWNER} guest_name line1 line2 city state name email alias",
        to_64="id",
        to_50="postal_code phone",
        to_2="country",
    ),
    Subscription: _lengths(
        to_255=f"{_OWNER} project_id product_id provider_subscription_id",
        to_100="concept reference_code",
        to_500="tags",
        to_64="id provider_id reference customer_id payment_method_id billing_address_id",
        to_50="category",
        to_3="currency",
    ),
}
"""Of each record, the most characters of its texts: as many as the tables of `stores/sql` have."""
_KEY: Final = 255
_SCOPE: Final = 400


def fitting(row: Row) -> Row:
    """Return *row*, whose texts fit. Raises: InvalidRequest, which names the one that does not."""
    lengths = LENGTHS[type(row)]
    for each in fields(row):
        value: Any = getattr(row, each.name)
        if isinstance(value, str):
            _check(value, lengths.get(each.name), each.name)
    return row


def check_texts(kind: type, **texts: str | None) -> None:
    """Raise InvalidRequest for the one of *texts*, named as in a record of *kind*, that does not fit."""
    for name, value in texts.items():
        if value is not None:
            _check(value, LENGTHS.get(kind, {}).get(name), name)


def check_key(key: str, scope: str) -> None:
    """Raise InvalidRequest for an Idempotency-Key, or for a caller's name in *scope*, that is none."""
    if not key:
        raise InvalidRequest("is empty", field="idempotency_key")
    _check(key, _KEY, "idempotency_key")
    _check(scope, _SCOPE, "principal")


def _check(value: str, most: int | None, name: str) -> None:
    if most is not None and len(value) > most:
        raise InvalidRequest(f"has more than {most} characters", field=name)
    if "\x00" in value:
        raise InvalidRequest("has a character that no database keeps", field=name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("has a character that no database keeps", field=name) from None
