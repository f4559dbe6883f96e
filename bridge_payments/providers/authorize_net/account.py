"""Whose account it is, and everything that can be wrong with how it is written down."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ...errors import ConfigurationError
from .money import CURRENCIES

__all__ = ["Account", "account_from"]

# (2026-11, https://developer.authorize.net/api/reference/ and .../features/acceptjs.html).
_BASES: Final[Mapping[str, str]] = {
    "sandbox": "https://apitest.authorize.net",
    "production": "https://api.authorize.net",
}
_SCRIPTS: Final[Mapping[str, str]] = {
    "sandbox": "https://jstest.authorize.net/v1/Accept.js",
    "production": "https://js.authorize.net/v1/Accept.js",
}
_VALIDATION: Final = ("liveMode", "testMode", "none")
"""What the gateway does with a card before it keeps it: asks its issuer, looks at its digits, nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One merchant account, checked."""

    login_id: str = field(repr=False)
    transaction_key: str = field(repr=False)
    signature_keys: tuple[bytes, ...] = field(repr=False)
    currency: str
    livemode: bool
    api_base: str
    validation_mode: str
    publishable: Mapping[str, str]


def account_from(
    *,
    login_id: str,
    transaction_key: str,
    signature_keys: Sequence[str],
    currency: str,
    environment: str,
    public_client_key: str | None,
    signature_key_encoding: str,
    validation_mode: str,
    api_base: str | None,
) -> Account:
    """Check everything at once. Raises ConfigurationError naming what is wrong by its variable."""
    live = environment == "production"
    base = api_base or _BASES.get(environment, "")
    keys = [_key_bytes(key.strip(), signature_key_encoding) for key in signature_keys]
    wrong = {
        # The schema's own lengths.
        "AUTHORIZE_NET_API_LOGIN_ID": None if 0 < len(login_id) <= 25 else "not 1 to 25 characters",
        "AUTHORIZE_NET_TRANSACTION_KEY": (
            None if 0 < len(transaction_key) <= 16 else "not 1 to 16 characters"
        ),
        "AUTHORIZE_NET_SIGNATURE_KEY": (
            None if keys and None not in keys else "has an empty entry, or one that is not hexadecimal"
        ),
        "AUTHORIZE_NET_SIGNATURE_KEY_ENCODING": (
            None if signature_key_encoding in ("text", "hex") else "not text or hex"
        ),
        "AUTHORIZE_NET_VALIDATION_MODE": (
            None if validation_mode in _VALIDATION else f"not one of {', '.join(_VALIDATION)}"
        ),
        "AUTHORIZE_NET_ENVIRONMENT": None if environment in _BASES else f"not one of {', '.join(_BASES)}",
        "AUTHORIZE_NET_CURRENCY": (
            None if currency in CURRENCIES else f"not one of {', '.join(sorted(CURRENCIES))}"
        ),
        "AUTHORIZE_NET_API_BASE": _wrong_base(base, live=live) if base else None,
    }
    if invalid := {name: why for name, why in wrong.items() if why is not None}:
        raise ConfigurationError(invalid=invalid)
    names = {"api_login_id": login_id, "public_client_key": public_client_key or ""}
    return Account(
        login_id=login_id,
        transaction_key=transaction_key,
        signature_keys=tuple(key for key in keys if key is not None),
        currency=currency,
        livemode=live,
        api_base=base,
        validation_mode=validation_mode,
        publishable={**names, "script": _SCRIPTS[environment]} if public_client_key else {},
    )


def _key_bytes(key: str, encoding: str) -> bytes | None:
    if not key or encoding != "hex":
        return key.encode() or None
    try:
        return bytes.fromhex(key)
    except ValueError:
        return None


def _wrong_base(base: str, *, live: bool) -> str | None:
    """Say why credentials may not be sent there: in clear text to this machine only, live ones never."""
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return "not a URL such as https://api.authorize.net"
    if parts.scheme == "https":
        return None
    if live:
        return "live credentials are sent over https only"
    return None if _is_loopback(parts.hostname) else "http is for this machine only (127.0.0.1)"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
