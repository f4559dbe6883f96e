"""
Everything this library raises on purpose, grouped by what the caller may do next.

* BridgeError
  · your request is wrong: change it, then try again
    x InvalidRequest                 a field is missing, malformed or out of range
      x AmountNotRepresentable       the amount has no exact form in that currency
      x IllegalState                 the payment is in a state that forbids this
      x UnsupportedOperation         the provider cannot do this; nothing was sent
    x IdempotencyMismatch            the key was used before with another body
    x PayloadTooLarge                the body is over the limit
  · you may not: sign in, or ask somebody who may
    x NotAuthenticated               no valid credential came with the request
    x AccessDenied                   a valid credential that is not enough
      x NotYours                     the thing is there, and it is somebody else's
    x NotFound                       nothing with that identity is visible to you
    x InvalidSignature               a webhook that its provider did not sign
  · not now: the world is in the way, try again later
    x Conflict                       somebody else is changing the same thing
      x OperationInProgress          an operation on this payment is open; names it
      x Contradicted                 an operator says one thing and the provider another
      x DuplicateReference           the unique reference is taken; names its payment
      x ConcurrentUpdate             the row changed underneath; the engine reads again
    x RateLimited                    slow down; says for how long
    x Unavailable                    a service that we need does not answer
  · the payer was refused: ask for another way to pay
    x PaymentDeclined                with the normalised and the provider's decline code
  · the provider, as an adapter reports it to the engine
    x ProviderError
      x ProviderRejected             a definite no: the money did not move
        x ProviderDeclined           … because the issuer or the risk engine refused
        x ProviderStateConflict      … because the object is in another state: read it again
        x ProviderNotFound           … because there is no such object
      x ProviderNeverSent            no byte of the request left: safe to repeat
      x ProviderUnknown              it may have happened: look it up, never guess
  · the installation is wrong: an operator has to act
    x ConfigurationError             names every wrong variable and no value
      x MissingExtra                 names the package to install
    x StoreError                     the database refused or is of another version
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

__all__ = [
    "AccessDenied",
    "AmountNotRepresentable",
    "BridgeError",
    "ConcurrentUpdate",
    "ConfigurationError",
    "Conflict",
    "Contradicted",
    "DuplicateReference",
    "IdempotencyMismatch",
    "IllegalState",
    "InvalidRequest",
    "InvalidSignature",
    "MissingExtra",
    "NotAuthenticated",
    "NotFound",
    "NotYours",
    "OperationInProgress",
    "PayloadTooLarge",
    "PaymentDeclined",
    "ProviderDeclined",
    "ProviderError",
    "ProviderNeverSent",
    "ProviderNotFound",
    "ProviderRejected",
    "ProviderStateConflict",
    "ProviderUnknown",
    "RateLimited",
    "StoreError",
    "Unavailable",
    "UnsupportedOperation",
]


class BridgeError(Exception):
    """Base of everything this library raises on purpose. Its text is safe to show and to log."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str = "", *, details: object = None) -> None:
        self.message: str = message or (self.__doc__ or "").strip().splitlines()[0]
        self.details = details
        super().__init__(self.message)


# --- your request is wrong ------------------------------------------------------------------------


class InvalidRequest(BridgeError):
    """A field is missing, malformed or out of range."""

    code = "invalid_request"

    def __init__(self, message: str = "", *, field: str | None = None, details: object = None) -> None:
        self.field = field
        super().__init__(message, details=details)


class AmountNotRepresentable(InvalidRequest):
    """The amount has no exact form in that currency; amounts are refused, never rounded."""

    code = "amount_not_representable"


class IllegalState(InvalidRequest):
    """The payment is in a state that forbids this."""

    code = "illegal_state"


class UnsupportedOperation(InvalidRequest):
    """The provider cannot do this; nothing was sent."""

    code = "unsupported_operation"

    def __init__(self, *, provider: str, capability: str, instead: str = "") -> None:
        self.provider: str = provider
        self.capability: str = capability
        self.instead: str = instead
        hint = f"; {instead}" if instead else ""
        super().__init__(f"{provider} does not support {capability}{hint}")


class IdempotencyMismatch(BridgeError):
    """This Idempotency-Key was used before with another request; use a new key for a new instruction."""

    code = "idempotency_mismatch"


class PayloadTooLarge(BridgeError):
    """The request body is over the limit."""

    code = "payload_too_large"


# --- you may not ----------------------------------------------------------------------------------


class NotAuthenticated(BridgeError):
    """No valid credential came with the request."""

    code = "not_authenticated"


class AccessDenied(BridgeError):
    """The credential is valid but not enough for this."""

    code = "access_denied"


class NotYours(AccessDenied):
    """The thing is there, and it is somebody else's; over HTTP most routes do not say so much."""

    code = "not_yours"

    def __init__(self, message: str = "", *, absent: str = "") -> None:
        self.absent = absent
        """What is said where even its existence is nobody's business: word for word what `NotFound` says."""
        super().__init__(message)


class NotFound(BridgeError):
    """Nothing with that identity is visible to you."""

    code = "not_found"


class InvalidSignature(BridgeError):
    """The webhook does not carry a valid signature of that provider account."""

    code = "invalid_signature"

    def __init__(self, message: str = "", *, missing: bool = False) -> None:
        self.missing = missing
        super().__init__(message)


# --- not now --------------------------------------------------------------------------------------


class Conflict(BridgeError):
    """Somebody else is changing the same thing; read it again and decide."""

    code = "conflict"


class OperationInProgress(Conflict):
    """An operation on this payment is still open; wait for it to be resolved."""

    code = "operation_in_progress"

    def __init__(self, message: str = "", *, operation_id: str) -> None:
        self.operation_id = operation_id
        super().__init__(message, details={"operation_id": operation_id})


class Contradicted(Conflict):
    """The provider does not say what the operator says; the provider is believed."""

    code = "contradicted"


class DuplicateReference(Conflict):
    """An open or paid payment already carries this unique reference."""

    code = "duplicate_reference"

    def __init__(self, message: str = "", *, payment_id: str) -> None:
        self.payment_id = payment_id
        super().__init__(message, details={"payment_id": payment_id})


class ConcurrentUpdate(Conflict):
    """The row changed since it was read; nothing was written."""

    code = "concurrent_update"


class RateLimited(BridgeError):
    """Too many requests; wait before the next one."""

    code = "rate_limited"

    def __init__(self, message: str = "", *, retry_after: int = 60) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Unavailable(BridgeError):
    """A service that is needed for this does not answer; nothing was decided, try again later."""

    code = "unavailable"

    def __init__(self, message: str = "", *, retry_after: int = 5) -> None:
        self.retry_after = retry_after
        super().__init__(message)


# --- the payer was refused ------------------------------------------------------------------------


class PaymentDeclined(BridgeError):
    """The payment method was declined; the payer may try another one."""

    code = "payment_declined"

    def __init__(
        self,
        message: str = "",
        *,
        decline_code: str = "declined",
        provider_code: str | None = None,
        payment_id: str | None = None,
        provider_intent_id: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
    ) -> None:
        self.decline_code = decline_code
        self.provider_code = provider_code
        self.request_id = request_id
        """The provider's id of the exchange, for their support."""
        self.http_status = http_status
        """What the provider answered with; None where it told the decline in an answer that was no error."""
        self.payment_id = payment_id
        self.provider_intent_id = provider_intent_id
        super().__init__(
            message,
            details={
                "decline_code": decline_code,
                "provider_error": provider_code,
                "payment_id": payment_id,
                "payment_intent_id": provider_intent_id,
            },
        )


# --- the provider, as an adapter reports it to the engine -----------------------------------------


class ProviderError(BridgeError):
    """A provider did not do what it was asked.

    Carries what support needs and nothing secret: the provider's own code, the
    decline code, its request id and the HTTP status. Adapters raise it ``from
    None``, because vendor exceptions hold bodies and credentials.
    """

    code = "provider_error"

    def __init__(
        self,
        message: str = "",
        *,
        provider_code: str | None = None,
        decline_code: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
    ) -> None:
        self.provider_code = provider_code
        self.decline_code = decline_code
        self.request_id = request_id
        self.http_status = http_status
        super().__init__(message)


class ProviderRejected(ProviderError):
    """The provider refused: a definite no, and no money moved."""

    code = "provider_rejected"


class ProviderDeclined(ProviderRejected):
    """The issuer or the risk engine refused the payment method."""

    code = "provider_declined"

    def __init__(
        self,
        message: str = "",
        *,
        decline_code: str = "declined",
        payment: str | None = None,
        attempt: str | None = None,
        provider_code: str | None = None,
        request_id: str | None = None,
        http_status: int | None = None,
    ) -> None:
        self.payment = payment
        """The provider's reference of the intent, which can still be paid another way."""
        self.attempt = attempt
        """The provider's reference of the refused attempt: the same that a later read shows."""
        super().__init__(
            message,
            provider_code=provider_code,
            decline_code=decline_code,
            request_id=request_id,
            http_status=http_status,
        )


class ProviderStateConflict(ProviderRejected):
    """The object is in another state than we thought: somebody else was faster. Read it again."""

    code = "provider_state_conflict"


class ProviderNotFound(ProviderRejected):
    """The provider has no such object."""

    code = "provider_not_found"


class ProviderNeverSent(ProviderError):
    """No byte of the request left this process: it may be repeated safely."""

    code = "provider_never_sent"


class ProviderUnknown(ProviderError):
    """The request may have been executed: look it up, never guess and never send another."""

    code = "provider_unknown"


# --- the installation is wrong --------------------------------------------------------------------


class ConfigurationError(BridgeError):
    """The configuration is incomplete or wrong. Names variables, never their values."""

    code = "configuration_error"

    def __init__(
        self,
        message: str = "",
        *,
        missing: Iterable[str] = (),
        invalid: Mapping[str, str] | None = None,
    ) -> None:
        self.missing: Sequence[str] = sorted(missing)
        self.invalid: Mapping[str, str] = dict(invalid or {})
        parts = [message] if message else []
        if self.missing:
            parts.append("missing: " + ", ".join(self.missing))
        parts.extend(f"{name}: {why}" for name, why in sorted(self.invalid.items()))
        super().__init__("; ".join(parts))


class MissingExtra(ConfigurationError):
    """An optional package is not installed."""

    code = "missing_extra"

    def __init__(self, extra: str, *, needed_for: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_for} needs an optional package: pip install 'bridge-payments[{extra}]'")


class StoreError(BridgeError):
    """The database refused the work, or its schema is of another version."""

    code = "store_error"
