"""
Does a provider hold what `bridge_payments.providers.base` promises? Subclass, say two things, run pytest.

    class TestAcme(ProviderConformance):
        def make_gateway(self):
            return FakeAcme()       # a GatewayControl: what moved there, and how it misbehaves

        def make_provider(self, transport):
            return AcmeProvider(api_key="k", webhook_secret="s", transport=transport)

Needs no plugin: each test drives an event loop of its own. What a gateway cannot show is skipped, and the
skip says what was not checked (``pytest -ra`` lists them).
"""

from __future__ import annotations

import pytest

for _module in ("answers", "desk", "honesty", "hooks", "nouns", "promises", "sums", "unknowns"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from .answers import AnswerPromises  # noqa: E402 - after the loop above
from .gateway import GatewayControl, Instruction, Moved, NotChecked  # noqa: E402
from .honesty import HonestyPromises  # noqa: E402
from .hooks import HookPromises  # noqa: E402
from .http import HttpGateway  # noqa: E402
from .nouns import NounPromises  # noqa: E402
from .sums import SumPromises  # noqa: E402
from .unknowns import UnknownPromises  # noqa: E402

__all__ = [
    "GatewayControl",
    "HttpGateway",
    "Instruction",
    "Moved",
    "NotChecked",
    "ProviderConformance",
]


class ProviderConformance(
    UnknownPromises, AnswerPromises, SumPromises, HookPromises, HonestyPromises, NounPromises
):
    """Everything that the engine relies on."""
