"""What we decide: reserve, ask, record."""

from __future__ import annotations

from .conversion import Conversion
from .customers import CustomerResult
from .drafts import Approve, PaymentDraft, Recurring
from .engine import PaymentEngine
from .inbox import WebhookReceipt
from .payment_methods import UNSET

__all__ = [
    "UNSET",
    "Approve",
    "Conversion",
    "CustomerResult",
    "PaymentDraft",
    "PaymentEngine",
    "Recurring",
    "WebhookReceipt",
]
