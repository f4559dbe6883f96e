"""What was heard of one payment is found by an index."""

from __future__ import annotations

from alembic import op

from bridge_payments.stores.sql.migrations.versions.bp_0001_payments import only

revision = "bp_0005"
down_revision = "bp_0004"


def upgrade() -> None:
    op.create_index(
        "ix_provider_webhooks_payment_id_id",
        "provider_webhooks",
        ["payment_id", "id"],
        **only("payment_id IS NOT NULL"),
    )
