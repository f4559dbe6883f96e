"""Which deaths there are, which of them are tried, and what was counted: the account of the crash proof."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

from .books import Audit
from .lives import Pass
from .stories import Story, Way

__all__ = [
    "MODE",
    "UNDER_WAY",
    "Death",
    "Mode",
    "Proof",
    "chosen",
    "deaths",
    "only_a_share",
    "places",
    "told_apart",
]

Mode = Literal["sample", "points", "full"]

_ASKED: Final = "full" if os.environ.get("BRIDGE_FULL") else os.environ.get("BRIDGE_CRASH", "sample")
MODE: Final[Mode] = "full" if _ASKED == "full" else "points" if _ASKED == "points" else "sample"
"""``sample``: a few points of each story; ``points``: each point once; ``full``: each in all ways."""
ONE_DATABASE: Final = bool(os.environ.get("BRIDGE_CRASH_DATABASE"))
EVERY: Final = 4
FIRST: Final = {"postgresql": 0, "mariadb": 2}
"""``points`` on three databases: each on SQLite, and on a server every fourth, beginning with this one."""
SEED: Final = int(os.environ.get("BRIDGE_CRASH_SEED", "1"))
SAMPLE: Final = {"sqlite": 3, "postgresql": 1, "mariadb": 1}
"""How many points of a story are tried in a sample, by database."""

UNDER_WAY: Final = ("hang_before", "hang_after", "slow")
"""A request has left: the gateway never executes it, has executed it, or does when the sender is dead."""


@dataclass(frozen=True)
class Place:
    """Where a process may die: at a pass of the seam, or between a request and its answer."""

    number: int
    """Of the pass; or of the request, where *meanwhile* says what the gateway does."""
    meanwhile: str = ""

    def __str__(self) -> str:
        return f"{self.meanwhile}-{self.number}" if self.meanwhile else f"pass-{self.number}"


@dataclass(frozen=True)
class Death:
    """One death, and who comes after it."""

    place: Place
    way: Way
    """How the client finds out what became of its request."""
    impatient: bool
    """It comes at once, and not only when time has passed."""
    told: bool
    """The gateway's webhooks arrive."""

    def __str__(self) -> str:
        client = "impatient" if self.impatient else "patient"
        return f"{self.place}-{self.way}-{client}-{'told' if self.told else 'untold'}"


def places(passes: Sequence[Pass]) -> list[Place]:
    """Return every place of a recorded run: a new statement is one more by itself."""
    sent = sum(point == "send" for point, _ in passes)
    return [
        *(Place(number) for number in range(1, len(passes) + 1)),
        *(Place(number, kind) for number in range(1, sent + 1) for kind in UNDER_WAY),
    ]


def deaths(story: Story, found: Sequence[Place], *, salt: str) -> list[Death]:
    """Return what ``full`` tries: each place in each way; who is early, and who is told, alternates."""
    dice = random.Random(f"{SEED} {salt}")
    both = (True, False)
    pairs = list(product(both, both))
    made = []
    for place in found:
        # Alone, nobody waits for an answer: whether somebody comes early changes nothing.
        dice.shuffle(pairs)
        for way, (impatient, told) in zip(story.asked, pairs, strict=False):
            made.append(Death(place, way, impatient and not story.alone, told))
    return made


def chosen(mode: Mode, story: Story, database: str, every: Sequence[Death], *, salt: str) -> list[Death]:
    """Choose from all deaths those that are tried in this mode, the same ones on every run."""
    if mode == "full":
        return list(every)
    ways = len(story.asked)
    turn = random.Random(f"{SEED} {salt} {database}").randrange(ways)
    once = [each for number, each in enumerate(every) if number % ways == (number // ways + turn) % ways]
    if mode == "points":
        return once[FIRST[database] :: EVERY] if only_a_share(mode, database) else once
    return random.Random(f"{SEED} {salt} {database}").sample(once, min(SAMPLE[database], len(once)))


def only_a_share(mode: Mode, database: str) -> bool:
    """Whether only some of the points are tried there, because SQLite has them all."""
    return mode == "points" and not ONE_DATABASE and database in FIRST


def told_apart(mode: Mode) -> bool:
    """Whether a point counts on each database by itself: it does where each of them has them all."""
    return mode == "full" or ONE_DATABASE


@dataclass
class Proof:
    """What was counted. A point is a place of a story at one gateway; of ``full``, on one database."""

    mode: Mode = MODE
    points: set[str] = field(default_factory=set)
    covered: set[str] = field(default_factory=set)
    possible: int = 0
    combinations: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Stories of which a death was not lived through."""

    def count(self, where: str, database: str, tried: int, audit: Audit) -> None:
        self.combinations[database] += tried
        for name in ("lost", "doubled", "unknown"):
            getattr(self, name).extend(f"{where}: {each}" for each in getattr(audit, name))

    def __add__(self, other: Proof) -> Proof:
        """Return what two processes counted together."""
        return Proof(
            mode=self.mode,
            points=self.points | other.points,
            covered=self.covered | other.covered,
            possible=self.possible + other.possible,
            combinations=self.combinations + other.combinations,
            lost=self.lost + other.lost,
            doubled=self.doubled + other.doubled,
            unknown=self.unknown + other.unknown,
            broken=self.broken + other.broken,
        )

    @property
    def missing(self) -> list[str]:
        return sorted(self.points - self.covered)

    def lines(self) -> Iterator[str]:
        """Say what was proved, the last line last."""
        tried = self.combinations.total()
        where = ", ".join(f"{count} on {name}" for name, count in self.combinations.items())
        match self.mode:
            case "full":
                how = "all of them"
            case "points":
                where_else = "" if ONE_DATABASE else " on SQLite, every fourth on each server"
                how = f"each point once{where_else}, in a way that was drawn; -- --full tries all"
            case _:
                how = "a sample; nox -s crash covers every point"
        yield f"killed {tried} of {self.possible} times ({how}; seed {SEED}): {where}"
        yield from (f"unknown: {each}" for each in self.unknown)
        yield from (f"broken: {each}" for each in self.broken)
        if self.mode != "sample":
            yield from (f"not covered: {each}" for each in self.missing)
        yield (
            f"points {len(self.covered)} of {len(self.points)} covered, combinations {tried},"
            f" lost {len(self.lost)}, doubled {len(self.doubled)}, unknown {len(self.unknown)} (listed)"
        )
