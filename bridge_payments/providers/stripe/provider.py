"""Stripe, as the engine asks it: the verbs of all nouns, its webhooks, and what became of a lost call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...errors import ProviderError
from ...messages import Request
from ...models import ProviderEvent, Verb
from ..base import CannotSay, Evidence, Lookup
from .account import TESTED_VERSIONS
from .inbox import SIGNATURE_HEADER, read_event, verify
from .verbs.customers import CustomerVerbs
from .verbs.payment_methods import MethodVerbs
from .verbs.subscriptions import SubscriptionVerbs

__all__ = ["TESTED_VERSIONS", "StripeProvider"]


class StripeProvider(SubscriptionVerbs, MethodVerbs, CustomerVerbs):
    """One Stripe account. Everything that money does goes through PaymentIntents and Refunds."""

    async def read_webhook(self, request: Request) -> ProviderEvent:
        verify(request.body, request.header(SIGNATURE_HEADER), self._webhook_secrets, now=self.clock())
        return read_event(request.body)

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """Read what would show it: the object itself, or the list of what was made since it began."""
        try:
            return await self._finder(evidence.verb)(evidence)
        except ProviderError as error:
            # "No such object" proves nothing either: the key may have been changed for another account's.
            return CannotSay(error.message)

    def _finder(self, verb: Verb) -> Callable[[Evidence], Awaitable[Lookup]]:
        match verb:
            case Verb.CREATE_CUSTOMER | Verb.UPDATE_CUSTOMER | Verb.DELETE_CUSTOMER:
                return self._find_customer
            case Verb.CREATE_METHOD | Verb.CONFIRM_METHOD | Verb.UPDATE_METHOD | Verb.DELETE_METHOD:
                return self._find_method
            case Verb.CREATE | Verb.UPDATE | Verb.CONFIRM | Verb.CAPTURE | Verb.CANCEL | Verb.REFUND:
                return self._find_payment
            case _:
                return self._find_subscription
