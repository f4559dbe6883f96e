"""The one table that comes out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_HEAD: Final = ("what", "how", "per s", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "MiB", "time/raw", "CPU/raw")


@dataclass(frozen=True, slots=True)
class _Row:
    what: str
    how: str
    figures: tuple[str, ...]


class Table:
    """Rows of figures; what was not measured stays empty."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []

    def add(
        self,
        what: str,
        how: str,
        *,
        rate: float | None = None,
        p50: float | None = None,
        p95: float | None = None,
        p99: float | None = None,
        cpu: float | None = None,
        mib: float | None = None,
        time_to_raw: float | None = None,
        cpu_to_raw: float | None = None,
    ) -> None:
        shown = (
            _number(rate, 0), _number(p50, 2), _number(p95, 2), _number(p99, 2), _number(cpu, 2),
            _number(mib, 1), _number(time_to_raw, 2), _number(cpu_to_raw, 2),
        )  # fmt: skip
        self._rows.append(_Row(what, how, shown))

    def __str__(self) -> str:
        cells = [_HEAD, *((row.what, row.how, *row.figures) for row in self._rows)]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        lines, before = [], ""
        for number, (what, how, *figures) in enumerate(cells):
            if number and what != before:
                lines.append("-" * (sum(widths) + 2 * len(widths) - 2))
            texts = [what if what != before else "", how]
            left = [text.ljust(width) for text, width in zip(texts, widths, strict=False)]
            right = [text.rjust(width) for text, width in zip(figures, widths[2:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
            before = what
        return "\n".join(lines)


def compared(
    runs: Sequence[Mapping[str, float]], floor: Sequence[Mapping[str, float]]
) -> dict[str, float | None]:
    """Return how many times the floor's time and CPU these rounds took, round by round, then the median."""
    if runs is floor:
        return {}
    return {
        "time_to_raw": statistics.median(
            low["rate"] / one["rate"] for one, low in zip(runs, floor, strict=True)
        ),
        "cpu_to_raw": statistics.median(
            one["cpu"] / low["cpu"] for one, low in zip(runs, floor, strict=True)
        ),
    }


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
