"""Jobs: work by the clock, done by one process of the fleet at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["ScheduledJob"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJob:
    """One row of `scheduled_jobs`: when a job is due, who is at it, and how the last run ended."""

    name: str
    due_at: datetime
    lease_until: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    handled: int = 0
    """How much the last run did."""
    error: str | None = None
    note: str | None = None
    """Where the job wants to go on."""
