"""A stateful fake of Stripe's API over HTTP."""

from __future__ import annotations

from ..faults import Fault, FaultKind
from .gateway import FakeStripe

__all__ = ["FakeStripe", "Fault", "FaultKind"]
