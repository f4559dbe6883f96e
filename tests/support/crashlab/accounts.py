"""How the processes of a shop deal with each gateway: all that differs between the three."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from bridge_payments.messages import Request
from bridge_payments.models import Payment
from bridge_payments.providers.base import PaymentProvider
from bridge_payments.transport import Transport

if TYPE_CHECKING:
    from bridge_payments.sandbox.paypal.signing import Signer

    from .premises import Address, Shop

__all__ = ["ACCOUNTS", "Account"]

Json = Mapping[str, Any]


class Account(ABC):
    """One provider's account, and what its payers do at the gateway. Holds nothing: a process is told all."""

    kind: ClassVar[str]
    rounds: ClassVar[tuple[float, ...]] = (5, 60, 90, 600)
    """Seconds between the rounds of the next worker: while the lease runs, when it just ran out, later."""
    patience: ClassVar[float] = 30.0
    """Seconds after which a client that was told to come again does."""
    one_time: ClassVar[bool] = False
    """Whether a method is good for one attempt, which a refusal uses up."""

    @abstractmethod
    def provider(self, address: Address, transport: Transport) -> PaymentProvider: ...

    @abstractmethod
    def webhook(self, shop: Shop, event: Json) -> Request:
        """Return one event as its gateway would send it now."""

    @abstractmethod
    def event_id(self, event: Json) -> str: ...

    async def card(self, shop: Shop, *, declined: bool = False) -> str | None:
        """Return what a payer's browser brings to pay with; None where the payer agrees at the gateway."""
        return None

    async def agree(self, shop: Shop, payment: Payment, *, declined: bool = False) -> None:  # noqa: B027 - nothing, but where it is asked for
        """Let the payer agree to a payment before it is confirmed, where that is asked for."""

    async def agree_to_keep(self, shop: Shop, setup: str) -> None:  # noqa: B027 - nothing, but where it is asked for
        """Let the payer agree that a method is kept."""

    async def agree_to_subscription(self, shop: Shop, reference: str) -> None:  # noqa: B027 - nothing, but where it is asked for
        """Let the payer agree to a subscription."""

    async def settle(self, shop: Shop) -> None:  # noqa: B027 - nothing, but where it is asked for
        """Let the night pass after which what was collected can be given back in part."""

    @abstractmethod
    async def renew(self, shop: Shop) -> None:
        """Collect what subscriptions owe by now."""

    @abstractmethod
    async def pay_unheard(self, shop: Shop, payment_id: str) -> None:
        """Let a payment that was begun be paid without a word to us."""


class StripeAccount(Account):
    kind = "stripe"

    def provider(self, address: Address, transport: Transport) -> PaymentProvider:
        from bridge_payments.providers.stripe import StripeProvider

        return StripeProvider(
            secret_key=address.secret_key,
            webhook_secrets=[address.webhook_secret],
            transport=transport,
            api_base=address.gateway,
        )

    def webhook(self, shop: Shop, event: Json) -> Request:
        from bridge_payments.sandbox.stripe.webhooks import sign

        body = json.dumps(event).encode()
        header = sign(body, shop.address.webhook_secret, timestamp=int(shop.clock().timestamp()))
        return _delivery(self.kind, {"stripe-signature": header}, body)

    def event_id(self, event: Json) -> str:
        return str(event["id"])

    async def card(self, shop: Shop, *, declined: bool = False) -> str | None:
        name = "tok_chargeDeclinedInsufficientFunds" if declined else "tok_visa"
        made = await self._post(shop, "payment_methods", {"type": "card", "card[token]": name})
        return str(made["id"])

    async def renew(self, shop: Shop) -> None:
        await shop.control("settings", bill=True)

    async def pay_unheard(self, shop: Shop, payment_id: str) -> None:
        row = await shop.payment(payment_id)
        asked = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/thanks"}
        await self._post(shop, f"payment_intents/{row.provider_intent_id}/confirm", asked)

    async def _post(self, shop: Shop, what: str, data: dict[str, str]) -> Any:
        key = {"authorization": f"Bearer {shop.address.secret_key}"}
        answer = await shop.desk.post(f"/v1/{what}", data=data, headers=key)
        answer.raise_for_status()
        return answer.json()


class PayPalAccount(Account):
    kind = "paypal"
    rounds = (5, 60, 90, 120, 600)

    def provider(self, address: Address, transport: Transport) -> PaymentProvider:
        from bridge_payments.providers.paypal import PayPalProvider

        return PayPalProvider(
            client_id=address.account["client_id"],
            client_secret=address.account["client_secret"],
            webhook_ids=[address.account["webhook_id"]],
            transport=transport,
            api_base=address.gateway,
        )

    def webhook(self, shop: Shop, event: Json) -> Request:
        from bridge_payments.sandbox.paypal.signing import Signer
        from bridge_payments.sandbox.paypal.webhooks import CERTIFICATE

        account = shop.address.account
        body = json.dumps(event).encode()
        moment = shop.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        text = Signer.text(event["id"], moment, account["webhook_id"], body)
        headers = {
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": f"{shop.address.gateway}{CERTIFICATE}",
            "paypal-transmission-id": event["id"],
            "paypal-transmission-sig": _paypals_signer(account["signing_key"]).sign(text),
            "paypal-transmission-time": moment,
        }
        return _delivery(self.kind, headers, body)

    def event_id(self, event: Json) -> str:
        return str(event["id"])

    async def agree(self, shop: Shop, payment: Payment, *, declined: bool = False) -> None:
        instrument = "refused" if declined else "balance"
        await shop.control("settings", approve=payment.provider_intent_id, instrument=instrument)

    async def agree_to_keep(self, shop: Shop, setup: str) -> None:
        await shop.control("settings", agree=setup)

    async def agree_to_subscription(self, shop: Shop, reference: str) -> None:
        await shop.control("settings", subscribe=reference)

    async def renew(self, shop: Shop) -> None:
        await shop.control("settings", bill=True)

    async def pay_unheard(self, shop: Shop, payment_id: str) -> None:
        row = await shop.payment(payment_id)
        await self.agree(shop, row)
        await shop.control("settings", capture=row.provider_intent_id)


class AuthorizeNetAccount(Account):
    kind = "authorize_net"
    # Absence is believed after two looks, 15 minutes after the last moment of a sending.
    rounds = (5, 60, 90, 600, 600, 120, 120, 300)
    patience = 120.0
    one_time = True

    def provider(self, address: Address, transport: Transport) -> PaymentProvider:
        from bridge_payments.providers.authorize_net import AuthorizeNetProvider

        return AuthorizeNetProvider(
            login_id=address.account["login_id"],
            transaction_key=address.account["transaction_key"],
            signature_keys=[address.account["signature_key"]],
            transport=transport,
            api_base=address.gateway,
            encoder="json",  # what is written is checked elsewhere, and the checking costs seconds of import
        )

    def webhook(self, shop: Shop, event: Json) -> Request:
        from bridge_payments.sandbox.authorize_net.webhooks import sign

        body = json.dumps(event).encode()
        signature = sign(body, shop.address.account["signature_key"])
        return _delivery(self.kind, {"x-anet-signature": signature}, body)

    def event_id(self, event: Json) -> str:
        return str(event["notificationId"])

    async def card(self, shop: Shop, *, declined: bool = False) -> str | None:
        number = "4000000000000002" if declined else "4111111111111111"
        account = shop.address.account
        who = {"name": account["login_id"], "clientKey": account["client_key"]}
        data = {"type": "TOKEN", "token": {"cardNumber": number, "expirationDate": "1230"}}
        asked = {"securePaymentContainerRequest": {"merchantAuthentication": who, "data": data}}
        answer = await shop.desk.post("/xml/v1/request.api", json=asked)
        made = json.loads(answer.content.decode("utf-8-sig"))
        return str(made["opaqueData"]["dataValue"])

    async def settle(self, shop: Shop) -> None:
        await shop.control("settings", settle=True)

    async def renew(self, shop: Shop) -> None:
        await shop.control("settings", collect=True)

    async def pay_unheard(self, shop: Shop, payment_id: str) -> None:
        """Nothing is paid at this gateway without us; but what it holds for review is decided there."""
        await shop.control("settings", hold_next=1)
        token = await self.card(shop)
        held = await shop.engine.confirm_payment(payment_id, payment_method=token)
        await shop.control("settings", review=held.provider_payment_id, approved=True)


ACCOUNTS: Mapping[str, Account] = {
    account.kind: account for account in (StripeAccount(), PayPalAccount(), AuthorizeNetAccount())
}


@cache  # reading a key checks it, which takes longer than signing with it
def _paypals_signer(pem: str) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from bridge_payments.sandbox.paypal.signing import Signer

    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return Signer(key, b"", b"")


def _delivery(kind: str, headers: Mapping[str, str], body: bytes) -> Request:
    return Request(method="POST", path=f"/webhooks/{kind}", headers=headers, body=body)
