"""The published configuration: each of its variables is read, or listed with the reason why it is not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import bridge_payments
from bridge_payments.published import NOT_READ, why_not_read
from bridge_payments.settings import _WEBHOOK_FIELDS, Settings, _variables

PACKAGE = Path(bridge_payments.__file__).parent
SPECS = Path(os.environ.get("BRIDGE_SPECS") or Path(__file__).parents[3] / "shared" / "specs")
CONTRACT = SPECS.parent / "wire-contract.md"

READ = {name for _, names, _ in _variables(Settings) for name in names}


def read_by_providers() -> set[str]:
    sources = "".join(path.read_text() for path in (PACKAGE / "providers").rglob("*.py"))
    return set(re.findall(r"\b(?:STRIPE|PAYPAL|AUTHORIZE_NET)_[A-Z_]+\b", sources))


def test_every_setting_is_used_somewhere() -> None:
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "settings.py")

    assert [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", sources)] == []


@pytest.mark.skipif(not CONTRACT.exists(), reason="the published configuration is not here (BRIDGE_SPECS)")
def test_every_variable_of_the_published_configuration_is_read_or_refused_with_a_reason() -> None:
    text = CONTRACT.read_text()
    table = text[text.index("## 6. Environment") : text.index("## 7. ")]
    names = set(re.findall(r"\b(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT|HOST)\b", table))
    assert len(names) > 120

    unexplained = names - READ - read_by_providers()
    assert {name for name in unexplained if why_not_read(name) is None} == set()


def test_every_reason_is_a_sentence_about_a_variable() -> None:
    for name, why in NOT_READ.items():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*\*?", name)
        assert len(why) > 20
        for other in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", why):
            assert other in READ or other in NOT_READ, other
        for suffix in re.findall(r"WEBHOOK_n_([A-Z]+)", why):
            assert suffix in _WEBHOOK_FIELDS


def test_somebody_who_sets_one_hears_that_it_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    Settings.from_env({"SESSION_REQUIRE_HTTPS": "true", "CACHE_TTL": "5", "BRIDGE_COLOUR": "red"})

    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("SESSION_REQUIRE_HTTPS is not read: TLS ends") for line in lines)
    assert "BRIDGE_COLOUR is not a variable that this release reads" in lines
    assert not any("CACHE_TTL" in line for line in lines), "an application may well have one of its own"
