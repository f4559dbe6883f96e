"""How every refusal looks on the wire."""

from __future__ import annotations

from typing import Any, Literal

from .base import Moment, Output, Sparse

__all__ = ["FieldProblem", "Problem"]


class FieldProblem(Output):
    field: str
    """The field's name, with dots into objects."""
    message: str


class Problem(Sparse):
    """A refusal. `error` is always a string; `details` is a sentence, an object or a list."""

    success: Literal[False]
    error: str
    message: str
    details: Any
    status: int
    code: str
    """A word for programs; it never changes."""
    timestamp: Moment
    validation_errors: list[FieldProblem] | None = None
    """What is wrong with which field; `details` says the same."""
    cause: list[dict[str, Any]] | None = None
    path: str | None = None
    method: str | None = None
