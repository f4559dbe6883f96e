"""The pages about who asks name settings that exist, and their defaults are the code's."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import Any

import pytest

from bridge_payments import Request
from bridge_payments.settings import Settings, _variables

pytestmark = pytest.mark.anyio

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
DEFAULTS = re.compile(r"`([A-Z][A-Z_]+[A-Z])` \(`?([\w.,]+)`?(?: ms)?\)")


@pytest.mark.parametrize("page", ["auth.md", "flowless.md"])
def test_every_setting_that_a_page_names_is_read(page: str) -> None:
    text = (GUIDES / page).read_text()
    known = {name for _, names, _ in _variables(Settings) for name in names}
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=\w+)?`", text))
    assert named
    assert named <= known


def test_the_defaults_are_those_of_the_code() -> None:
    fields = {name: (field, scale) for field, names, scale in _variables(Settings) for name in names}
    checked = 0
    for page in ("auth.md", "flowless.md"):
        for name, said in DEFAULTS.findall((GUIDES / page).read_text()):
            field, scale = fields[name]
            value = getattr(Settings(), field)
            if isinstance(value, bool):
                assert said == str(value).lower(), name
            elif isinstance(value, int | float):
                assert float(said) * (scale or 1) == pytest.approx(value), name
            elif isinstance(value, tuple):
                assert tuple(said.split(",")) == value, name
            else:
                assert said == value, name
            checked += 1
    assert checked > 10


async def test_the_hosts_own_login_works_as_it_is_written() -> None:
    [code] = re.findall(r"```python\n(.*?)```", (GUIDES / "auth.md").read_text(), re.DOTALL)
    user = types.SimpleNamespace(id="u1", email="ada@example.com")
    names: dict[str, Any] = {"sessions": {"s1": user}}
    exec(code, names)
    asked = Request(method="GET", path="/", headers={"cookie": "sid=s1"})
    assert (await names["auth"].identify(asked)).id == "u1"
    assert (await names["auth"].identify(Request(method="GET", path="/"))).is_anonymous
