"""Every reachable state of one payment, to a stated bound, keeps every promise; a broken table does not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from explorer import Report, begin, walk
from explorer.diagram import drawn
from explorer.walk import told
from explorer.world import Budget

from bridge_payments.engine import rules, settlement
from bridge_payments.models import PaymentStatus, Verb

GATEWAYS = {
    "automatic capture": {"manual": False},
    "manual capture": {"manual": True},
    "automatic capture, without keys": {"manual": False, "keys": False, "intent": False},
    "manual capture, without keys": {"manual": True, "keys": False, "intent": False},
}
EVERY_GATEWAY = pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS.keys())

DOCUMENT = Path(__file__).parents[2] / "docs" / "state-machine.md"


FULL = bool(os.environ.get("BRIDGE_FULL"))
"""Minutes instead of seconds: `nox -s crash -- --full` sets it."""


def explored(gateway: Mapping[str, bool], **bound: int) -> Report:
    return walk(begin(**gateway, budget=Budget(**bound)))


@EVERY_GATEWAY
def test_every_reachable_state_keeps_every_promise(
    gateway: Mapping[str, bool], walks: list[str], request: pytest.FixtureRequest
) -> None:
    bound = {"crashes": 1, "outside": 2 if FULL else 1, "reads": 0}
    report = explored(gateway, **bound)
    walks.append(f"{request.node.callspec.id}, {bound}: {report.line()}")
    assert not report.violations, told(report.violations)
    assert report.states > 2000, "the walk ended early"
    happened = {
        "killed",
        "answer lost",
        "found",
        "given up",
        "never sent",
        "bank disputes",
        "settlement fails",
    }
    assert happened <= report.steps.keys()


@pytest.mark.slow
@EVERY_GATEWAY
def test_reads_that_grew_old_change_nothing_of_that(
    gateway: Mapping[str, bool], walks: list[str], request: pytest.FixtureRequest
) -> None:
    bound = {"crashes": 1, "outside": 1 if FULL else 0, "reads": 1}
    report = explored(gateway, **bound)
    walks.append(f"{request.node.callspec.id}, {bound}: {report.line()}")
    assert not report.violations, told(report.violations)
    assert report.steps["read applied"] > 1000


# --- the walk can fail ----------------------------------------------------------------------------


def test_a_table_that_lets_a_paid_payment_be_confirmed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = rules.ALLOWED[Verb.CONFIRM] | {PaymentStatus.SUCCEEDED}
    monkeypatch.setattr(rules, "ALLOWED", {**rules.ALLOWED, Verb.CONFIRM: broken})
    report = explored(GATEWAYS["automatic capture, without keys"], crashes=0, outside=0, reads=0)
    assert {what for what, _ in report.violations} == {"charged twice"}


def test_a_merge_that_forgets_refunds_under_way_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "_merge_refunds", lambda *_: ((), ()))
    report = explored(GATEWAYS["automatic capture"], crashes=0, outside=1, reads=0)
    assert any("refund rows add up" in what for what, _ in report.violations)


def test_an_absence_that_is_believed_too_early_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer import world

    def believed(state: Any) -> Any:
        if state.operation is not None and not state.sender:
            yield "given up", world._give_up(state)

    monkeypatch.setattr(world, "_reconciliation", believed)
    report = explored(GATEWAYS["automatic capture"], crashes=1, outside=0, reads=0)
    assert any("was executed and is called abandoned" in what for what, _ in report.violations)


def test_a_success_that_is_told_at_every_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def always(_old: Any, new: Any, _decline: Any, now: Any) -> Any:
        if new.captured_cents:
            yield settlement._event("payment.success", new, now)

    monkeypatch.setattr(settlement, "_payment_events", always)
    report = explored(GATEWAYS["automatic capture"], crashes=0, outside=1, reads=0)
    assert {what for what, _ in report.violations} & {"payment.success told twice", "paid, and not told once"}


# --- the diagram ------------------------------------------------------------------------------------


def test_the_documented_diagram_is_drawn_from_the_table_that_the_engine_obeys() -> None:
    assert drawn() in DOCUMENT.read_text(), "run: python tests/support/explorer/diagram.py"
