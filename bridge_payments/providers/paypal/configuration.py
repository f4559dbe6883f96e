"""An account's variables: what they may say, and what is wrong with them by their names. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from ...errors import ConfigurationError

__all__ = ["base_of", "certificate_bases", "check_account", "live_from", "offline_from"]

_BASES: Final[Mapping[bool, str]] = {
    True: "https://api-m.paypal.com",
    False: "https://api-m.sandbox.paypal.com",
}

# Where PayPal keeps the certificates of its webhooks (2026-11, seen in the deliveries that its SDKs publish).
_CERTIFICATES: Final[Mapping[bool, str]] = {
    True: "https://api.paypal.com",
    False: "https://api.sandbox.paypal.com",
}

_MODES: Final[Mapping[str, bool]] = {"live": True, "production": True, "sandbox": False}


def base_of(live: bool, api_base: str | None) -> str:
    return (api_base or _BASES[live]).rstrip("/")


def certificate_bases(live: bool, api_base: str | None) -> frozenset[str]:
    """Return where a certificate may come from: PayPal, and whoever was configured to be it."""
    return frozenset({_BASES[live], _CERTIFICATES[live], base_of(live, api_base)})


def check_account(
    *, client_id: str, client_secret: str, webhook_ids: Sequence[str], base: str, live: bool
) -> None:
    """Raises: ConfigurationError naming what is wrong by its variable."""
    wrong = {
        "PAYPAL_CLIENT_ID": None if _is_token(client_id) else "not a client id of PayPal's",
        "PAYPAL_CLIENT_SECRET": None if _is_token(client_secret) else "not a client secret of PayPal's",
        "PAYPAL_API_BASE": _wrong_base(base, live=live),
        "PAYPAL_WEBHOOK_ID": (
            None if all(map(_is_token, webhook_ids)) else "not the id of a webhook at PayPal"
        ),
    }
    if invalid := {name: why for name, why in wrong.items() if why}:
        raise ConfigurationError(invalid=invalid)


def live_from(env: Mapping[str, str]) -> bool:
    """Read the mode under both of its names; without one it is the sandbox, which moves no money."""
    given = {
        name: env[name].strip().lower()
        for name in ("PAYPAL_ENVIRONMENT", "PAYPAL_MODE")
        if env.get(name, "").strip()
    }
    if invalid := {name: "sandbox or live" for name, word in given.items() if word not in _MODES}:
        raise ConfigurationError(invalid=invalid)
    modes = {_MODES[word] for word in given.values()}
    if len(modes) > 1:
        raise ConfigurationError(invalid={"PAYPAL_MODE": "says something else than PAYPAL_ENVIRONMENT"})
    return modes == {True}


def offline_from(env: Mapping[str, str]) -> bool:
    how = env.get("PAYPAL_WEBHOOK_VERIFICATION", "").strip().lower() or "api"
    if how not in ("api", "offline"):
        raise ConfigurationError(invalid={"PAYPAL_WEBHOOK_VERIFICATION": "api or offline"})
    return how == "offline"


def _is_token(value: str) -> bool:
    return value.isascii() and value.isprintable() and bool(value) and " " not in value


def _wrong_base(base: str, *, live: bool) -> str | None:
    """Say why credentials may not be sent there: in clear text to this machine only, live ones never."""
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return f"not a URL such as {_BASES[live]}"
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
