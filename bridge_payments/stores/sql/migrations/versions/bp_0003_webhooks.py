"""Endpoints kept in the store, how endpoints are doing, and jobs that one process of the fleet does."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bp_0003"
down_revision = "bp_0001"


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


def upgrade() -> None:
    op.create_table(
        "provider_webhook_endpoints",
        sa.Column("id", exact(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("url", long_text(), nullable=False),
        sa.Column("events", long_text(), nullable=False),
        sa.Column("secrets", long_text()),
        sa.Column("headers", long_text()),
        sa.Column("timeout_seconds", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer()),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("format", exact(20)),
        sa.Column("user_ids", long_text()),
        sa.Column("organization_ids", long_text()),
        sa.Column("metadata", long_text()),
        sa.Column("description", long_text()),
        sa.Column("created_at", at(), nullable=False),
        sa.Column("updated_at", at(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_webhook_endpoints"),
    )
    op.create_table(
        "webhook_endpoint_health",
        sa.Column("endpoint", exact(255), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", at()),
        sa.Column("disabled_at", at()),
        sa.Column("disabled_reason", exact(20)),
        sa.PrimaryKeyConstraint("endpoint", name="pk_webhook_endpoint_health"),
    )
    op.create_table(
        "scheduled_jobs",
        sa.Column("name", exact(64), nullable=False),
        sa.Column("due_at", at(), nullable=False),
        sa.Column("lease_until", at()),
        sa.Column("lease_token", exact(64)),
        sa.Column("started_at", at()),
        sa.Column("finished_at", at()),
        sa.Column("handled", sa.Integer(), nullable=False),
        sa.Column("error", long_text()),
        sa.Column("note", exact(255)),
        sa.PrimaryKeyConstraint("name", name="pk_scheduled_jobs"),
    )
    open_only = sa.text("available_at IS NOT NULL")
    op.create_index(
        "ix_webhook_deliveries_endpoint_due",
        "webhook_deliveries",
        ["endpoint", "available_at", "id"],
        postgresql_where=open_only,
        sqlite_where=open_only,
    )
    op.create_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries", ["endpoint", "id"])
