"""The page about all providers says what the code can do."""

from __future__ import annotations

from matrix import DOCUMENT, GROUPS, drawn, table, written

from bridge_payments.models import Verb
from bridge_payments.providers import registry
from bridge_payments.providers.base import Capability
from bridge_payments.providers.dummy import DummyProvider


def test_the_page_is_what_the_providers_declare() -> None:
    page = DOCUMENT.read_text()
    assert page == written(page), "draw it anew: python tests/support/matrix.py"
    assert drawn() in page


def test_no_ability_and_no_provider_is_left_out() -> None:
    named = [ability for abilities in GROUPS.values() for ability in abilities]
    assert sorted(named) == sorted([*Verb, *Capability])
    for kind in registry.available():
        assert kind in DOCUMENT.read_text(), f"{kind} has no column"


def test_what_is_taken_away_shows() -> None:
    class Poorer(DummyProvider):
        @classmethod
        def supports(cls, what: Verb | Capability) -> bool:
            return what is not Verb.REFUND and super().supports(what)

    assert "| refund (`refund_payment`) | yes | no |" in table({"dummy": DummyProvider, "poorer": Poorer})
