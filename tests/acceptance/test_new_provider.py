"""Somebody begins a provider: what the command writes installs, is found, and says what it is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from outside import Environment

from bridge_payments.cli import main

PROVIDERS = "from bridge_payments.cli import main; main(['providers'])"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("mine")
    assert main(["new-provider", "acme_pay", "--into", str(into)]) == 0
    return into / "acme-pay-payments"


@pytest.fixture(scope="module")
def environment(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment.make(tmp_path_factory.mktemp("outside") / "env")
    made.install(package)
    return made


def test_it_has_code_an_entry_point_a_test_module_and_a_page(package: Path) -> None:
    files = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert files == {
        "README.md",
        "acme_pay_payments/__init__.py",
        "acme_pay_payments/inbox.py",
        "acme_pay_payments/mapping.py",
        "acme_pay_payments/provider.py",
        "acme_pay_payments/py.typed",
        "docs/acme_pay.md",
        "pyproject.toml",
        "tests/fake_acme_pay.py",
        "tests/test_acme_pay.py",
    }
    written = "".join((package / name).read_text() for name in files)
    assert "$" not in written.replace("```sh", ""), "a name was not filled in"


def test_its_conformance_run_says_what_is_missing(package: Path, environment: Environment) -> None:
    run = environment.conformance(package)
    assert run.returncode == 1, run.stdout + run.stderr
    missing = [line.strip() for line in run.stdout.splitlines() if line.strip().startswith("- ")]
    assert [line.split(": ")[:2] for line in missing] == [
        ["- acme_pay_payments/mapping.py", "body_for_intent"],
        ["- acme_pay_payments/inbox.py", "event_from"],
        ["- tests/fake_acme_pay.py", "signed_webhook"],
        ["- tests/fake_acme_pay.py", "charges"],
        ["- tests/fake_acme_pay.py", "refunds"],
        ["- tests/fake_acme_pay.py", "events"],
        ["- tests/fake_acme_pay.py", "answer"],
    ]
    assert "1 failed" in run.stdout, "one list, and not a page of tracebacks"


def test_it_is_found_by_its_name(environment: Environment) -> None:
    run = environment.run("-c", PROVIDERS)
    assert "acme_pay" in run.stdout


def test_what_it_wrote_is_clean_by_the_tools_of_this_project(package: Path) -> None:
    """Whoever begins with it begins without warnings."""
    for work in (["format", "--check"], ["check", "--select=E,F,UP,W"]):
        command = [sys.executable, "-m", "ruff", *work, "--isolated", "--line-length=110", "."]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=package)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", ["stripe", "class", "Acme", "../acme", "acme-pay", "", "1acme"])
def test_a_name_that_cannot_be_one_writes_nothing(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-provider", kind, "--into", str(tmp_path)]) == 2
    assert "provider" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = package / "acme_pay_payments" / "mapping.py"
    before = mine.read_text()
    assert main(["new-provider", "acme_pay", "--into", str(package.parent)]) == 2
    assert "already there" in capsys.readouterr().err
    assert mine.read_text() == before
