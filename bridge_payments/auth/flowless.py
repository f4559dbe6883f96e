"""Ask Flowless whether a session or a guest token is good, and whose it is. Remembers nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from ..errors import ProviderError, Unavailable
from ..models import Clock, utc_now
from .credentials import Credential, CredentialKind, Surroundings

if TYPE_CHECKING:
    from ..transport import Transport

__all__ = ["Flowless", "Identity", "guest_from", "session_from"]

_log: Final = logging.getLogger(__name__)

_HEALTH_TIMEOUT: Final = 2.0
_NO: Final = frozenset({400, 401, 403, 404, 422})
"""Answers that mean "no such session". 400 and 422: only the credential differs between what we send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What Flowless said of a credential that is good."""

    id: str
    email: str | None = None
    name: str | None = None
    user_type: str = "user"
    is_verified: bool = False
    organization_id: str | None = None
    expires_at: datetime | None = None


class Flowless:
    """The two questions. Neither the secret nor a credential is in any log, error or repr."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        transport: Transport,
        validate_path: str = "/auth/bridge/validate",
        timeout: float = 5.0,
        attempts: int = 3,
        deadline: float = 10.0,
        backoff: float = 1.0,
        clock: Clock = utc_now,
    ) -> None:
        self._api = transport.client(url)
        self._secret = secret
        self._validate_path = validate_path
        self._timeout = timeout
        self._attempts = max(attempts, 1)
        self._deadline = deadline
        self._backoff = backoff
        self._clock = clock
        self.answers: bool = True
        """Whether the last question was answered. While not, each new one is asked once and not repeated."""
        self.calls: int = 0

    async def health(self) -> str | None:
        """Ask whether Flowless is there; return why it is not, or None. No credential is in the question."""
        try:
            await self._api.get("/health", timeout=min(self._timeout, _HEALTH_TIMEOUT))
        except ProviderError as error:
            return _cause(error)
        return None

    async def ask(self, credential: Credential, seen: Surroundings) -> Identity | None:
        """Return whose *credential* is; None when it is not good.

        Raises: Unavailable when Flowless does not say.
        """
        if credential.kind is CredentialKind.GUEST:
            return await self._asked(
                lambda: self._api.get(
                    "/auth/token/validate", query={"token": credential.value}, timeout=self._timeout
                ),
                guest_from,
            )
        value = credential.value
        # The published revisions of Flowless read one of these spellings each: all of them are sent.
        body = {
            "session_id": value,
            "sessionId": value,
            "ip_address": seen.ip,
            "ip": seen.ip,
            "user_agent": seen.user_agent,
            "device_id": seen.device,
            "timestamp": int(self._clock().timestamp() * 1000),
            "source": "bridge-payments",
        }
        return await self._asked(
            lambda: self._api.post(
                self._validate_path,
                query={"session_id": value},
                headers={"X-Bridge-Secret": self._secret, "X-Session-ID": value},
                json=body,
                timeout=self._timeout,
            ),
            session_from,
        )

    async def _asked(
        self, send: Callable[[], Awaitable[Any]], read: Callable[[Any], Identity | None]
    ) -> Identity | None:
        # Each question is harmless to repeat. Once Flowless was found to be away nobody waits for repeats,
        # or an outage would hold every new caller for the whole deadline.
        attempts = self._attempts if self.answers else 1
        identity: Identity | None = None
        try:
            async with asyncio.timeout(self._deadline):
                async for attempt in AsyncRetrying(
                    stop=stop_after_attempt(attempts),
                    wait=wait_exponential(multiplier=self._backoff, max=5 * self._backoff),
                    retry=retry_if_exception_type(ProviderError),
                    reraise=True,
                ):
                    with attempt:
                        identity = await self._once(send, read)
        except (ProviderError, TimeoutError) as error:
            if self.answers:
                _log.error("Flowless does not answer: %s", _cause(error))
            self.answers = False
            raise Unavailable("Authentication service unavailable") from None
        if not self.answers:
            _log.info("Flowless answers again")
        self.answers = True
        return identity

    async def _once(
        self, send: Callable[[], Awaitable[Any]], read: Callable[[Any], Identity | None]
    ) -> Identity | None:
        self.calls += 1
        try:
            body = await send()
        except ProviderError as error:
            if error.http_status in _NO:
                return None
            raise
        identity = read(body)
        if identity is not None and identity.expires_at is not None and identity.expires_at <= self._clock():
            return None
        return identity


def _cause(error: Exception) -> str:
    """Say what went wrong without the words of whoever raised it: an address holds the credential."""
    status = getattr(error, "http_status", None)
    return f"HTTP {status}" if status else type(error).__name__


# --- reading answers --------------------------------------------------------------------------------


def session_from(body: Any) -> Identity | None:
    """Read an answer about a session, in any of the published shapes.

    It is good only if `success` is true, `valid` is not false, and there is a user with an id.
    """
    return _identity(body, ("session", "data"))


def guest_from(body: Any) -> Identity | None:
    """Read an answer about a guest token: good only with an e-mail address, which is all that it proves."""
    identity = _identity(body, ("token", "data"))
    return identity if identity is not None and identity.email else None


def _identity(body: Any, others: tuple[str, ...]) -> Identity | None:
    outer = _object(body)
    inner = _object(outer.get("data"))
    valid = [layer["valid"] for layer in (outer, inner) if "valid" in layer]
    if outer.get("success") is not True or any(value is not True for value in valid):
        return None
    user = _object(inner.get("user")) or _object(outer.get("user"))
    user_id = _text(user, "id", "user_id", "userId")
    if user_id is None:
        return None
    layers = [_object(layer.get(name)) for name in others for layer in (inner, outer)] + [inner, outer]
    moments = [_moment(layer, "expires_at", "expiresAt") for layer in layers]
    first, last = _text(user, "first_name", "firstName"), _text(user, "last_name", "lastName")
    return Identity(
        id=user_id,
        email=_text(user, "email"),
        name=_text(user, "name") or " ".join(part for part in (first, last) if part) or None,
        user_type=_text(user, "user_type", "userType") or "user",
        is_verified=any(user.get(name) is True for name in ("is_verified", "isVerified")),
        organization_id=_text(user, "organization_id", "organizationId"),
        expires_at=min((moment for moment in moments if moment is not None), default=None),
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(found: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of *names* that is a text or a number; nothing that no column of ours could keep."""
    for name in names:
        value = found.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and 0 < len(value.strip()) <= 191 and value.isprintable():
            return value.strip()
    return None


def _moment(found: Mapping[str, Any], *names: str) -> datetime | None:
    """Return a time in ISO 8601 (UTC where it does not say) or in seconds or milliseconds since 1970."""
    for name in names:
        value = found.get(name)
        try:
            if isinstance(value, str):
                moment = datetime.fromisoformat(value)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value / 1000 if value > 10**11 else value, UTC)
        except (ValueError, OverflowError, OSError):
            continue
    return None
