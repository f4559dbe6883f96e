"""PayPal, as the engine asks it: every method awaits one answer and maps it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, Self

from ...errors import (
    ConfigurationError,
    InvalidRequest,
    InvalidSignature,
    MissingExtra,
    ProviderError,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from ...messages import Request
from ...models import Money, PaymentStatus, ProviderEvent, Verb
from ...transport import Transport
from ..base import (
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    IntentRequest,
    KeyRules,
    Lookup,
    PaymentProvider,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
)
from . import configuration, forms
from .declines import decline_from
from .inbox import read_body, seal_of
from .lookup import NEVER_APPROVED, judge
from .mapping import (
    capture_of,
    event_from,
    held_authorization,
    is_untouched,
    merged,
    order_of_capture,
    payment_from,
    refund_from,
    shows_capture,
)
from .money import to_paypal
from .objects import Json
from .refusals import unsent_from
from .verification import ApiVerifier, Limited, offline_verifier

if TYPE_CHECKING:
    from .client import Answer, Client

__all__ = ["PayPalProvider"]

_READ: Final = 10.0
"""Seconds for a read."""
_WHOLE: Final = "return=representation"


class PayPalProvider(PaymentProvider):
    """One PayPal account: orders that are captured or authorised once their payer approved them."""

    kind: ClassVar[str] = "paypal"
    # Up to 108 characters. Orders keep a key for 6 hours, payments for 45 days: the shorter one counts
    # (2026-11, https://developer.paypal.com/docs/api/orders/v2/#orders_create-header-parameters).
    keys: ClassVar[KeyRules] = KeyRules(max_length=108, window_hours=6)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.MANUAL_CAPTURE, Capability.PARTIAL_REFUND}
    )
    # A request that PayPal took may still be at work when we have given up on it; its own SDK waits 60 s
    # for an answer (paypal-server-sdk 2.4.0, 2026-11).
    absence_margin_seconds: ClassVar[float] = 60.0

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

    # --- the verbs --------------------------------------------------------------------------------

    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        """Make an order. Its payer has to approve it first, so no create collects, confirmed or not."""
        options = {
            "body": forms.create_form(request),
            "paypal_request_id": step.key,
            "paypal_partner_attribution_id": self._partner_code,
            "prefer": _WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.orders.create_order(options), deadline=step.deadline, repeat=step.repeat
        )
        return self._payment(answer)

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        """Capture or authorise the order, as its intent says, if its payer approved it.

        Read first: a payer who has not approved yet is sent on, and an order that was changed to another
        amount is not collected.
        """
        forms.checked_method(request.payment_method)
        budget = _Budget(step)
        order, seen = await self._before(request.payment, step, budget)
        if seen.status is PaymentStatus.CANCELED:
            raise _refusal(ProviderStateConflict, "The order was voided", step)
        if seen.status not in (PaymentStatus.REQUIRES_CONFIRMATION, PaymentStatus.PENDING):
            return seen
        if seen.amount != request.amount:
            raise _refusal(ProviderRejected, f"The order is {seen.amount}, not {request.amount}", step)
        options = {"id": seen.reference, "body": {}, "paypal_request_id": step.key, "prefer": _WHOLE}
        authorize = order["intent"] == "AUTHORIZE"
        answer = await self._client.write(
            lambda sdk: (sdk.orders.authorize_order if authorize else sdk.orders.capture_order)(options),
            deadline=budget.left,
            repeat=step.repeat,
            order=seen.reference,
        )
        return self._payment(answer, since=order)

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        """Collect the authorisation of the order, or part of it, and read the order again."""
        budget = _Budget(step)
        order, seen = await self._before(request.payment, step, budget)
        authorization = held_authorization(order)
        if authorization is None or seen.status is not PaymentStatus.REQUIRES_CAPTURE:
            raise _refusal(ProviderStateConflict, f"Nothing is held for it ({seen.provider_status})", step)
        options = {
            "authorization_id": forms.checked_id(authorization["id"], "authorization"),
            "body": forms.capture_form(request, reference=step.reference),
            "paypal_request_id": step.key,
            "prefer": _WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.payments.capture_authorized_payment(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        refused = answer.read(lambda made: decline_from(made) if _is_refused(made) else None)
        if refused is not None:
            # The authorisation stays as it was: the merchant's call failed, and the payer is not asked.
            raise (ProviderUnknown if step.repeat else ProviderRejected)(
                refused.message,
                provider_code=refused.provider_code,
                decline_code=refused.code,
                request_id=answer.request_id,
                http_status=answer.status,
            )
        return await self._after(request.payment, answer, budget, made=answer.read(lambda made: made["id"]))

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        """Release the authorisation. An order that nobody paid is given up here, and nothing is sent.

        PayPal has no call for it (2026-11, https://developer.paypal.com/docs/api/orders/v2/); it lapses when
        nobody captures it, and nobody will: the engine asks for nothing after a cancel.
        """
        budget = _Budget(step)
        order, seen = await self._before(request.payment, step, budget)
        if is_untouched(order) or seen.status in (PaymentStatus.CANCELED, PaymentStatus.PENDING):
            return replace(seen, status=PaymentStatus.CANCELED, next_action=None)
        authorization = held_authorization(order)
        if authorization is None:
            raise _refusal(ProviderStateConflict, f"Nothing to release ({seen.provider_status})", step)
        options = {
            "authorization_id": forms.checked_id(authorization["id"], "authorization"),
            "paypal_request_id": step.key,
            "prefer": _WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.payments.void_payment(options), deadline=budget.left, repeat=step.repeat
        )
        return await self._after(request.payment, answer, budget)

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        budget = _Budget(step)
        charge = request.charge
        if charge is None:
            order, _ = await self._before(request.payment, step, budget)
            charge = capture_of(order)
            if charge is None:
                raise _refusal(ProviderStateConflict, "Nothing was collected for this order", step)
        options = {
            "capture_id": forms.checked_id(charge, "charge"),
            "body": forms.refund_form(request),
            "paypal_request_id": step.key,
            "prefer": _WHOLE,
        }
        answer = await self._client.write(
            lambda sdk: sdk.payments.refund_captured_payment(options),
            deadline=budget.left,
            repeat=step.repeat,
        )
        return answer.read(lambda made: refund_from(made, order=request.payment, asked=request.amount))

    # --- reading ----------------------------------------------------------------------------------

    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        """One read: an order shows its captures, its authorisations and every refund."""
        return self._payment(await self._order(reference, deadline=_READ))

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

    async def owner_of(self, reference: str) -> str | None:
        """A capture names its order: a refund from PayPal's own pages is announced with the capture only."""
        options = {"capture_id": forms.checked_id(reference, "capture")}
        try:
            answer = await self._client.read(
                lambda sdk: sdk.payments.get_captured_payment(options), deadline=_READ
            )
        except ProviderNotFound:
            return None
        return answer.read(order_of_capture)

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """Read the order, which shows every capture, authorisation and refund that was made of it."""
        if evidence.payment is None:
            if evidence.verb is Verb.CREATE:
                return NEVER_APPROVED
            return CannotSay("the operation has no order that could be read")
        try:
            return judge(await self.sync_payment_status(evidence.payment), evidence)
        except ProviderError as error:
            # "No such order" proves nothing either: the credentials may be another account's by now.
            return CannotSay(error.message)

    # --- asking -----------------------------------------------------------------------------------

    async def _order(self, reference: str, *, deadline: float) -> Answer:
        order = forms.checked_id(reference, "payment")
        answer = await self._client.read(lambda sdk: sdk.orders.get_order({"id": order}), deadline=deadline)
        if answer.read(lambda read: read["id"]) != order:
            raise ProviderUnknown("PayPal answered with another order", request_id=answer.request_id)
        return answer

    async def _before(self, reference: str, step: Step, budget: _Budget) -> tuple[Json, ProviderPayment]:
        """Read the order before a call that moves money. What fails here has sent nothing that does."""
        try:
            answer = await self._order(reference, deadline=min(budget.left, _READ))
            return answer.read(lambda order: order), self._payment(answer)
        except ProviderNotFound as error:
            raise _refusal(ProviderNotFound, error.message, step, error) from None
        except ProviderUnknown as error:
            raise unsent_from(error) from None

    async def _after(
        self, reference: str, done: Answer, budget: _Budget, *, made: str | None = None
    ) -> ProviderPayment:
        """Read what became of the order. The call before is done, so a failure here leaves it unknown."""
        try:
            answer = await self._order(reference, deadline=budget.left)
        except ProviderError as error:
            raise ProviderUnknown(
                f"done, and the order could not be read afterwards: {error.message}",
                request_id=done.request_id,
            ) from None
        if made is not None and not answer.read(lambda order: shows_capture(order, made)):
            raise ProviderUnknown("done, and the order does not show it yet", request_id=done.request_id)
        return self._payment(answer)

    def _payment(self, answer: Answer, *, since: Json | None = None) -> ProviderPayment:
        return answer.read(
            lambda order: payment_from(
                order if since is None else merged(since, order),
                livemode=self._live,
                request_id=answer.request_id,
            )
        )


class _Budget:
    """What is left of the seconds that one verb has for all of its calls."""

    def __init__(self, step: Step) -> None:
        self._ends = time.monotonic() + step.deadline

    @property
    def left(self) -> float:
        return max(self._ends - time.monotonic(), 0.05)


def _is_refused(capture: Json) -> bool:
    return capture["status"] in ("DECLINED", "FAILED")


def _refusal(
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
