"""Who is asking: from a request to a Principal."""

from __future__ import annotations

from .base import AuthBridge, Authenticator, Heard, Who

__all__ = ["AuthBridge", "Authenticator", "Heard", "Who"]
