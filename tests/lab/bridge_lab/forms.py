"""Stripe's bracketed forms, read back: ``metadata[a]=b&expand[0]=c`` to nested values."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

__all__ = ["decode_form"]


def decode_form(text: str) -> dict[str, Any]:
    """Decode a body or a query. ``a[]=`` appends, ``a[0]=`` counts, everything else is a name."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        first, *rest = name.replace("]", "").split("[")
        _put(root, [first, *rest], value)
    return {key: _lists(value) for key, value in root.items()}


def _put(into: dict[str, Any], path: list[str], value: str) -> None:
    name, *rest = path
    if not name:
        name = str(len(into))
    if not rest:
        if name in into:
            raise ValueError(f"{name} is said twice")
        into[name] = value
        return
    inner = into.setdefault(name, {})
    if not isinstance(inner, dict):
        raise ValueError(f"{name} is a value and a mapping")  # noqa: TRY004 - a malformed form, not a wrong type
    _put(inner, rest, value)


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and list(value) == [str(number) for number in range(len(value))]:
        return [_lists(item) for item in value.values()]
    return {name: _lists(item) for name, item in value.items()}
