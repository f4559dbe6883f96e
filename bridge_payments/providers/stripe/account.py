"""One Stripe account: its credentials, and how anything is asked of it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar
from urllib.parse import urlsplit

from ...errors import ConfigurationError, InvalidRequest, MissingExtra, ProviderUnknown
from ...models import Money
from ...transport import Transport
from ..base import Capability, Evidence, KeyRules, PaymentProvider, Step
from .money import MAXIMUM_UNITS, MINIMUM_AMOUNTS, to_stripe
from .objects import Json

if TYPE_CHECKING:
    import stripe

    from .client import Answer, Client

__all__ = ["SKEW", "TESTED_VERSIONS", "Account", "readable"]

API_BASE: Final = "https://api.stripe.com"

TESTED_VERSIONS: Final = ("2026-10-28.endive", "2026-07-29.dahlia")
"""The first is the SDK's own and the default; the second is the one whose schema our tests hold."""

SKEW: Final = 300
"""Seconds by which our clock and Stripe's may differ when a list is asked for what is newer than a moment."""
_PAGE: Final = 100
_MOST_PAGES: Final = 20

T = TypeVar("T")

_KEY: Final = re.compile(r"(?P<kind>sk|rk)_(?:(?P<mode>live|test)_)?[A-Za-z0-9_]+")


class Account(PaymentProvider):
    """Everything but the verbs: those are in `verbs`, one file per noun."""

    kind: ClassVar[str] = "stripe"
    # Up to 255 characters, kept at least 24 hours (2026-11, https://docs.stripe.com/api/idempotent_requests).
    keys: ClassVar[KeyRules] = KeyRules(max_length=255, window_hours=24)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.MANUAL_CAPTURE,
            Capability.MULTI_CAPTURE,
            Capability.PARTIAL_REFUND,
            Capability.CLIENT_SECRET,
        }
    )
    minimum_amounts: ClassVar[Mapping[str, int]] = MINIMUM_AMOUNTS
    # A request that Stripe took may still be at work when we have given up on it; its own SDKs wait 80 s for
    # an answer (stripe 16.1.0, 2026-11). Until then a list without our object proves nothing.
    absence_margin_seconds: ClassVar[float] = 80.0
    signature_headers: ClassVar[tuple[str, ...]] = ("stripe-signature",)
    loggers: ClassVar[tuple[str, ...]] = ("stripe",)

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_secrets: Sequence[str] = (),
        publishable_key: str | None = None,
        transport: Transport,
        api_base: str = API_BASE,
        api_version: str | None = None,
    ) -> None:
        """Raises: ConfigurationError naming what is wrong by its variable; MissingExtra without the SDK."""
        version = api_version or TESTED_VERSIONS[0]
        key = _KEY.fullmatch(secret_key)
        live = {"live": True, "test": False}.get(key["mode"] or "") if key else None
        wrong = {
            "STRIPE_SECRET_KEY": None if key else "not a secret or restricted key (sk_… or rk_…)",
            "STRIPE_API_BASE": _wrong_base(api_base, live=live is True),
            "STRIPE_API_VERSION": (
                None if version in TESTED_VERSIONS else f"not one of {', '.join(TESTED_VERSIONS)}"
            ),
            "STRIPE_WEBHOOK_SECRET": (
                None if all(secret.strip() for secret in webhook_secrets) else "has an empty entry"
            ),
        }
        if invalid := {name: why for name, why in wrong.items() if why is not None}:
            raise ConfigurationError(invalid=invalid)
        self.api_version: str = version
        self._livemode = live
        self._webhook_secrets = tuple(webhook_secrets)
        self._publishable_key = publishable_key
        self._client = _client(secret_key, api_base.rstrip("/"), version, transport)

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, transport: Transport) -> Self:
        missing = [name for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET") if not env.get(name)]
        if missing:
            raise ConfigurationError(missing=missing)
        return cls(
            secret_key=env["STRIPE_SECRET_KEY"].strip(),
            webhook_secrets=[secret.strip() for secret in env["STRIPE_WEBHOOK_SECRET"].split(",")],
            publishable_key=env.get("STRIPE_PUBLISHABLE_KEY") or None,
            transport=transport,
            api_base=env.get("STRIPE_API_BASE") or API_BASE,
            api_version=env.get("STRIPE_API_VERSION") or None,
        )

    def __repr__(self) -> str:
        return f"StripeProvider(livemode={self._livemode}, api_version={self.api_version!r})"

    @property
    def livemode(self) -> bool | None:
        return self._livemode

    @property
    def publishable(self) -> Mapping[str, str]:
        return {"publishable_key": self._publishable_key} if self._publishable_key else {}

    def check_amount(self, amount: Money) -> None:
        if to_stripe(amount) > MAXIMUM_UNITS:
            raise InvalidRequest(f"{amount} is more than Stripe charges", field="total_cents")
        super().check_amount(amount)

    # --- asking -----------------------------------------------------------------------------------

    async def _write(
        self,
        call: Callable[[stripe.StripeClient, Any], Awaitable[Any]],
        step: Step,
        *,
        key: str | None = None,
    ) -> Answer:
        """Make the verb's main call; with *key* an earlier one of several, which has a key of its own."""
        # A repeat is made in the words of the first send: the same key, the same version.
        options = {"idempotency_key": key or step.key, "stripe_version": step.api_version or self.api_version}
        return await self._client.write(
            lambda sdk: call(sdk, options), deadline=step.deadline, repeat=step.repeat
        )

    async def _read(self, call: Callable[[stripe.StripeClient], Awaitable[Any]]) -> Answer:
        return await self._client.read(call)

    # --- lists ------------------------------------------------------------------------------------

    async def _since(
        self, noun: str, evidence: Evidence, query: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Json]:
        """Yield what was made since the operation began, newest first."""
        since = int(evidence.started_at.timestamp()) - SKEW
        async for each in self._list(noun, {"created": {"gte": since}, **(query or {})}):
            yield each

    async def _list(self, noun: str, query: Mapping[str, Any]) -> AsyncIterator[Json]:
        """Yield a whole list, newest first; half a list proves nothing."""
        params: Any = {**query, "limit": _PAGE}
        for _ in range(_MOST_PAGES):
            page, more = await self._page(noun, params)
            for each in page:
                yield each
            if not more:
                return
            params = {**params, "starting_after": page[-1]["id"]}
        raise ProviderUnknown(
            f"the list of {noun} is longer than {_MOST_PAGES * _PAGE}: it was not read to its end"
        )

    async def _page(self, noun: str, params: Any) -> tuple[list[Json], bool]:
        answer = await self._client.read(lambda sdk: getattr(sdk.v1, noun).list_async(params))
        return readable(lambda: _page_of(answer.body), answer)


def _client(secret_key: str, api_base: str, version: str, transport: Transport) -> Client:
    try:
        from .client import Client
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "stripe":
            raise
        raise MissingExtra("stripe", needed_for="the provider stripe") from None
    return Client(secret_key=secret_key, api_base=api_base, api_version=version, transport=transport)


def _wrong_base(base: str, *, live: bool) -> str | None:
    """Say why a secret key may not be sent there: in clear text to this machine only, a live one never."""
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return "not a URL such as https://api.stripe.com"
    if parts.scheme == "https":
        return None
    if live:
        return "a live key is sent over https only"
    return None if _is_loopback(parts.hostname) else "http is for this machine only (127.0.0.1)"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _page_of(body: Json) -> tuple[list[Json], bool]:
    data, more = body["data"], body["has_more"]
    if body["object"] != "list" or (more and not data):
        raise ValueError("not a list that can be read to its end")
    return list(data), bool(more)


def readable(read: Callable[[], T], answer: Answer) -> T:
    """Read an answer; one that cannot be read may still have moved money."""
    failure: ProviderUnknown
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - an answer of any shape may come back, and all of them are unknown
        failure = ProviderUnknown(
            f"Unreadable answer from Stripe: {type(error).__name__}", request_id=answer.request_id
        )
    raise failure
