"""PayPal. Importing this folder imports no SDK; building an account does."""

from __future__ import annotations

from .provider import PayPalProvider

__all__ = ["PayPalProvider"]
