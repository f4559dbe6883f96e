"""The whole contract that a payment provider signs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Self, final

from ..errors import InvalidRequest, UnsupportedOperation
from ..messages import Request
from ..models import (
    CaptureMethod,
    Clock,
    Money,
    NextAction,
    PaymentStatus,
    ProviderEvent,
    RefundStatus,
    Verb,
    utc_now,
)
from ..transport import Transport

__all__ = [
    "DECLINE_CODES",
    "UNRECOGNISED",
    "Absent",
    "CancelRequest",
    "CannotSay",
    "Capability",
    "CaptureRequest",
    "ConfirmRequest",
    "Decline",
    "Evidence",
    "Found",
    "IntentRequest",
    "KeyRules",
    "KnownPayment",
    "KnownRefund",
    "Lookup",
    "PaymentProvider",
    "ProviderMethod",
    "ProviderPayment",
    "ProviderRefund",
    "ProviderStatus",
    "RefundRequest",
    "Step",
    "UpdateRequest",
]


# --- how a provider may be asked ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRules:
    """What a provider's idempotency keys are worth.

    After `window_hours`, counted from the first send, a key protects nothing and the
    engine never repeats a call. A provider without keys declares ``max_length=0``.
    """

    max_length: int
    window_hours: float
    charset: str = r"[A-Za-z0-9_\-]"

    @property
    def has_keys(self) -> bool:
        return self.max_length > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of one verb: who sends it, under which key, and how long it may take.

    A verb that needs several calls asks for a key per call with :meth:`key_for`, so that
    each call has its own key and a repeat of the verb repeats every key.
    """

    key: str
    reference: str
    """The operation's 20 characters, for metadata and reference fields."""
    deadline: float = 25.0
    """Seconds in all for one call, connect included. Shorter than the sender's lease."""
    repeat: bool = False
    """Whether this call may have been sent before: a rejection is then not an answer (rule 9)."""
    api_version: str | None = None

    def key_for(self, name: str) -> str:
        """Return the key of the call *name* of this verb; the verb's main call uses `key` itself."""
        return f"{self.key}-{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRequest:
    """A payment to begin, and with `confirm` to make at once."""

    amount: Money
    payment_id: str
    reference: str
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    confirm: bool = False
    payment_method: str | None = field(default=None, repr=False)
    """The provider's reference of the method: a one-time token or a stored one the caller owns."""
    customer: str | None = None
    """The provider's reference of the customer."""
    setup_future_usage: str | None = None
    return_url: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The merchant's, plus our reserved keys (``bridge_payment_id``, ``bridge_reference``)."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Provider-only input, merged last into the body; Python callers only; money keys refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """What may change before money is held; None means unchanged."""

    payment: str
    """The provider's reference of the intent."""
    amount: Money | None = None
    total: Money | None = None
    """What the payment amounts to so far, for a provider that keeps no intent of its own."""
    description: str | None = None
    customer: str | None = None
    setup_future_usage: str | None = None
    metadata: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRequest:
    payment: str
    amount: Money
    payment_method: str | None = field(default=None, repr=False)
    return_url: str | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    """As the intent was created; for a provider that hears of it only now."""
    description: str | None = None
    after: str | None = None
    """The reference of the attempt that was refused last: this one is deliberately another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    payment: str
    amount: Money
    final: bool = True
    """Release what is left of the authorisation."""
    charge: str | None = None
    """The provider's reference of the authorisation, where it differs from the intent."""
    total: Money | None = None
    """What the payment amounts to: a part of it may be collected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    payment: str
    reason: str | None = None
    charge: str | None = None
    """The provider's reference of the authorisation, where it differs from the intent and there is one."""
    total: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    payment: str
    refund_id: str
    amount: Money
    """Mandatory: a refund without an amount refunds everything at most providers."""
    reference: str
    charge: str | None = None
    """The provider's reference of the captured charge, where it differs from the intent."""
    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)


# --- what a provider answers ----------------------------------------------------------------------


class _Unrecognised(StrEnum):
    UNRECOGNISED = "unrecognised"


UNRECOGNISED: Final = _Unrecognised.UNRECOGNISED
"""A status that this version does not know: never silently pending; read again and alert."""

ProviderStatus = PaymentStatus | _Unrecognised

DECLINE_CODES: Final = frozenset(
    {
        "authentication_failed",
        "authentication_required",
        "card_not_supported",
        "currency_not_supported",
        "declined",
        "expired_card",
        "fraudulent",
        "incorrect_address",
        "incorrect_cvc",
        "incorrect_number",
        "insufficient_funds",
        "invalid_account",
        "limit_exceeded",
        "lost_or_stolen",
        "processing_error",
        "try_again_later",
    }
)
"""Why a payer is refused, for every provider; ``declined`` is what says nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """Why an attempt was refused."""

    code: str
    """Normalised: one of `DECLINE_CODES`."""
    message: str
    """For the payer."""
    provider_code: str | None = None
    reference: str | None = None
    """The provider's reference of the attempt; two reads of one attempt carry the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMethod:
    """What the provider shows of a payment method. No number, no fingerprint."""

    reference: str
    type: str = "credit_card"
    brand: str | None = None
    last_four: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    wallet_type: str | None = None
    customer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    reference: str
    payment: str | None
    amount: Money
    status: RefundStatus
    our_reference: str | None = None
    refund_id: str | None = None
    """Our id, when the object carries it."""
    reason: str | None = None
    failure: str | None = None
    raw: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    """A payment as the provider sees it, in our words. Amounts are in the payment's currency.

    `authorized` is what is held now and not yet collected. `captured` is gross: what was ever
    collected. `refunded` counts every refund that the provider does not call failed, wherever it was
    made. `status` never is a refund status: the engine derives those from the amounts.
    """

    reference: str
    status: ProviderStatus
    amount: Money
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    charge: str | None = None
    """The captured charge, where the provider has one apart from the intent."""
    client_secret: str | None = field(default=None, repr=False)
    livemode: bool | None = None
    account: str | None = None
    our_reference: str | None = None
    """`IntentRequest.reference`, read back."""
    payment_id: str | None = None
    next_action: NextAction | None = None
    decline: Decline | None = None
    """The last attempt's refusal, also when the intent can still be paid."""
    review: bool = False
    method: ProviderMethod | None = None
    customer: str | None = None
    refunds: tuple[ProviderRefund, ...] | None = None
    """Every refund of this payment, when the read says them; None when it does not."""
    provider_status: str | None = None
    """The provider's own word."""
    request_id: str | None = None
    created_at: datetime | None = None
    raw: object = field(default=None, repr=False, compare=False)
    """The untouched answer: for debugging in Python, never logged, never on the wire."""


# --- what we know and a provider may not ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRefund:
    """One refund of a payment, as our books have it."""

    id: str
    amount: Money
    status: RefundStatus
    reference: str | None = None
    """The provider's; None while it has not answered, or for a refund that waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPayment:
    """A payment as our books have it: what a provider needs that keeps no intent of its own."""

    reference: str
    """The provider's reference of the intent."""
    total: Money
    status: PaymentStatus
    charge: str | None = None
    captured: int = 0
    refunds: tuple[KnownRefund, ...] = ()
    created_at: datetime | None = None
    hint: str | None = None
    """An object that a verified webhook named. It may be of another payment: believe only what is read."""


@dataclass(frozen=True, slots=True)
class Found:
    """It was executed, and this is what came of it."""

    payment: ProviderPayment | None = None
    refund: ProviderRefund | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """It was never executed. *proof* says what was read, for the operator and for the row."""

    proof: str
    at_once: bool = False
    """Nothing of it was ever to be sent, so that nothing can be under way: there is no margin to wait for."""


@dataclass(frozen=True, slots=True)
class CannotSay:
    """The provider cannot tell now; `unknown` stays unknown."""

    reason: str


Lookup = Found | Absent | CannotSay


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the engine knows about an operation that it lost sight of."""

    verb: Verb
    reference: str
    key: str
    payment_id: str
    payment: str | None
    """The provider's reference of the intent; None when the create itself was lost."""
    amount: Money | None = None
    refund_id: str | None = None
    started_at: datetime
    baseline: Mapping[str, Any] = field(default_factory=dict)
    """What we had recorded of the payment when the operation was reserved."""
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Exactly what was asked, as JSON values."""
    known: KnownPayment | None = None
    """The payment as it is recorded now; None when the create itself was lost."""


# --- the contract ---------------------------------------------------------------------------------


class Capability(StrEnum):
    """Facts about a provider that are not a method of its own."""

    MANUAL_CAPTURE = "manual_capture"
    MULTI_CAPTURE = "multi_capture"
    PARTIAL_REFUND = "partial_refund"
    CLIENT_SECRET = "client_secret"
    """Its intents have a client secret of their own, made for a browser."""


class PaymentProvider(ABC):
    """Moves money through one account of one payment service.

    Three methods are required: begin a payment, read it, verify a webhook. Everything else raises
    `UnsupportedOperation` until it is overridden, and overriding it is the only way to claim it.

    What every method must hold:

    1. It sends at most one request that moves money, with `step.key` (or `step.key_for`) as the
       provider's idempotency key, and never repeats it. Retries are the engine's.
    2. It raises `ProviderNeverSent` only if no byte left, `ProviderDeclined` or another
       `ProviderRejected` only for the provider's own definite no, and `ProviderUnknown` for all
       else: timeouts, dropped connections, 5xx, unreadable answers, 409 on a key in use. When
       `step.repeat` is set a rejection proves nothing either and is `ProviderUnknown` (rule 9).
    3. It is cancelled by the caller's deadline and treats that as unknown.
    4. Nothing secret is in what it raises, logs or shows in a repr.
    """

    kind: ClassVar[str]
    """The entry-point name: ``stripe``. The account's name (`provider_id`) belongs to the application."""
    keys: ClassVar[KeyRules]
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    api_version: str | None = None
    """The version of the provider's API that this account is spoken to in."""
    minimum_amounts: ClassVar[Mapping[str, int]] = {}
    """Minor units by currency, below which the provider refuses a charge; absent means 1."""

    absence_margin_seconds: ClassVar[float] = 30.0
    """How long after the last possible send `Absent` may be believed: the provider's own lag."""
    absence_looks: ClassVar[int] = 1
    """How many times after that margin the look-up must say `Absent`, a minute apart."""
    sandbox_only: ClassVar[bool] = False
    """Moves no real money and accepts anything: refused unless ``ALLOW_SANDBOX=true``."""

    clock: Clock = staticmethod(utc_now)
    """Replaced by whoever builds the provider, never by the provider."""

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, transport: Transport) -> Self:
        """Build from environment variables; *env* has the account's prefix already taken off.

        Raises: ConfigurationError naming every missing variable.
        """
        raise NotImplementedError(f"{cls.__name__} is built in Python, not from the environment")

    async def aclose(self) -> None:
        """Release what the provider opened. Called once, when the bridge closes."""
        return

    @property
    def livemode(self) -> bool | None:
        """Whether this account moves real money; None if its credentials do not tell."""
        return None

    @property
    def publishable(self) -> Mapping[str, str]:
        """What a browser needs to know of this account (a publishable key, a script's origin)."""
        return {}

    def check_amount(self, amount: Money) -> None:
        """Refuse an amount or currency that this account cannot charge, before anything is written.

        Raises: InvalidRequest (unsupported currency, below the minimum), AmountNotRepresentable.
        """
        if amount.minor_units < max(self.minimum_amounts.get(amount.currency, 1), 1):
            raise InvalidRequest(f"{amount} is below the minimum of {self.kind}", field="total_cents")

    @abstractmethod
    async def create_payment_intent(self, request: IntentRequest, *, step: Step) -> ProviderPayment:
        """Begin a payment; with `request.confirm` make it at once."""

    @abstractmethod
    async def sync_payment_status(self, reference: str) -> ProviderPayment:
        """Read the payment as it is now. Never changes anything; may be repeated at will.

        Raises: ProviderNotFound (the provider's definite word), ProviderUnknown, ProviderNeverSent.
        """

    async def sync_known_payment(self, known: KnownPayment) -> ProviderPayment:
        """Read the payment as it is now, knowing what our books say. The engine calls this one.

        Override it where the reference alone does not lead to the money: where the provider has no intent,
        or a refund does not show on its payment. Never changes anything; raises as `sync_payment_status`.
        """
        return await self.sync_payment_status(known.reference)

    async def owner_of(self, reference: str) -> str | None:
        """Return the payment's object to which the object *reference* belongs, which a webhook named.

        Asked when our books know neither it nor the call that made it: a refund from the dashboard, for
        instance. Reads only; None where it is nobody's, raises ProviderError where that cannot be said.
        """
        return None

    @abstractmethod
    async def read_webhook(self, request: Request) -> ProviderEvent:
        """Verify the raw bytes and read them. There is no default: an unverified event is never read.

        Raises: InvalidSignature (``missing=True`` when there is none), InvalidRequest (signed nonsense),
        Unavailable (the verifying service does not answer).
        """

    async def update_payment_intent(self, request: UpdateRequest, *, step: Step) -> ProviderPayment:
        """Change an intent on which no money is held."""
        raise self._unsupported(Verb.UPDATE)

    async def confirm_payment(self, request: ConfirmRequest, *, step: Step) -> ProviderPayment:
        """The payer agrees. A decline that leaves the intent payable raises `ProviderDeclined`."""
        raise self._unsupported(Verb.CONFIRM)

    async def capture_payment(self, request: CaptureRequest, *, step: Step) -> ProviderPayment:
        """Collect an authorisation, or part of it."""
        raise self._unsupported(Verb.CAPTURE)

    async def cancel_payment(self, request: CancelRequest, *, step: Step) -> ProviderPayment:
        """Give the payment up; releases an authorisation."""
        raise self._unsupported(Verb.CANCEL)

    async def refund_payment(self, request: RefundRequest, *, step: Step) -> ProviderRefund:
        """Give captured money back."""
        raise self._unsupported(Verb.REFUND)

    async def find_operation(self, evidence: Evidence) -> Lookup:
        """Say whether a lost operation was executed, by reading only.

        "Not found" is three-valued. `Absent` needs a proof: a read that would show the operation
        if it had happened, never a search index that lags. The default cannot say.
        """
        return CannotSay(f"{self.kind} declares no look-up for {evidence.verb}")

    @final
    @classmethod
    def supports(cls, what: Verb | Capability) -> bool:
        """Whether this provider implements a verb or declares a capability. Cannot disagree with the code."""
        if isinstance(what, Capability):
            return what in cls.capabilities
        return getattr(cls, what) is not getattr(PaymentProvider, what)

    @final
    def require(self, what: Verb | Capability, *, instead: str = "") -> None:
        """Raise `UnsupportedOperation` before anything is written or sent."""
        if not self.supports(what):
            raise UnsupportedOperation(provider=self.kind, capability=what, instead=instead)

    def _unsupported(self, verb: Verb) -> UnsupportedOperation:
        return UnsupportedOperation(provider=self.kind, capability=verb)
