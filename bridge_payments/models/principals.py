"""Who asks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

__all__ = ["SYSTEM", "Principal", "PrincipalKind", "email_key"]


def email_key(email: str) -> str:
    """Return the form in which e-mail addresses are compared: as lower-case letters, of every alphabet.

    A letter becomes small only if it is that small letter's own capital. To Unicode ``strasse.de`` is
    ``straße.de``, too, and the Kelvin sign a k; to the mail they are different addresses, and whoever proved
    one of them has not proved the other.
    """
    return email.lower() if email.isascii() else "".join(map(_small, email))


def _small(letter: str) -> str:
    small = letter.lower()
    return small if small.upper() == letter else letter


class PrincipalKind(StrEnum):
    """As what somebody asks."""

    SYSTEM = "system"
    """Trusted Python code in the merchant's own process."""
    ADMIN = "admin"
    USER = "user"
    GUEST = "guest"
    """Proved an e-mail address with a guest token; matched by that address."""
    ANONYMOUS = "anonymous"
    """Proved nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, as the auth bridge or the host application established it."""

    kind: PrincipalKind
    id: str | None = None
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    user_type: str | None = None
    organization_id: str | None = None
    peer: str | None = None
    validated_at: datetime | None = None
    """When the credential was last checked at its issuer; money operations ask for a recent one."""

    @classmethod
    def user(
        cls,
        id: str,  # noqa: A002 - the word of the public API
        *,
        email: str | None = None,
        email_verified: bool = False,
        name: str | None = None,
        organization_id: str | None = None,
        user_type: str = "user",
    ) -> Self:
        """Somebody signed in, known by *id*."""
        return cls(
            kind=PrincipalKind.USER,
            id=id,
            email=email,
            email_verified=email_verified,
            name=name,
            organization_id=organization_id,
            user_type=user_type,
        )

    @classmethod
    def admin(cls, id: str, *, email: str | None = None) -> Self:  # noqa: A002
        """Somebody who acts for the merchant."""
        return cls(kind=PrincipalKind.ADMIN, id=id, email=email, user_type="admin")

    @classmethod
    def guest(cls, email: str, *, name: str | None = None) -> Self:
        """Somebody who proved *email* with a guest token."""
        return cls(kind=PrincipalKind.GUEST, email=email, email_verified=True, name=name, user_type="guest")

    @classmethod
    def anonymous(cls, *, peer: str | None = None) -> Self:
        """Somebody who proved nothing."""
        return cls(kind=PrincipalKind.ANONYMOUS, peer=peer)

    @property
    def is_trusted(self) -> bool:
        """Whether this is the merchant: its own Python code or one of its admins."""
        return self.kind in (PrincipalKind.SYSTEM, PrincipalKind.ADMIN)

    @property
    def is_anonymous(self) -> bool:
        """Whether they proved nothing."""
        return self.kind is PrincipalKind.ANONYMOUS

    def scope(self, guest_email: str | None = None) -> str:
        """Return the text that separates this caller's idempotency keys from everybody else's.

        An anonymous caller is a hash of what little is known: the address it
        calls from and the e-mail address it typed.
        """
        match self.kind:
            case PrincipalKind.SYSTEM:
                return "system"
            case PrincipalKind.ADMIN | PrincipalKind.USER:
                return f"{self.kind}:{self.id}"
            case PrincipalKind.GUEST:
                return f"guest:{email_key(self.email or '')}"
            case PrincipalKind.ANONYMOUS:
                seen = f"{email_key(guest_email or '')}|{self.peer or ''}"
                return "anonymous:" + hashlib.sha256(seen.encode()).hexdigest()[:32]


SYSTEM: Final = Principal(kind=PrincipalKind.SYSTEM)
