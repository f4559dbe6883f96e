"""Endpoints, deliveries and received webhooks on the wire: for admins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from ...models import Delivery, DeliveryState, EndpointHealth, InboxEntry, InboxState, SwitchedOff
from ...webhooks import Endpoint, EndpointKind, EndpointView
from .base import Identity, Input, Moment, Output

__all__ = [
    "ChangeEndpoint",
    "CleanedUp",
    "CreateEndpoint",
    "DeliveryOut",
    "EndpointDeleted",
    "EndpointOut",
    "EndpointSecret",
    "ReceivedDetail",
    "ReceivedOut",
    "Redelivered",
    "Replayed",
    "WebhookStats",
    "WebhooksProcessed",
]

Pattern = Annotated[str, Field(min_length=1, max_length=100, examples=["payment.*"])]
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=50, examples=[["payment.*"]])]
Name = Annotated[str, Field(min_length=1, max_length=100, examples=["shop"])]
Address = Annotated[
    str,
    Field(
        min_length=8,
        max_length=4096,
        json_schema_extra={"format": "uri"},
        examples=["https://shop.example/hooks"],
    ),
]
Names = Annotated[list[Identity], Field(max_length=100)]
Texts = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=50)]
Format = Literal["generic", "slack", "discord"]
Seconds = Annotated[float, Field(gt=0, le=300, examples=[15])]
Tries = Annotated[int, Field(ge=1, le=50, examples=[8])]
AtOnce = Annotated[int, Field(ge=1, le=50, examples=[8])]
Remark = Annotated[str, Field(max_length=1000)]
Secret = Annotated[str, Field(min_length=16, max_length=512)]


class CreateEndpoint(Input):
    """Where to tell events, and which."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "shop", "url": "https://shop.example/hooks", "events": ["payment.*"]}]
        }
    )

    name: Name
    url: Address
    """http or https. A host whose address is not public is refused when it is called."""
    events: Patterns
    """Globs over event types; both spellings of a word match."""
    secret: Secret | None = None
    """``whsec_…``; one is made without it, but not for a chat."""
    headers: Texts = Field(default_factory=dict)
    timeout_seconds: Seconds = 15.0
    tries: Tries | None = None
    """How many; without it eight in a little more than a day."""
    concurrency: AtOnce = 8
    format: Format | None = None
    """By default what the address says."""
    user_ids: Names = Field(default_factory=list)
    organization_ids: Names = Field(default_factory=list)
    metadata: Texts = Field(default_factory=dict)
    """Only events of payments with all of this metadata: a filter, whoever begins a payment may set it."""
    description: Remark | None = None


class ChangeEndpoint(Input):
    """What is to change; the rest stays."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"events": ["payment.success"]}]}
    )

    name: Name | None = None
    url: Address | None = None
    events: Patterns | None = None
    headers: Texts | None = None
    timeout_seconds: Seconds | None = None
    tries: Tries | None = None
    concurrency: AtOnce | None = None
    format: Format | None = None
    user_ids: Names | None = None
    organization_ids: Names | None = None
    metadata: Texts | None = None
    description: Remark | None = None
    enabled: bool | None = None
    """Whether it is told anything. True also brings back what switched itself off."""


class EndpointOut(Output):
    """One endpoint. Never its secrets; of a chat's address, which is a credential, the host alone."""

    id: str
    """Deliveries are stored under it."""
    name: str
    source: Literal["stored", "configured"]
    """A configured one is changed where it is configured."""
    url: str | None
    """None for a handler of the application."""
    format: EndpointKind
    events: list[str]
    signed: bool
    header_names: list[str]
    timeout_seconds: float
    tries: int
    concurrency: int
    user_ids: list[str]
    organization_ids: list[str]
    metadata: dict[str, str]
    description: str | None
    enabled: bool
    disabled_at: Moment | None
    disabled_reason: SwitchedOff | None
    failures: int
    """Attempts since the last one that got through."""
    failing_since: Moment | None
    created_at: Moment | None
    updated_at: Moment | None

    @classmethod
    def of(cls, endpoint: Endpoint, health: EndpointHealth, view: EndpointView | None = None) -> EndpointOut:
        stored = view.endpoint if view is not None else None
        return cls(
            id=endpoint.name,
            name=endpoint.label or endpoint.name,
            source="configured" if stored is None else "stored",
            url=_shown(endpoint),
            format=endpoint.kind or EndpointKind.GENERIC,
            events=list(endpoint.events),
            signed=bool(endpoint.secrets),
            header_names=sorted(endpoint.headers),
            timeout_seconds=endpoint.timeout_seconds,
            tries=len(endpoint.schedule),
            concurrency=endpoint.concurrency,
            user_ids=list(endpoint.users),
            organization_ids=list(endpoint.organizations),
            metadata=dict(endpoint.metadata),
            description=stored.description if stored is not None else None,
            enabled=health.disabled_at is None,
            disabled_at=health.disabled_at,
            disabled_reason=health.disabled_reason,
            failures=health.failures,
            failing_since=health.failing_since,
            created_at=stored.created_at if stored is not None else None,
            updated_at=stored.updated_at if stored is not None else None,
        )


class EndpointSecret(EndpointOut):
    """An endpoint and its newest secret, which is shown this once."""

    secret: str | None


class EndpointDeleted(Output):
    id: str
    message: str = "Webhook endpoint deleted successfully"


class DeliveryOut(Output):
    """One event on its way to one endpoint."""

    id: str
    event_id: str
    event_type: str
    endpoint: str
    state: DeliveryState
    attempts: int
    status_code: int | None
    error: str | None
    next_attempt_at: Moment | None
    delivered_at: Moment | None
    created_at: Moment

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryOut:
        waits = delivery.state is DeliveryState.PENDING
        return cls.model_validate(
            {name: getattr(delivery, name) for name in cls.model_fields if hasattr(delivery, name)}
            | {"next_attempt_at": delivery.available_at if waits else None}
        )


class ReceivedOut(Output):
    """One webhook that a provider sent."""

    id: str
    provider_id: str
    event_id: str
    event_type: str
    state: InboxState
    processed: bool
    attempts: int
    payment_id: str | None
    created_at: Moment
    processed_at: Moment | None
    next_attempt_at: Moment | None

    @classmethod
    def of(cls, entry: InboxEntry) -> ReceivedOut:
        return cls.model_validate(_received(entry))


class ReceivedDetail(ReceivedOut):
    """The same, with what an operator needs to see why it failed. Never its signature."""

    provider_reference: str | None
    our_reference: str | None
    livemode: bool | None
    api_version: str | None
    payload_sha256: str
    error: str | None

    @classmethod
    def of(cls, entry: InboxEntry) -> ReceivedDetail:
        return cls.model_validate(_received(entry))


class Replayed(Output):
    id: str
    replayed: bool = True


class Redelivered(Output):
    redelivered: int
    """How many deliveries are due again."""


class ReceivedCounts(Output):
    total: int
    processed: int
    pending: int
    dead: int


class EventCounts(Output):
    total: int
    by_entity_type: dict[str, int]
    by_event_type: dict[str, int]


class WebhookStats(Output):
    webhooks: ReceivedCounts
    """What providers sent."""
    events: EventCounts
    """What is told, as long as it is kept."""


class WebhooksProcessed(Output):
    message: str = "Processing completed"
    handled: int


class CleanedUp(Output):
    deleted_webhooks: int
    """Received ones whose body was forgotten. Their rows stay: a late copy has to be recognised."""
    deleted_events: int


def _shown(endpoint: Endpoint) -> str | None:
    if endpoint.url is None or endpoint.kind is EndpointKind.GENERIC:
        return endpoint.url
    parts = urlsplit(endpoint.url)
    return f"{parts.scheme}://{parts.hostname}/…"


def _received(entry: InboxEntry) -> dict[str, Any]:
    waits: datetime | None = entry.available_at if entry.processed_at is None else None
    return {
        "id": entry.id,
        "provider_id": entry.provider_id,
        "event_id": entry.provider_event_id,
        "event_type": entry.event_type,
        "state": entry.state,
        "processed": entry.state in (InboxState.PROCESSED, InboxState.IGNORED),
        "attempts": entry.attempts,
        "payment_id": entry.payment_id,
        "created_at": entry.created_at,
        "processed_at": entry.processed_at,
        "next_attempt_at": waits,
        "provider_reference": entry.reference,
        "our_reference": entry.our_reference,
        "livemode": entry.livemode,
        "api_version": entry.api_version,
        "payload_sha256": entry.payload_hash,
        "error": entry.error_message,
    }
