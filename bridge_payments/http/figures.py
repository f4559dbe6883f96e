"""Sums over time, from rows to figures. Plain functions of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..models import PaymentStatus
from ..stores.base import IntervalTotals, PaymentTotals
from .schemas.admin import CurrencyFigures
from .schemas.dashboard import AccountFigures, AdminSeries, IntervalFigures, SuccessRate

__all__ = ["COMPLETED", "FAILED", "edges_of", "rate", "series_of", "success_of", "volumes_of"]

_HOURLY_UP_TO: Final = 2
"""Days that are shown by the hour."""

COMPLETED: Final = frozenset(
    {PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED}
)
FAILED: Final = frozenset({PaymentStatus.FAILED, PaymentStatus.CANCELED})


def edges_of(days: int, now: datetime) -> list[datetime]:
    """Return where the intervals of the last *days* begin, and *now*: hours or days, in UTC."""
    now = now.astimezone(UTC)
    if days <= _HOURLY_UP_TO:
        step, last = timedelta(hours=1), now.replace(minute=0, second=0, microsecond=0)
        count = days * 24
    else:
        step, last = timedelta(days=1), now.replace(hour=0, minute=0, second=0, microsecond=0)
        count = days
    begins = [last - step * back for back in range(count - 1, -1, -1)]
    # What begins in this very moment is part of it, too.
    return [*begins, now + timedelta(microseconds=1)]


def rate(good: int, bad: int) -> float | None:
    """Return the share of *good*, from 0 to 1; None of nothing."""
    return round(good / (good + bad), 4) if good + bad else None


def success_of(rows: Iterable[IntervalTotals]) -> SuccessRate:
    return SuccessRate(**_counted(rows))


def series_of(days: int, edges: Sequence[datetime], rows: Sequence[IntervalTotals]) -> AdminSeries:
    """Return the figures of every interval between two *edges*, empty ones included, and of the whole."""
    intervals = [
        _interval(edges[number], edges[number + 1], [row for row in rows if row.interval == number])
        for number in range(len(edges) - 1)
    ]
    accounts = sorted({row.provider_id for row in rows}, key=lambda name: (name is None, name or ""))
    return AdminSeries(
        days=days,
        interval_seconds=3600 if days <= _HOURLY_UP_TO else 86400,
        intervals=intervals,
        total=_interval(edges[0], edges[-1], rows),
        accounts=[
            AccountFigures(provider_id=name, **_counted(row for row in rows if row.provider_id == name))
            for name in accounts
        ],
    )


def _interval(begins: datetime, ends: datetime, rows: Sequence[IntervalTotals]) -> IntervalFigures:
    return IntervalFigures(begins_at=begins, ends_at=ends, volumes=volumes_of(rows), **_counted(rows))


def _counted(rows: Iterable[IntervalTotals]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for row in rows:
        word = "completed" if row.status in COMPLETED else "failed" if row.status in FAILED else "pending"
        counts[word] += row.count
    completed, failed = counts["completed"], counts["failed"]
    return {
        "completed": completed,
        "failed": failed,
        "pending": counts["pending"],
        "success_rate": rate(completed, failed),
    }


def volumes_of(rows: Iterable[IntervalTotals | PaymentTotals]) -> list[CurrencyFigures]:
    """Return the money of every currency that has any: amounts of several add up to nothing."""
    captured: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for row in rows:
        captured[row.currency] += row.captured_cents
        refunded[row.currency] += row.refunded_cents
    return [
        CurrencyFigures(
            currency=currency,
            captured_cents=amount,
            refunded_cents=refunded[currency],
            net_cents=amount - refunded[currency],
        )
        for currency, amount in sorted(captured.items())
        if amount
    ]
