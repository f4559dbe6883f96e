"""What the payer has to do next: Stripe's open union, closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...models import NextAction, NextActionKind
from .objects import Json

__all__ = ["next_action_of"]

# Where the several kinds of next action keep the page that the payer has to see, best first.
_PAGES: Final = ("url", "hosted_voucher_url", "hosted_instructions_url", "hosted_verification_url")


def next_action_of(action: Json | None) -> NextAction:
    """Return a page to visit, or a job for Stripe's script in the browser."""
    details: Json = {}
    if action:
        found = action.get(action.get("type") or "")
        details = found if isinstance(found, Mapping) and action["type"] != "use_stripe_sdk" else {}
    page = next((details[name] for name in _PAGES if isinstance(details.get(name), str)), None)
    if page is None:
        return NextAction(kind=NextActionKind.USE_SDK)
    return NextAction(kind=NextActionKind.REDIRECT, url=page, return_url=details.get("return_url"))
