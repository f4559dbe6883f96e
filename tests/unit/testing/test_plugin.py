"""The fixtures that every test of an application may ask for, and the page that shows them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from bridge_payments import AuthBridge, Money, Principal
from bridge_payments.testing import PracticeBridge
from bridge_payments.testing.plugin import MakePracticeBridge

GUIDE = Path(__file__).parents[3].joinpath("docs", "guides", "testing.md").read_text()
HEAD = """
import pytest
from flask import Flask
from bridge_payments import AuthBridge, Money, PaymentDeclined, Principal
from bridge_payments.mounts.flask import payments_blueprint

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


"""
FIRST: list[PracticeBridge] = []


def test_a_bridge_is_there_by_its_name(practice_bridge: PracticeBridge) -> None:
    payment = practice_bridge.call(practice_bridge.engine.create_payment_intent, Money(2000, "USD"))
    assert payment.status == "pending"
    FIRST.append(practice_bridge)


def test_it_is_another_one_in_each_test_and_closed_after_it(practice_bridge: PracticeBridge) -> None:
    assert FIRST
    assert practice_bridge is not FIRST[0]
    assert not FIRST[0].blocking.running


def test_it_takes_the_applications_own_price_and_login(make_practice_bridge: MakePracticeBridge) -> None:
    shop = make_practice_bridge(
        approve=lambda draft, principal: draft.priced(Money(700, "USD")),
        auth=AuthBridge(lambda request: Principal.user("ada")),
    )
    other = make_practice_bridge()
    assert shop.call(shop.engine.create_payment_intent, Money(1, "USD")).total == Money(700, "USD")
    assert other.call(other.engine.create_payment_intent, Money(1, "USD")).total == Money(1, "USD")


def test_every_test_of_the_guide_passes_in_a_project_of_its_own(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert len(blocks) == 5
    program = tmp_path / "test_shop.py"
    program.write_text(HEAD + "\n\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(program)],
        check=False,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_its_tables_name_what_there_is(practice_bridge: PracticeBridge) -> None:
    for name in re.findall(r"`shop\.gateway\.(\w+)", GUIDE):
        assert hasattr(practice_bridge.gateway, name), name
    for name in re.findall(r"`shop\.(\w+)\(", GUIDE):
        assert hasattr(practice_bridge, name), name
