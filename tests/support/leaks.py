"""A test that ends while a connection is still lent to somebody has leaked it, and fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

__all__ = ["every_connection_comes_back", "returned_connections"]

_lent: dict[int, tuple[Any, str]] = {}
"""Of every pool of this process: the record, so that its number stays its own, and whose connection it is."""


@sa.event.listens_for(sa.pool.Pool, "checkout")
def _lend(connection: object, record: object, proxy: object) -> None:
    _lent[id(record)] = (record, type(connection).__name__)


@sa.event.listens_for(sa.pool.Pool, "checkin")
def _take_back(connection: object, record: object) -> None:
    _lent.pop(id(record), None)


@contextmanager
def every_connection_comes_back() -> Iterator[None]:
    """Raise AssertionError when connections that were lent in the block are out at its end."""
    before = set(_lent)
    yield
    left = {number: kind for number, (_, kind) in dict(_lent).items() if number not in before}
    for number in left:
        del _lent[number]  # told once
    assert not left, f"connections that nobody gave back: {', '.join(left.values())}"


@pytest.fixture(autouse=True)
def returned_connections() -> Iterator[None]:
    """Torn down last of a test's own fixtures: those that close stores come before."""
    with every_connection_comes_back():
        yield
