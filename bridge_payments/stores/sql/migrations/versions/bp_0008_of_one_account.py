"""The newest payments and webhooks of one account are found by an index."""

from __future__ import annotations

from alembic import op

revision = "bp_0008"
down_revision = "bp_0007"
usable_from = "bp_0005"


def upgrade() -> None:
    for table in ("provider_payments", "provider_webhooks"):
        op.create_index(f"ix_{table}_provider_id_id", table, ["provider_id", "id"])
