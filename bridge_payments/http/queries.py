"""Read what a list is asked for. Page, limit and order are clamped, as the contract has it; a filter that
means nothing is refused, because a list that ignores it shows payments nobody asked for.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal, TypeVar, cast

from ..messages import Request
from ..models import AddressType, PaymentStatus, SubscriptionStatus
from ..stores.base import (
    AddressQuery,
    CustomerQuery,
    OwnedQuery,
    PaymentMethodQuery,
    PaymentQuery,
    SubscriptionQuery,
)
from .problems import ValidationFailed
from .route import Parameter

__all__ = [
    "ADDRESS_PARAMETERS",
    "CUSTOMER_PARAMETERS",
    "INCLUDE",
    "LIST_PARAMETERS",
    "METHOD_PARAMETERS",
    "SUBSCRIPTION_PARAMETERS",
    "includes",
    "read_addresses",
    "read_customers",
    "read_methods",
    "read_query",
    "read_subscriptions",
]

Q = TypeVar("Q", bound=OwnedQuery)

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 50
MAX_SUBSCRIPTIONS: Final = 100
"""As the contract has it for that one list."""
MAX_PAGE: Final = 100_000

_ORDERS: Final = ("created_at", "amount_cents", "status", "updated_at")
_SYNONYMS: Final = {
    # What other revisions of the contract call these states; accepted in filters, never emitted.
    "requires_payment_method": PaymentStatus.PENDING,
    "created": PaymentStatus.PENDING,
    "completed": PaymentStatus.SUCCEEDED,
    "cancelled": PaymentStatus.CANCELED,
}


def read_query(request: Request, *, most: int = MAX_LIMIT) -> tuple[PaymentQuery, int]:
    """Return the query of payments and the number of its page."""
    given = _given(request)
    limit, offset, page = _cut(given, most)
    order = given.get("orderBy", "created_at")
    query = PaymentQuery(
        statuses=_statuses(given.get("status")),
        reference_code=given.get("reference_code"),
        search=_search(given),
        created_from=_moment(given, "created_at_from"),
        created_to=_moment(given, "created_at_to", end_of_day=True),
        order_by=cast(Literal["created_at"], order if order in _ORDERS else "created_at"),
        descending=given.get("orderDir", "").lower() != "asc",
        limit=limit,
        offset=offset,
    )
    return query, page


def includes(request: Request) -> frozenset[str]:
    """Return what a list is to show beside its items, in either published spelling."""
    given = _given(request)
    names = {name.strip() for name in given.get("include", "").split(",")}
    if given.get("include_pm", "").lower() in ("true", "1"):
        names.add("payment_method")
    return frozenset(names)


def read_customers(request: Request) -> tuple[CustomerQuery, int]:
    return _read_owned(request, CustomerQuery, CustomerQuery.ORDERS)


def read_methods(request: Request) -> tuple[PaymentMethodQuery, int]:
    given = _given(request)
    kind = given.get("payment_type", "")[:50]
    return _read_owned(
        request,
        PaymentMethodQuery,
        PaymentMethodQuery.ORDERS,
        payment_type={"card": "credit_card"}.get(kind, kind) or None,
        card_brand=given.get("card_brand", "")[:50] or None,
    )


def read_addresses(request: Request) -> tuple[AddressQuery, int]:
    kind = _word(_given(request), "address_type", AddressType)
    return _read_owned(request, AddressQuery, AddressQuery.ORDERS, address_type=kind)


def read_subscriptions(request: Request) -> tuple[SubscriptionQuery, int]:
    given = _given(request)
    if given.get("status", "").lower() == "cancelled":
        given["status"] = SubscriptionStatus.CANCELED
    status = _word(given, "status", SubscriptionStatus)
    return _read_owned(
        request,
        SubscriptionQuery,
        SubscriptionQuery.ORDERS,
        max_limit=MAX_SUBSCRIPTIONS,
        statuses=None if status is None else frozenset({status}),
    )


def _read_owned(
    request: Request,
    kind: type[Q],
    orders: tuple[str, ...],
    *,
    max_limit: int = MAX_LIMIT,
    **filters: Any,
) -> tuple[Q, int]:
    given = _given(request)
    limit, offset, page = _cut(given, max_limit)
    order = given.get("orderBy", "created_at")
    query = kind(
        search=_search(given),
        order_by=order if order in orders else "created_at",
        descending=given.get("orderDir", "").lower() != "asc",
        limit=limit,
        offset=offset,
        **filters,
    )
    return query, page


def _given(request: Request) -> dict[str, str]:
    return {name: value.strip() for name, value in request.query.items() if value.strip()}


def _cut(given: dict[str, str], max_limit: int) -> tuple[int, int, int]:
    """Return limit, offset and the number of the page, clamped."""
    limit = min(max(_number(given.get("limit"), DEFAULT_LIMIT), 1), max_limit)
    offset = max(_number(given.get("offset"), 0), 0)
    page = max(_number(given.get("page"), offset // limit + 1), 1)
    page = min(page, MAX_PAGE)
    if "page" in given or "offset" not in given:
        offset = (page - 1) * limit
    return limit, min(offset, MAX_PAGE * max_limit), page


def _search(given: dict[str, str]) -> str | None:
    return given.get("search", "")[:200].replace("\x00", "") or None


W = TypeVar("W", AddressType, SubscriptionStatus)


def _word(given: dict[str, str], name: str, words: type[W]) -> W | None:
    if (text := given.get(name)) is None:
        return None
    try:
        return words(text.lower())
    except ValueError:
        raise ValidationFailed.of(name, f"is none of {', '.join(words)}") from None


def _number(text: str | None, default: int) -> int:
    return int(text[:12]) if text is not None and re.fullmatch(r"-?[0-9]+", text) else default


def _statuses(text: str | None) -> frozenset[PaymentStatus] | None:
    if text is None:
        return None
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    try:
        return frozenset(_SYNONYMS.get(name) or PaymentStatus(name) for name in names) or None
    except ValueError:
        known = ", ".join(PaymentStatus)
        raise ValidationFailed.of("status", f"is none of {known}") from None


def _moment(given: dict[str, str], name: str, *, end_of_day: bool = False) -> datetime | None:
    if (text := given.get(name)) is None:
        return None
    try:
        if len(text) == len("2026-01-15"):
            day = datetime.combine(date.fromisoformat(text), time(), UTC)
            return day + timedelta(days=1, microseconds=-1) if end_of_day else day
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a "+00:00" that nobody percent-encoded
        # Here and not where it is compared: at the calendar's ends an offset leads out of it.
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValidationFailed.of(name, "is not a date or a time in ISO 8601") from None


_PAGE: Final = (
    Parameter(name="page", description="From 1.", schema={"type": "integer", "minimum": 1, "default": 1}),
    Parameter(
        name="limit",
        description="How many on a page.",
        schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
)


def _ordered(orders: tuple[str, ...]) -> tuple[Parameter, Parameter]:
    return (
        Parameter(
            name="orderBy",
            description="Anything else is created_at.",
            schema={"type": "string", "enum": list(orders), "default": "created_at"},
        ),
        Parameter(
            name="orderDir",
            description="Anything but asc is desc.",
            schema={"type": "string", "enum": ["asc", "desc"], "default": "desc"},
        ),
    )


LIST_PARAMETERS: Final = (
    *_PAGE,
    Parameter(
        name="status",
        description="One status, or several with commas.",
        schema={"type": "string", "examples": ["succeeded"]},
    ),
    Parameter(
        name="reference_code",
        description="The merchant's own reference of the order, whole.",
        schema={"type": "string", "examples": ["order-4711"]},
    ),
    Parameter(name="search", description="Part of the id, the e-mail address or the description."),
    Parameter(
        name="created_at_from", description="ISO 8601.", schema={"type": "string", "examples": ["2026-01-01"]}
    ),
    Parameter(
        name="created_at_to", description="ISO 8601.", schema={"type": "string", "examples": ["2026-01-31"]}
    ),
    *_ordered(_ORDERS),
)

INCLUDE: Final = Parameter(
    name="include",
    description="`payment_method` shows the stored method of each payment.",
    schema={"type": "string", "examples": ["payment_method"]},
)

CUSTOMER_PARAMETERS: Final = (
    *_PAGE,
    Parameter(name="search", description="Part of the id, the e-mail address or the name."),
    *_ordered(CustomerQuery.ORDERS),
)

METHOD_PARAMETERS: Final = (
    *_PAGE,
    Parameter(
        name="payment_type", description="One type.", schema={"type": "string", "examples": ["credit_card"]}
    ),
    Parameter(name="card_brand", description="One brand.", schema={"type": "string", "examples": ["visa"]}),
    Parameter(name="search", description="Part of the alias, the brand or the last four digits."),
    *_ordered(PaymentMethodQuery.ORDERS),
)

ADDRESS_PARAMETERS: Final = (
    *_PAGE,
    Parameter(
        name="address_type",
        description="One type.",
        schema={"type": "string", "examples": ["billing"]},
    ),
    Parameter(name="search", description="Part of the name, the city or the postal code."),
    *_ordered(AddressQuery.ORDERS),
)

SUBSCRIPTION_PARAMETERS: Final = (
    *_PAGE,
    Parameter(name="status", description="One status.", schema={"type": "string", "examples": ["active"]}),
    Parameter(name="search", description="Part of the id, the guest's address or the description."),
    *_ordered(SubscriptionQuery.ORDERS),
)
