"""What the conformance suites run against."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("bridge_payments.testing.stores")

from databases import database, migrated, postgres  # noqa: E402 - after the line above

__all__ = ["database", "migrated", "postgres"]
