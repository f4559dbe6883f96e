"""An engine that charges at a fake Stripe."""

from bridge_payments import Money, PaymentEngine  # noqa: F401 - for the page
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.settings import Settings
from bridge_payments.stores import MemoryStore
from bridge_payments.transport import Transport

gateway = FakeStripe.start()
transport = Transport()
account = StripeProvider(
    secret_key=gateway.secret_key,
    webhook_secrets=["whsec_dGVzdA=="],
    transport=transport,
    api_base=gateway.url,
)
settings = Settings(allow_sandbox=True, default_provider="stripe")
engine = PaymentEngine(MemoryStore(), {"stripe": account}, settings=settings, transport=transport)


async def after(names):
    try:
        [intent] = names["gateway"].intents()
        assert intent["receipt_email"] == "ada@example.com"
    finally:
        await names["engine"].aclose()
        await names["transport"].aclose()
        names["gateway"].stop()
