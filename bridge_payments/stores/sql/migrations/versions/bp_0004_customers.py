"""Customers, payment methods, addresses, subscriptions, disputes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from bridge_payments.stores.sql.migrations.versions.bp_0001_payments import at, exact, long_text, only

revision = "bp_0004"
down_revision = "bp_0003"


def upgrade() -> None:
    op.create_table(
        "provider_customers",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("provider_customer_id", exact(255)),
        sa.Column("living_reference", exact(255)),
        sa.Column("owner", exact(320)),
        sa.Column("user_id", exact(255)),
        sa.Column("organization_id", exact(255)),
        sa.Column("email", sa.String(255)),
        sa.Column("name", sa.String(255)),
        sa.Column("phone", sa.String(50)),
        sa.Column("is_guest", sa.Boolean(), nullable=False),
        sa.Column("guest_email", sa.String(255)),
        sa.Column("guest_email_key", exact(255)),
        sa.Column("guest_name", sa.String(255)),
        sa.Column("default_payment_method_id", exact(64)),
        sa.Column("metadata", long_text()),
        sa.Column("deleted_at", at()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_customers"),
        sa.UniqueConstraint(
            "provider_id", "living_reference", name="uq_provider_customers_provider_id_living_reference"
        ),
        sa.UniqueConstraint("provider_id", "owner", name="uq_provider_customers_provider_id_owner"),
    )
    op.create_index(
        "ix_provider_customers_guest_email_key_id", "provider_customers", ["guest_email_key", "id"]
    )
    op.create_index(
        "ix_provider_customers_organization_id_id", "provider_customers", ["organization_id", "id"]
    )
    op.create_index("ix_provider_customers_user_id_id", "provider_customers", ["user_id", "id"])
    op.create_table(
        "provider_payment_methods",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("payment_type", exact(50), nullable=False),
        sa.Column("status", exact(50), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("provider_payment_method_id", exact(255)),
        sa.Column("living_reference", exact(255)),
        sa.Column("provider_setup_id", exact(255)),
        sa.Column("customer_id", exact(64)),
        sa.Column("owner", exact(320)),
        sa.Column("user_id", exact(255)),
        sa.Column("organization_id", exact(255)),
        sa.Column("wallet_type", exact(50)),
        sa.Column("card_brand", exact(50)),
        sa.Column("last_four", exact(4)),
        sa.Column("expiry_month", sa.Integer()),
        sa.Column("expiry_year", sa.Integer()),
        sa.Column("alias", sa.String(255)),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("billing_address_id", exact(64)),
        sa.Column("is_guest", sa.Boolean(), nullable=False),
        sa.Column("guest_email", sa.String(255)),
        sa.Column("guest_email_key", exact(255)),
        sa.Column("guest_name", sa.String(255)),
        sa.Column("next_action", long_text()),
        sa.Column("client_secret", long_text()),
        sa.Column("client_secret_expires_at", at()),
        sa.Column("decline_code", long_text()),
        sa.Column("error_message", long_text()),
        sa.Column("metadata", long_text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_payment_methods"),
        sa.UniqueConstraint(
            "provider_id", "living_reference", name="uq_provider_payment_methods_provider_id_living_reference"
        ),
    )
    op.create_index(
        "ix_provider_payment_methods_customer_id_id", "provider_payment_methods", ["customer_id", "id"]
    )
    op.create_index(
        "ix_provider_payment_methods_guest_email_key_id",
        "provider_payment_methods",
        ["guest_email_key", "id"],
    )
    op.create_index(
        "ix_provider_payment_methods_organization_id_id",
        "provider_payment_methods",
        ["organization_id", "id"],
    )
    op.create_index(
        "ix_provider_payment_methods_owner_is_default", "provider_payment_methods", ["owner", "is_default"]
    )
    op.create_index(
        "ix_provider_payment_methods_provider_id_provider_setup_id",
        "provider_payment_methods",
        ["provider_id", "provider_setup_id"],
    )
    op.create_index(
        "ix_provider_payment_methods_secrets",
        "provider_payment_methods",
        ["client_secret_expires_at", "id"],
        **only("client_secret IS NOT NULL"),
    )
    op.create_index("ix_provider_payment_methods_user_id_id", "provider_payment_methods", ["user_id", "id"])
    op.create_table(
        "provider_addresses",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("address_type", exact(50), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("line1", sa.String(255), nullable=False),
        sa.Column("city", sa.String(255), nullable=False),
        sa.Column("postal_code", sa.String(50), nullable=False),
        sa.Column("country", exact(2), nullable=False),
        sa.Column("owner", exact(320)),
        sa.Column("user_id", exact(255)),
        sa.Column("organization_id", exact(255)),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("line2", sa.String(255)),
        sa.Column("state", sa.String(255)),
        sa.Column("phone", sa.String(50)),
        sa.Column("email", sa.String(255)),
        sa.Column("alias", sa.String(255)),
        sa.Column("is_guest", sa.Boolean(), nullable=False),
        sa.Column("guest_email", sa.String(255)),
        sa.Column("guest_email_key", exact(255)),
        sa.Column("guest_name", sa.String(255)),
        sa.Column("metadata", long_text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_addresses"),
    )
    op.create_index(
        "ix_provider_addresses_guest_email_key_id", "provider_addresses", ["guest_email_key", "id"]
    )
    op.create_index(
        "ix_provider_addresses_organization_id_id", "provider_addresses", ["organization_id", "id"]
    )
    op.create_index("ix_provider_addresses_owner_is_default", "provider_addresses", ["owner", "is_default"])
    op.create_index("ix_provider_addresses_user_id_id", "provider_addresses", ["user_id", "id"])
    op.create_table(
        "provider_subscriptions",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("customer_id", exact(64)),
        sa.Column("status", exact(50), nullable=False),
        sa.Column("subtotal_cents", sa.BigInteger(), nullable=False),
        sa.Column("tax_cents", sa.BigInteger(), nullable=False),
        sa.Column("discount_cents", sa.BigInteger(), nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", exact(3), nullable=False),
        sa.Column("billing_interval", exact(20), nullable=False),
        sa.Column("interval_multiplier", sa.Integer(), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("provider_subscription_id", exact(255)),
        sa.Column("reference", exact(64)),
        sa.Column("payment_method_id", exact(64)),
        sa.Column("product_id", exact(255)),
        sa.Column("user_id", exact(255)),
        sa.Column("organization_id", exact(255)),
        sa.Column("project_id", exact(255)),
        sa.Column("billing_address_id", exact(64)),
        sa.Column("current_period_start", at()),
        sa.Column("current_period_end", at()),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.Column("canceled_at", at()),
        sa.Column("trial_end", at()),
        sa.Column("next_billing_date", at()),
        sa.Column("next_action", long_text()),
        sa.Column("client_secret", long_text()),
        sa.Column("client_secret_expires_at", at()),
        sa.Column("decline_code", long_text()),
        sa.Column("error_message", long_text()),
        sa.Column("provider_status", long_text()),
        sa.Column("livemode", sa.Boolean()),
        sa.Column("description", long_text()),
        sa.Column("concept", sa.String(100)),
        sa.Column("reference_code", exact(100)),
        sa.Column("category", sa.String(50)),
        sa.Column("tags", sa.String(500)),
        sa.Column("is_guest_subscription", sa.Boolean(), nullable=False),
        sa.Column("guest_email", sa.String(255)),
        sa.Column("guest_email_key", exact(255)),
        sa.Column("guest_data", long_text()),
        sa.Column("metadata", long_text()),
        sa.Column("next_sync_at", at()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_subscriptions"),
        sa.UniqueConstraint(
            "provider_id",
            "provider_subscription_id",
            name="uq_provider_subscriptions_provider_id_provider_subscription_id",
        ),
        sa.CheckConstraint(
            "total_cents = subtotal_cents + tax_cents - discount_cents",
            name=op.f("ck_provider_subscriptions_pricing"),
        ),
        sa.CheckConstraint(
            "subtotal_cents >= 0 AND tax_cents >= 0 AND discount_cents >= 0 AND total_cents >= 0",
            name=op.f("ck_provider_subscriptions_prices"),
        ),
    )
    op.create_index(
        "ix_provider_subscriptions_customer_id_id", "provider_subscriptions", ["customer_id", "id"]
    )
    op.create_index(
        "ix_provider_subscriptions_due",
        "provider_subscriptions",
        ["next_sync_at", "id"],
        **only("next_sync_at IS NOT NULL"),
    )
    op.create_index(
        "ix_provider_subscriptions_guest_email_key_id", "provider_subscriptions", ["guest_email_key", "id"]
    )
    op.create_index(
        "ix_provider_subscriptions_organization_id_id", "provider_subscriptions", ["organization_id", "id"]
    )
    op.create_index("ix_provider_subscriptions_reference", "provider_subscriptions", ["reference"])
    op.create_index("ix_provider_subscriptions_reference_code", "provider_subscriptions", ["reference_code"])
    op.create_index(
        "ix_provider_subscriptions_secrets",
        "provider_subscriptions",
        ["client_secret_expires_at", "id"],
        **only("client_secret IS NOT NULL"),
    )
    op.create_index("ix_provider_subscriptions_status_id", "provider_subscriptions", ["status", "id"])
    op.create_index("ix_provider_subscriptions_user_id_id", "provider_subscriptions", ["user_id", "id"])
    op.create_table(
        "disputes",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("payment_id", exact(64), nullable=False),
        sa.Column("provider_id", exact(64), nullable=False),
        sa.Column("provider_dispute_id", exact(255), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", exact(3), nullable=False),
        sa.Column("status", exact(50), nullable=False),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("reason", long_text()),
        sa.Column("provider_status", long_text()),
        sa.Column("evidence_due_by", at()),
        sa.Column("closed_at", at()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_disputes"),
        sa.UniqueConstraint(
            "provider_id", "provider_dispute_id", name="uq_disputes_provider_id_provider_dispute_id"
        ),
    )
    op.create_index("ix_disputes_payment_id_id", "disputes", ["payment_id", "id"])
