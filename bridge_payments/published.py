"""
What the published contract spells: its defaults and its words, where they name somebody.

And the variables of the published configuration that this release does not read, with why: said, not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

__all__ = ["DEFAULT_PROVIDER", "NOT_READ", "MethodType", "is_worth_a_word", "why_not_read"]

DEFAULT_PROVIDER: Final = "stripe"
"""The one account of an installation that names none."""

MethodType = Literal[
    "credit_card",
    "debit_card",
    "card",
    "bank_account",
    "paypal",
    "venmo",
    "apple_pay",
    "google_pay",
    "wallet",
]
"""What a payer may pay with, whoever the provider is."""

_SERVER: Final = "the web server or the proxy in front does that"
_MAIL: Final = "no e-mail is sent: an application tells its payers, in a handler of payment.success"
_FILES: Final = "the log goes to standard error; whoever runs the process keeps it, and rotates it"
_URL: Final = "DATABASE_URL says it all"
_EACH: Final = "each endpoint has its own: WEBHOOK_n_TIMEOUT, WEBHOOK_n_RETRIES"
_RENEWALS: Final = "renewals are charged by the provider and mirrored here; this library never charges one"
_TYPES: Final = "every session that Flowless calls valid is a user; ADMIN_USER_TYPES says who is an admin"
_GUESTS: Final = "guest tokens are made by Flowless, which says how long they last"

NOT_READ: Final[Mapping[str, str]] = {
    "BASE_URL": "nothing that is answered names a URL of ours",
    "PROVIDER_FAILOVER_ENABLED": "another account is never tried by itself: the application chooses it",
    "IDLE_TIMEOUT": _SERVER,
    "COMPRESSION_ENABLED": _SERVER,
    "COMPRESSION_FORCE_DISABLE": _SERVER,
    "REQUIRE_USER_AGENT": "a header that anybody makes up protects nothing",
    "DATABASE_TYPE": _URL,
    "PLANETSCALE_*": _URL,
    "DB_IDLE_TIMEOUT": "a connection is tried before it is used, so that an old one does no harm",
    "SESSION_REQUIRE_HTTPS": "TLS ends at the proxy, which redirects; the issuer of a cookie marks it Secure",
    "CACHE_SECRET_KEY": "what is remembered stays in the process, under hashes that need no key",
    "USER_CACHE_TTL": "sessions live SESSION_VALIDATION_CACHE_TTL, and are asked for again in between",
    "USER_USER_TYPES": _TYPES,
    "GUEST_USER_TYPES": _TYPES,
    "GUEST_SESSION_DURATION": _GUESTS,
    "GUEST_TOKEN_EXPIRATION": _GUESTS,
    "GUEST_REQUIRE_EMAIL": "a guest is known by an address: it is always required",
    "GUEST_AUTO_CLEANUP": "payments are records that are kept; nothing of a guest is deleted by age",
    "GUEST_CLEANUP_INTERVAL": "see GUEST_AUTO_CLEANUP",
    "GUEST_DATA_RETENTION_DAYS": "see GUEST_AUTO_CLEANUP",
    "STRIPE_CONNECT_ENABLED": "payments for connected accounts are not part of this release",
    "STRIPE_AUTOMATIC_TAX": "the application says what is to be paid, tax included",
    "LOG_FILE_ENABLED": _FILES,
    "LOG_FILE_PATH": _FILES,
    "LOG_ROTATION_ENABLED": _FILES,
    "LOG_MAX_SIZE": _FILES,
    "LOG_MAX_FILES": _FILES,
    "LOG_SECURITY_EVENTS": "they are always logged",
    "HEALTH_CHECK_ENABLED": "an application that does not mount the health routes has none",
    "HEALTH_CHECK_PATH": "the mount decides where they are",
    "DEV_*": "there is no development mode: the sandbox is one of its own",
    "TEST_*": "there is no test mode: bridge_payments.testing is for tests",
    "WEBHOOK_DEBUG_MODE": "LOG_LEVEL=debug; bodies are never logged",
    "WEBHOOK_TIMEOUT": _EACH,
    "WEBHOOK_RETRY_ATTEMPTS": _EACH,
    "WEBHOOK_BATCH_SIZE": "as many as an endpoint takes at once are sent",
    "RENEWALS_ENABLED": _RENEWALS,
    "RENEWAL_*": _RENEWALS,
    "ZEPTOMAIL_API_KEY": _MAIL,
    "EMAIL_*": _MAIL,
    "ORGANIZATION_*": _MAIL,
    "GLOBAL_LANG": _MAIL,
    "ADMIN_EMAIL_*": _MAIL,
    "ADMIN_RECEIPT_EMAIL": _MAIL,
    "ADMIN_DASHBOARD_URL": _MAIL,
}
"""Name to reason; a star stands for the rest of a family."""

_HOSTS: Final = (
    "BASE_URL",
    "DEV_",
    "TEST_",
    "EMAIL_",
    "ORGANIZATION_",
    "GLOBAL_LANG",
    "COMPRESSION_",
    "LOG_FILE_",
)
"""Names that an application may well use for itself: no word about them at start."""


def why_not_read(name: str) -> str | None:
    """Return why the published variable *name* is not read; None for any other."""
    if name in NOT_READ:
        return NOT_READ[name]
    families = (family for family in NOT_READ if family.endswith("*"))
    return next((NOT_READ[family] for family in families if name.startswith(family[:-1])), None)


def is_worth_a_word(name: str) -> bool:
    """Whether somebody who sets *name* surely means this library, and should hear that it is not read."""
    return why_not_read(name) is not None and not name.startswith(_HOSTS)
