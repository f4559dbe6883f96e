"""What the conformance suites run against."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("bridge_payments.testing.stores")

from databases import (  # noqa: E402 - after the line above
    database,
    emptied,
    mariadb,
    migrated,
    mysql,
    pgbouncer,
    postgres,
    sqld,
)

__all__ = ["database", "emptied", "mariadb", "migrated", "mysql", "pgbouncer", "postgres", "sqld"]
