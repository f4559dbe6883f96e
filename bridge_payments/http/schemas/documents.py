"""A document that is its own shape."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel

__all__ = ["Document"]


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI 3.1 document."""
