"""Does Acme hold what the engine relies on? Run: pytest -ra"""

from __future__ import annotations

from acme_payments import AcmeProvider
from fake_acme import FakeAcme

from bridge_payments.testing import GatewayControl, ProviderConformance
from bridge_payments.transport import Transport


class TestAcme(ProviderConformance):
    def make_gateway(self) -> GatewayControl:
        return FakeAcme()

    def make_provider(self, transport: Transport) -> AcmeProvider:
        return AcmeProvider(
            api_key=FakeAcme.api_key, webhook_secret=FakeAcme.webhook_secret, transport=transport
        )
