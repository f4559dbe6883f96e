"""Stripe's bracketed form bodies, read strictly: an unknown or malformed parameter is refused by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from .problems import invalid

__all__ = ["Params", "decode"]

_BRACKETS = re.compile(r"\[([^\]]*)\]")


def decode(text: str) -> dict[str, Any]:
    """Turn ``a[b]=1&c[0]=x&d[]=y`` into ``{"a": {"b": "1"}, "c": ["x"], "d": ["y"]}``."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, _, tail = name.partition("[")
        _put(tree, [head, *(_BRACKETS.findall(f"[{tail}") if tail else [])], value)
    return {name: _lists(branch) for name, branch in tree.items()}


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        branch = tree.setdefault(step or str(len(tree)), {})
        if not isinstance(branch, dict):
            raise invalid(f"Invalid {path[0]}: both a value and an object", param=path[0])
        tree = branch
    tree[path[-1] or str(len(tree))] = value


def _lists(branch: Any) -> Any:
    if not isinstance(branch, dict):
        return branch
    read = {name: _lists(twig) for name, twig in branch.items()}
    if read and all(name.isdigit() for name in read):
        return [read[name] for name in sorted(read, key=int)]
    return read


class Params:
    """The parameters of one request, taken out one by one with their types."""

    def __init__(self, data: Mapping[str, Any], *, within: str = "") -> None:
        self.data = data
        self._within = within

    def allow(self, names: Collection[str]) -> None:
        """Refuse what the endpoint does not know: Stripe ignores nothing."""
        for name in self.data:
            if name not in names and name != "expand":
                path = self._path(name)
                raise invalid(f"Received unknown parameter: {path}", code="parameter_unknown", param=path)

    def __contains__(self, name: str) -> bool:
        return name in self.data

    def text(self, name: str, *, one_of: Collection[str] = (), longest: int = 5000) -> str | None:
        """Return a string; an empty one is Stripe's way to write null."""
        value = self.data.get(name)
        if value is None or value == "":
            return None
        path = self._path(name)
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {path}", param=path)
        if len(value) > longest:
            raise invalid(
                f"Invalid string: {path} must be at most {longest} characters",
                code="parameter_invalid_string_length",
                param=path,
            )
        if one_of and value not in one_of:
            raise invalid(f"Invalid {path}: must be one of {', '.join(sorted(one_of))}", param=path)
        return value

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise self._missing(name)
        return value

    def integer(self, name: str) -> int | None:
        value = self.data.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}", value):
            path = self._path(name)
            raise invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=path)
        return int(value)

    def required_integer(self, name: str) -> int:
        value = self.integer(name)
        if value is None:
            raise self._missing(name)
        return value

    def flag(self, name: str) -> bool:
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise invalid(f"Invalid boolean: {value}", param=self._path(name))
        return value == "true"

    def nested(self, name: str) -> Params:
        value = self.data.get(name)
        if value is None or value == "":
            return Params({}, within=self._path(name))
        if not isinstance(value, dict):
            path = self._path(name)
            raise invalid(f"Invalid object: {path}", code="parameter_invalid_empty", param=path)
        return Params(value, within=self._path(name))

    def items(self, name: str) -> list[Params]:
        """Return a list of objects; there is at least one."""
        value = self.data.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
            raise invalid(f"Invalid array: {self._path(name)}", param=self._path(name))
        return [Params(each, within=f"{self._path(name)}[{place}]") for place, each in enumerate(value)]

    def strings(self, name: str) -> list[str]:
        value = self.data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid(f"Invalid array: {self._path(name)}", param=self._path(name))
        return value

    def metadata(self, before: Mapping[str, str]) -> dict[str, str]:
        """Merge into *before* as Stripe does: an empty value removes its key, empty metadata removes all."""
        if self.data.get("metadata") == "":
            return {}
        merged = dict(before)
        for name, value in self.nested("metadata").data.items():
            if not isinstance(value, str) or len(name) > 40 or len(value) > 500:
                # At most 50 keys, names of 40 and values of 500 characters
                # (2026-11, https://docs.stripe.com/api/metadata).
                raise invalid("Metadata keys have at most 40 characters, values 500", param="metadata")
            if value:
                merged[name] = value
            else:
                merged.pop(name, None)
        if len(merged) > 50:
            raise invalid("Metadata has at most 50 keys", param="metadata")
        return merged

    def _missing(self, name: str) -> Exception:
        path = self._path(name)
        return invalid(f"Missing required param: {path}.", code="parameter_missing", param=path)

    def _path(self, name: str) -> str:
        return f"{self._within}[{name}]" if self._within else name
