"""
Fixtures for pytest. They are there wherever this package is installed; a test asks for them by name.

    def test_an_order_is_paid(practice_bridge): ...
    def test_my_price_is_in_force(make_practice_bridge): ...

Nothing is imported until a test asks. ``-p no:bridge_payments`` leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from ..auth import AuthBridge
    from ..engine import Approve
    from ..settings import Settings
    from .practice import PracticeBridge

__all__ = ["MakePracticeBridge", "make_practice_bridge", "practice_bridge"]


class MakePracticeBridge(Protocol):
    """The fixture `make_practice_bridge`; its arguments are those of `bridge_payments.testing.bridge`."""

    def __call__(
        self,
        *,
        approve: Approve | None = None,
        auth: AuthBridge | None = None,
        settings: Settings | None = None,
    ) -> PracticeBridge: ...


@pytest.fixture
def make_practice_bridge() -> Iterator[MakePracticeBridge]:
    """Make bridges with your own `approve`, login and settings; all are closed after the test."""
    from .practice import bridge

    made: list[PracticeBridge] = []

    def make(
        *,
        approve: Approve | None = None,
        auth: AuthBridge | None = None,
        settings: Settings | None = None,
    ) -> PracticeBridge:
        made.append(bridge(approve=approve, auth=auth, settings=settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def practice_bridge(make_practice_bridge: MakePracticeBridge) -> PracticeBridge:
    """A bridge on memory and the dummy provider, new in each test."""
    return make_practice_bridge()
