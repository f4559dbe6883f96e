"""The whole contract that a payment provider signs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self, TypeVar, cast, final

from ..errors import InvalidRequest, UnsupportedOperation
from ..messages import Request
from ..models import Clock, Money, ProviderEvent, Verb, utc_now
from ..telemetry import quiet_vendor_loggers
from ..transport import Transport
from .contract.customers import CustomerDeletion, CustomerRequest, CustomerUpdate, ProviderCustomer
from .contract.declines import DECLINE_CODES, UNRECOGNISED, Decline
from .contract.payment_methods import (
    BillingDetails,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    PaymentMethodUpdate,
    ProviderMethod,
)
from .contract.payments import (
    CancelRequest,
    CaptureRequest,
    ConfirmRequest,
    IntentRequest,
    KnownPayment,
    ProviderPayment,
    ProviderStatus,
    UpdateRequest,
)
from .contract.refunds import KnownRefund, ProviderDispute, ProviderRefund, RefundRequest
from .contract.subscriptions import (
    ProviderSubscription,
    SubscriptionCancellation,
    SubscriptionPause,
    SubscriptionRequest,
    SubscriptionResumption,
    SubscriptionUpdate,
)

__all__ = [
    "DECLINE_CODES",
    "UNRECOGNISED",
    "Absent",
    "BillingDetails",
    "CancelRequest",
    "CannotSay",
    "Capability",
    "CaptureRequest",
    "ConfirmRequest",
    "CustomerDeletion",
    "CustomerRequest",
    "CustomerUpdate",
    "Decline",
    "Evidence",
    "Found",
    "IntentRequest",
    "KeyRules",
    "KnownPayment",
    "KnownRefund",
    "Lookup",
    "PaymentMethodConfirmation",
    "PaymentMethodDeletion",
    "PaymentMethodRequest",
    "PaymentMethodUpdate",
    "PaymentProvider",
    "ProviderCustomer",
    "ProviderDispute",
    "ProviderMethod",
    "ProviderPayment",
    "ProviderRefund",
    "ProviderStatus",
    "ProviderSubscription",
    "RefundRequest",
    "Step",
    "SubscriptionCancellation",
    "SubscriptionPause",
    "SubscriptionRequest",
    "SubscriptionResumption",
    "SubscriptionUpdate",
    "UpdateRequest",
]

T = TypeVar("T")


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
        """Whether the provider knows idempotency keys at all."""
        return self.max_length > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of one verb: who sends it, under which key, and how long it may take.

    A verb that needs several calls makes each but the last through :meth:`once`, so that each call has
    its own key, its result is stored before the next call begins, and a repeat of the verb goes on where
    the first one stopped.
    """

    key: str
    reference: str
    """The operation's 20 characters, for metadata and reference fields."""
    deadline: float = 25.0
    """Seconds in all for one call, connect included. Shorter than the sender's lease."""
    repeat: bool = False
    """Whether this call may have been sent before: a rejection is then not an answer (rule 9)."""
    api_version: str | None = None
    results: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What earlier calls of this verb came to, by their name: stored with the operation."""
    keep: Callable[[str, Any], Awaitable[None]] | None = field(default=None, repr=False, compare=False)
    """Stores the result of one call; the engine's. It raises if the lease is somebody else's by now."""

    async def once(self, name: str, call: Callable[[str], Awaitable[T]]) -> T:
        """Return the stored result of the call *name*, or make it under its own key and store what came.

        *call* receives that key and returns JSON values only. Killed between the call and the storing, it is
        made again with the same key: where the provider has no keys, *call* has to look first.
        """
        if name in self.results:
            return cast("T", self.results[name])
        result = await call(self.key_for(name))
        if self.keep is not None:
            await self.keep(name, result)
        return result

    def key_for(self, name: str) -> str:
        """Return the key of the call *name* of this verb; the verb's main call uses `key` itself."""
        return f"{self.key}-{name}"


@dataclass(frozen=True, slots=True)
class Found:
    """It was executed, and this is what came of it."""

    payment: ProviderPayment | None = None
    refund: ProviderRefund | None = None
    customer: ProviderCustomer | None = None
    method: ProviderMethod | None = None
    subscription: ProviderSubscription | None = None


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
    payment_id: str = ""
    """Ours; empty for an operation on something else than a payment."""
    payment: str | None = None
    """The provider's reference of the intent; None when the create itself was lost."""
    subject_id: str = ""
    """Our id of whatever the operation is about: a payment, a customer, a payment method, a subscription."""
    subject: str | None = None
    """The provider's reference of it; None when its create was lost."""
    results: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the calls of this verb came to that were finished: see `Step.once`."""
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
    late_hours: ClassVar[float] = 0.0
    """For how long a charge that was believed absent may still come to light, where nobody says how far lists
    lag: the sweep looks for it meanwhile."""
    signature_headers: ClassVar[tuple[str, ...]] = ()
    """Headers that prove a webhook, or what their names begin with, in lower case: kept with what arrived."""
    loggers: ClassVar[tuple[str, ...]] = ()
    """Loggers of the vendor's SDK. They write bodies below WARNING, and so they are kept there."""
    sandbox_only: ClassVar[bool] = False
    """Moves no real money and accepts anything: refused unless ``ALLOW_SANDBOX=true``."""

    clock: Clock = staticmethod(utc_now)
    """Replaced by whoever builds the provider, never by the provider."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        quiet_vendor_loggers(*cls.loggers)

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

    async def collected_for(self, reference: str) -> str | None:
        """Return the subscription for which the payment *reference*, which a webhook named, was collected.

        Asked when our books know no such payment, of a provider that tells a renewal as it tells any other
        payment: the subscription is read then. Reads only; None where it was collected for none, raises
        ProviderError where that cannot be said.
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

    async def create_customer(self, request: CustomerRequest, *, step: Step) -> ProviderCustomer:
        """Make the payer known to the provider."""
        raise self._unsupported(Verb.CREATE_CUSTOMER)

    async def update_customer(self, request: CustomerUpdate, *, step: Step) -> ProviderCustomer:
        """Change what the provider knows of a payer."""
        raise self._unsupported(Verb.UPDATE_CUSTOMER)

    async def delete_customer(self, request: CustomerDeletion, *, step: Step) -> ProviderCustomer:
        """Make the provider forget a payer. One that it does not know any more is a success."""
        raise self._unsupported(Verb.DELETE_CUSTOMER)

    async def sync_customer(self, reference: str) -> ProviderCustomer:
        """Read a customer as it is now. Raises as `sync_payment_status`."""
        raise UnsupportedOperation(provider=self.kind, capability="sync_customer")

    async def create_payment_method(self, request: PaymentMethodRequest, *, step: Step) -> ProviderMethod:
        """Keep a method for later: attach a one-time token, or begin a set-up that the payer agrees to.

        Raises `ProviderDeclined` where the method is refused.
        """
        raise self._unsupported(Verb.CREATE_METHOD)

    async def confirm_payment_method(
        self, request: PaymentMethodConfirmation, *, step: Step
    ) -> ProviderMethod:
        """Finish a set-up that the payer agreed to; a set-up that already is finished is a success."""
        raise self._unsupported(Verb.CONFIRM_METHOD)

    async def update_payment_method(self, request: PaymentMethodUpdate, *, step: Step) -> ProviderMethod:
        """Change the billing details of a stored method."""
        raise self._unsupported(Verb.UPDATE_METHOD)

    async def delete_payment_method(self, request: PaymentMethodDeletion, *, step: Step) -> ProviderMethod:
        """Detach a stored method; answers with status ``deleted``, also when it was gone before."""
        raise self._unsupported(Verb.DELETE_METHOD)

    async def sync_payment_method(self, reference: str) -> ProviderMethod:
        """Read a stored method, or a set-up, as it is now. Raises as `sync_payment_status`."""
        raise UnsupportedOperation(provider=self.kind, capability="sync_payment_method")

    async def owns_payment_method(self, token: str) -> bool:
        """Whether *token* is a one-time token, or a method attached to nobody, that a payer may bring.

        Asked before a reference without a row of ours is used (rule 22). The default trusts no reference.
        """
        return False

    async def create_subscription(self, request: SubscriptionRequest, *, step: Step) -> ProviderSubscription:
        """Begin recurring billing that the provider runs."""
        raise self._unsupported(Verb.CREATE_SUBSCRIPTION)

    async def update_subscription(self, request: SubscriptionUpdate, *, step: Step) -> ProviderSubscription:
        """Change price, method or description from the next period on."""
        raise self._unsupported(Verb.UPDATE_SUBSCRIPTION)

    async def cancel_subscription(
        self, request: SubscriptionCancellation, *, step: Step
    ) -> ProviderSubscription:
        """End it, at the period's end or at once."""
        raise self._unsupported(Verb.CANCEL_SUBSCRIPTION)

    async def pause_subscription(self, request: SubscriptionPause, *, step: Step) -> ProviderSubscription:
        """Collect nothing until it is resumed."""
        raise self._unsupported(Verb.PAUSE_SUBSCRIPTION)

    async def resume_subscription(
        self, request: SubscriptionResumption, *, step: Step
    ) -> ProviderSubscription:
        """Go on collecting."""
        raise self._unsupported(Verb.RESUME_SUBSCRIPTION)

    async def sync_subscription(self, reference: str) -> ProviderSubscription:
        """Read a subscription and what it has collected. Raises as `sync_payment_status`."""
        raise UnsupportedOperation(provider=self.kind, capability="sync_subscription")

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
