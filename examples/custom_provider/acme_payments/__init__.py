"""Acme for bridge-payments."""

from __future__ import annotations

from .provider import AcmeProvider

__all__ = ["AcmeProvider"]
