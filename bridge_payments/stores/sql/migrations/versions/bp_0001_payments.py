"""Payments, operations, refunds, idempotency keys, and the three queues: outbox, deliveries, inbox."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bp_0001"
down_revision = None


def exact(length: int) -> Any:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
    )


def long_text() -> Any:
    return sa.Text().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")


def at() -> Any:
    return sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def only(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "provider_payments",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64)),
        sa.Column("status", exact(50), nullable=False),
        sa.Column("currency", exact(3), nullable=False),
        sa.Column("subtotal_cents", sa.BigInteger(), nullable=False),
        sa.Column("tax_cents", sa.BigInteger(), nullable=False),
        sa.Column("discount_cents", sa.BigInteger(), nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("livemode", sa.Boolean()),
        sa.Column("reference", exact(64)),
        sa.Column("provider_intent_id", exact(255)),
        sa.Column("provider_payment_id", exact(255)),
        sa.Column("client_secret", long_text()),
        sa.Column("client_secret_expires_at", at()),
        sa.Column("authorized_cents", sa.BigInteger(), nullable=False),
        sa.Column("captured_cents", sa.BigInteger(), nullable=False),
        sa.Column("refunded_cents", sa.BigInteger(), nullable=False),
        sa.Column("refund_reserved_cents", sa.BigInteger(), nullable=False),
        sa.Column("disputed_cents", sa.BigInteger(), nullable=False),
        sa.Column("capture_method", exact(20), nullable=False),
        sa.Column("setup_future_usage", exact(50)),
        sa.Column("return_url", long_text()),
        sa.Column("next_action", long_text()),
        sa.Column("decline_code", long_text()),
        sa.Column("provider_decline_code", long_text()),
        sa.Column("decline_reference", long_text()),
        sa.Column("error_message", long_text()),
        sa.Column("flag", exact(50)),
        sa.Column("review", sa.Boolean(), nullable=False),
        sa.Column("provider_status", long_text()),
        sa.Column("user_id", exact(255)),
        sa.Column("organization_id", exact(255)),
        sa.Column("project_id", exact(255)),
        sa.Column("order_id", exact(255)),
        sa.Column("subscription_id", exact(255)),
        sa.Column("customer_id", exact(255)),
        sa.Column("payment_method_id", exact(255)),
        sa.Column("billing_address_id", exact(255)),
        sa.Column("is_guest_payment", sa.Boolean(), nullable=False),
        sa.Column("guest_email", sa.String(255)),
        sa.Column("guest_email_key", exact(255)),
        sa.Column("guest_data", long_text()),
        sa.Column("description", long_text()),
        sa.Column("concept", sa.String(100)),
        sa.Column("reference_code", exact(100)),
        sa.Column("category", sa.String(50)),
        sa.Column("tags", sa.String(500)),
        sa.Column("metadata", long_text()),
        sa.Column("applied_coupons", long_text()),
        sa.Column("is_manual_payment", sa.Boolean(), nullable=False),
        sa.Column("manual_payment_method", sa.String(100)),
        sa.Column("manual_payment_reference", sa.String(255)),
        sa.Column("manual_payment_date", at()),
        sa.Column("paid_at", at()),
        sa.Column("completed_at", at()),
        sa.Column("next_sync_at", at()),
        sa.Column("sync_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_payments"),
        sa.CheckConstraint(
            "subtotal_cents >= 0 AND tax_cents >= 0 AND discount_cents >= 0 AND total_cents >= 0",
            name=op.f("ck_provider_payments_prices"),
        ),
        sa.CheckConstraint(
            "total_cents = subtotal_cents + tax_cents - discount_cents",
            name=op.f("ck_provider_payments_pricing"),
        ),
        sa.CheckConstraint(
            "authorized_cents >= 0 AND captured_cents >= 0 AND refunded_cents >= 0"
            " AND refund_reserved_cents >= 0 AND disputed_cents >= 0",
            name=op.f("ck_provider_payments_sums"),
        ),
        sa.CheckConstraint(
            "refund_reserved_cents <= captured_cents OR refund_reserved_cents <= refunded_cents",
            name=op.f("ck_provider_payments_promises"),
        ),
    )
    op.create_index("ix_provider_payments_customer_id_id", "provider_payments", ["customer_id", "id"])
    op.create_index(
        "ix_provider_payments_due",
        "provider_payments",
        ["next_sync_at", "id"],
        **only("next_sync_at IS NOT NULL"),
    )
    op.create_index("ix_provider_payments_guest_email_key_id", "provider_payments", ["guest_email_key", "id"])
    op.create_index("ix_provider_payments_organization_id_id", "provider_payments", ["organization_id", "id"])
    op.create_index(
        "ix_provider_payments_provider_id_provider_intent_id",
        "provider_payments",
        ["provider_id", "provider_intent_id"],
    )
    op.create_index(
        "ix_provider_payments_provider_id_provider_payment_id",
        "provider_payments",
        ["provider_id", "provider_payment_id"],
    )
    op.create_index("ix_provider_payments_reference", "provider_payments", ["reference"])
    op.create_index("ix_provider_payments_reference_code", "provider_payments", ["reference_code"])
    op.create_index(
        "ix_provider_payments_secrets",
        "provider_payments",
        ["client_secret_expires_at", "id"],
        **only("client_secret IS NOT NULL"),
    )
    op.create_index("ix_provider_payments_status_id", "provider_payments", ["status", "id"])
    op.create_index("ix_provider_payments_subscription_id_id", "provider_payments", ["subscription_id", "id"])
    op.create_index("ix_provider_payments_user_id_id", "provider_payments", ["user_id", "id"])
    op.create_table(
        "payment_references",
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("kind", exact(16), nullable=False),
        sa.Column("reference", exact(255), nullable=False),
        sa.Column("payment_id", exact(64), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "kind", "reference", name="pk_payment_references"),
    )
    op.create_table(
        "operations",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("subject_id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("verb", exact(50), nullable=False),
        sa.Column("state", exact(20), nullable=False),
        sa.Column("reference", exact(64), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("refund_id", exact(64)),
        sa.Column("inputs", long_text()),
        sa.Column("inputs_hash", exact(128), nullable=False),
        sa.Column("api_version", exact(64)),
        sa.Column("steps", long_text()),
        sa.Column("principal", long_text()),
        sa.Column("caller_deadline", at()),
        sa.Column("lease_until", at()),
        sa.Column("lease_token", exact(64)),
        sa.Column("due_at", at()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error_code", long_text()),
        sa.Column("error_message", long_text()),
        sa.Column("decline_code", long_text()),
        sa.Column("request_id", long_text()),
        sa.Column("resolution", long_text()),
        sa.Column("finished_at", at()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
        sa.UniqueConstraint("reference", name="uq_operations_reference"),
    )
    op.create_index("ix_operations_due", "operations", ["due_at", "id"], **only("due_at IS NOT NULL"))
    op.create_index("ix_operations_subject_id_id", "operations", ["subject_id", "id"])
    op.create_table(
        "operation_slots",
        sa.Column("subject_id", exact(64), nullable=False),
        sa.Column("operation_id", exact(64), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", name="pk_operation_slots"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", exact(400), nullable=False),
        sa.Column("key", exact(255), nullable=False),
        sa.Column("body_hash", exact(128), nullable=False),
        sa.Column("operation_id", exact(64)),
        sa.Column("subject_id", exact(64), nullable=False),
        sa.Column("refund_id", exact(64)),
        sa.Column("created_at", at(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_index("ix_idempotency_keys_operation_id", "idempotency_keys", ["operation_id"])
    op.create_table(
        "refunds",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("payment_id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", exact(3), nullable=False),
        sa.Column("status", exact(50), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("operation_id", exact(64)),
        sa.Column("provider_refund_id", exact(255)),
        sa.Column("reason", long_text()),
        sa.Column("error_message", long_text()),
        sa.Column("metadata", long_text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
        sa.UniqueConstraint(
            "provider_id", "provider_refund_id", name="uq_refunds_provider_id_provider_refund_id"
        ),
    )
    op.create_index("ix_refunds_payment_id_id", "refunds", ["payment_id", "id"])
    op.create_table(
        "outbox",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("type", exact(100), nullable=False),
        sa.Column("subject_id", exact(64)),
        sa.Column("payload", long_text()),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("available_at", at()),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])
    op.create_index("ix_outbox_due", "outbox", ["available_at", "id"], **only("available_at IS NOT NULL"))
    op.create_index("ix_outbox_subject_id_id", "outbox", ["subject_id", "id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("event_id", exact(64), nullable=False),
        sa.Column("event_type", exact(100), nullable=False),
        sa.Column("endpoint", exact(255), nullable=False),
        sa.Column("state", exact(20), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("available_at", at()),
        sa.Column("delivered_at", at()),
        sa.Column("status_code", sa.Integer()),
        sa.Column("error", long_text()),
        sa.Column("claim_token", exact(64)),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.UniqueConstraint("event_id", "endpoint", name="uq_webhook_deliveries_event_id_endpoint"),
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["available_at", "id"],
        **only("available_at IS NOT NULL"),
    )
    op.create_index("ix_webhook_deliveries_state_id", "webhook_deliveries", ["state", "id"])
    op.create_table(
        "provider_webhooks",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("provider_event_id", exact(255), nullable=False),
        sa.Column("event_type", long_text()),
        sa.Column("state", exact(20), nullable=False),
        sa.Column("processed", sa.Boolean(), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("reference", long_text()),
        sa.Column("noun", exact(20), nullable=False),
        sa.Column("our_reference", long_text()),
        sa.Column("livemode", sa.Boolean()),
        sa.Column("api_version", long_text()),
        sa.Column("payload", long_text()),
        sa.Column("payload_hash", exact(128), nullable=False),
        sa.Column("headers", long_text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("available_at", at()),
        sa.Column("claim_token", exact(64)),
        sa.Column("error_message", long_text()),
        sa.Column("payment_id", exact(64)),
        sa.Column("processed_at", at()),
        sa.PrimaryKeyConstraint("id", name="pk_provider_webhooks"),
        sa.UniqueConstraint(
            "provider_id", "provider_event_id", name="uq_provider_webhooks_provider_id_provider_event_id"
        ),
    )
    op.create_index(
        "ix_provider_webhooks_due",
        "provider_webhooks",
        ["available_at", "id"],
        **only("available_at IS NOT NULL"),
    )
    op.create_index("ix_provider_webhooks_state_id", "provider_webhooks", ["state", "id"])
