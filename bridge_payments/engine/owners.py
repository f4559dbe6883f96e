"""Whose a row is, and who may use it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from ..errors import AccessDenied, InvalidRequest, NotAuthenticated, NotFound
from ..models import Customer, GuestData, Principal, PrincipalKind, email_key
from ..settings import Settings
from ..stores.base import OwnedQuery

__all__ = [
    "Owned",
    "Owner",
    "check_list",
    "is_owner",
    "may_touch",
    "owner_for",
    "owner_of",
    "same_owner",
    "the_one",
]


class Owned(Protocol):
    """A row that belongs to a user or to a guest's e-mail address."""

    @property
    def user_id(self) -> str | None: ...

    @property
    def guest_email(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a new row will be. Without user and guest it is the merchant's alone."""

    user_id: str | None = None
    organization_id: str | None = None
    guest: GuestData | None = field(default=None, repr=False)
    claims: Mapping[str, str] = field(default_factory=dict, repr=False)
    """An organization that nobody vouched for: kept in metadata, used for nothing (rule 24)."""

    @property
    def guest_email(self) -> str | None:
        return self.guest.email if self.guest is not None else None

    @property
    def is_guest(self) -> bool:
        return self.user_id is None and self.guest is not None

    def columns(self) -> dict[str, Any]:
        """Return the owner's columns of a row, subscriptions' apart."""
        return {
            "user_id": self.user_id,
            "organization_id": self.organization_id,
            "is_guest": self.is_guest,
            "guest_email": self.guest_email,
            "guest_name": self.guest.name if self.guest is not None else None,
        }


def owner_for(
    principal: Principal,
    settings: Settings,
    *,
    guest: GuestData | None = None,
    user_id: str | None = None,
    organization_id: str | None = None,
) -> Owner:
    """Return whose the row will be that *principal* asks for. Only the merchant names another's *user_id*.

    Raises: InvalidRequest (an anonymous caller without guest data), AccessDenied (no guests here).
    """
    own = principal.is_trusted or organization_id == principal.organization_id
    claims = {} if organization_id is None or own else {"claimed_organization_id": organization_id}
    organization = organization_id if own else None
    match principal.kind:
        case PrincipalKind.USER:
            return Owner(user_id=principal.id, organization_id=organization, claims=claims)
        case PrincipalKind.GUEST:
            guest = GuestData(
                email=principal.email or "",
                name=principal.name or (guest.name if guest else None),
                phone=guest.phone if guest else None,
            )
        case PrincipalKind.ANONYMOUS:
            if not settings.guest_checkout_enabled:
                raise AccessDenied("Guest checkout is disabled")
            if guest is None:
                raise InvalidRequest("Guest data is required for guests", field="guest_data")
        case _:
            guest = None if user_id is not None else guest
            return Owner(user_id=user_id, organization_id=organization, guest=guest)
    return Owner(guest=guest, organization_id=organization, claims=claims)


def owner_of(row: Owned) -> Owner:
    """Return whose *row* is, for another row that belongs with it."""
    guest = None
    if row.user_id is None and row.guest_email is not None:
        guest = getattr(row, "guest_data", None) or GuestData(
            email=row.guest_email, name=getattr(row, "guest_name", None)
        )
    return Owner(user_id=row.user_id, organization_id=getattr(row, "organization_id", None), guest=guest)


def _is_guest(row: Any) -> bool:
    for name in ("is_guest_subscription", "is_guest_payment"):
        if hasattr(row, name):
            return bool(getattr(row, name))
    return bool(row.is_guest)


def same_owner(one: Owned, other: Owned) -> bool:
    """Whether two rows are one owner's; rows without one are the merchant's and match each other."""
    if one.user_id is not None or other.user_id is not None:
        return one.user_id == other.user_id
    return email_key(one.guest_email or "") == email_key(other.guest_email or "")


R = TypeVar("R")


def the_one(found: Iterable[R | None], principal: Principal) -> R | None:
    """Return what a provider's id names, of the rows that the accounts have under it.

    Two accounts may call different things by one id: then it is the principal's own. Whoever owns several, as
    the merchant does, has to name the account or use our id.

    Raises: NotFound.
    """
    rows = [row for row in found if row is not None]
    if len(rows) > 1:
        rows = [row for row in rows if is_owner(principal, row)] or rows[:1]
    if len(rows) > 1:
        raise NotFound("More than one account has something of this id: name it by ours")
    return rows[0] if rows else None


def is_owner(principal: Principal, row: Any) -> bool:
    """Whether *row* is the principal's own, or the principal is the merchant.

    A guest is matched by a proved e-mail address; who proved nothing owns nothing.
    """
    match principal.kind:
        case PrincipalKind.SYSTEM | PrincipalKind.ADMIN:
            return True
        case PrincipalKind.USER:
            return principal.id is not None and row.user_id == principal.id
        case PrincipalKind.GUEST:
            if principal.email is None or not principal.email_verified or not _is_guest(row):
                return False
            return email_key(row.guest_email or "") == email_key(principal.email)
        case PrincipalKind.ANONYMOUS:
            return False


def may_touch(principal: Principal, row: R | None, *, missing: str, denied: str | None = None) -> R:
    """Return *row* if it is there and the principal's.

    Raises: NotAuthenticated; NotFound; for somebody else's row AccessDenied where the wire contract fixes
    403 and *denied* is its sentence, and NotFound elsewhere (rule 31).
    """
    if principal.is_anonymous:
        raise NotAuthenticated("Authentication required")
    if row is None or (isinstance(row, Customer) and row.is_deleted):
        raise NotFound(missing)
    if not is_owner(principal, row):
        raise AccessDenied(denied) if denied is not None else NotFound(missing)
    return row


Q = TypeVar("Q", bound=OwnedQuery)


def check_list(query: Q, principal: Principal) -> Q:
    """Return *query* narrowed to what the principal may see. Raises NotAuthenticated."""
    match principal.kind:
        case PrincipalKind.ANONYMOUS:
            raise NotAuthenticated("Authentication required")
        case PrincipalKind.USER:
            return replace(query, user_id=principal.id, guest_email=None)
        case PrincipalKind.GUEST:
            return replace(query, user_id=None, guest_email=principal.email)
        case _:
            return query
