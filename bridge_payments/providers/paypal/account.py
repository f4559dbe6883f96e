"""One PayPal account: what it is built of, and how all of its verbs ask."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Self

from ...errors import (
    ConfigurationError,
    MissingExtra,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderUnknown,
)
from ...models import Money
from ...transport import Transport
from ..base import Capability, KeyRules, PaymentProvider, Step
from . import configuration, forms
from .money import to_paypal
from .refusals import unsent_from
from .verification import ApiVerifier, Limited, offline_verifier

if TYPE_CHECKING:
    from .client import Answer, Client

__all__ = ["READ", "WHOLE", "Account", "Budget", "refusal", "unsent"]

READ: Final = 10.0
"""Seconds for a read."""
WHOLE: Final = "return=representation"


class Account(PaymentProvider):
    """Credentials, mode and the way to PayPal."""

    kind: ClassVar[str] = "paypal"
    # Up to 108 characters. The vault keeps a key for 3 hours, orders for 6, plans and subscriptions for 72,
    # payments for 45 days: the shortest one counts (2026-11, paypal-server-sdk 2.4.0 and
    # https://developer.paypal.com/docs/api/orders/v2/#orders_create-header-parameters).
    keys: ClassVar[KeyRules] = KeyRules(max_length=108, window_hours=3)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.MANUAL_CAPTURE, Capability.PARTIAL_REFUND}
    )
    # A request that PayPal took may still be at work when we have given up on it; its own SDK waits 60 s
    # for an answer (paypal-server-sdk 2.4.0, 2026-11).
    absence_margin_seconds: ClassVar[float] = 60.0
    signature_headers: ClassVar[tuple[str, ...]] = ("paypal-",)

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        webhook_ids: Sequence[str] = (),
        live: bool = False,
        transport: Transport,
        api_base: str | None = None,
        partner_code: str | None = None,
        verify_offline: bool = False,
        certificate_roots: bytes | None = None,
    ) -> None:
        """*webhook_ids* name the webhooks of this account; their events are verified with them.

        *verify_offline* checks signatures here instead of asking PayPal; *certificate_roots* are the PEM
        certificates that PayPal's chain has to end in, by default those that TLS is checked against.

        Raises: ConfigurationError naming what is wrong by its variable; MissingExtra without the SDK.
        """
        base = configuration.base_of(live, api_base)
        configuration.check_account(
            client_id=client_id, client_secret=client_secret, webhook_ids=webhook_ids, base=base, live=live
        )
        self._live = live
        self._client_id = client_id
        self._webhook_ids = tuple(webhook_ids)
        self._partner_code = partner_code
        self._certificate_bases = configuration.certificate_bases(live, api_base)
        self._client = _client(client_id, client_secret, live=live, base=base, transport=transport)
        self._verifier = Limited(
            offline_verifier(transport, self._webhook_ids, live=live, roots=certificate_roots)
            if verify_offline
            else ApiVerifier(self._client, self._webhook_ids)
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, transport: Transport) -> Self:
        required = ("PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET", "PAYPAL_WEBHOOK_ID")
        if missing := [name for name in required if not env.get(name, "").strip()]:
            raise ConfigurationError(missing=missing)
        return cls(
            client_id=env["PAYPAL_CLIENT_ID"].strip(),
            client_secret=env["PAYPAL_CLIENT_SECRET"].strip(),
            webhook_ids=[each.strip() for each in env["PAYPAL_WEBHOOK_ID"].split(",")],
            live=configuration.live_from(env),
            transport=transport,
            api_base=env.get("PAYPAL_API_BASE") or None,
            partner_code=env.get("PAYPAL_BN_CODE") or None,
            verify_offline=configuration.offline_from(env),
        )

    def __repr__(self) -> str:
        return f"PayPalProvider(livemode={self._live})"

    async def aclose(self) -> None:
        self._client.close()

    @property
    def livemode(self) -> bool | None:
        return self._live

    @property
    def publishable(self) -> Mapping[str, str]:
        """What PayPal's script in the browser is loaded with."""
        return {"client_id": self._client_id}

    def check_amount(self, amount: Money) -> None:
        to_paypal(amount)
        super().check_amount(amount)

    # --- asking -----------------------------------------------------------------------------------

    async def _token(self, identity: str, *, deadline: float) -> Answer:
        """Read what is kept. Raises as `Client.read`."""
        token = forms.checked_id(identity, "payment_method")
        return await self._client.read(lambda sdk: sdk.vault.get_payment_token(token), deadline=deadline)

    async def _order(self, reference: str, *, deadline: float) -> Answer:
        order = forms.checked_id(reference, "payment")
        answer = await self._client.read(lambda sdk: sdk.orders.get_order({"id": order}), deadline=deadline)
        if answer.read(lambda read: read["id"]) != order:
            raise ProviderUnknown("PayPal answered with another order", request_id=answer.request_id)
        return answer

    async def _capture(self, reference: str, *, deadline: float) -> Answer:
        options = {"capture_id": forms.checked_id(reference, "capture")}
        return await self._client.read(
            lambda sdk: sdk.payments.get_captured_payment(options), deadline=deadline
        )


class Budget:
    """What is left of the seconds that one verb has for all of its calls."""

    def __init__(self, step: Step) -> None:
        self._ends = time.monotonic() + step.deadline

    @property
    def left(self) -> float:
        return max(self._ends - time.monotonic(), 0.05)


def unsent(error: ProviderError, step: Step) -> ProviderError:
    """Say of a failed read that stood before a call: nothing that changes anything was sent."""
    if isinstance(error, ProviderNotFound):
        return refusal(ProviderNotFound, error.message, step, error)
    return unsent_from(error) if isinstance(error, ProviderUnknown) else error


def refusal(
    kind: type[ProviderRejected], message: str, step: Step, error: ProviderError | None = None
) -> ProviderError:
    """Refuse on the strength of a read; a repeat that is refused proves nothing of the first send."""
    refused = ProviderUnknown if step.repeat else kind
    return refused(
        message,
        provider_code=error.provider_code if error else None,
        request_id=error.request_id if error else None,
        http_status=error.http_status if error else None,
    )


def _client(client_id: str, client_secret: str, *, live: bool, base: str, transport: Transport) -> Client:
    try:
        from .client import Client
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("paypalserversdk", "requests"):
            raise
        raise MissingExtra("paypal", needed_for="the provider paypal") from None
    return Client(
        client_id=client_id, client_secret=client_secret, live=live, api_base=base, transport=transport
    )
