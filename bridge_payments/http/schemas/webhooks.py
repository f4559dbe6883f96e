"""What a provider hears when it tells us something."""

from __future__ import annotations

from typing import Literal

from .base import Moment, Output

__all__ = ["WebhookReceived"]


class WebhookReceived(Output):
    received: Literal[True] = True
    duplicate: bool
    """Whether this event was known already; nothing changes then."""
    processed: bool = False
    """Always false: events are processed after the answer."""
    event_id: str
    timestamp: Moment
