"""An engine that charges at a fake PayPal."""

from bridge_payments import Money, PaymentEngine  # noqa: F401 - for the page
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore
from bridge_payments.transport import Transport

gateway = FakePayPal.start()
transport = Transport()
account = PayPalProvider(
    client_id=gateway.client_id,
    client_secret=gateway.client_secret,
    webhook_ids=["WH-1"],
    transport=transport,
    api_base=gateway.url,
)
settings = Settings(allow_sandbox=True, default_provider="paypal")
engine = PaymentEngine(MemoryStore(), {"paypal": account}, settings=settings, transport=transport)


async def after(names):
    try:
        assert len(names["gateway"].orders()) == 1
    finally:
        await names["engine"].aclose()
        await names["transport"].aclose()
        names["gateway"].stop()
