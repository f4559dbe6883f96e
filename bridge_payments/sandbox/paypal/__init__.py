"""A stateful fake of PayPal's API over HTTP."""

from __future__ import annotations

from ..faults import Fault, FaultKind
from .gateway import FakePayPal

__all__ = ["FakePayPal", "Fault", "FaultKind"]
