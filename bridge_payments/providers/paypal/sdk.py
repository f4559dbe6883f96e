"""The SDK of one account in one process: its threads, its session, its one token."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import requests
from paypalserversdk.api_helper import APIHelper
from paypalserversdk.configuration import Configuration, Environment, Server
from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

from ...errors import ProviderNeverSent
from .flight import Adapter

__all__ = ["Workshop"]

_THREADS: Final = 16
_SKEW: Final = 60
"""Seconds before its end at which a token is not used any more."""


def _plain_json(text: str | None, unboxing_function: Any = None, as_dict: bool = False) -> Any:
    """Decode JSON and nothing else.

    The SDK's decoder is jsonpickle, which calls what a crafted answer names (paypal-server-sdk 2.4.0,
    2026-11, https://github.com/jsonpickle/jsonpickle/issues/332).
    """
    if text is None or not text.strip():
        return None
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if unboxing_function is None:
        return read
    if as_dict:
        return {name: unboxing_function(value) for name, value in read.items()}
    return [unboxing_function(each) for each in read] if isinstance(read, list) else unboxing_function(read)


# The controllers look it up at each call, so once per process is enough.
setattr(APIHelper, "json_deserialize", staticmethod(_plain_json))  # noqa: B010 - replaces a method, which mypy would not have


class Workshop:
    def __init__(self, credentials: tuple[str, str], *, live: bool, base: str) -> None:
        self.pid: int = os.getpid()
        self.pool: ThreadPoolExecutor = ThreadPoolExecutor(_THREADS, thread_name_prefix="bridge-paypal")
        self.tokens: _Tokens = _Tokens()
        self._base = base
        self._session = requests.Session()
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, Adapter())
        self.sdk: PaypalServersdkClient = PaypalServersdkClient(
            config=_Configuration(
                base,
                environment=Environment.PRODUCTION if live else Environment.SANDBOX,
                http_client_instance=self._session,
                override_http_client_configuration=False,
                max_retries=0,
                client_credentials_auth_credentials=ClientCredentialsAuthCredentials(
                    *credentials, o_auth_clock_skew=_SKEW, o_auth_token_provider=self.tokens
                ),
            )
        )
        self.tokens.manager = self.sdk.auth_managers["Oauth2"]

    def send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Ask something that the SDK has no call for, with its token."""
        token = self.tokens(None, self.tokens.manager)
        common = {"Authorization": f"Bearer {token.access_token}", "Accept": "application/json"}
        if content is not None:
            common["Content-Type"] = "application/json"
        self._session.request(method, self._base + path, data=content, headers={**common, **(headers or {})})


class _Configuration(Configuration):
    """`Environment` is a closed enumeration: another address has to be said here."""

    def __init__(self, base: str, **options: Any) -> None:
        self._base = base
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def get_base_uri(self, server: Any = Server.DEFAULT) -> str:
        return self._base


class _Tokens:
    """One token for all threads, fetched once: by itself the SDK fetches one per thread on a cold start."""

    def __init__(self) -> None:
        self.manager: Any = None
        self._lock = threading.Lock()
        self._token: Any = None

    def __call__(self, old: Any, manager: Any) -> Any:
        with self._lock:
            if self._token is None or self._token is old or manager.is_token_expired(self._token):
                self._token = None
                token = manager.fetch_token()
                if not getattr(token, "access_token", None):
                    raise ProviderNeverSent("PayPal gave no access token")
                self._token = token
            return self._token

    def forget(self) -> None:
        """Use no token again that PayPal has refused."""
        # Without the lock, which a thread may hold while it waits for this very loop.
        self._token = None
        self.manager._o_auth_token = None  # noqa: SLF001 - the SDK keeps a copy and has no way to drop it
