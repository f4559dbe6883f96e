"""What an admin sees of the whole: figures, queues, caches."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from ...models import Claim
from .base import Identity, Input, Moment, Output
from .health import CacheFigures
from .payments import PaymentDetail, PaymentSummary

__all__ = [
    "AdminOverview",
    "AdminPayments",
    "AdminStats",
    "CacheCleared",
    "CacheReport",
    "CurrencyFigures",
    "OperationOut",
    "PagesOut",
    "PaymentFigures",
    "ResolveOperation",
    "StatementOut",
]


class AdminOverview(Output):
    endpoints: dict[str, list[str]]
    features: dict[str, bool]
    providers: list[str]


class PaymentFigures(Output):
    """How many payments there are. `failed` holds canceled ones too, `pending` whatever may still be paid."""

    total: int
    completed: int
    failed: int
    pending: int
    by_status: dict[str, int]


class CurrencyFigures(Output):
    """Money of one currency, in its minor unit."""

    currency: str
    captured_cents: int
    refunded_cents: int
    net_cents: int


class AdminStats(Output):
    payments: PaymentFigures
    revenue: list[CurrencyFigures]
    """Per currency: amounts of several add up to nothing."""
    unknown_outcomes: int
    """Instructions whose outcome is not known yet; at most a hundred are counted."""
    recent_payments: list[PaymentSummary]


class PagesOut(Output):
    page: int
    limit: int
    total: int
    pages: int


class AdminPayments(Output):
    payments: list[PaymentDetail]
    pagination: PagesOut
    filters: dict[str, str | None]


class CacheReport(Output):
    cache_stats: dict[str, CacheFigures]
    """Of this process only."""


class CacheCleared(Output):
    message: str = "Cache cleared successfully"


class ResolveOperation(Input):
    """What became of an instruction, as an operator knows it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "outcome": "executed",
                    "provider_reference": "60198754321",
                    "evidence": "The dashboard shows it settled in batch 11873402 (ticket 4711)",
                },
                {
                    "outcome": "not_executed",
                    "evidence": "Support says that no such request arrived (case 00912833)",
                },
            ]
        }
    )

    outcome: Literal["executed", "not_executed"]
    provider_reference: Identity | None = None
    """What the provider calls it; needed for `executed`, and read at the provider before it is believed."""
    evidence: Annotated[str, Field(min_length=1, max_length=2000)]
    """How you know. Kept for good, with who said it and when; no card numbers."""


class StatementOut(Output):
    """What an operator said of an instruction."""

    at: Moment
    by: str
    outcome: Claim
    evidence: str
    provider_reference: str | None = Field(validation_alias="reference")
    came_of: str
    """Whether it was believed, and what the provider said."""


class OperationOut(Output):
    """One instruction to a provider. Its inputs and results stay inside: they may hold a payer's data."""

    id: str
    verb: str
    state: str
    subject_id: str
    refund_id: str | None
    provider_id: str
    principal: str
    attempts: int
    due_at: Moment | None
    lease_until: Moment | None
    error_code: str | None
    error_message: str | None
    decline_code: str | None
    request_id: str | None
    http_status: int | None
    """Of the provider's last error."""
    resolution: str | None
    created_at: Moment
    updated_at: Moment
    finished_at: Moment | None
    statements: list[StatementOut]
    """What operators said of it, oldest first."""
