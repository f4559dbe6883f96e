"""Which accounts there are, for the page that offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from ...models import Verb
from ...providers.base import Capability
from ..envelope import Reply, page_meta
from ..route import Access, Call, Route
from ..schemas.providers import Accounts, AccountState, ProviderOut

if TYPE_CHECKING:
    from ...engine import PaymentEngine

__all__ = ["PROVIDER_ROUTES"]


async def list_providers(call: Call) -> Reply:
    """List the accounts that payments can be made through, what each can do, and its publishable key."""
    engine = call.bridge.engine
    default = _default(call)
    found = []
    for provider_id in engine.provider_ids:
        provider = engine.provider(provider_id)
        found.append(
            ProviderOut(
                id=provider_id,
                kind=provider.kind,
                is_default=provider_id == default,
                livemode=provider.livemode,
                capabilities=[what.value for what in (*Verb, *Capability) if provider.supports(what)],
                minimum_amounts=dict(provider.minimum_amounts),
                publishable=dict(provider.publishable),
            )
        )
    return Reply(data=found, meta=page_meta(page=1, limit=max(len(found), 1), total=len(found)))


async def test_providers(call: Call) -> Reply:
    """Say which accounts are configured, and whether real money moves there. No provider is asked."""
    engine = call.bridge.engine
    names = engine.provider_ids
    found = {name: AccountState(status="configured", mode=_mode(engine, name)) for name in names}
    return Reply(data=Accounts(found))


def _mode(engine: PaymentEngine, name: str) -> Literal["live", "test"] | None:
    live = engine.provider(name).livemode
    return None if live is None else "live" if live else "test"


def _default(call: Call) -> str | None:
    accounts = tuple(call.bridge.engine.provider_ids)
    chosen = call.bridge.settings.default_provider
    if chosen in accounts:
        return chosen
    return accounts[0] if accounts else None


PROVIDER_ROUTES: Final = (
    Route(
        methods=("GET",),
        path="/providers",
        noun="providers",
        handler=list_providers,
        returns=ProviderOut,
        many=True,
        access=Access.OPEN,
    ),
    Route(
        methods=("GET",),
        path="/providers/test",
        noun="providers",
        handler=test_providers,
        returns=Accounts,
        access=Access.SIGNED_IN,
    ),
)
