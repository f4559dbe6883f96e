"""An operation: one deliberate instruction to a provider, reserved before it is sent; may end unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "OPEN_OPERATION_STATES",
    "PAYMENT_VERBS",
    "Claim",
    "OpenOperations",
    "Operation",
    "OperationState",
    "Statement",
    "Verb",
]

STATEMENTS: Final = "-statements"
"""The name in `Operation.steps` of what operators said of it."""


HTTP_STATUS: Final = "-http_status"
"""The name in `Operation.steps` of the HTTP status of the provider's last error."""


class Verb(StrEnum):
    """What we instruct a provider to do; each value begins the name of a `PaymentProvider` method."""

    CREATE = "create_payment_intent"
    UPDATE = "update_payment_intent"
    CONFIRM = "confirm_payment"
    CAPTURE = "capture_payment"
    CANCEL = "cancel_payment"
    REFUND = "refund_payment"
    CREATE_CUSTOMER = "create_customer"
    UPDATE_CUSTOMER = "update_customer"
    DELETE_CUSTOMER = "delete_customer"
    CREATE_METHOD = "create_payment_method"
    CONFIRM_METHOD = "confirm_payment_method"
    UPDATE_METHOD = "update_payment_method"
    DELETE_METHOD = "delete_payment_method"
    CREATE_SUBSCRIPTION = "create_subscription"
    UPDATE_SUBSCRIPTION = "update_subscription"
    CANCEL_SUBSCRIPTION = "cancel_subscription"
    PAUSE_SUBSCRIPTION = "pause_subscription"
    RESUME_SUBSCRIPTION = "resume_subscription"


PAYMENT_VERBS: Final = (Verb.CREATE, Verb.UPDATE, Verb.CONFIRM, Verb.CAPTURE, Verb.CANCEL, Verb.REFUND)
"""Those that are about a payment. The others are about a customer, a payment method or a subscription."""


class OperationState(StrEnum):
    """How far an instruction is, and how it ended."""

    RESERVED = "reserved"
    """Committed here; nothing is known about the provider."""
    UNKNOWN = "unknown"
    """It may have been executed. Resolved by asking the provider, never by the clock."""
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    """The provider said no."""
    ABANDONED = "abandoned"
    """Proved never executed, and too late to execute now."""


OPEN_OPERATION_STATES: Final = frozenset({OperationState.RESERVED, OperationState.UNKNOWN})


class Claim(StrEnum):
    """What an operator says of an operation that the library could not finish by itself."""

    EXECUTED = "executed"
    NOT_EXECUTED = "not_executed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What an operator said of an operation, and what came of it. Kept with the operation, for good."""

    at: datetime
    by: str
    """The scope text of whoever said it."""
    outcome: Claim
    evidence: str
    """How they know, in their own words."""
    reference: str | None = None
    """The provider's reference that they named."""
    came_of: str = ""
    """What the provider said to it, and whether it was believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOperations:
    """How many operations of one account and state are open, and since when the oldest of them is."""

    provider_id: str
    state: OperationState
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of `operations`. While it is open it occupies its subject's slot."""

    id: str
    """Its keys at the provider derive from this: ``<id>`` for the first step, ``<id>-<step>`` else."""
    subject_id: str
    """Our id of what it is about: a payment, or by its verb a customer, a payment method, a subscription.

    While it is open nothing else works on that row.
    """
    provider_id: str
    verb: Verb
    state: OperationState
    reference: str
    """20 characters, unique, sent as metadata (Stripe), invoiceNumber/refId (Authorize.net)."""
    created_at: datetime
    updated_at: datetime
    refund_id: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Exactly what was asked, JSON values only: a repeat sends the same body or nothing."""
    inputs_hash: str = ""
    api_version: str | None = None
    """The provider API version that the inputs were made for."""
    steps: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Results of the steps that are done, by step name, stored before the next step begins."""
    principal: str = "system"
    """The scope text of whoever asked."""
    caller_deadline: datetime | None = None
    """Until when a payer-present verb may still be executed (rule 8)."""
    lease_until: datetime | None = None
    """Until when the current sender owns this operation, on the database's clock."""
    lease_token: str | None = None
    due_at: datetime | None = None
    """When reconciliation looks at it next, on the database's clock."""
    attempts: int = 0
    error_code: str | None = None
    error_message: str | None = None
    decline_code: str | None = None
    request_id: str | None = None
    """The provider's id of the last exchange, for their support."""
    resolution: str | None = None
    """How it ended, in one sentence an operator can read: evidence, not a guess."""
    finished_at: datetime | None = None
    version: int = 1

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still to be found out."""
        return self.state in OPEN_OPERATION_STATES

    @property
    def http_status(self) -> int | None:
        """The HTTP status of the provider's last error; None where there was none."""
        status = self.steps.get(HTTP_STATUS)
        return status if isinstance(status, int) else None

    def with_http_status(self, status: int | None) -> Operation:
        """Return the operation with the HTTP status of an error; None leaves what is known."""
        return self if status is None else replace(self, steps={**self.steps, HTTP_STATUS: status})

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What operators said of it, oldest first."""
        return tuple(
            Statement(
                at=datetime.fromisoformat(said["at"]),
                by=said["by"],
                outcome=Claim(said["outcome"]),
                evidence=said["evidence"],
                reference=said["reference"],
                came_of=said["came_of"],
            )
            for said in self.steps.get(STATEMENTS, ())
        )

    def with_statement(self, statement: Statement, *, keep: int = 20) -> Operation:
        """Return the operation with one more statement; of so many the last *keep* are kept."""
        said = {
            "at": statement.at.isoformat(),
            "by": statement.by,
            "outcome": statement.outcome.value,
            "evidence": statement.evidence,
            "reference": statement.reference,
            "came_of": statement.came_of,
        }
        kept = [*self.steps.get(STATEMENTS, ()), said][-keep:]
        return replace(self, steps={**self.steps, STATEMENTS: kept})

    def key(self, step: str, *, first: str) -> str:
        """Return the idempotency key of one step: the same for every attempt of it."""
        return self.id if step == first else f"{self.id}-{step}"
