"""On MySQL and MariaDB, blanks at the end of a text count as everywhere else: 'a' and 'a ' are two keys.

Each table is copied, which keeps its writers waiting meanwhile.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "bp_0007"
down_revision = "bp_0006"
usable_from = "bp_0005"

TABLES = (
    "provider_payments",
    "payment_references",
    "operations",
    "operation_slots",
    "idempotency_keys",
    "refunds",
    "outbox",
    "webhook_deliveries",  # after the one that it is compared with
    "provider_webhooks",
    "provider_webhook_endpoints",
    "webhook_endpoint_health",
    "scheduled_jobs",
    "provider_customers",
    "provider_payment_methods",
    "provider_addresses",
    "provider_subscriptions",
    "disputes",
)
OTHERS = sa.text(
    "SELECT count(*) FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND table_name = :name AND collation_name <> :collation"
)


def upgrade() -> None:
    context = op.get_context()
    if context.dialect.name not in ("mysql", "mariadb"):
        return
    collation = "utf8mb4_nopad_bin" if getattr(context.dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    for name in TABLES:
        # One that an upgrade which died had converted is not copied again.
        if context.as_sql or op.get_bind().scalar(OTHERS, {"name": name, "collation": collation}):
            op.execute(f"ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
