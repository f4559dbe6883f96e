"""What providers tell us. The bytes go to the account's own verifier untouched."""

from __future__ import annotations

from typing import Final

from ...errors import InvalidSignature, NotFound, Unavailable
from ...models import ID_PATTERN
from ..envelope import Reply
from ..route import Access, Call, Route, Text
from ..schemas.webhooks import WebhookReceived

__all__ = ["WEBHOOK_ROUTES"]


async def receive_webhook(call: Call) -> Reply:
    """Take one signed event of a provider; it is stored before this answers and processed after.

    Authorize.net is reached under `authorize_net`, `authorize-net` and `authorizenet`. A copy of a known
    event is answered with `duplicate`, and changes nothing.
    """
    engine = call.bridge.engine
    receipt = await engine.receive_webhook(
        _account(call.path["id"], tuple(engine.provider_ids)), call.request
    )
    return Reply(
        data=WebhookReceived(duplicate=receipt.duplicate, event_id=receipt.event_id, timestamp=engine.clock())
    )


def _account(name: str, accounts: tuple[str, ...]) -> str:
    """Return the account that a URL names: its id, or its id in one of the published spellings."""
    if name in accounts:
        return name
    for account in accounts:
        if name in (account.replace("_", "-"), account.replace("_", "")):
            return account
    if not ID_PATTERN.fullmatch(name):
        raise NotFound("Provider not supported")
    return name


WEBHOOK_ROUTES: Final = (
    Route(
        methods=("POST",),
        path="/webhooks/{id}",
        aliases=("/external-webhooks/{id}",),
        noun="webhooks",
        handler=receive_webhook,
        returns=WebhookReceived,
        wrapped=False,
        access=Access.OPEN,
        raw=True,
        errors=(InvalidSignature, NotFound, Unavailable),
        texts={NotFound: Text("Provider not supported", "Provider not supported")},
    ),
)
