"""One fake gateway as the shop has it: an account to pay at, its books in one shape, what a browser needs."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ..errors import MissingExtra
from ..models import Money
from ..providers.base import PaymentProvider
from ..transport import Transport
from .catalogue import CURRENCIES, NAME
from .courier import Courier
from .faults import Faults
from .listening import Listening

__all__ = ["TILLS", "Charge", "Till", "open_tills"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money that a gateway collected, by its own books."""

    intent: str
    """What our row calls `provider_intent_id`."""
    amount: int
    given_back: bool
    """The whole of it was refunded."""


class Till(ABC):
    """A gateway, and our account at it."""

    name: ClassVar[str]
    """The provider id of the account."""
    title: ClassVar[str]
    """As a payer reads it."""
    currencies: ClassVar[Sequence[str]] = CURRENCIES

    @property
    @abstractmethod
    def gateway(self) -> Listening: ...

    @property
    @abstractmethod
    def faults(self) -> Faults: ...

    @property
    @abstractmethod
    def courier(self) -> Courier: ...

    @abstractmethod
    def account(self, transport: Transport, hooks: str) -> PaymentProvider:
        """Return the account, whose webhooks are to arrive at *hooks*."""

    @abstractmethod
    def charges(self) -> list[Charge]: ...

    @abstractmethod
    def requests(self) -> list[Json]:
        """Return what knocked, in order: method, path, caller, key, status, replayed, fault."""

    def browser(self) -> Json:
        """Return what the checkout page is told."""
        return {"title": self.title, "origin": self.gateway.url, "currencies": list(self.currencies)}

    @abstractmethod
    def keep_with(self, save: Callable[[], None]) -> None:
        """Let *save* run before the gateway answers for a change."""

    @abstractmethod
    def dump(self) -> Json: ...


class StripeTill(Till):
    name: ClassVar[str] = "stripe"
    title: ClassVar[str] = "Card"

    def __init__(self, port: int, saved: Json | None) -> None:
        from .stripe import FakeStripe

        self.fake: FakeStripe = FakeStripe(port=port, merchant=NAME, saved=saved)

    @property
    def gateway(self) -> Listening:
        return self.fake

    @property
    def faults(self) -> Faults:
        return self.fake.faults

    @property
    def courier(self) -> Courier:
        return self.fake.webhooks

    def account(self, transport: Transport, hooks: str) -> PaymentProvider:
        from ..providers.stripe import StripeProvider

        # A webhook secret like Stripe's; it never leaves this process.
        hook = self.fake.add_webhook(hooks)
        return StripeProvider(
            secret_key=self.fake.secret_key,
            webhook_secrets=[hook.secret],
            publishable_key=self.fake.publishable_key,
            transport=transport,
            api_base=self.fake.url,
        )

    def charges(self) -> list[Charge]:
        return [
            Charge(intent=each["payment_intent"], amount=each["amount_captured"], given_back=each["refunded"])
            for each in self.fake.charges(paid=True)
            if each["captured"]
        ]

    def requests(self) -> list[Json]:
        return [
            {
                "method": each.method,
                "path": each.path,
                "caller": each.caller,
                "key": each.key,
                "status": each.status,
                "replayed": each.replayed,
                "fault": each.fault,
            }
            for each in self.fake.requests()
        ]

    def browser(self) -> Json:
        return {**super().browser(), "key": self.fake.publishable_key}

    def keep_with(self, save: Callable[[], None]) -> None:
        self.fake.keep = save

    def dump(self) -> Json:
        return self.fake.dump()


class PayPalTill(Till):
    name: ClassVar[str] = "paypal"
    title: ClassVar[str] = "PayPal or Venmo"

    def __init__(self, port: int, saved: Json | None) -> None:
        from .paypal import FakePayPal

        self.fake: FakePayPal = FakePayPal(port=port, merchant=NAME, saved=saved)

    @property
    def gateway(self) -> Listening:
        return self.fake

    @property
    def faults(self) -> Faults:
        return self.fake.faults

    @property
    def courier(self) -> Courier:
        return self.fake.webhooks

    def account(self, transport: Transport, hooks: str) -> PaymentProvider:
        from ..providers.paypal import PayPalProvider

        hook = self.fake.add_webhook(hooks)
        return PayPalProvider(
            client_id=self.fake.client_id,
            client_secret=self.fake.client_secret,
            webhook_ids=[hook.secret],
            transport=transport,
            api_base=self.fake.url,
        )

    def charges(self) -> list[Charge]:
        return [
            Charge(
                intent=str(self.fake.books.order_of.get(each["id"], each["id"])),
                amount=Money.from_decimal(
                    each["amount"]["value"], each["amount"]["currency_code"]
                ).minor_units,
                given_back=each["status"] == "REFUNDED",
            )
            for each in self.fake.captures(taken=True)
        ]

    def requests(self) -> list[Json]:
        return [
            {
                "method": each.method,
                "path": each.path,
                "caller": "server",
                "key": each.key,
                "status": each.status,
                "replayed": each.replayed,
                "fault": each.fault,
            }
            for each in self.fake.requests("/v")
            if "/oauth2/" not in each.path
        ]

    def keep_with(self, save: Callable[[], None]) -> None:
        self.fake.keep = save

    def dump(self) -> Json:
        return self.fake.dump()


class AuthorizeNetTill(Till):
    name: ClassVar[str] = "authorize_net"
    title: ClassVar[str] = "Card, through Authorize.net"
    currencies: ClassVar[Sequence[str]] = ("USD",)

    def __init__(self, port: int, saved: Json | None) -> None:
        from .authorize_net import FakeAuthorizeNet

        self.fake: FakeAuthorizeNet = FakeAuthorizeNet(port=port, merchant=NAME, saved=saved)

    @property
    def gateway(self) -> Listening:
        return self.fake

    @property
    def faults(self) -> Faults:
        return self.fake.faults

    @property
    def courier(self) -> Courier:
        return self.fake.webhooks

    def account(self, transport: Transport, hooks: str) -> PaymentProvider:
        from ..providers.authorize_net import AuthorizeNetProvider

        self.fake.add_webhook(hooks)
        return AuthorizeNetProvider(
            login_id=self.fake.login_id,
            transaction_key=self.fake.transaction_key,
            signature_keys=[self.fake.signature_key],
            public_client_key=self.fake.client_key,
            transport=transport,
            api_base=self.fake.url,
        )

    def keep_with(self, save: Callable[[], None]) -> None:
        self.fake.keep = save

    def dump(self) -> Json:
        return self.fake.dump()

    def charges(self) -> list[Charge]:
        from ..providers.authorize_net.forms import intent_of, is_reference
        from .authorize_net.books import CAPTURED

        refunded = {each["original"] for each in self.fake.refunds() if each.get("original")}
        return [
            Charge(
                intent=intent_of(each["invoice"]),
                amount=Money.from_decimal(str(each["settles"]), self.fake.currency).minor_units,
                given_back=each["id"] in refunded,
            )
            for each in self.fake.charges()
            if each["status"] in CAPTURED and is_reference(each["invoice"])
        ]

    def requests(self) -> list[Json]:
        return [
            {
                "method": "POST",
                "path": each.transaction or each.operation,
                "caller": "server",
                "key": each.reference or None,
                "status": 200,
                "replayed": False,
                "fault": each.fault,
            }
            for each in self.fake.requests()
        ]


TILLS: Final[Mapping[str, type[Till]]] = {
    till.name: till for till in (StripeTill, PayPalTill, AuthorizeNetTill)
}


def open_tills(names: Sequence[str], *, port: int, saved: Mapping[str, Json | None]) -> dict[str, Till]:
    """Open the gateways named, in that order, on the ports from *port* on, or on others that are free.

    A gateway on the same port again is reached by links into it that are older than a restart.

    Raises: MissingExtra.
    """
    opened: dict[str, Till] = {}
    for number, name in enumerate(TILLS):
        if name in names:
            opened[name] = _open(TILLS[name], port + number, saved.get(name))
    return {name: opened[name] for name in names}


def _open(till: type[Till], port: int, saved: Json | None) -> Till:
    try:
        return till(port, saved)  # type: ignore[call-arg] # every one that is built takes both
    except ModuleNotFoundError:
        raise MissingExtra("sandbox", needed_for=f"the sandbox of {till.name}") from None
    except OverflowError:  # there is no such port
        pass
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
    return till(0, saved)  # type: ignore[call-arg] # as above
