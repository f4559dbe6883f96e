"""Stripe. Importing this folder imports no SDK; building an account does."""

from __future__ import annotations

from .provider import StripeProvider

__all__ = ["StripeProvider"]
