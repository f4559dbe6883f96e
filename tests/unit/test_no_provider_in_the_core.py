"""The core knows no provider by name: what is special about one is said by its class (design 4.4)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import bridge_payments

ROOT = Path(bridge_payments.__file__).parent
NAMES = re.compile(r"stripe|paypal|venmo|authorize[._ -]?net|(?<![a-z])anet(?![a-z])", re.IGNORECASE)
THEIR_OWN = ("providers/stripe/", "providers/paypal/", "providers/authorize_net/", "sandbox/")
CONTRACT = "published.py"
"""What the published contract spells: variables, defaults, words of the wire."""

CORE = [
    path
    for path in sorted(ROOT.rglob("*.py"))
    if not (name := path.relative_to(ROOT).as_posix()).startswith(THEIR_OWN) and name != CONTRACT
]


def code_of(text: str) -> Iterator[tuple[int, str]]:
    """What runs: names and texts, with their lines. Docstrings and comments may name an example."""
    tree = ast.parse(text)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for _, value in ast.iter_fields(node):
            if isinstance(value, str) and id(node) not in said:
                yield line, value


def test_the_core_names_no_provider() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in CORE
        for line, word in code_of(path.read_text())
        if NAMES.search(word)
    ]
    assert found == [], "let the provider say it: an attribute of its class"


def test_a_name_would_be_found() -> None:
    """The test above cannot pass by being off."""
    for code in (
        'kept = ("x-anet-",)',
        "import stripe",
        "paypal_id = 1",
        'f"{x}: Authorize.net"',
        "a.Venmo()",
    ):
        assert any(NAMES.search(word) for _, word in code_of(code)), code
    for code in ('"""Stripe, for instance."""', "planet = authorized = 1  # PayPal"):
        assert not any(NAMES.search(word) for _, word in code_of(code)), code
    assert len(CORE) > 150
