"""How this gateway says no: PayPal's error bodies (2026-11, https://developer.paypal.com/api/rest/responses/)."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Problem", "invalid", "missing_object", "refused", "token_refused"]

_MESSAGES: Final = {
    "AUTHENTICATION_FAILURE": "Authentication failed due to missing authorization header, or invalid "
    "authentication credentials.",
    "INVALID_REQUEST": "Request is not well-formed, syntactically incorrect, or violates schema.",
    "UNPROCESSABLE_ENTITY": "The requested action could not be performed, semantically incorrect, or failed "
    "business validation.",
    "RESOURCE_NOT_FOUND": "The specified resource does not exist.",
    "RESOURCE_CONFLICT": "The server has detected a conflict while processing this request.",
    "RATE_LIMIT_REACHED": "Too many requests. Blocked due to rate limiting.",
    "INTERNAL_SERVER_ERROR": "An internal server error has occurred.",
}


class Problem(Exception):
    """One error answer. *remembered* says whether its request id would bring it again."""

    def __init__(
        self,
        status: int,
        name: str,
        issue: str | None = None,
        description: str = "",
        *,
        remembered: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(issue or name)
        self.status: int = status
        self.name: str = name
        self.issue: str | None = issue
        self.remembered: bool = remembered
        self._description, self._more = description, more

    def body(self, debug_id: str) -> dict[str, Any]:
        said: dict[str, Any] = {
            "name": self.name,
            "message": _MESSAGES[self.name],
            "debug_id": debug_id,
            **self._more,
        }
        if self.issue:
            said["details"] = [{"issue": self.issue, "description": self._description or self.issue}]
        return said


def invalid(issue: str, description: str) -> Problem:
    """The input cannot be read."""
    return Problem(400, "INVALID_REQUEST", issue, description)


def refused(issue: str, description: str = "", **more: Any) -> Problem:
    """The input is fine and the object, the instrument or the account does not allow it."""
    return Problem(422, "UNPROCESSABLE_ENTITY", issue, description, remembered=True, **more)


def missing_object() -> Problem:
    return Problem(
        404,
        "RESOURCE_NOT_FOUND",
        "INVALID_RESOURCE_ID",
        "Specified resource ID does not exist. Please check the resource ID and try again.",
    )


def token_refused(error: str, description: str) -> dict[str, str]:
    return {"error": error, "error_description": description}
