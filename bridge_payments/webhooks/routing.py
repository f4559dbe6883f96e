"""Whose event it is: an endpoint may be for some users, some organizations, some kinds of payment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from ..models import Event

__all__ = ["CLAIM", "concerns"]

CLAIM: Final = "claimed_"
"""How metadata begins that a request said of itself and nobody confirmed (rule 24): it routes nothing."""


def concerns(
    event: Event, *, users: Collection[str], organizations: Collection[str], metadata: Mapping[str, str]
) -> bool:
    """Say whether *event* is about one of *users*, one of *organizations*, and has all of *metadata*.

    What is empty asks for nothing. An event about nobody in particular concerns only who asks for nothing.
    """
    row = event.payment or event.subscription or event.payment_method or event.customer
    if users and (row is None or row.user_id not in users):
        return False
    if organizations and (row is None or row.organization_id not in organizations):
        return False
    known = row.metadata if row is not None else {}
    return all(name in known and str(known[name]) == value for name, value in metadata.items())
