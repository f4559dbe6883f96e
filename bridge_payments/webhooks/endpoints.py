"""Where events are told: an address or a function of the application, which events, and how patiently."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..models import Event, StoredEndpoint
from .patterns import matches
from .routing import CLAIM, concerns
from .schedule import DEFAULT_SCHEDULE, schedule_of
from .signing import key_of

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = ["Endpoint", "EndpointKind", "Handler", "endpoint_from", "endpoints_from_settings", "kind_of"]

Handler = Callable[[Event], Awaitable[None] | None]

_NAME: Final = re.compile(r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?$")
_URL: Final = re.compile(r"[^\s\x00-\x1f\x7f\\…]{1,4096}")
"""An ellipsis stands where an address is shown without its secret part: no address has one."""
_HEADER_NAME: Final = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
_RESERVED_HEADERS: Final = frozenset(
    {"host", "content-type", "content-length", "transfer-encoding", "connection", "x-webhook-event"}
)


class EndpointKind(StrEnum):
    """In which shape an endpoint is told."""

    GENERIC = "generic"
    """Signed JSON, as Standard Webhooks has it."""
    SLACK = "slack"
    DISCORD = "discord"
    CALLABLE = "callable"
    """A function in the application's own process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One destination. Its `name` is what deliveries are stored under: rename it and they lose their way."""

    name: str
    events: tuple[str, ...]
    """Globs over event types: ``payment.*``, ``refund.succeeded``, ``*``."""
    url: str | None = field(default=None, repr=False)
    """Not in the repr: a Slack or Discord address is itself a credential."""
    handler: Handler | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """``whsec_…``; each signs, so that subscribers can move from the old one to the new one."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 15.0
    """For the whole exchange, or for one run of the handler."""
    schedule: tuple[float, ...] = DEFAULT_SCHEDULE
    """Seconds before each try; its length is the number of tries."""
    concurrency: int = 8
    """How many deliveries to this endpoint one process has in the air."""
    kind: EndpointKind | None = None
    """By default what the URL says: hooks.slack.com, discord.com, anything else."""
    users: tuple[str, ...] = ()
    """Only events of these users' payments."""
    organizations: tuple[str, ...] = ()
    """Only events of payments of these organizations; what a request merely claims never counts."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Only events of payments with all of this metadata. Whoever begins a payment may set it: a filter,
    not a wall."""
    label: str | None = None
    """What an operator calls it, where `name` is an id."""

    def __post_init__(self) -> None:
        wrong = dict(_faults(self))
        if wrong:
            raise ConfigurationError(f"webhook endpoint {self.name!r}", invalid=wrong)
        if self.kind is None:
            object.__setattr__(self, "kind", kind_of(self.url))
        object.__setattr__(self, "events", tuple(pattern.strip() for pattern in self.events))

    def wants(self, event: Event) -> bool:
        """Say whether *event* is told here: by its type, and by whose it is."""
        return matches(self.events, event.type) and concerns(
            event, users=self.users, organizations=self.organizations, metadata=self.metadata
        )

    @property
    def title(self) -> str:
        """How logs and lists call it."""
        return f"{self.label} ({self.name})" if self.label else self.name

    @property
    def host(self) -> str:
        """What may be shown of the address."""
        return urlsplit(self.url).hostname or "" if self.url else "this process"

    @property
    def lease_seconds(self) -> float:
        """How long a claim must last: the exchange, and time to write down how it went."""
        return self.timeout_seconds + 30.0


def endpoints_from_settings(settings: Settings) -> tuple[Endpoint, ...]:
    """Return the endpoints of the ``WEBHOOK_n_*`` variables."""
    if not settings.external_webhooks_enabled:
        return ()
    return tuple(
        Endpoint(
            name=given.name,
            url=given.url.get_secret_value(),
            events=given.events,
            secrets=tuple(secret.get_secret_value() for secret in given.secrets),
            headers=given.headers,
            timeout_seconds=given.timeout,
            schedule=DEFAULT_SCHEDULE if given.retries is None else schedule_of(given.retries),
            kind=None if given.format is None else EndpointKind(given.format),
            users=given.users,
            organizations=given.organizations,
            metadata=given.metadata,
        )
        for given in settings.webhooks
    )


def endpoint_from(stored: StoredEndpoint, *, now: datetime) -> Endpoint:
    """Return the endpoint that an operator stored, with the secrets that are valid now.

    Raises: ConfigurationError.
    """
    return Endpoint(
        name=stored.id,
        label=stored.name,
        url=stored.url,
        events=stored.events,
        secrets=tuple(s.value for s in stored.secrets if s.expires_at is None or s.expires_at > now),
        headers=stored.headers,
        timeout_seconds=stored.timeout_seconds,
        schedule=DEFAULT_SCHEDULE if stored.tries is None else schedule_of(stored.tries),
        concurrency=stored.concurrency,
        kind=None if stored.format is None else EndpointKind(stored.format),
        users=stored.user_ids,
        organizations=stored.organization_ids,
        metadata=stored.metadata,
    )


def kind_of(url: str | None) -> EndpointKind:
    """Tell the format from the address."""
    host = (urlsplit(url).hostname or "").lower() if url else None
    match host:
        case None:
            return EndpointKind.CALLABLE
        case "hooks.slack.com":
            return EndpointKind.SLACK
        case _ if host in ("discord.com", "discordapp.com") or host.endswith(
            (".discord.com", ".discordapp.com")
        ):
            return EndpointKind.DISCORD
        case _:
            return EndpointKind.GENERIC


def _faults(endpoint: Endpoint) -> list[tuple[str, str]]:
    """List what is wrong, by field and without values: they may be credentials."""
    faults: list[tuple[str, str]] = []
    if not _NAME.match(endpoint.name) or (endpoint.label is not None and not _NAME.match(endpoint.label)):
        faults.append(("name", "1 to 100 printable characters"))
    if not endpoint.events or not all(pattern.strip() for pattern in endpoint.events):
        faults.append(("events", "at least one pattern, for instance payment.*"))
    if (endpoint.url is None) == (endpoint.handler is None):
        faults.append(("url", "either a url or a handler"))
    if endpoint.url is not None:
        faults += _url_faults(endpoint.url)
    if (endpoint.kind is EndpointKind.CALLABLE) != (
        endpoint.handler is not None
    ) and endpoint.kind is not None:
        faults.append(("kind", "callable goes with a handler, everything else with a url"))
    for secret in endpoint.secrets:
        try:
            key_of(secret)
        except ConfigurationError as error:
            faults.append(("secrets", error.message))
    faults += _header_faults(endpoint.headers)
    if not 0 < endpoint.timeout_seconds <= 300:
        faults.append(("timeout_seconds", "between 0 and 300"))
    if not endpoint.schedule or any(wait < 0 for wait in endpoint.schedule):
        faults.append(("schedule", "at least one try, no negative wait"))
    if endpoint.concurrency < 1:
        faults.append(("concurrency", "at least 1"))
    if any(name.startswith(CLAIM) for name in endpoint.metadata):
        faults.append(("metadata", "what a request merely claims routes nothing"))
    return faults


def _url_faults(url: str) -> list[tuple[str, str]]:
    if not _is_web_address(url):
        return [("url", "an http or https address")]
    if "@" in urlsplit(url).netloc:
        return [("url", "a name and a password belong in a header: addresses are shown in lists")]
    return []


def _is_web_address(url: str) -> bool:
    if not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _header_faults(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    faults = []
    for name, value in headers.items():
        if not _HEADER_NAME.match(name) or not all(32 <= ord(c) < 127 for c in value):
            faults.append(("headers", "a name or value contains a character that HTTP forbids"))
        elif name.lower() in _RESERVED_HEADERS or name.lower().startswith("webhook-"):
            faults.append(("headers", f"{name.lower()} is ours"))
    return faults
