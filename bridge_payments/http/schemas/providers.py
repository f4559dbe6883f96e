"""Which accounts this installation pays through."""

from __future__ import annotations

from .base import Output

__all__ = ["ProviderOut"]


class ProviderOut(Output):
    id: str
    """What `provider_id` takes."""
    kind: str
    is_default: bool
    livemode: bool | None
    capabilities: list[str]
    minimum_amounts: dict[str, int]
    publishable: dict[str, str]
    """What a browser needs to know of this account, a publishable key for instance."""
