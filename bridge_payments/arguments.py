"""
What is given from Python has the types that a method declares, or it is an InvalidRequest.

Over HTTP a schema says so. Here the annotations do: a type checker reads them where one runs, and nobody
else is to see a TypeError from the depths, after half of the work.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final, Literal, ParamSpec, TypeVar

from .errors import InvalidRequest

__all__ = ["SPELLED", "typed"]

P = ParamSpec("P")
T = TypeVar("T")
Check = Callable[[Any], tuple[str, str] | None]
"""Says what is wrong with a value: where in it, "" for the whole, and what should be there."""

SPELLED: Final = {"payment_method": "payment_method_id", "guest": "guest_data"}
"""Arguments that errors call by their name on the wire."""

_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
    Mapping: "a mapping whose keys are texts",
    Sequence: "a sequence",
}
_LARGEST: Final = 2**63 - 1
"""What columns of whole numbers hold."""
_UNKEPT: Final = re.compile("[\x00\ud800-\udfff]")
_OPAQUE: Final = frozenset({"Principal", "Request"})
"""Who asks and what a framework heard: made by our own code, not by a caller's hand."""


def typed(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let *method* begin only with what its annotations say. Raises InvalidRequest naming the argument."""
    parameters = inspect.signature(method).parameters.values()
    names = [each.name for each in parameters][1:]
    rest = next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), "")

    @functools.cache  # at the first call: a signature may name what is imported later
    def checks() -> dict[str, Check]:
        hints = typing.get_type_hints(method)
        known = {name: _check_for(hints[name]) for name in names}
        # A row's name that cannot be one is not found, as any other of which there is no row.
        return known | {
            name: _instance_of(str) for name in names[:1] if name.endswith("_id") and known[name] is _text
        }

    @functools.wraps(method)
    async def typed_method(*args: P.args, **kwargs: P.kwargs) -> T:
        known = checks()
        for name, value in (*zip(names, args[1:], strict=False), *kwargs.items()):
            check = known.get(name) or known.get(rest)
            if check is not None and (wrong := check(value)) is not None:
                where, expected = wrong
                spelled = SPELLED.get(name, name)
                raise InvalidRequest(f"is not {expected}", field=f"{spelled}.{where}" if where else spelled)
        return await method(*args, **kwargs)

    return typed_method


@functools.cache
def _check_for(hint: Any) -> Check:
    """Return how a value of *hint* is told from others."""
    kind, inner = typing.get_origin(hint), typing.get_args(hint)
    if kind in (typing.Union, types.UnionType):
        return _any_of(inner)
    if kind is Literal:
        return _one_of(inner)
    if kind is frozenset:
        return _set_of(_check_for(inner[0]))
    if kind is not None:
        return _mapping if issubclass(kind, Mapping) else _sequence_of(_check_for(inner[0]))
    return _PLAIN.get(hint) or _instance_of(hint)


def _any_of(hints: tuple[Any, ...]) -> Check:
    checks = tuple(map(_check_for, hints))
    expected = " or ".join(_said(hint) for hint in hints)

    def check(value: Any) -> tuple[str, str] | None:
        wrongs = []
        for each in checks:
            if (wrong := each(value)) is None:
                return None
            wrongs.append(wrong)
        # What is right as a whole and wrong in a part is told by its part.
        return next((wrong for wrong in wrongs if wrong[0] or wrong[1] not in expected), ("", expected))

    return check


def _instance_of(kind: type) -> Check:
    inner = kind.__name__ not in _OPAQUE and is_dataclass(kind)
    expected = _said(kind)

    def check(value: Any) -> tuple[str, str] | None:
        if not isinstance(value, kind):
            return "", expected
        return _within(value) if inner else None

    return check


def _within(value: Any) -> tuple[str, str] | None:
    for name, check in _parts(value.__class__):
        if (wrong := check(getattr(value, name))) is not None:
            where, expected = wrong
            return f"{name}.{where}" if where else name, expected
    return None


@functools.cache
def _parts(kind: Any) -> tuple[tuple[str, Check], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((part.name, _check_for(hints[part.name])) for part in fields(kind))


def _sequence_of(inner: Check) -> Check:
    def check(value: Any) -> tuple[str, str] | None:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return "", _WORDS[Sequence]
        found = ((index, inner(item)) for index, item in enumerate(value))
        return next(((str(index), wrong[1]) for index, wrong in found if wrong is not None), None)

    return check


def _set_of(inner: Check) -> Check:
    def check(value: Any) -> tuple[str, str] | None:
        if not isinstance(value, AbstractSet):
            return "", "a set"
        return next((wrong for item in value if (wrong := inner(item)) is not None), None)

    return check


def _one_of(words: tuple[Any, ...]) -> Check:
    expected = f"one of {', '.join(map(str, words))}"
    return lambda value: None if isinstance(value, str) and value in words else ("", expected)


def _text(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, str):
        return "", _WORDS[str]
    return (
        ("", "text that can be kept: it holds a NUL or half a character") if _UNKEPT.search(value) else None
    )


def _whole(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return "", _WORDS[int]
    return None if -_LARGEST <= value <= _LARGEST else ("", "a number of up to 18 digits")


def _moment(value: Any) -> tuple[str, str] | None:
    aware = isinstance(value, datetime) and value.utcoffset() is not None
    return None if aware else ("", "a moment with its time zone")


def _mapping(value: Any) -> tuple[str, str] | None:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return None
    return "", _WORDS[Mapping]


def _anything(_: Any) -> None:
    return None


_PLAIN: Final[Mapping[Any, Check]] = {str: _text, int: _whole, datetime: _moment, Any: _anything}


def _said(hint: Any) -> str:
    kind = typing.get_origin(hint) or hint
    if word := _WORDS.get(kind):
        return word
    return f"a {kind.__name__}" if isinstance(kind, type) else str(hint)
