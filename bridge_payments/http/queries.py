"""Read what a list is asked for. Page, limit and order are clamped, as the contract has it; a filter that
means nothing is refused, because a list that ignores it shows payments nobody asked for.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, cast

from ..messages import Request
from ..models import PaymentStatus
from ..stores.base import PaymentQuery
from .problems import ValidationFailed
from .route import Parameter

__all__ = ["LIST_PARAMETERS", "read_query"]

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 50
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
    """Return the query and the number of its page."""
    given = {name: value.strip() for name, value in request.query.items() if value.strip()}
    limit = min(max(_number(given.get("limit"), DEFAULT_LIMIT), 1), most)
    offset = max(_number(given.get("offset"), 0), 0)
    page = max(_number(given.get("page"), offset // limit + 1), 1)
    page = min(page, MAX_PAGE)
    if "page" in given or "offset" not in given:
        offset = (page - 1) * limit
    order = given.get("orderBy", "created_at")
    search = given.get("search", "")[:200].replace("\x00", "")
    query = PaymentQuery(
        statuses=_statuses(given.get("status")),
        search=search or None,
        created_from=_moment(given, "created_at_from"),
        created_to=_moment(given, "created_at_to", end_of_day=True),
        order_by=cast(Literal["created_at"], order if order in _ORDERS else "created_at"),
        descending=given.get("orderDir", "").lower() != "asc",
        limit=limit,
        offset=min(offset, MAX_PAGE * MAX_LIMIT),
    )
    return query, page


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
    except (ValueError, OverflowError):
        raise ValidationFailed.of(name, "is not a date or a time in ISO 8601") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


LIST_PARAMETERS: Final = (
    Parameter(name="page", description="From 1.", schema={"type": "integer", "minimum": 1, "default": 1}),
    Parameter(
        name="limit",
        description="How many on a page.",
        schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    Parameter(
        name="status",
        description="One status, or several with commas.",
        schema={"type": "string", "examples": ["succeeded"]},
    ),
    Parameter(name="search", description="Part of the id, the e-mail address or the description."),
    Parameter(
        name="created_at_from", description="ISO 8601.", schema={"type": "string", "examples": ["2026-01-01"]}
    ),
    Parameter(
        name="created_at_to", description="ISO 8601.", schema={"type": "string", "examples": ["2026-01-31"]}
    ),
    Parameter(
        name="orderBy",
        description="Anything else is created_at.",
        schema={"type": "string", "enum": list(_ORDERS), "default": "created_at"},
    ),
    Parameter(
        name="orderDir",
        description="Anything but asc is desc.",
        schema={"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    ),
)
