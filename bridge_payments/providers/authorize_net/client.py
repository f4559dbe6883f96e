"""One account on our transport: credentials in the body, one request per call, and no repeats."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from ...errors import ProviderError, ProviderNeverSent, ProviderUnknown
from ...transport import Transport, never_sent
from .answers import Json
from .encoders import Encoder
from .refusals import read_error_from

__all__ = ["PATH", "Budget", "Client", "is_ok"]

PATH: Final = "/xml/v1/request.api"
_MAX_BYTES: Final = 2**24
"""A page of a thousand transactions is half a megabyte."""


class Budget:
    """What a verb of several calls has left for the next one."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(self._ends - time.monotonic(), 1.0)


class Client:
    def __init__(
        self, *, login_id: str, transaction_key: str, api_base: str, transport: Transport, encoder: Encoder
    ) -> None:
        self._credentials = {"name": login_id, "transactionKey": transaction_key}
        self._url = api_base.rstrip("/") + PATH
        self._transport = transport
        self.encoder = encoder

    def __repr__(self) -> str:
        return "Client(…)"

    async def write(self, transaction: Mapping[str, Any], *, reference: str, deadline: float) -> Json:
        """Make the one call that moves money, and return the answer whatever it says.

        Raises: ProviderNeverSent, ProviderUnknown, InvalidRequest (nothing was sent).
        """
        payload = {"transactionRequest": transaction}
        return await self.ask("createTransactionRequest", payload, reference=reference, deadline=deadline)

    async def ask(
        self, operation: str, payload: Mapping[str, Any], *, reference: str, deadline: float
    ) -> Json:
        """Make one call that changes something, and return the answer whatever it says. Raises as `write`."""
        return await self._send(operation, {"refId": reference, **payload}, deadline)

    async def read(self, operation: str, payload: Mapping[str, Any], *, deadline: float) -> Json:
        """Make one call that moves nothing. Raises ProviderNotFound, ProviderUnknown, ProviderNeverSent."""
        answer = await self._send(operation, payload, deadline)
        if not is_ok(answer):
            raise read_error_from(answer)
        return answer

    async def _send(self, operation: str, payload: Mapping[str, Any], deadline: float) -> Json:
        content = self.encoder.encode(operation, {"merchantAuthentication": self._credentials, **payload})
        failure: ProviderError
        try:
            response = await self._transport.request(
                "POST",
                self._url,
                headers={"Content-Type": self.encoder.content_type},
                content=content,
                timeout=deadline,
                max_bytes=_MAX_BYTES,
            )
        except Exception as error:  # noqa: BLE001 - whatever went wrong, all that counts is whether a byte left
            kind = ProviderNeverSent if never_sent(error) else ProviderUnknown
            failure = kind(f"No answer from Authorize.net: {type(error).__name__}")
        else:
            return self._answer(operation, response.status_code, response.content)
        # Raised here, not in the except block: the transport's error holds the request and its credentials.
        raise failure

    def _answer(self, operation: str, status: int, content: bytes) -> Json:
        # The gateway refuses with 200 and a code; any other status is somebody in between, or a breakdown.
        if status != 200:
            raise ProviderUnknown("Authorize.net broke down", http_status=status)
        try:
            name, answer = self.encoder.decode(content)
        except (ValueError, RecursionError):
            name, answer = None, {}
        # A profile made of a charge is answered as one that was made of anything else.
        named = operation.replace("FromTransaction", "").replace("Request", "Response")
        expected = (named, "ErrorResponse", None)
        if name not in expected or _result(answer) not in ("Ok", "Error"):
            raise ProviderUnknown("Unreadable answer from Authorize.net", http_status=status)
        return answer


def is_ok(answer: Json) -> bool:
    """Whether the request was carried out, which says nothing yet about a transaction in it."""
    return _result(answer) == "Ok"


def _result(answer: Json) -> object:
    messages = answer.get("messages")
    return messages.get("resultCode") if isinstance(messages, Mapping) else None
