"""Acme, as the engine asks it: every method awaits one answer and maps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from bridge_payments import (
    ConfigurationError,
    InvalidRequest,
    Money,
    PaymentProvider,
    ProviderEvent,
    ProviderRejected,
    ProviderUnknown,
    Request,
)
from bridge_payments.models import Verb
from bridge_payments.providers.base import (
    Absent,
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    Found,
    IntentRequest,
    KeyRules,
    Lookup,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    Step,
)
from bridge_payments.transport import Transport

from . import inbox, mapping


class AcmeProvider(PaymentProvider):
    """One account at Acme. What is not overridden here, Acme cannot do, and everybody is told so."""

    kind: ClassVar[str] = "acme"
    keys: ClassVar[KeyRules] = KeyRules(max_length=64, window_hours=24)
    signature_headers: ClassVar[tuple[str, ...]] = (inbox.HEADER,)
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.MANUAL_CAPTURE, Capability.PARTIAL_REFUND}
    )

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secret: str,
        transport: Transport,
        api_base: str = "https://api.acme.example/v1",
    ) -> None:
        self._api = transport.client(api_base, bearer=api_key, refusal=mapping.error_from)
        self._secret = webhook_secret
        self._live = api_key.startswith("live_")

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, transport: Transport) -> Self:
        if missing := {"ACME_API_KEY", "ACME_WEBHOOK_SECRET"} - env.keys():
            raise ConfigurationError(missing=missing)
        return cls(
            api_key=env["ACME_API_KEY"], webhook_secret=env["ACME_WEBHOOK_SECRET"], transport=transport
        )

    @property
    def livemode(self) -> bool | None:
        return self._live

    def check_amount(self, amount: Money) -> None:
        if amount.currency not in mapping.CURRENCIES:
            raise InvalidRequest(f"Acme does not charge {amount.currency}", field="currency")
        super().check_amount(amount)

    # --- the verbs ----------------------------------------------------------------------------------

    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        body = mapping.body_for_intent(request)
        return mapping.payment_from(await self._post("/charges", json=body, step=step))

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        body = {"method": request.payment_method}
        answer = await self._post("/charges/{}/pay", request.payment, json=body, step=step)
        return mapping.payment_from(answer)

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        body = {"amount": str(request.amount.to_decimal())}
        answer = await self._post("/charges/{}/capture", request.payment, json=body, step=step)
        return mapping.payment_from(answer)

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        answer = await self._post("/charges/{}/void", request.payment, json={}, step=step)
        return mapping.payment_from(answer)

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        answer = await self._post("/refunds", json=mapping.body_for_refund(request), step=step)
        return mapping.refund_from(answer["refund"], answer["charge"])

    # --- reading ------------------------------------------------------------------------------------

    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        return mapping.payment_from(await self._api.get("/charges/{}", reference))

    async def read_webhook(self, request: Request) -> ProviderEvent:
        return inbox.event_from(request, secret=self._secret, now=self.clock())

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """Acme's reads show a charge as soon as it exists, so what they do not show never happened."""
        if evidence.payment is None:
            found = await self._api.get("/charges", query={"ref": evidence.reference})
            if not found["charges"]:
                return Absent(f"no charge carries the reference {evidence.reference}")
            return Found(mapping.payment_from(found["charges"][0]))
        return judged(evidence, await self.sync_payment_status(evidence.payment))

    async def _post(self, path: str, /, *args: str, json: Mapping[str, Any], step: Step) -> Any:
        try:
            return await self._api.post(path, *args, json=json, key=step.key, timeout=step.deadline)
        except ProviderRejected as refused:
            if not step.repeat:
                raise
            said = refused.provider_code
        # The first send of this instruction may be what made the charge (money rule 9).
        raise ProviderUnknown("Acme refused a repeat, which proves nothing", provider_code=said)


def judged(evidence: Evidence, payment: ProviderPayment) -> Lookup:
    """Say from one read of the charge whether an operation on it was executed. Pure."""
    state = payment.provider_status
    match evidence.verb:
        case Verb.REFUND:
            mine = [each for each in payment.refunds or () if each.refund_id == evidence.refund_id]
            return Found(payment, mine[0]) if mine else Absent("the charge shows no refund with our id")
        case Verb.CONFIRM:
            attempt = payment.decline.reference if payment.decline else None
            happened = state != "new" or attempt not in (None, evidence.baseline["decline_reference"])
        case Verb.CAPTURE:
            happened = payment.captured > 0
        case Verb.CANCEL:
            happened = state == "void"
        case _:
            return CannotSay(f"Acme has no {evidence.verb}")
    return Found(payment) if happened else Absent(f"the charge is {state}")
