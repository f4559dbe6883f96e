"""What is public: listed, sorted, complete, and explained."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bridge_payments
from bridge_payments.models import SYSTEM

ROOT = Path(bridge_payments.__file__).parent
PAGE = ROOT.parent / "docs" / "reference" / "deprecation.md"
PUBLIC = re.findall(r"^\| `(bridge_payments[\w.]*)` \|", PAGE.read_text(), re.MULTILINE)
NEEDS = {"fastapi": "fastapi", "flask": "flask", "starlette": "starlette", "testing": "pytest"}
"""What an optional module needs to be imported."""


def module(name: str) -> ModuleType:
    if (needed := NEEDS.get(name.rpartition(".")[2])) is not None:
        pytest.importorskip(needed)
    return importlib.import_module(name)


def exported() -> Iterator[tuple[str, list[str]]]:
    """Every module of the package with an `__all__`, as it is written."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            match node:
                case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() as names):
                    yield path.relative_to(ROOT).as_posix(), ast.literal_eval(names)


def order(name: str) -> tuple[int, str]:
    return (0 if re.fullmatch(r"[A-Z0-9_]+", name) else 1 if name[0].isupper() else 2), name


def test_every_list_of_names_is_sorted_and_names_each_once() -> None:
    lists = dict(exported())
    assert len(lists) > 200
    assert [path for path, names in lists.items() if names != sorted(set(names), key=order)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_what_a_public_module_exports_is_there_and_complete(name: str) -> None:
    found = module(name)
    names = set(found.__all__)
    assert [each for each in names if not hasattr(found, each)] == []

    assert found.__file__ is not None
    defined = {
        node.name
        for node in ast.parse(Path(found.__file__).read_text()).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
    }
    assert defined <= names


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_explained(name: str) -> None:
    found = module(name)
    assert found.__doc__
    silent = [what for each in found.__all__ for what in unexplained(each, getattr(found, each))]
    assert silent == []


def unexplained(name: str, thing: Any) -> Iterator[str]:
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return
    if not str(thing.__module__).startswith("bridge_payments"):
        return
    if not thing.__doc__ or thing.__doc__.startswith(f"{name}("):  # what a dataclass writes by itself
        yield name
    if inspect.isclass(thing):
        yield from (f"{name}.{attribute}" for attribute in _silent_methods(thing))


def _silent_methods(owner: type) -> Iterator[str]:
    for kind in owner.__mro__:
        if not kind.__module__.startswith("bridge_payments"):
            continue
        for attribute, value in vars(kind).items():
            function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if attribute.startswith(("_", "test_")) or not inspect.isfunction(function):
                continue  # the name of a test is its sentence
            if not function.__module__.startswith("bridge_payments"):
                continue  # what these tests put around it, to record what is sent
            inherited = (
                getattr(getattr(base, attribute, None), "__doc__", None) for base in kind.__mro__[1:]
            )
            if not function.__doc__ and not any(inherited):
                yield attribute


def test_every_verb_of_the_engine_says_what_it_raises() -> None:
    verbs = {
        name: function
        for name, function in inspect.getmembers(bridge_payments.PaymentEngine, inspect.isfunction)
        if (given := inspect.signature(function).parameters.get("principal")) and given.default is SYSTEM
    }
    assert len(verbs) > 40
    silent = [name for name, function in verbs.items() if "Raises" not in (inspect.getdoc(function) or "")]
    assert silent == []


def test_the_names_of_every_day_are_at_home_in_a_public_module() -> None:
    homes = {home for name in PUBLIC if name != "bridge_payments" for home in module(name).__all__}
    assert set(bridge_payments.__all__) - homes == {"Bridge"}
