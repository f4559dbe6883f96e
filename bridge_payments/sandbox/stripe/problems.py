"""How this gateway says no: Stripe's error bodies, and whether the no is remembered under its key."""

from __future__ import annotations

from typing import Any

__all__ = ["Problem", "declined", "invalid", "missing_object", "wrong_state"]


class Problem(Exception):
    """One error answer.

    `remembered` says whether an idempotency key would keep it. Stripe saves a result once the
    endpoint begins to execute, so a refusal of the input is not saved and a refusal of the deed is
    (2026-11, https://docs.stripe.com/api/idempotent_requests).
    """

    def __init__(self, status: int, kind: str, message: str, *, remembered: bool, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.remembered = remembered
        self.fields: dict[str, Any] = {"type": kind, "message": message}
        self.fields.update({name: value for name, value in fields.items() if value is not None})
        code = self.fields.get("code")
        if code:
            self.fields["doc_url"] = f"https://stripe.com/docs/error-codes/{str(code).replace('_', '-')}"

    def body(self) -> dict[str, Any]:
        return {"error": dict(sorted(self.fields.items()))}


def invalid(message: str, *, code: str | None = None, param: str | None = None, status: int = 400) -> Problem:
    """The input cannot be read: nothing begins, nothing is remembered."""
    return Problem(status, "invalid_request_error", message, code=code, param=param, remembered=False)


def missing_object(noun: str, identity: str, *, param: str) -> Problem:
    return invalid(f"No such {noun}: '{identity}'", code="resource_missing", param=param, status=404)


def wrong_state(message: str, *, code: str | None = None, param: str | None = None, **fields: Any) -> Problem:
    """The input is fine and the object does not allow it: executed, refused, remembered."""
    return Problem(400, "invalid_request_error", message, code=code, param=param, remembered=True, **fields)


def declined(message: str, *, code: str, decline_code: str | None = None, **fields: Any) -> Problem:
    """The issuer said no: 402, with what a client needs to try another card."""
    return Problem(
        402, "card_error", message, code=code, decline_code=decline_code, remembered=True, **fields
    )
