"""The payments of one of the merchant's references come in their order, however many share it."""

from __future__ import annotations

from alembic import op

revision = "bp_0009"
down_revision = "bp_0008"
usable_from = "bp_0005"


def upgrade() -> None:
    table = "provider_payments"
    op.create_index(f"ix_{table}_reference_code_id", table, ["reference_code", "id"])
    op.drop_index(f"ix_{table}_reference_code", table)
