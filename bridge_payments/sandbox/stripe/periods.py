"""When a period ends: Stripe's intervals, from the anchor on."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

__all__ = ["after"]


def after(moment: int, interval: str, count: int, *, anchor: int) -> int:
    """Return the moment *count* intervals later; the day of the anchor, or the month's last one.

    (2026-11, https://docs.stripe.com/billing/subscriptions/billing-cycle)
    """
    start = datetime.fromtimestamp(moment, UTC)
    if interval in ("day", "week"):
        days = count * (7 if interval == "week" else 1)
        return int((start + timedelta(days=days)).timestamp())
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    wanted = datetime.fromtimestamp(anchor, UTC).day
    day = min(wanted, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())
