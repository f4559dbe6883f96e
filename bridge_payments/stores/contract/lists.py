"""What every list has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Listing", "OwnedQuery"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedQuery:
    """Whose rows, in which order. Without an owner it lists everybody's: for admins only.

    What is deleted is in no list.
    """

    user_id: str | None = None
    guest_email: str | None = None
    """Matched case-insensitively, guests' rows only."""
    provider_id: str | None = None
    search: str | None = None
    order_by: str = "created_at"
    """A name that the query's class allows; ids are drawn in order of time, so they are that order."""
    descending: bool = True
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[R]):
    """One page and the count of the whole."""

    items: tuple[R, ...]
    total: int
    """At most `TOTAL_CAP`, which then means "so many or more"."""
