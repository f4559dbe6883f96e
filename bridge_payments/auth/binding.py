"""Validation modes: whether a session may move to another address, browser or device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from .credentials import Surroundings

__all__ = ["Binding", "Mode", "Violation"]

Mode = Literal["DISABLED", "STANDARD", "ADVANCED", "STRICT"]


class Violation(StrEnum):
    """What changed since the session was first seen."""

    IP = "IP_MISMATCH"
    """Of high severity: with auto-invalidation it ends what we remember of the session."""
    USER_AGENT = "USER_AGENT_MISMATCH"
    DEVICE = "DEVICE_MISMATCH"


_HIGH: Final = frozenset({Violation.IP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The installation's rule. Compares; decides nothing about whether the session itself is valid."""

    mode: Mode = "STANDARD"
    ip: bool = True
    user_agent: bool = True
    device: bool = False
    auto_invalidate: bool = False
    log: bool = True

    def violations(self, first: Surroundings, now: Surroundings) -> Sequence[Violation]:
        """Return what differs and is looked at in this mode. Browser and device only where both are known."""
        if self.mode == "DISABLED":
            return ()
        found = [Violation.IP] if self.ip and first.ip != now.ip else []
        if self.mode != "STANDARD":
            if self.user_agent and _differ(first.user_agent, now.user_agent):
                found.append(Violation.USER_AGENT)
            if self.device and _differ(first.device, now.device):
                found.append(Violation.DEVICE)
        return found

    def ends(self, violations: Sequence[Violation]) -> bool:
        """Whether what is remembered of the session goes, so that its issuer is asked anew."""
        return self.auto_invalidate and not _HIGH.isdisjoint(violations)

    def denies(self, violations: Sequence[Violation]) -> bool:
        """Whether the request is refused."""
        return bool(violations) and (self.mode == "STRICT" or self.ends(violations))


def _differ(first: str | None, now: str | None) -> bool:
    return bool(first) and bool(now) and first != now
