"""What the acceptance tests run against."""

from __future__ import annotations

from databases import database, migrated, postgres

__all__ = ["database", "migrated", "postgres"]
