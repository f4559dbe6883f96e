"""Say which rows a commit changed to those who remember some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..models import Customer, PaymentMethod

__all__ = ["Listener", "Telling"]

Listener = Callable[[Sequence[Customer | PaymentMethod]], None]
"""Hears of the rows as they were written, in the thread of the commit."""


class Telling:
    """The part of a store that tells of changes: see `Store.tell_of_changes`."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def tell_of_changes(self, listener: Listener) -> bool:
        """Call *listener* with the customers and methods that a commit changed, after each one."""
        self._listeners.append(listener)
        return True

    def _tell(self, rows: Sequence[Customer | PaymentMethod]) -> None:
        if rows:
            for listener in self._listeners:
                listener(rows)
