"""Authorize.net. Importing this folder imports no SDK; building an account may."""

from __future__ import annotations

from .provider import AuthorizeNetProvider

__all__ = ["AuthorizeNetProvider"]
