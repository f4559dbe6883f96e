"""A database says which releases can use it: a process of the previous one starts on it, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "bp_0006"
down_revision = "bp_0005"
usable_from = "bp_0005"


def upgrade() -> None:
    op.add_column("bridge_payments_version", sa.Column("usable_from", sa.String(32)))
