"""A provider from outside of the tree: installed by pip, found by its name, held to the same promises."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from outside import Environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_provider"

SHOP = """
import asyncio, json
from bridge_payments import Money, PaymentEngine, UnsupportedOperation
from bridge_payments.stores import MemoryStore

async def main():
    env = {
        "ACME_API_KEY": "test_1", "ACME_WEBHOOK_SECRET": "s1",
        "EU_ACME_API_KEY": "live_1", "EU_ACME_WEBHOOK_SECRET": "s2",
    }
    engine = PaymentEngine(MemoryStore(), "acme,acme_eu=acme:EU_", env=env)
    home = {name: type(each).__module__ for name, each in engine.providers.items()}
    live = {name: each.livemode for name, each in engine.providers.items()}
    await engine.aclose()
    print(json.dumps([home, live]))

asyncio.run(main())
"""

PROVIDERS = "from bridge_payments.cli import main; raise SystemExit(main(['providers', '--json']))"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment.make(tmp_path_factory.mktemp("outside") / "env")
    made.install(EXAMPLE)
    return made


def test_it_holds_what_every_provider_of_ours_holds(environment: Environment) -> None:
    run = environment.conformance(EXAMPLE)
    assert run.returncode == 0, run.stdout[-5000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 80
    skips = [line for line in run.stdout.splitlines() if line.startswith("SKIPPED")]
    assert skips, "everything was checked: then the example claims more than it shows"
    assert all("not checked: " in line for line in skips), skips
    assert "no installed package announces" not in run.stdout, "it was not found as an installed package"


def test_an_application_enables_it_by_its_name_as_often_as_it_has_accounts(environment: Environment) -> None:
    run = environment.run("-c", SHOP)
    assert run.returncode == 0, run.stderr
    home, live = json.loads(run.stdout)
    assert home == dict.fromkeys(["acme", "acme_eu"], "acme_payments.provider")
    assert live == {"acme": False, "acme_eu": True}


def test_the_command_lists_it_with_what_it_can_do(environment: Environment) -> None:
    run = environment.run("-c", PROVIDERS)
    assert run.returncode == 0, run.stderr
    [acme] = [row for row in json.loads(run.stdout) if row["kind"] == "acme"]
    assert acme["problem"] is None
    assert {"update_payment_intent", "multi_capture", "client_secret"} <= set(acme["cannot"])


def test_without_the_package_nothing_is_left_of_it() -> None:
    """What the two tests above found came from the installed distribution and not from this tree."""
    from bridge_payments.providers import registry

    assert "acme" not in registry.available()


def test_a_fault_in_it_is_found(environment: Environment, tmp_path: Path) -> None:
    """The kit would be worth nothing if it passed whatever it is given."""
    changed = shutil.copytree(EXAMPLE, tmp_path / EXAMPLE.name)
    provider = changed / "acme_payments" / "provider.py"
    text, guard = provider.read_text(), "if not step.repeat:"
    assert guard in text
    provider.write_text(text.replace(guard, "if True:"))
    other = Environment.make(tmp_path / "env")
    other.install(changed)
    run = other.conformance(changed)
    assert run.returncode == 1
    assert "test_a_refused_repeat_proves_nothing" in run.stdout
