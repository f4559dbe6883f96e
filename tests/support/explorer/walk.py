"""Breadth first over every state that can be reached, with the shortest way to each violation."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from .world import World, successors, violations

__all__ = ["Report", "walk"]


@dataclass
class Report:
    """What a walk saw."""

    states: int = 0
    transitions: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """What was broken, and the steps that lead there."""

    def line(self) -> str:
        return f"{self.states} states, {self.transitions} transitions, {len(self.violations)} violations"


def walk(start: World, *, depth: int = 100, most: int = 5) -> Report:
    """Visit every state within *depth* steps of *start*; stop after *most* violations."""
    report = Report()
    first = start.key()
    ways: dict[object, tuple[object, str]] = {}
    queue = deque([(start, first, 0)])
    seen = {first}
    while queue and len(report.violations) < most:
        world, key, far = queue.popleft()
        report.states += 1
        report.violations += [(what, _way(ways, key)) for what in violations(world)]
        if far >= depth:
            continue
        for name, after in successors(world):
            report.transitions += 1
            report.steps[name] += 1
            there = after.key()
            if there not in seen:
                seen.add(there)
                ways[there] = (key, name)
                queue.append((after, there, far + 1))
    return report


def _way(ways: dict[object, tuple[object, str]], key: object) -> tuple[str, ...]:
    steps: list[str] = []
    while key in ways:
        key, name = ways[key]
        steps.append(name)
    return tuple(reversed(steps))


def told(violations: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    return "\n".join(f"{what}: {' → '.join(way)}" for what, way in violations)
