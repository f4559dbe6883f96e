"""What the conformance suites run against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("bridge_payments.testing.stores")

from bridge_payments.testing.servers import Postgres, running_postgres  # noqa: E402 - after the line above


@pytest.fixture(scope="session")
def postgres(require: Callable[[str], Path]) -> Iterator[Postgres]:
    with running_postgres(require("postgresql")) as server:
        yield server
