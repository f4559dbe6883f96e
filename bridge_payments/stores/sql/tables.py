"""Every table, column, constraint and index, and why each is there.

No foreign keys: MySQL refuses them on partitioned tables, Vitess by default. Ids are text,
drawn in order of time, so that a range of ids is a range of dates. What must be unique
besides ids is kept in tables of its own, because a unique index on a partitioned table must
contain the partition key. Names are the wire contract's where it has one.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from .types import Exact, LongText, UtcDateTime

__all__ = [
    "TABLES",
    "addresses",
    "customers",
    "deliveries",
    "disputes",
    "endpoint_health",
    "endpoints",
    "inbox",
    "jobs",
    "keys",
    "metadata",
    "operations",
    "outbox",
    "payment_methods",
    "payments",
    "references",
    "refunds",
    "slots",
    "subscriptions",
]

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

metadata: sa.MetaData = sa.MetaData(naming_convention=NAMING)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, LongText())


def _exact(name: str, length: int = 255, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, Exact(length), nullable=nullable)


def _id() -> sa.Column[str]:
    return sa.Column("id", Exact(64), primary_key=True)


def _cents(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _at(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, UtcDateTime(), nullable=nullable)


def _due(name: str, table: str, column: str) -> sa.Index:
    # Claimed in the order of this index. Rows that are done have no due time and, where the database
    # has partial indexes, no place in it: it stays as small as the queue.
    open_only = sa.text(f"{column} IS NOT NULL")
    return sa.Index(f"ix_{table}_{name}", column, "id", postgresql_where=open_only, sqlite_where=open_only)


def _secrets(table: str) -> sa.Index:
    # The clean-up of secrets; empty of everything that has none.
    with_one = sa.text("client_secret IS NOT NULL")
    columns = ("client_secret_expires_at", "id")
    return sa.Index(f"ix_{table}_secrets", *columns, postgresql_where=with_one, sqlite_where=with_one)


payments: sa.Table = sa.Table(
    "provider_payments",
    metadata,
    _id(),
    _exact("provider_id", 64),
    _exact("status", 50, nullable=False),
    _exact("currency", 3, nullable=False),
    _cents("subtotal_cents"),
    _cents("tax_cents"),
    _cents("discount_cents"),
    _cents("total_cents"),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _count("version"),
    sa.Column("livemode", sa.Boolean),
    _exact("reference", 64),
    _exact("provider_intent_id"),
    _exact("provider_payment_id"),
    _text("client_secret"),  # no other column than these of three tables ever holds one
    _at("client_secret_expires_at"),
    _cents("authorized_cents"),
    _cents("captured_cents"),
    _cents("refunded_cents"),
    _cents("refund_reserved_cents"),
    _cents("disputed_cents"),
    _exact("capture_method", 20, nullable=False),
    _exact("setup_future_usage", 50),
    _text("return_url"),
    _text("next_action"),
    # What a provider says has no length: a longer word than expected must not lose a payment.
    _text("decline_code"),
    _text("provider_decline_code"),
    _text("decline_reference"),
    _text("error_message"),
    _exact("flag", 50),
    _flag("review"),
    _text("provider_status"),
    _exact("user_id"),
    _exact("organization_id"),
    _exact("project_id"),
    _exact("order_id"),
    _exact("subscription_id"),
    _exact("customer_id"),
    _exact("payment_method_id"),
    _exact("billing_address_id"),
    _flag("is_guest_payment"),
    sa.Column("guest_email", sa.String(255)),
    _exact("guest_email_key"),  # folded in Python: SQLite's lower() knows ASCII only
    _text("guest_data"),
    _text("description"),
    sa.Column("concept", sa.String(100)),
    _exact("reference_code", 100),
    sa.Column("category", sa.String(50)),
    sa.Column("tags", sa.String(500)),
    # JSON is text of our own writing: JSONB and MySQL's JSON reorder keys, and each driver decodes its way.
    _text("metadata"),
    _text("applied_coupons"),
    _flag("is_manual_payment"),
    sa.Column("manual_payment_method", sa.String(100)),
    sa.Column("manual_payment_reference", sa.String(255)),
    _at("manual_payment_date"),
    _at("paid_at"),
    _at("completed_at"),
    _at("next_sync_at"),
    _count("sync_count"),
    # CHECKs guard what *we* decide and nothing that a provider reports: its word is recorded, whatever it
    # is, and a constraint that could refuse it would lose it. So there is none between authorized, captured,
    # refunded and disputed (a refund made in a dashboard may be seen before its capture; a dispute may take
    # what was refunded), none on the status, none on the owner (a payment found at the provider has none).
    # The price is ours. Promises to refunds are ours too, and may not exceed what was captured; where the
    # provider says that more was given back than we saw captured, its sum is the bound. A record that learns
    # of a refund made elsewhere while one of ours is pending therefore writes
    # refund_reserved = min(what its refunds add up to, max(captured, refunded)).
    sa.CheckConstraint("total_cents = subtotal_cents + tax_cents - discount_cents", name="pricing"),
    sa.CheckConstraint(
        "subtotal_cents >= 0 AND tax_cents >= 0 AND discount_cents >= 0 AND total_cents >= 0", name="prices"
    ),
    sa.CheckConstraint(
        "authorized_cents >= 0 AND captured_cents >= 0 AND refunded_cents >= 0"
        " AND refund_reserved_cents >= 0 AND disputed_cents >= 0",
        name="sums",
    ),
    sa.CheckConstraint(
        "refund_reserved_cents <= captured_cents OR refund_reserved_cents <= refunded_cents", name="promises"
    ),
    # One index per list: the owner's newest first, by id alone. A second one on (user_id, created_at, id)
    # would make MySQL choose the wrong one of the two.
    sa.Index(None, "user_id", "id"),
    sa.Index(None, "guest_email_key", "id"),  # a guest's list, and how many are open for that address
    sa.Index(None, "customer_id", "id"),  # the payments of a customer
    sa.Index(None, "organization_id", "id"),  # the payments of an organisation
    sa.Index(None, "subscription_id", "id"),  # renewals that belong to one subscription
    sa.Index(None, "provider_id", "id"),  # an admin's list of one account
    sa.Index(None, "provider_id", "provider_intent_id"),  # a webhook names the intent
    sa.Index(None, "provider_id", "provider_payment_id"),  # … or the charge
    # Not unique: 100 random bits are. A look-up by it finds a payment whose create was never answered.
    sa.Index(None, "reference"),
    sa.Index(None, "reference_code", "id"),  # the merchant's order number, from support and from reports
    sa.Index(None, "status", "id"),  # an admin's list of one status
    _due("due", "provider_payments", "next_sync_at"),  # the sweep
    _secrets("provider_payments"),
)

references: sa.Table = sa.Table(
    # What must be unique and is not an id; small, and never partitioned. kind: "intent" for the
    # provider's reference of a payment, "merchant" for the merchant's reference_code where it is unique.
    "payment_references",
    metadata,
    _exact("provider_id", 64, nullable=False),
    _exact("kind", 16, nullable=False),
    _exact("reference", nullable=False),
    _exact("payment_id", 64, nullable=False),
    sa.PrimaryKeyConstraint("provider_id", "kind", "reference"),
)

operations: sa.Table = sa.Table(
    "operations",
    metadata,
    _id(),
    _exact("subject_id", 64, nullable=False),
    _exact("provider_id", 64, nullable=False),
    _exact("verb", 50, nullable=False),
    _exact("state", 20, nullable=False),
    _exact("reference", 64, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _exact("refund_id", 64),
    _text("inputs"),
    _exact("inputs_hash", 128, nullable=False),
    _exact("api_version", 64),
    _text("steps"),
    _text("principal"),
    _at("caller_deadline"),
    _at("lease_until"),
    _exact("lease_token", 64),
    _at("due_at"),
    _count("attempts"),
    _text("error_code"),
    _text("error_message"),
    _text("decline_code"),
    _text("request_id"),
    _text("resolution"),
    _at("finished_at"),
    _count("version"),
    sa.UniqueConstraint("reference"),  # what the provider is asked for when its answer was lost
    sa.Index(None, "subject_id", "id"),  # the history of a payment
    _due("due", "operations", "due_at"),  # reconciliation, and the operator's queue
)

slots: sa.Table = sa.Table(
    # One open operation per row that it is about, by primary key: two verbs on one payment never run at once.
    "operation_slots",
    metadata,
    sa.Column("subject_id", Exact(64), primary_key=True),
    _exact("operation_id", 64, nullable=False),
)

keys: sa.Table = sa.Table(
    "idempotency_keys",
    metadata,
    _exact("scope", 400, nullable=False),
    _exact("key", nullable=False),
    _exact("body_hash", 128, nullable=False),
    _exact("operation_id", 64),
    _exact("subject_id", 64, nullable=False),
    _exact("refund_id", 64),
    _at("created_at", nullable=False),
    sa.PrimaryKeyConstraint("scope", "key"),
    sa.Index(None, "operation_id"),  # releasing the keys of what never happened
    sa.Index(None, "created_at"),  # forgetting the old ones
)

refunds: sa.Table = sa.Table(
    "refunds",
    metadata,
    _id(),
    _exact("payment_id", 64, nullable=False),
    _exact("provider_id", 64, nullable=False),
    _cents("amount_cents"),
    _exact("currency", 3, nullable=False),
    _exact("status", 50, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _exact("operation_id", 64),
    _exact("provider_refund_id"),
    _text("reason"),
    _text("error_message"),
    _text("metadata"),
    _count("version"),
    sa.UniqueConstraint(
        "provider_id", "provider_refund_id"
    ),  # one refund is counted once, whoever reports it
    sa.Index(None, "payment_id", "id"),  # the refunds of a payment
)

outbox: sa.Table = sa.Table(
    "outbox",
    metadata,
    _id(),
    _exact("type", 100, nullable=False),
    _exact("subject_id", 64),
    _text("payload"),
    _at("created_at", nullable=False),
    _at("available_at"),  # None: told to every endpoint that wants it
    sa.Index(None, "subject_id", "id"),  # the history of a payment
    _due("due", "outbox", "available_at"),  # events that still have no deliveries
    sa.Index(None, "created_at"),  # forgetting the old ones
)

deliveries: sa.Table = sa.Table(
    "webhook_deliveries",
    metadata,
    _id(),
    _exact("event_id", 64, nullable=False),
    _exact("event_type", 100, nullable=False),
    _exact("endpoint", nullable=False),
    _exact("state", 20, nullable=False),
    _at("created_at", nullable=False),
    _count("attempts"),
    _at("available_at"),  # pending: due, or leased until then; None when finished
    _at("delivered_at"),
    sa.Column("status_code", sa.Integer),
    _text("error"),
    _exact("claim_token", 64),
    sa.UniqueConstraint(
        "event_id", "endpoint"
    ),  # an event goes to an endpoint once, however often it is expanded
    sa.Index(None, "state", "id"),  # the operator's list of the dead
    _due("due", "webhook_deliveries", "available_at"),
    # What one endpoint is due, however much another one, which nobody serves, has waiting.
    sa.Index(
        "ix_webhook_deliveries_endpoint_due",
        "endpoint",
        "available_at",
        "id",
        postgresql_where=sa.text("available_at IS NOT NULL"),
        sqlite_where=sa.text("available_at IS NOT NULL"),
    ),
    sa.Index(None, "endpoint", "id"),  # what one endpoint was told, newest first
)

inbox: sa.Table = sa.Table(
    "provider_webhooks",
    metadata,
    _id(),
    _exact("provider_id", 64, nullable=False),
    _exact("provider_event_id", nullable=False),
    _text("event_type"),
    _exact("state", 20, nullable=False),
    _flag("processed"),  # the contract's word for what `state` says
    _at("created_at", nullable=False),
    _text("reference"),
    _exact("noun", 20, nullable=False),
    _text("our_reference"),
    sa.Column("livemode", sa.Boolean),
    _text("api_version"),
    _text("payload"),  # as received but for blanked secrets: a JSON type would reorder what was signed
    _exact("payload_hash", 128, nullable=False),
    _text("headers"),
    _count("attempts"),
    _at("available_at"),  # received or parked: due, or leased until then; None when finished
    _exact("claim_token", 64),
    _text("error_message"),
    _exact("payment_id", 64),
    _at("processed_at"),
    # For ever: some providers' replays have no usable age, and only this recognises them.
    sa.UniqueConstraint("provider_id", "provider_event_id"),
    sa.Index(None, "state", "id"),  # the operator's list of the dead
    sa.Index(None, "provider_id", "id"),  # … and of one account
    sa.Index(  # what was heard of one payment
        "ix_provider_webhooks_payment_id_id",
        "payment_id",
        "id",
        postgresql_where=sa.text("payment_id IS NOT NULL"),
        sqlite_where=sa.text("payment_id IS NOT NULL"),
    ),
    _due("due", "provider_webhooks", "available_at"),
)

endpoints: sa.Table = sa.Table(
    "provider_webhook_endpoints",
    metadata,
    _id(),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("url", LongText(), nullable=False),
    sa.Column("events", LongText(), nullable=False),
    _text("secrets"),  # they sign: whoever reads them can speak in our name to this subscriber
    _text("headers"),
    sa.Column("timeout_seconds", sa.Double, nullable=False),
    sa.Column("tries", sa.Integer),
    _count("concurrency"),
    _exact("format", 20),
    _text("user_ids"),
    _text("organization_ids"),
    _text("metadata"),
    _text("description"),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _count("version"),
)

endpoint_health: sa.Table = sa.Table(
    # Of endpoints of every kind, by the name under which their deliveries are stored.
    "webhook_endpoint_health",
    metadata,
    sa.Column("endpoint", Exact(255), primary_key=True),
    _count("failures"),
    _at("failing_since"),
    _at("disabled_at"),
    _exact("disabled_reason", 20),
)

jobs: sa.Table = sa.Table(
    "scheduled_jobs",
    metadata,
    sa.Column("name", Exact(64), primary_key=True),
    _at("due_at", nullable=False),
    _at("lease_until"),
    _exact("lease_token", 64),
    _at("started_at"),
    _at("finished_at"),
    _count("handled"),
    _text("error"),
    _exact("note", 255),
)

customers: sa.Table = sa.Table(
    "provider_customers",
    metadata,
    _id(),
    _exact("provider_id", 64, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _exact("provider_customer_id"),
    _exact("living_reference"),  # the same while the row lives: what is unique, where no index is partial
    _exact("owner", 320),  # "user:…" or "guest:…"; None if deleted, or second to another after a conversion
    _exact("user_id"),
    _exact("organization_id"),
    sa.Column("email", sa.String(255)),
    sa.Column("name", sa.String(255)),
    sa.Column("phone", sa.String(50)),
    _flag("is_guest"),
    sa.Column("guest_email", sa.String(255)),
    _exact("guest_email_key"),
    sa.Column("guest_name", sa.String(255)),
    _exact("default_payment_method_id", 64),
    _text("metadata"),
    _at("deleted_at"),
    _count("version"),
    sa.UniqueConstraint("provider_id", "living_reference"),
    sa.UniqueConstraint("provider_id", "owner"),  # one customer per payer and account, whoever races
    sa.Index(None, "user_id", "id"),
    sa.Index(None, "guest_email_key", "id"),
    sa.Index(None, "organization_id", "id"),
)

payment_methods: sa.Table = sa.Table(
    "provider_payment_methods",
    metadata,
    _id(),
    _exact("provider_id", 64, nullable=False),
    _exact("payment_type", 50, nullable=False),
    _exact("status", 50, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _exact("provider_payment_method_id"),
    _exact("living_reference"),  # as a customer's
    _exact("provider_setup_id"),
    _exact("customer_id", 64),
    _exact("owner", 320),
    _exact("user_id"),
    _exact("organization_id"),
    _exact("wallet_type", 50),
    _exact("card_brand", 50),
    _exact("last_four", 4),
    sa.Column("expiry_month", sa.Integer),
    sa.Column("expiry_year", sa.Integer),
    sa.Column("alias", sa.String(255)),
    _flag("is_default"),
    _exact("billing_address_id", 64),
    _flag("is_guest"),
    sa.Column("guest_email", sa.String(255)),
    _exact("guest_email_key"),
    sa.Column("guest_name", sa.String(255)),
    _text("next_action"),
    _text("client_secret"),  # of a set-up; deleted as a payment's is
    _at("client_secret_expires_at"),
    _text("decline_code"),
    _text("error_message"),
    _text("metadata"),
    _count("version"),
    sa.UniqueConstraint("provider_id", "living_reference"),
    sa.Index(None, "provider_id", "provider_setup_id"),  # a webhook names the set-up
    sa.Index(None, "user_id", "id"),
    sa.Index(None, "guest_email_key", "id"),
    sa.Index(None, "owner", "is_default"),  # the one default of an owner
    sa.Index(None, "organization_id", "id"),
    sa.Index(None, "customer_id", "id"),  # the methods of a customer
    _secrets("provider_payment_methods"),
)

addresses: sa.Table = sa.Table(
    "provider_addresses",
    metadata,
    _id(),
    _exact("address_type", 50, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    sa.Column("line1", sa.String(255), nullable=False),
    sa.Column("city", sa.String(255), nullable=False),
    sa.Column("postal_code", sa.String(50), nullable=False),
    _exact("country", 2, nullable=False),
    _exact("owner", 320),
    _exact("user_id"),
    _exact("organization_id"),
    _flag("is_default"),
    sa.Column("name", sa.String(255)),
    sa.Column("line2", sa.String(255)),
    sa.Column("state", sa.String(255)),
    sa.Column("phone", sa.String(50)),
    sa.Column("email", sa.String(255)),
    sa.Column("alias", sa.String(255)),
    _flag("is_guest"),
    sa.Column("guest_email", sa.String(255)),
    _exact("guest_email_key"),
    sa.Column("guest_name", sa.String(255)),
    _text("metadata"),
    _count("version"),
    sa.Index(None, "user_id", "id"),
    sa.Index(None, "guest_email_key", "id"),
    sa.Index(None, "owner", "is_default"),
    sa.Index(None, "organization_id", "id"),
)

subscriptions: sa.Table = sa.Table(
    "provider_subscriptions",
    metadata,
    _id(),
    _exact("provider_id", 64, nullable=False),
    _exact("customer_id", 64),
    _exact("status", 50, nullable=False),
    _cents("subtotal_cents"),
    _cents("tax_cents"),
    _cents("discount_cents"),
    _cents("total_cents"),
    _exact("currency", 3, nullable=False),
    _exact("billing_interval", 20, nullable=False),
    _count("interval_multiplier"),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _exact("provider_subscription_id"),
    _exact("reference", 64),
    _exact("payment_method_id", 64),
    _exact("product_id"),
    _exact("user_id"),
    _exact("organization_id"),
    _exact("project_id"),
    _exact("billing_address_id", 64),
    _at("current_period_start"),
    _at("current_period_end"),
    _flag("cancel_at_period_end"),
    _at("canceled_at"),
    _at("trial_end"),
    _at("next_billing_date"),
    _text("next_action"),
    _text("client_secret"),  # of the first payment; deleted as a payment's is
    _at("client_secret_expires_at"),
    _text("decline_code"),
    _text("error_message"),
    _text("provider_status"),
    sa.Column("livemode", sa.Boolean),
    _text("description"),
    sa.Column("concept", sa.String(100)),
    _exact("reference_code", 100),
    sa.Column("category", sa.String(50)),
    sa.Column("tags", sa.String(500)),
    _flag("is_guest_subscription"),
    sa.Column("guest_email", sa.String(255)),
    _exact("guest_email_key"),
    _text("guest_data"),
    _text("metadata"),
    _at("next_sync_at"),
    _count("version"),
    sa.CheckConstraint("total_cents = subtotal_cents + tax_cents - discount_cents", name="pricing"),
    sa.CheckConstraint(
        "subtotal_cents >= 0 AND tax_cents >= 0 AND discount_cents >= 0 AND total_cents >= 0", name="prices"
    ),
    sa.UniqueConstraint("provider_id", "provider_subscription_id"),
    sa.Index(None, "reference"),
    sa.Index(None, "reference_code"),
    sa.Index(None, "user_id", "id"),
    sa.Index(None, "guest_email_key", "id"),
    sa.Index(None, "organization_id", "id"),
    sa.Index(None, "customer_id", "id"),
    sa.Index(None, "status", "id"),
    _due("due", "provider_subscriptions", "next_sync_at"),  # the sweep
    _secrets("provider_subscriptions"),
)

disputes: sa.Table = sa.Table(
    "disputes",
    metadata,
    _id(),
    _exact("payment_id", 64, nullable=False),
    _exact("provider_id", 64, nullable=False),
    _exact("provider_dispute_id", nullable=False),
    _cents("amount_cents"),
    _exact("currency", 3, nullable=False),
    _exact("status", 50, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _text("reason"),
    _text("provider_status"),
    _at("evidence_due_by"),
    _at("closed_at"),
    _count("version"),
    sa.UniqueConstraint("provider_id", "provider_dispute_id"),
    sa.Index(None, "payment_id", "id"),
)

TABLES: Final = frozenset(metadata.tables)
