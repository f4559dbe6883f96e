"""Which accounts this installation pays through."""

from __future__ import annotations

from typing import Literal

from pydantic import RootModel

from .base import Output

__all__ = ["AccountState", "Accounts", "ProviderOut"]


class AccountState(Output):
    status: Literal["configured"]
    """Nothing is asked of the provider for this, and nothing is made up."""
    mode: Literal["live", "test"] | None
    """null while nobody knows."""


class Accounts(RootModel[dict[str, AccountState]]):
    """The accounts of this installation, by their id."""


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
