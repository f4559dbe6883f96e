"""
Settings: everything that an installation may choose, from environment variables or from Python.

`Settings()` needs no environment. `Settings.from_env(os.environ)` reads one, and says everything that is
wrong in it at once: names only, because values are secrets. What an account of a provider needs
(``STRIPE_SECRET_KEY`` and the like) is read by that provider, when it is built.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from .errors import ConfigurationError
from .published import DEFAULT_PROVIDER, is_worth_a_word, why_not_read

__all__ = ["ProviderAccount", "Settings", "WebhookSettings", "parse_accounts"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccount:
    """One account of one payment service, as an installation names it."""

    id: str
    """On the wire, in every row and in ``/webhooks/{id}``; payments stay with it for life."""
    kind: str
    """The entry point's name."""
    prefix: str = ""
    """What its variables begin with: ``EU_`` reads ``EU_STRIPE_SECRET_KEY``."""


_ACCOUNT: Final = re.compile(
    r"^(?P<id>[a-z][a-z0-9_]{0,49})(=(?P<kind>[a-z][a-z0-9_]*)(:(?P<prefix>[A-Z0-9_]*))?)?$"
)


def parse_accounts(text: str) -> tuple[ProviderAccount, ...]:
    """Read ``stripe,paypal,stripe_eu=stripe:EU_``: an id, its kind if that differs, and its prefix.

    Raises: ConfigurationError naming the variable ENABLED_PROVIDERS.
    """
    try:
        return _accounts(text)
    except ValueError as error:
        raise ConfigurationError(invalid={"ENABLED_PROVIDERS": str(error)}) from None


def _accounts(text: str) -> tuple[ProviderAccount, ...]:
    found: dict[str, ProviderAccount] = {}
    for entry in _listed(text):
        # URLs spell authorize-net; a word has one spelling inside.
        match = _ACCOUNT.match(entry.replace("-", "_"))
        if match is None:
            raise ValueError("is a list of ids, each as name, name=kind or name=kind:PREFIX_")
        account = ProviderAccount(
            id=match["id"], kind=match["kind"] or match["id"], prefix=match["prefix"] or ""
        )
        if account.id in found:
            raise ValueError("names an account twice")
        found[account.id] = account
    return tuple(found.values())


def _listed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(item for item in (part.strip() for part in value.split(",")) if item)


Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Accounts = Annotated[
    tuple[ProviderAccount, ...],
    BeforeValidator(lambda value: _accounts(value) if isinstance(value, str) else value),
]
Seconds = Annotated[float, Field(gt=0)]
ValidationMode = Annotated[
    Literal["DISABLED", "STANDARD", "ADVANCED", "STRICT"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


class _Frozen(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


class WebhookSettings(_Frozen):
    """``WEBHOOK_n_*``: one endpoint that is told of events."""

    name: str
    url: SecretStr
    """A chat webhook's URL is its credential."""
    events: Words = Field(min_length=1)
    secrets: tuple[SecretStr, ...] = ()
    """From a comma-separated list: while subscribers move to a new secret, both sign."""
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)
    timeout: Seconds = 30.0
    retries: int | None = Field(default=None, ge=0, le=50)
    format: Literal["generic", "slack", "discord"] | None = None
    """By default what the URL says."""
    users: Words = ()
    organizations: Words = ()
    metadata: Mapping[str, str] = Field(default_factory=dict)
    """Of which payments it is told: those of one of these users, organizations, with this metadata."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is an http or https URL")
        return url

    @field_validator("secrets", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return _listed(value)

    @field_validator("headers", "metadata", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("is a JSON object of names and values") from None


def _env(default: Any, *names: str, scale: float | None = None, **rules: Any) -> Any:
    """A setting that environment variables may set; the first of *names* that is there wins."""
    extra: dict[str, Any] = {"env": list(names), "scale": scale}
    return Field(default=default, validate_default=False, json_schema_extra=extra, **rules)


_HEADER: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
"""A token, as RFC 9110 has it: the names of headers and of cookies."""

_MS: Final = 0.001
"""The published variables count some durations in milliseconds; every setting here is in seconds."""


class Settings(_Frozen):
    """All settings, with the defaults of the published contract. Durations are seconds."""

    # server
    environment: str = _env("development", "BRIDGE_ENV", "NODE_ENV", "ENVIRONMENT")
    host: str = _env("0.0.0.0", "HOST")  # noqa: S104 - the contract's default; a container listens on all
    port: int = _env(3001, "PORT", ge=0, le=65535)
    request_timeout: float = _env(30.0, "REQUEST_TIMEOUT", scale=_MS, gt=0)
    max_request_size: int = _env(1_048_576, "MAX_REQUEST_SIZE", gt=0)
    validate_content_type: bool = _env(True, "VALIDATE_CONTENT_TYPE")
    row_mode: bool = _env(False, "ROW_MODE")
    response_compat: Literal["", "flat"] = _env("", "RESPONSE_COMPAT")
    trusted_proxies: Words = _env((), "BRIDGE_TRUSTED_PROXIES", "TRUSTED_PROXIES")
    """Addresses and networks whose X-Forwarded-* headers are believed."""
    inprocess_worker: bool = _env(True, "INPROCESS_WORKER")
    admin_ui_enabled: bool = _env(False, "ADMIN_UI_ENABLED")
    """Whether ``/admin/ui`` is served: a page that shows what the admin routes say."""

    # database
    database_url: SecretStr | None = _env(None, "DATABASE_URL")
    database_auth_token: SecretStr | None = _env(None, "DATABASE_AUTH_TOKEN", "LIBSQL_AUTH_TOKEN")
    database_ssl: bool = _env(False, "DATABASE_SSL")
    database_pool_min: int = _env(2, "DATABASE_POOL_MIN", ge=0)
    database_pool_max: int = _env(10, "DATABASE_POOL_MAX", "DB_MAX_CONNECTIONS", gt=0)

    # providers
    enabled_providers: Accounts = _env(
        (ProviderAccount(id=DEFAULT_PROVIDER, kind=DEFAULT_PROVIDER),), "ENABLED_PROVIDERS", min_length=1
    )
    default_provider: str = _env(DEFAULT_PROVIDER, "DEFAULT_PAYMENT_PROVIDER")
    allow_sandbox: bool = _env(False, "ALLOW_SANDBOX")
    unique_reference: bool = _env(False, "UNIQUE_REFERENCE")

    # the way out
    proxy: SecretStr | None = _env(None, "BRIDGE_PROXY")
    """An HTTP proxy for provider calls. The usual proxy variables are not read."""
    ca_file: str | None = _env(None, "BRIDGE_CA_FILE", "SSL_CERT_FILE")
    """Roots to trust instead of the packaged ones, for networks that inspect TLS."""

    # who is asking
    flowless_api_url: str | None = _env(None, "FLOWLESS_API_URL", "FLOWLESS_URL")
    bridge_validation_secret: SecretStr | None = _env(None, "BRIDGE_VALIDATION_SECRET", "BRIDGE_SECRET")
    bridge_validation_timeout: float = _env(5.0, "BRIDGE_VALIDATION_TIMEOUT", scale=_MS, gt=0)
    auth_request_timeout: float | None = _env(None, "AUTH_REQUEST_TIMEOUT", scale=_MS, gt=0)
    """Bounds one question, too; the shorter of the two counts."""
    bridge_retry_attempts: int = _env(3, "BRIDGE_RETRY_ATTEMPTS", ge=0, le=10)
    auth_timeout: float = _env(10.0, "AUTH_TIMEOUT", scale=_MS, gt=0)
    """For one validation with all its attempts; then the caller hears 503."""
    max_auth_attempts: int | None = _env(None, "MAX_AUTH_ATTEMPTS", gt=0)
    """So many different credentials from one address may be refused in a window of `rate_limit_window`; then
    no unknown one from there is asked about. Unset: only requests are counted."""
    flowless_validate_path: str = _env("/auth/bridge/validate", "FLOWLESS_VALIDATE_PATH", pattern="^/")
    session_header_name: str = _env("X-Session-ID", "SESSION_HEADER_NAME", pattern=_HEADER)
    session_cookie_name: str = _env("session_id", "SESSION_COOKIE_NAME", pattern=_HEADER)
    session_validation_cache_ttl: float = _env(
        300.0, "SESSION_VALIDATION_CACHE_TTL", "TRUST_TOKEN_CACHE_TTL", ge=0
    )
    guest_token_cache_ttl: float = _env(3600.0, "TOKEN_CACHE_TTL", scale=_MS, ge=0)
    session_refresh_after: float = _env(180.0, "USER_CACHE_REVALIDATE", scale=_MS, gt=0)
    """A remembered session is asked for again when it is that old, although it would live on."""
    auth_cache_max_entries: int = _env(10_000, "USER_CACHE_MAX_ENTRIES", gt=0)
    cache_enabled: bool = _env(True, "CACHE_ENABLED")
    """Whether anything is remembered: credentials, and what payers have."""
    cache_ttl: float = _env(300.0, "BRIDGE_CACHE_TTL", "CACHE_TTL", ge=0)
    """How long a payer's list of methods and their customers are shown as they were read; 0: never."""
    cache_max_entries: int = _env(2_000, "BRIDGE_CACHE_MAX_ENTRIES", gt=0)
    auth_validation_mode: ValidationMode = _env("STANDARD", "AUTH_VALIDATION_MODE", "VALIDATION_MODE")
    auth_enable_validation_mode: bool = _env(True, "AUTH_ENABLE_VALIDATION_MODE")
    auth_ip_validation: bool = _env(True, "AUTH_IP_VALIDATION")
    auth_user_agent_validation: bool = _env(True, "AUTH_USER_AGENT_VALIDATION")
    auth_device_validation: bool = _env(False, "AUTH_DEVICE_VALIDATION")
    auth_auto_invalidate: bool = _env(False, "AUTH_AUTO_INVALIDATE")
    auth_log_violations: bool = _env(True, "AUTH_LOG_VIOLATIONS")
    jwt_jwks_url: str | None = _env(None, "JWT_JWKS_URL")
    jwt_issuer: str | None = _env(None, "JWT_ISSUER")
    jwt_audience: Words = _env((), "JWT_AUDIENCE")
    jwt_algorithms: Words = _env(("RS256", "ES256", "EdDSA"), "JWT_ALGORITHMS", min_length=1)
    jwt_user_type_claim: str = _env("user_type", "JWT_USER_TYPE_CLAIM", min_length=1)
    jwt_money_max_age: float = _env(900.0, "JWT_MONEY_MAX_AGE", gt=0)
    """How long ago a token was issued, at most, where a session would have to be validated anew."""
    admin_user_types: Words = _env(("admin",), "ADMIN_USER_TYPES")
    money_session_max_age: float = _env(30.0, "MONEY_SESSION_MAX_AGE", gt=0)

    # guests
    guest_checkout_enabled: bool = _env(True, "GUEST_CHECKOUT_ENABLED")
    guest_require_name: bool = _env(False, "GUEST_REQUIRE_NAME")
    guest_require_phone: bool = _env(False, "GUEST_REQUIRE_PHONE")
    guest_allow_conversion: bool = _env(True, "GUEST_ALLOW_CONVERSION")
    """Whether what was paid as a guest may be taken over by the user who proves the e-mail address."""
    guest_max_payments_per_email: int = _env(5, "GUEST_MAX_PAYMENTS_PER_EMAIL", ge=0)

    # client secrets
    client_secret_max_age: int = _env(86_400, "CLIENT_SECRET_MAX_AGE", gt=0)
    client_secret_auto_cleanup: bool = _env(True, "CLIENT_SECRET_AUTO_CLEANUP")
    client_secret_cleanup_interval: int = _env(3600, "CLIENT_SECRET_CLEANUP_INTERVAL", gt=0)
    client_secret_cleanup_on_success: bool = _env(True, "CLIENT_SECRET_CLEANUP_ON_SUCCESS")
    client_secret_cleanup_on_failure: bool = _env(False, "CLIENT_SECRET_CLEANUP_ON_FAILURE")
    client_secret_expire: Literal["keep", "cancel"] = _env("keep", "CLIENT_SECRET_EXPIRE")
    """What becomes of an unpaid intent whose secret expired: ``cancel`` also cancels it at the provider."""

    # browsers
    cors_origins: Words = _env(("http://localhost:3000",), "CORS_ORIGINS")
    cors_methods: Words = _env(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), "CORS_METHODS")
    cors_headers: Words = _env(
        ("Content-Type", "Authorization", "X-Session-ID", "X-Guest-Token"), "CORS_HEADERS"
    )
    cors_credentials: bool = _env(True, "CORS_CREDENTIALS")
    cors_max_age: int = _env(86_400, "CORS_MAX_AGE", ge=0)
    rate_limit_enabled: bool = _env(True, "RATE_LIMIT_ENABLED")
    rate_limit_requests: int | None = _env(None, "RATE_LIMIT_REQUESTS", gt=0)
    """One limit for everybody; by default each kind of caller has its own."""
    rate_limit_window: float = _env(900.0, "RATE_LIMIT_WINDOW", scale=_MS, gt=0)
    rate_limit_skip_successful: bool = _env(False, "RATE_LIMIT_SKIP_SUCCESSFUL")
    """Whether only requests count that were refused or failed. Declined attempts have limits of their own."""
    rate_limit_store: Literal["memory", "redis"] = _env("memory", "RATE_LIMIT_STORE")
    redis_url: SecretStr | None = _env(None, "REDIS_URL")
    """Read only where `rate_limit_store` is ``redis``."""
    failed_confirms_per_ip: int = _env(30, "FAILED_CONFIRMS_PER_IP", gt=0)
    failed_confirms_per_email: int = _env(10, "FAILED_CONFIRMS_PER_EMAIL", gt=0)
    """Declined attempts in an hour, after which nothing is sent for that address any more."""

    # webhooks out
    external_webhooks_enabled: bool = _env(True, "EXTERNAL_WEBHOOKS_ENABLED")
    webhooks: tuple[WebhookSettings, ...] = ()
    webhook_allow_hosts: Words = _env((), "BRIDGE_WEBHOOK_ALLOW_HOSTS")
    """Hosts that may be told of events although their addresses are not public; for development."""
    webhook_retention_days: int = _env(30, "WEBHOOK_RETENTION_DAYS", ge=1)
    """How long bodies of received webhooks are kept; events that are told are kept three times as long."""

    # logs
    log_level: Literal["debug", "info", "warn", "error"] = _env("info", "LOG_LEVEL")
    log_format: Literal["json", "text"] = _env("json", "LOG_FORMAT")
    log_mode: bool = _env(False, "LOG_MODE")
    """Only warnings and errors, whatever LOG_LEVEL says."""

    # metrics and traces
    metrics_enabled: bool = _env(True, "METRICS_ENABLED")
    """Whether figures are kept, and shown at ``/health/metrics``; needs the ``prometheus`` extra."""
    metrics_port: int | None = _env(None, "METRICS_PORT", ge=0, le=65535)
    """Where ``bridge-payments worker``, which serves no API, shows its figures. Unset: nowhere."""
    otel_enabled: bool = _env(False, "BRIDGE_OTEL_ENABLED")
    """Whether work is traced and measured with OpenTelemetry, by the providers of the process; needs the
    ``otel`` extra."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        return (
            {"warning": "warn", "critical": "error"}.get(value.lower(), value.lower())
            if isinstance(value, str)
            else value
        )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for name in value:
                ip_network(name, strict=False)
        except ValueError:
            raise ValueError("is a list of addresses and networks, as 10.0.0.0/8") from None
        return value

    @field_validator("bridge_validation_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("has at least 32 characters")
        return value

    @field_validator("default_provider")
    @classmethod
    def _one_spelling(cls, value: str) -> str:
        return value.replace("-", "_")

    @field_validator("jwt_algorithms")
    @classmethod
    def _with_a_public_key(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # With HS256 a forger would sign with the public key, and "none" needs no forger.
        if not all(re.match(r"^(RS|PS|ES)(256|384|512)$|^EdDSA$", name) for name in value):
            raise ValueError("is a list of RS…, PS…, ES… and EdDSA")
        return value

    @field_validator("flowless_api_url", "jwt_jwks_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"^https?://[^/\s]+", value):
            raise ValueError("is an http or https URL")
        return value.rstrip("/") if value else value

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read *env*; what is empty counts as not set.

        Raises: ConfigurationError naming every variable that is missing or wrong, and no value.
        """
        env = {name: value.strip() for name, value in env.items() if value.strip()}
        given: dict[str, Any] = {}
        source: dict[str, str] = {}
        missing: set[str] = set()
        invalid: dict[str, str] = {}
        for field, names, scale in _variables(cls):
            for name in names:
                if name in env:
                    given[field], source[field] = _scaled(env[name], scale), name
                    break
        webhooks = list(_webhooks(env, missing, invalid)) if _wants_webhooks(env) else []
        settings: Self | None = None
        try:
            settings = cls(**given, webhooks=tuple(webhooks))
        except ValidationError as error:
            invalid.update((source[str(cause["loc"][0])], _why(cause)) for cause in error.errors())
        if settings and "default_provider" in given and not settings.knows(settings.default_provider):
            invalid["DEFAULT_PAYMENT_PROVIDER"] = "is not one of ENABLED_PROVIDERS"
        if settings is None or missing or invalid:
            raise ConfigurationError(missing=missing, invalid=invalid)
        for warning in _warnings(cls, env):
            _log.warning(warning)
        return settings

    def knows(self, provider_id: str) -> bool:
        """Return whether an account of that id is enabled."""
        return any(account.id == provider_id for account in self.enabled_providers)

    def require(self, *fields: str) -> None:
        """Raise ConfigurationError naming the variable of every one of *fields* that is not set."""
        variables = {field: names[0] for field, names, _ in _variables(type(self))}
        if missing := [
            variables.get(field, field) for field in fields if getattr(self, field) in (None, "", ())
        ]:
            raise ConfigurationError(missing=missing)


# --- reading the environment ------------------------------------------------------------------------


def _variables(model: type[BaseModel]) -> Iterator[tuple[str, list[str], float | None]]:
    for field, info in model.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and "env" in extra:
            declared: Any = extra
            yield field, declared["env"], declared["scale"]


def _scaled(text: str, scale: float | None) -> str | float:
    if scale is None:
        return text
    try:
        return float(text) * scale
    except ValueError:
        return text  # left for the validation to refuse


def _why(cause: Mapping[str, Any]) -> str:
    # Pydantic's sentence about a SecretStr or a number quotes no input; the place inside a list does no harm.
    return str(cause["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")


_WEBHOOK: Final = re.compile(r"^WEBHOOK_(\d+)_([A-Z]+)$")
_WEBHOOK_FIELDS: Final = {
    "NAME": "name",
    "URL": "url",
    "EVENTS": "events",
    "SECRET": "secrets",
    "HEADERS": "headers",
    "TIMEOUT": "timeout",
    "RETRIES": "retries",
    "FORMAT": "format",
    "USERS": "users",
    "ORGANIZATIONS": "organizations",
    "METADATA": "metadata",
}


def _wants_webhooks(env: Mapping[str, str]) -> bool:
    return env.get("EXTERNAL_WEBHOOKS_ENABLED", "true").lower() not in ("false", "0", "no", "off", "f", "n")


def _webhooks(
    env: Mapping[str, str], missing: set[str], invalid: dict[str, str]
) -> Iterator[WebhookSettings]:
    found: dict[int, dict[str, str]] = {}
    for variable, value in env.items():
        if (match := _WEBHOOK.match(variable)) and (field := _WEBHOOK_FIELDS.get(match[2])):
            found.setdefault(int(match[1]), {})[field] = value
    names: dict[str, int] = {}
    for number, given in sorted(found.items()):
        variables = {field: f"WEBHOOK_{number}_{suffix}" for suffix, field in _WEBHOOK_FIELDS.items()}
        if absent := {"name", "url", "events"} - given.keys():
            missing.update(variables[field] for field in absent)
            continue
        if names.setdefault(given["name"], number) != number:
            invalid[variables["name"]] = f"is taken by WEBHOOK_{names[given['name']]}_NAME"
        try:
            yield WebhookSettings.model_validate(given)
        except ValidationError as error:
            invalid.update((variables[str(cause["loc"][0])], _why(cause)) for cause in error.errors())


_OURS: Final = re.compile(r"^(BRIDGE|CLIENT_SECRET|GUEST|RATE_LIMIT|CORS|EXTERNAL_WEBHOOKS)_|^WEBHOOK_\d+_")


def _warnings(model: type[BaseModel], env: Mapping[str, str]) -> Iterator[str]:
    renewals = sorted(name for name in env if name.startswith(("RENEWALS_", "RENEWAL_")))
    if renewals and env.get("RENEWALS_ENABLED", "true").lower() in ("true", "1", "yes", "on"):
        yield (
            f"{', '.join(renewals)}: renewals are charged by the provider and mirrored here; this library "
            "never charges one, and these variables are not read"
        )
    known = {name for _, names, _ in _variables(model) for name in names}
    for name in sorted(env):
        webhook = _WEBHOOK.match(name)
        if name in known or name in renewals or (webhook and webhook[2] in _WEBHOOK_FIELDS):
            continue
        if is_worth_a_word(name):
            yield f"{name} is not read: {why_not_read(name)}"
        elif _OURS.match(name):
            yield f"{name} is not a variable that this release reads"
