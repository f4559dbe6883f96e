"""PaymentEngine: what an application calls. Composed of one file per noun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from ..errors import ConfigurationError, InvalidRequest
from ..models import Clock, utc_now
from ..providers.base import PaymentProvider
from ..settings import Settings
from ..stores.base import Store
from ..transport import Transport
from .addresses import AddressVerbs
from .conversion import ConversionVerbs
from .drafts import Approve
from .inbox import InboxWork
from .intents import IntentVerbs
from .payments import PaymentVerbs
from .reads import Reads
from .refunds import RefundVerbs
from .resolving import Resolutions
from .retention import RetentionWork
from .subscriptions import SubscriptionVerbs
from .sweep import SweepWork

__all__ = ["PaymentEngine"]


class PaymentEngine(
    IntentVerbs,
    PaymentVerbs,
    RefundVerbs,
    Reads,
    SubscriptionVerbs,
    AddressVerbs,
    ConversionVerbs,
    InboxWork,
    Resolutions,
    SweepWork,
    RetentionWork,
):
    """Moves money through providers and remembers everything in a store.

    *providers* names accounts to build from the environment (``"stripe,paypal,stripe_eu=stripe:EU_"``)
    or maps provider ids to providers that the application built. *approve* runs before every create and
    update; without it the browser sets the price, and the engine says so in its log once.

    Nothing connects at construction.

    Amounts are integers in the smallest unit of their currency: 2000 is 20.00 USD, and 2000 JPY; a name says
    so by ``_cents``. Moments are aware, in UTC. Every verb takes the *principal* for whom it acts, by default
    the merchant's own code, which may do everything; and where it moves money an *idempotency_key*: the same
    key and the same words are one instruction, however often they come, for 45 days at least. Errors are
    those of `bridge_payments.errors`; any verb may also raise StoreError, when the database is away.
    """

    def __init__(
        self,
        store: Store,
        providers: str | Mapping[str, PaymentProvider] = "",
        *,
        approve: Approve | None = None,
        settings: Settings | None = None,
        env: Mapping[str, str] | None = None,
        clock: Clock = utc_now,
        transport: Transport | None = None,
    ) -> None:
        env = os.environ if env is None else env
        if settings is None:
            # Accounts from the environment mean that this application is configured there.
            settings = Settings.from_env(env) if isinstance(providers, str) else Settings()
        super().__init__(store, clock=clock, settings=settings)
        self.approve = approve
        self.transport: Transport = transport or Transport.from_settings(self.settings)
        self._owns_transport = transport is None
        if isinstance(providers, str):
            providers = self._build(providers, env)
        self._providers = MappingProxyType(dict(providers))
        for provider_id, provider in self._providers.items():
            if provider.sandbox_only and not self.settings.allow_sandbox:
                raise ConfigurationError(
                    f"{provider_id} moves no real money: it needs ALLOW_SANDBOX=true", invalid={}
                )
            provider.clock = clock

    def _build(self, accounts: str, env: Mapping[str, str]) -> Mapping[str, PaymentProvider]:
        from ..providers import registry

        chosen = registry.parse_accounts(accounts) if accounts else self.settings.enabled_providers
        return registry.build(chosen, env, transport=self.transport)

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """The accounts of this application, in the order in which they were named."""
        return tuple(self._providers)

    @property
    def providers(self) -> Mapping[str, PaymentProvider]:
        """The accounts by provider id; read-only."""
        return self._providers

    def provider(self, provider_id: str) -> PaymentProvider:
        """Return one account's provider. Raises InvalidRequest if it is not enabled."""
        try:
            return self._providers[provider_id]
        except KeyError:
            raise InvalidRequest(f"{provider_id!r} is not enabled here", field="provider_id") from None

    def account(self, provider: str | None) -> tuple[str, PaymentProvider]:
        """Return the named account, or the default one: the configured, or the only one."""
        if provider is None:
            default = self.settings.default_provider
            provider = default if default in self._providers else next(iter(self._providers), None)
        if provider is None:
            raise InvalidRequest("no provider is enabled here", field="provider_id")
        return provider, self.provider(provider)

    async def aclose(self) -> None:
        """Let calls under way finish, then release what the engine opened."""
        await self.drain(within=30.0)
        for provider in self._providers.values():
            await provider.aclose()
        if self._owns_transport:
            await self.transport.aclose()
