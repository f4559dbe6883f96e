"""Between rows and records: the only place that knows how a field is written in a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from ...models import (
    CaptureMethod,
    Delivery,
    DeliveryState,
    EndpointHealth,
    Event,
    InboxEntry,
    InboxState,
    Noun,
    Operation,
    OperationState,
    Payment,
    PaymentFlag,
    PaymentStatus,
    Refund,
    RefundStatus,
    ScheduledJob,
    SigningSecret,
    StoredEndpoint,
    SwitchedOff,
    Verb,
)
from ..base import IdempotencyRecord
from ..codec import (
    decode_event,
    decode_next_action,
    dumps,
    encode_event,
    encode_next_action,
    guest_from,
    guest_key,
    loads,
)

__all__ = [
    "DELIVERY_FIELDS",
    "ENDPOINT_FIELDS",
    "HEALTH_FIELDS",
    "INBOX_FIELDS",
    "JOB_FIELDS",
    "OPERATION_FIELDS",
    "PAYMENT_FIELDS",
    "REFUND_FIELDS",
    "delivery_from",
    "delivery_row",
    "endpoint_from",
    "endpoint_row",
    "event_from",
    "event_row",
    "health_from",
    "inbox_from",
    "inbox_row",
    "job_from",
    "key_from",
    "key_row",
    "operation_from",
    "operation_row",
    "payment_from",
    "payment_row",
    "refund_from",
    "refund_row",
]

Row = Mapping[Any, Any]

PAYMENT_FIELDS: Final = tuple(f.name for f in fields(Payment) if f.compare)
OPERATION_FIELDS: Final = tuple(field.name for field in fields(Operation))
REFUND_FIELDS: Final = tuple(field.name for field in fields(Refund))
DELIVERY_FIELDS: Final = tuple(field.name for field in fields(Delivery))
INBOX_FIELDS: Final = tuple(field.name for field in fields(InboxEntry))
ENDPOINT_FIELDS: Final = tuple(field.name for field in fields(StoredEndpoint))
HEALTH_FIELDS: Final = tuple(field.name for field in fields(EndpointHealth))
JOB_FIELDS: Final = tuple(field.name for field in fields(ScheduledJob))
KEY_FIELDS: Final = tuple(field.name for field in fields(IdempotencyRecord))


def payment_row(payment: Payment) -> dict[str, Any]:
    row = {name: getattr(payment, name) for name in PAYMENT_FIELDS}
    action = encode_next_action(payment.next_action, payment.client_secret)
    row.update(
        # `.value`, because one driver writes an enum's name where the others write its value.
        status=payment.status.value,
        capture_method=payment.capture_method.value,
        flag=payment.flag.value if payment.flag is not None else None,
        next_action=_json(action),
        guest_data=_json(payment.guest_data),
        guest_email_key=guest_key(payment.guest_email),
        metadata=_json(payment.metadata or None),
        applied_coupons=_json(payment.applied_coupons),
    )
    return row


def payment_from(row: Row) -> Payment:
    values = {name: row[name] for name in PAYMENT_FIELDS}
    secret = values["client_secret"]
    values.update(
        status=PaymentStatus(values["status"]),
        capture_method=CaptureMethod(values["capture_method"]),
        metadata=_loaded(values["metadata"]),
    )
    if values["flag"] is not None:
        values["flag"] = PaymentFlag(values["flag"])
    if values["next_action"] is not None:
        values["next_action"] = decode_next_action(loads(values["next_action"]), secret)
    if values["guest_data"] is not None:
        values["guest_data"] = guest_from(loads(values["guest_data"]))
    if values["applied_coupons"] is not None:
        values["applied_coupons"] = tuple(loads(values["applied_coupons"]))
    return Payment(**values)


def operation_row(operation: Operation) -> dict[str, Any]:
    row = {name: getattr(operation, name) for name in OPERATION_FIELDS}
    row.update(
        verb=operation.verb.value,
        state=operation.state.value,
        inputs=_json(operation.inputs or None),
        steps=_json(operation.steps or None),
    )
    return row


def operation_from(row: Row, **later: Any) -> Operation:
    """Read an operation; *later* is what a claim has changed since the row was read."""
    values = {name: row[name] for name in OPERATION_FIELDS}
    values.update(
        verb=Verb(values["verb"]),
        state=OperationState(values["state"]),
        inputs=_loaded(values["inputs"]),
        steps=_loaded(values["steps"]),
        **later,
    )
    return Operation(**values)


def refund_row(refund: Refund) -> dict[str, Any]:
    row = {name: getattr(refund, name) for name in REFUND_FIELDS}
    row.update(status=refund.status.value, metadata=_json(refund.metadata or None))
    return row


def refund_from(row: Row) -> Refund:
    values = {name: row[name] for name in REFUND_FIELDS}
    values.update(status=RefundStatus(values["status"]), metadata=_loaded(values["metadata"]))
    return Refund(**values)


def event_row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "subject_id": event.subject_id,
        "payload": encode_event(event),
        "created_at": event.created_at,
    }


def event_from(row: Row) -> Event:
    return decode_event(row["payload"], id=row["id"], type=row["type"], created_at=row["created_at"])


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    row = {name: getattr(delivery, name) for name in DELIVERY_FIELDS}
    row["state"] = delivery.state.value
    return row


def delivery_from(row: Row, **later: Any) -> Delivery:
    values = {name: row[name] for name in DELIVERY_FIELDS}
    values.update(state=DeliveryState(values["state"]), **later)
    return Delivery(**values)


def inbox_row(entry: InboxEntry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in INBOX_FIELDS}
    row.update(
        state=entry.state.value,
        noun=entry.noun.value,
        processed=entry.state in (InboxState.PROCESSED, InboxState.IGNORED),
        headers=_json(entry.headers or None),
    )
    return row


def inbox_from(row: Row, **later: Any) -> InboxEntry:
    values = {name: row[name] for name in INBOX_FIELDS}
    values.update(
        noun=Noun(values["noun"]),
        state=InboxState(values["state"]),
        headers=_loaded(values["headers"]),
        **later,
    )
    return InboxEntry(**values)


def endpoint_row(endpoint: StoredEndpoint) -> dict[str, Any]:
    row = {name: getattr(endpoint, name) for name in ENDPOINT_FIELDS}
    row.update(
        events=_json(list(endpoint.events)),
        secrets=_json([{"value": s.value, "expires_at": s.expires_at} for s in endpoint.secrets]),
        headers=_json(endpoint.headers or None),
        user_ids=_json(list(endpoint.user_ids)),
        organization_ids=_json(list(endpoint.organization_ids)),
        metadata=_json(endpoint.metadata or None),
    )
    return row


def endpoint_from(row: Row) -> StoredEndpoint:
    values = {name: row[name] for name in ENDPOINT_FIELDS}
    values.update({name: tuple(_loaded(row[name])) for name in ("events", "user_ids", "organization_ids")})
    values.update(
        secrets=tuple(
            SigningSecret(value=each["value"], expires_at=_moment(each["expires_at"]))
            for each in _loaded(row["secrets"])
        ),
        headers=_loaded(row["headers"]),
        metadata=_loaded(row["metadata"]),
    )
    return StoredEndpoint(**values)


def health_from(row: Row) -> EndpointHealth:
    values = {name: row[name] for name in HEALTH_FIELDS}
    if values["disabled_reason"] is not None:
        values["disabled_reason"] = SwitchedOff(values["disabled_reason"])
    return EndpointHealth(**values)


def job_from(row: Row) -> ScheduledJob:
    return ScheduledJob(**{name: row[name] for name in JOB_FIELDS})


def key_row(record: IdempotencyRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in KEY_FIELDS}


def key_from(row: Row) -> IdempotencyRecord:
    return IdempotencyRecord(**{name: row[name] for name in KEY_FIELDS})


def _json(value: object) -> str | None:
    return None if value is None else dumps(value)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _loaded(text: str | None) -> Any:
    return {} if text is None else loads(text)
