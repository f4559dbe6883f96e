"""The only way out: HTTP with a deadline, errors that say whether a byte left, and no repeats."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

from ..errors import ConfigurationError, ProviderError, ProviderNeverSent
from ..telemetry import note, quiet_vendor_loggers
from .api import ApiClient, request_id_of
from .lease import sending_before

if TYPE_CHECKING:
    import ssl

    import httpx

    from ..settings import Settings
    from .wire import AddressRefused, RequestRefused

__all__ = ["AddressRefused", "ApiClient", "RequestRefused", "Transport", "never_sent", "sending_before"]

USER_AGENT: Final = "Bridge-Payments/1.0"
MAX_BYTES: Final = 2**22
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_\-.:]{1,100}")

_forgotten: list[httpx.AsyncClient] = []
"""Clients of a parent process. They are kept, because collecting one would take its sockets out of the
epoll set that both processes share, and the parent would never hear of its answers."""


class Transport:
    """Sends requests, each at most once, each within one deadline, and reads the whole answer.

    There is one connection pool per event loop, made on first use, because connections belong to the
    loop that opened them. Nothing is read from the environment: no proxies, no netrc, no cookies; no
    redirect is followed.

    With `public_only` a request goes out only to a host whose every address is public, and to the very
    address that was checked; `allow_hosts` names exceptions, for development.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 3.0,
        total_timeout: float = 25.0,
        proxy: str | None = None,
        public_only: bool = False,
        allow_hosts: Collection[str] = (),
        user_agent: str = USER_AGENT,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 100,
    ) -> None:
        if proxy and public_only:
            raise ConfigurationError(
                "public_only cannot be kept through a proxy: let the proxy refuse private addresses instead"
            )
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._proxy = proxy
        self._public_only = public_only
        self._allow_hosts = allow_hosts
        self._user_agent = user_agent
        self._tls = tls
        self._max_connections = max_connections
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    @classmethod
    def from_settings(cls, settings: Settings, *, public_only: bool = False) -> Self:
        """Build what an installation configured: the way to providers, or with *public_only* to webhooks.

        Raises: ConfigurationError when the file of roots cannot be read.
        """
        tls = _tls(settings.ca_file)
        if public_only:
            return cls(public_only=True, allow_hosts=settings.webhook_allow_hosts, tls=tls)
        return cls(proxy=settings.proxy.get_secret_value() if settings.proxy else None, tls=tls)

    @classmethod
    def for_issuers(cls, settings: Settings) -> Self:
        """Build the way to whoever says who asks (Flowless, a token issuer): no proxy, the same roots."""
        return cls(tls=_tls(settings.ca_file))

    @property
    def http(self) -> httpx.AsyncClient:
        """The running loop's client, for SDKs that take one.

        Of its timeout, ``read`` is the deadline for a whole exchange and ``connect`` for reaching the server.
        """
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for other in [other for other in self._clients if other.is_closed()]:
                del self._clients[other]
            client = self._clients[loop] = self._build()
        return client

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline of the exchange, as in httpx
        max_bytes: int = MAX_BYTES,
    ) -> httpx.Response:
        """Send one request and return its whole answer, whatever its status.

        *timeout* is the deadline for everything together, connecting included.

        Raises: httpx.ConnectError, ConnectTimeout, PoolTimeout, UnsupportedProtocol, InvalidURL: no byte
        of the request left. Any other httpx.TransportError: the outcome is unknown. `never_sent` tells.
        """
        import httpx  # 200 ms that only those pay who send

        total = self._total_timeout if timeout is None else timeout
        answer = await self.http.request(
            method,
            url,
            headers=headers,
            content=content,
            timeout=httpx.Timeout(total, connect=min(self._connect_timeout, total)),
            extensions={"max_bytes": max_bytes},
        )
        told = request_id_of(answer.headers)
        # Somebody else's text: what is not an id is not repeated.
        if told is not None and _REQUEST_ID.fullmatch(told):
            note(remote_request_id=told)
        return answer

    def client(
        self,
        base_url: str,
        *,
        bearer: str | None = None,
        headers: Mapping[str, str] | None = None,
        key_header: str = "Idempotency-Key",
        refusal: Callable[[int, Any], ProviderError | None] | None = None,
    ) -> ApiClient:
        """Return a client for one JSON API, for authors of providers.

        *refusal* may read an answer that is not 2xx (its status and its JSON, or None) and return the
        error to raise, a `ProviderDeclined` for instance; None leaves it to the status.
        """
        given = dict(headers or {})
        if bearer is not None:
            given["Authorization"] = f"Bearer {bearer}"
        return ApiClient(self, base_url, headers=given, key_header=key_header, refusal=refusal)

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def forget(self) -> None:
        """Drop every connection without closing it: for a forked child, whose parent still uses them."""
        clients, self._clients = self._clients, {}
        _forgotten.extend(clients.values())

    def _build(self) -> httpx.AsyncClient:
        import http.cookiejar

        import httpx  # httpx and aiohttp cost 400 ms, which only those pay who send

        from .wire import AiohttpTransport

        quiet_vendor_loggers()
        return httpx.AsyncClient(
            transport=AiohttpTransport(
                connect_timeout=self._connect_timeout,
                total_timeout=self._total_timeout,
                max_connections=self._max_connections,
                max_bytes=MAX_BYTES,
                tls=self._tls or _tls(None),
                proxy=self._proxy,
                public_only=self._public_only,
                allow_hosts=self._allow_hosts,
            ),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "gzip, deflate"},
            timeout=httpx.Timeout(self._total_timeout, connect=self._connect_timeout),
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )


def never_sent(error: BaseException) -> bool:
    """Return whether *error* proves that no byte of the request left, so that it may be sent again."""
    if isinstance(error, ProviderNeverSent):
        return True
    import httpx  # an error of httpx exists only if httpx was loaded

    proofs = (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
    )
    return isinstance(error, proofs)


@lru_cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """Trust *ca_file*, else what httpx trusts: the roots of certifi, the same in every image."""
    import ssl

    import certifi

    try:
        return ssl.create_default_context(cafile=ca_file or certifi.where())
    except OSError:
        raise ConfigurationError(
            invalid={"BRIDGE_CA_FILE": "cannot be read as a file of certificates"}
        ) from None


def __getattr__(name: str) -> Any:
    if name in ("AddressRefused", "RequestRefused"):
        from . import wire

        return getattr(wire, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
