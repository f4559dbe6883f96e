"""What we decide: reserve, ask, record."""

from __future__ import annotations

from .drafts import Approve, PaymentDraft
from .engine import PaymentEngine
from .inbox import WebhookReceipt

__all__ = ["Approve", "PaymentDraft", "PaymentEngine", "WebhookReceipt"]
