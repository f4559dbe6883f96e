"""PayPal as the engine asks it: payments, payment methods and subscriptions, webhooks and look-ups.

PayPal keeps no customers of its own: the vault gives each payer an id, which is the answer of a set-up and
belongs to what was kept. There is nothing to create, change or delete, so those verbs are not overridden.
"""

from __future__ import annotations

from ...errors import InvalidRequest, InvalidSignature, ProviderError
from ...messages import Request
from ...models import ProviderEvent, Verb
from ..base import CannotSay, Evidence, Lookup
from .inbox import read_body, seal_of
from .lookup import NEVER_APPROVED, judge, judge_charge
from .mapping import event_from
from .payment_methods import PaymentMethods
from .payments import Payments
from .subscriptions import Subscriptions

__all__ = ["PayPalProvider"]

_METHODS = frozenset({Verb.CREATE_METHOD, Verb.CONFIRM_METHOD, Verb.DELETE_METHOD})
_SUBSCRIPTIONS = frozenset(
    {
        Verb.CREATE_SUBSCRIPTION,
        Verb.UPDATE_SUBSCRIPTION,
        Verb.CANCEL_SUBSCRIPTION,
        Verb.PAUSE_SUBSCRIPTION,
        Verb.RESUME_SUBSCRIPTION,
    }
)


class PayPalProvider(Payments, PaymentMethods, Subscriptions):
    """One PayPal account: orders that are captured or authorised once their payer approved them."""

    async def read_webhook(self, request: Request) -> ProviderEvent:
        seal = seal_of(request, certificate_bases=self._certificate_bases)
        event, text = read_body(request.body)
        if not self._webhook_ids:
            raise InvalidSignature("This account was built without the id of its webhook")
        await self._verifier.verify(seal, request.body, now=self.clock())
        try:
            return event_from(event, livemode=self._live, body=text)
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        raise InvalidRequest("The webhook's body is not an event", field="body")

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """Read the object, which shows everything that was done to it."""
        try:
            if evidence.verb in _METHODS:
                return await self._find_method(evidence)
            if evidence.verb in _SUBSCRIPTIONS:
                return await self._find_subscription(evidence)
            return await self._find_payment(evidence)
        except ProviderError as error:
            # "No such object" proves nothing either: the credentials may be another account's by now.
            return CannotSay(error.message)

    async def _find_payment(self, evidence: Evidence) -> Lookup:
        order = evidence.payment
        if order is None and evidence.verb is Verb.CREATE:
            begun = evidence.results.get("order")
            if begun is None:
                return NEVER_APPROVED
            order = begun["order"]
        if order is None:
            return CannotSay("the operation has no order that could be read")
        known = evidence.known
        if known is not None and known.charge == known.reference:
            return judge_charge(await self.sync_known_payment(known), evidence)
        return judge(await self._read_order(order), evidence)
