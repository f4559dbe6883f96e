"""What the dashboard is told of this process: how long the last thousand requests took, and who answered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge_payments.telemetry import Activity, Kind, Watch
from bridge_payments.telemetry.pulse import Pulse

NOW = datetime(2026, 1, 15, tzinfo=UTC)


def ended(kind: Kind, seconds: float, outcome: str = "ok", **facts: str) -> Activity:
    activity = Activity(Watch(), kind, "x", dict(facts))
    activity.seconds, activity.outcome = seconds, outcome
    return activity


def test_response_times_are_those_of_the_last_thousand_requests() -> None:
    pulse = Pulse()
    assert pulse.times is None
    for _ in range(500):
        pulse.finished(ended(Kind.REQUEST, 9.0, route="/payments"))
    for number in range(1000):
        pulse.finished(ended(Kind.REQUEST, number / 1000, route="/payments"))
    assert pulse.times is not None
    assert (pulse.times.count, pulse.times.p50_ms, pulse.times.p95_ms) == (1000, 500.0, 950.0)


@pytest.mark.parametrize("route", ["/admin/vitals", "/admin/ui/{file}", "/health/live"])
def test_whoever_looks_at_figures_does_not_change_them(route: str) -> None:
    pulse = Pulse()
    pulse.finished(ended(Kind.REQUEST, 1.0, route=route))
    assert pulse.times is None


@pytest.mark.parametrize(
    ("outcome", "answered"),
    [
        *[(said, True) for said in ("ok", "declined", "rejected")],
        *[(unsaid, False) for unsaid in ("unknown", "never_sent", "error")],
    ],
)
def test_an_account_is_well_when_its_provider_said_anything(outcome: str, answered: bool) -> None:
    pulse = Pulse(clock=lambda: NOW)
    pulse.finished(ended(Kind.CALL, 3.0, "unknown", provider="stripe"))
    pulse.finished(ended(Kind.CALL, 0.1234, outcome, provider="stripe"))
    pulse.finished(ended(Kind.DELIVERY, 1.0))
    assert pulse.calls.keys() == {"stripe"}
    last = pulse.calls["stripe"]
    assert (last.at, last.outcome, last.answered, last.milliseconds) == (NOW, outcome, answered, 123.4)
