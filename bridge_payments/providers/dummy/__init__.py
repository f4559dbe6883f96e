"""The in-process provider: moves no money, needs no network, and is small enough to copy a real one from."""

from __future__ import annotations

from .gateway import DummyGateway
from .provider import DummyProvider

__all__ = ["DummyGateway", "DummyProvider"]
