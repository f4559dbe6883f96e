"""Validation modes: what is compared, what is only logged, what is denied."""

from __future__ import annotations

import pytest

from bridge_payments.auth.binding import Binding, Violation
from bridge_payments.auth.credentials import Surroundings

HOME = Surroundings("192.0.2.7", "Firefox", "phone-1")
AWAY = Surroundings("198.51.100.1", "curl", "phone-2")

IP, AGENT, DEVICE = Violation.IP, Violation.USER_AGENT, Violation.DEVICE


@pytest.mark.parametrize(
    ("mode", "found", "denied"),
    [
        ("DISABLED", [], False),
        ("STANDARD", [IP], False),
        ("ADVANCED", [IP, AGENT, DEVICE], False),
        ("STRICT", [IP, AGENT, DEVICE], True),
    ],
)
def test_each_mode_looks_at_more_and_only_strict_denies(
    mode: str, found: list[Violation], denied: bool
) -> None:
    binding = Binding(mode=mode, device=True)  # type: ignore[arg-type]
    violations = binding.violations(HOME, AWAY)
    assert list(violations) == found
    assert binding.denies(violations) is denied
    assert not binding.violations(HOME, HOME)


@pytest.mark.parametrize("mode", ["STANDARD", "ADVANCED", "STRICT"])
def test_auto_invalidation_ends_and_denies_a_session_that_changed_its_address(mode: str) -> None:
    binding = Binding(mode=mode, auto_invalidate=True)  # type: ignore[arg-type]
    moved = binding.violations(HOME, Surroundings("198.51.100.1", "Firefox", "phone-1"))
    assert binding.ends(moved)
    assert binding.denies(moved)
    assert not binding.ends([Violation.USER_AGENT]), "a browser that updated itself is not a thief"


def test_switches_and_unknown_browsers() -> None:
    strict = Binding(mode="STRICT", ip=False, device=True)
    assert strict.violations(HOME, Surroundings("198.51.100.1", None, None)) == []
    assert Binding(mode="STRICT", user_agent=False).violations(HOME, AWAY) == [IP]
