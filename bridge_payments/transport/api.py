"""A client for a provider's JSON API: every answer and every silence becomes the right provider error."""

from __future__ import annotations

import json as jsonlib
import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote, urlencode

from ..errors import ProviderError, ProviderNeverSent, ProviderNotFound, ProviderRejected, ProviderUnknown

if TYPE_CHECKING:
    import httpx

    from . import Transport

__all__ = ["ApiClient", "request_id_of"]

_log = logging.getLogger("bridge_payments.transport")

_SAYS_NOTHING: Final = frozenset({408, 409, 423, 425, 429})
"""A key in use, a lock, a limit: the first send of this request may be the one that holds it."""

_REQUEST_IDS: Final = ("request-id", "x-request-id")
_ENDINGS: Final = ("-debug-id", "-request-id", "-correlation-id")


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return what a service calls the request that it answers, in a header of its own if need be."""
    named = (*_REQUEST_IDS, *(name for name in headers if name.lower().endswith(_ENDINGS)))
    return next((headers[name] for name in named if name in headers), None)


class ApiClient:
    """Asks one API. Made by `Transport.client`.

    A path may hold ``{}`` for arguments, which are percent-encoded and must not be empty: an empty
    id asks for the list instead of the object.

    Raises: ProviderNeverSent (no byte left), ProviderNotFound (404), ProviderRejected (another 4xx),
    ProviderUnknown (timeouts, broken connections, redirects, 408, 409, 423, 425, 429, 5xx, and answers
    that are not JSON).
    """

    def __init__(
        self,
        transport: Transport,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        key_header: str = "Idempotency-Key",
        refusal: Callable[[int, Any], ProviderError | None] | None = None,
    ) -> None:
        self._transport = transport
        self._base = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._key_header = key_header
        self._refusal = refusal

    async def get(
        self, path: str, /, *args: str, query: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        """Read. *options* as for :meth:`request`."""
        return await self.request("GET", path, *args, query=query, **options)

    async def post(self, path: str, /, *args: str, **options: Any) -> Any:
        """Instruct. *options* as for :meth:`request`; pass ``key=step.key``."""
        return await self.request("POST", path, *args, **options)

    async def put(self, path: str, /, *args: str, **options: Any) -> Any:
        """Replace. *options* as for :meth:`request`."""
        return await self.request("PUT", path, *args, **options)

    async def patch(self, path: str, /, *args: str, **options: Any) -> Any:
        """Change. *options* as for :meth:`request`."""
        return await self.request("PATCH", path, *args, **options)

    async def delete(self, path: str, /, *args: str, **options: Any) -> Any:
        """Delete. *options* as for :meth:`request`."""
        return await self.request("DELETE", path, *args, **options)

    async def request(
        self,
        method: str,
        path: str,
        /,
        *args: str,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline of the exchange, as in httpx
    ) -> Any:
        """Send once and return the parsed JSON, or None for an answer without a body (204).

        A number with a decimal point comes back as a Decimal, because it may be an amount.
        """
        import httpx  # 200 ms that only those pay who send

        url = self._base + _filled(path, args) + (f"?{urlencode(query)}" if query else "")
        sent = {**self._headers, **(headers or {})}
        content: bytes | None = None
        if json is not None:
            content, sent["Content-Type"] = jsonlib.dumps(json).encode(), "application/json"
        elif form is not None:
            content, sent["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        if key is not None:
            sent[self._key_header] = key
        try:
            response = await self._transport.request(
                method, url, headers=sent, content=content, timeout=timeout
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = self._failure(error)
        else:
            _log.debug("%s %s answered %s", method, self._base + path, response.status_code)
            return self._read(response)
        raise failure from None

    def _failure(self, error: Exception) -> ProviderError:
        from . import never_sent  # the package's root imports this module

        kind = ProviderNeverSent if never_sent(error) else ProviderUnknown
        return kind(f"{type(error).__name__}: {error}")

    def _read(self, response: httpx.Response) -> Any:
        status = response.status_code
        request_id = request_id_of(response.headers)
        if status == 204 or (status in (202, 205) and not response.content):
            return None
        try:
            body = jsonlib.loads(response.content, parse_float=Decimal, parse_constant=_not_a_number)
            readable = True
        except (ValueError, RecursionError):  # bytes that are no text; ten thousand brackets
            body, readable = None, False
        if 200 <= status < 300:
            if not readable:
                raise ProviderUnknown("the answer is not JSON", http_status=status, request_id=request_id)
            return body
        raise self._refused(status, body, request_id)

    def _refused(self, status: int, body: Any, request_id: str | None) -> ProviderError:
        if self._refusal is not None and (said := self._refusal(status, body)) is not None:
            return said
        code = _code_of(body)
        text = f"HTTP {status}" + (f" ({code})" if code else "")
        if not 400 <= status < 500 or status in _SAYS_NOTHING:
            return ProviderUnknown(text, provider_code=code, http_status=status, request_id=request_id)
        kind = ProviderNotFound if status == 404 else ProviderRejected
        return kind(text, provider_code=code, http_status=status, request_id=request_id)


def _filled(path: str, args: tuple[str, ...]) -> str:
    if path.count("{}") != len(args):
        raise TypeError(f"the path {path!r} takes {path.count('{}')} arguments, not {len(args)}")
    for arg in args:
        if not arg or arg.isspace() or arg in (".", ".."):
            raise ProviderNeverSent(f"an id is missing in {path}", provider_code="invalid_id")
    return path.format(*(quote(arg, safe="") for arg in args)) if args else path


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _code_of(body: Any) -> str | None:
    """Return the provider's error code, wherever it puts it; never a sentence, which may quote the payer."""
    found = body
    for _ in range(2):
        if not isinstance(found, Mapping):
            return None
        for name in ("code", "name", "type", "error"):
            value = found.get(name)
            if isinstance(value, int | str) and not isinstance(value, bool) and " " not in str(value):
                return str(value)[:100]
        errors = found.get("errors")
        found = found.get("error") or (errors[0] if isinstance(errors, list) and errors else None)
    return None
