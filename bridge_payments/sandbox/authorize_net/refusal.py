"""A definite no of the gateway's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .books import Json, Transaction

__all__ = ["Refusal"]


class Refusal(Exception):
    """With an E-code the request was refused, with a number the transaction was."""

    def __init__(
        self, code: str, sentence: str, *, about: Transaction | None = None, shown: Json | None = None
    ) -> None:
        super().__init__(sentence)
        self.code: str = code
        self.sentence: str = sentence
        self.about: Transaction | None = about
        self.shown: Json = shown or {}
        """What the answer says besides."""
