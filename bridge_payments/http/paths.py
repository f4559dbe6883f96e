"""Find the route of a path. Literal paths are one look-up; the rest are compared segment by segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .route import Route

__all__ = ["Found", "PathTable"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to, by method, and what its variables hold."""

    methods: Mapping[str, tuple[Route, Mapping[str, str]]]

    def allow(self) -> str:
        """Return the value of an Allow header."""
        names = set(self.methods) | {"OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return ", ".join(sorted(names))

    def route(self, method: str) -> tuple[Route, Mapping[str, str]] | None:
        """Return the route of a method; HEAD is answered as GET without the body."""
        return self.methods.get("GET" if method == "HEAD" else method)


@dataclass(slots=True)
class _Shape:
    """One template, cut into segments: a literal, or the name of a variable."""

    segments: tuple[tuple[bool, str], ...]
    methods: dict[str, Route] = field(default_factory=dict)

    def match(self, parts: list[str]) -> dict[str, str] | None:
        variables = {}
        for (variable, name), part in zip(self.segments, parts, strict=True):
            if variable:
                if not part:
                    return None
                variables[name] = part
            elif name != part:
                return None
        return variables


class PathTable:
    """Every path of a route table, aliases included."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._literal: dict[str, Found] = {}
        self._shapes: dict[int, list[_Shape]] = {}
        literal: dict[str, dict[str, tuple[Route, Mapping[str, str]]]] = {}
        for route in routes:
            for path in (route.path, *route.aliases):
                if "{" not in path:
                    entry = literal.setdefault(path, {})
                    entry.update({method: (route, {}) for method in route.methods})
                else:
                    shape = self._shape(path)
                    shape.methods.update(dict.fromkeys(route.methods, route))
        self._literal = {path: Found(methods) for path, methods in literal.items()}
        for shapes in self._shapes.values():
            # The template whose literal comes earlier is the more particular one.
            shapes.sort(key=lambda shape: [variable for variable, _ in shape.segments])

    def find(self, path: str) -> Found | None:
        """Return what *path* leads to; one slash at its end does not matter.

        No identity holds a NUL, and some databases refuse to look for one: such a path leads nowhere.
        """
        if "\x00" in path:
            return None
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        if (found := self._literal.get(path)) is not None:
            return found
        parts = path.split("/")
        methods: dict[str, tuple[Route, Mapping[str, str]]] = {}
        for shape in self._shapes.get(len(parts), ()):
            if (variables := shape.match(parts)) is not None:
                for method, route in shape.methods.items():
                    methods.setdefault(method, (route, variables))
        return Found(methods) if methods else None

    def _shape(self, path: str) -> _Shape:
        segments = tuple(
            (True, part[1:-1]) if part.startswith("{") else (False, part) for part in path.split("/")
        )
        shapes = self._shapes.setdefault(len(segments), [])
        for shape in shapes:
            if shape.segments == segments:
                return shape
        shapes.append(shape := _Shape(segments))
        return shape
