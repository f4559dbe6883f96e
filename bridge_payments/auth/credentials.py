"""What a request carries to say who sends it. Reads; asks nobody."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ..errors import NotAuthenticated
from ..messages import Request

__all__ = ["Carriers", "Credential", "CredentialKind", "Surroundings"]

_SHAPE: Final = re.compile(r"[\x21-\x7e]{10,4096}")
"""Shorter or longer ones, and those with blanks in them, are refused without asking anybody."""


class CredentialKind(StrEnum):
    SESSION = "session"
    GUEST = "guest"
    """A guest token: it proves an e-mail address and nothing else."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential, as it was found."""

    kind: CredentialKind
    value: str = field(repr=False)

    @property
    def key(self) -> bytes:
        """What stands for it in caches: a hash, so that a dump of this process holds no session."""
        return hashlib.sha256(f"{self.kind}:{self.value}".encode()).digest()

    @property
    def name(self) -> str:
        """What stands for it in logs."""
        return f"{self.kind} {self.key.hex()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carriers:
    """Where credentials are looked for, in the contract's order. The first one found is the only one used.

    There is no way from an invalid session to a guest token that came with it.
    """

    session_header: str = "x-session-id"
    session_cookie: str = "session_id"

    def find(self, request: Request) -> Credential | None:
        """Return what *request* carries. Raises NotAuthenticated when it cannot be a credential."""
        found = self._first(request)
        if found is not None and not _SHAPE.fullmatch(found.value):
            raise NotAuthenticated(
                "Invalid session" if found.kind is CredentialKind.SESSION else "Invalid token"
            )
        return found

    def _first(self, request: Request) -> Credential | None:
        headers, query = request.headers, request.query
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if value := value.strip():
            match scheme.lower():
                case "bearer":
                    return Credential(CredentialKind.SESSION, value)
                case "token":
                    return Credential(CredentialKind.GUEST, value)
        if value := headers.get(self.session_header, "").strip() or query.get("session_id", ""):
            return Credential(CredentialKind.SESSION, value)
        if self.session_cookie in headers.get("cookie", "") and (
            value := request.cookies.get(self.session_cookie, "")
        ):
            return Credential(CredentialKind.SESSION, value)
        if value := headers.get("x-guest-token", "").strip() or query.get("token", ""):
            return Credential(CredentialKind.GUEST, value)
        return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a request came from: what a session may be bound to."""

    ip: str | None = None
    user_agent: str | None = None
    device: str | None = None

    @classmethod
    def of(cls, request: Request) -> Surroundings:
        headers = request.headers
        return cls(
            request.peer, headers.get("user-agent"), headers.get("x-device-id") or headers.get("sec-ch-ua")
        )
