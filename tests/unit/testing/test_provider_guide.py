"""The guide for authors of providers is right: its code is the example's, and its links and names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bridge_payments
from bridge_payments.cli import COMMANDS
from bridge_payments.providers import base
from bridge_payments.transport import api

ROOT = Path(__file__).parents[3]
GUIDE = ROOT.joinpath("docs", "guides", "write-a-provider.md").read_text()
EXAMPLE = ROOT / "examples" / "custom_provider"
CODE = "\n".join(path.read_text() for path in sorted(EXAMPLE.rglob("*.py")))


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL))
def test_its_code_is_the_examples(block: str) -> None:
    assert block in CODE


def test_its_entry_point_is_the_examples() -> None:
    [block] = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    assert block in EXAMPLE.joinpath("pyproject.toml").read_text()


def test_its_command_exists() -> None:
    [command] = re.findall(r"^bridge-payments (\S+)", GUIDE, re.MULTILINE)
    assert command in COMMANDS


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`(Provider\w+|Absent|Found|CannotSay|KeyRules)`", GUIDE)))
)
def test_every_name_that_it_gives_exists(name: str) -> None:
    assert hasattr(bridge_payments, name) or hasattr(base, name)


def test_the_statuses_that_say_nothing_are_those_of_the_client() -> None:
    [listed] = re.findall(r"those\nthat say nothing \(([\d, ]+)\)", GUIDE)
    assert {int(status) for status in listed.split(", ")} == api._SAYS_NOTHING
