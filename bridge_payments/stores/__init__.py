"""Where the engine remembers things: the contract, and a store in this process's memory.

`bridge_payments.stores.sql` is imported by who uses it: it needs SQLAlchemy.
"""

from __future__ import annotations

from .base import IdempotencyRecord, Page, PaymentQuery, Store, Unit
from .memory import MemoryStore

__all__ = ["IdempotencyRecord", "MemoryStore", "Page", "PaymentQuery", "Store", "Unit"]
