"""A guest becomes a user: what was bought under a proved e-mail address is theirs from now on (rule 23)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

from ..arguments import typed
from ..errors import AccessDenied, ConcurrentUpdate, InvalidRequest, NotAuthenticated, NotFound
from ..models import SYSTEM, Payment, PaymentMethodStatus, Principal, PrincipalKind, email_key
from ..stores.base import (
    AddressQuery,
    CustomerQuery,
    PaymentMethodQuery,
    PaymentQuery,
    SubscriptionQuery,
    Unit,
)
from ..tripwire import guarded
from .fitting import check_texts
from .operations import Operations

__all__ = ["Conversion", "ConversionVerbs"]

_PAGE: Final = 50
_MOST_PASSES: Final = 20
"""How often rows that arrived meanwhile are looked for; what comes later is caught by the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became a user's, by our ids; in a preview, what would."""

    guest_email: str = field(repr=False)
    payments: tuple[str, ...] = ()
    payment_methods: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    """Rows on which an operation is open: left as they are, for the next call."""

    @property
    def total(self) -> int:
        """How many rows that is."""
        return sum(len(getattr(self, noun)) for noun in _NOUNS)


class ConversionVerbs(Operations):
    """The part of the engine that gives guests' rows to the user who they turned out to be."""

    @guarded
    async def convert_guest(
        self,
        guest_email: str,
        *,
        proof: Principal | None = None,
        user_id: str | None = None,
        customer_ids: Sequence[str] | None = None,
        payment_method_ids: Sequence[str] | None = None,
        principal: Principal = SYSTEM,
    ) -> Conversion:
        """Give a guest's payments, methods, customers, addresses and subscriptions to a user.

        The user's own e-mail must be that address and verified, or *proof* is the principal of a guest token
        for it. The merchant names the *user_id*. Rows keep `guest_email`, for audit. Each row is written by
        compare-and-set, a row with an open operation is left alone and named in `busy`; rows that arrive
        meanwhile are caught, and a second call catches what came later. With *customer_ids* or
        *payment_method_ids* these rows and no others change hands: all of them have to be the guest's.

        Raises: AccessDenied, InvalidRequest, NotAuthenticated, NotFound (a named row is not the guest's:
        nothing was converted).
        """
        owner = _new_owner(guest_email, principal, proof, user_id)
        if customer_ids is not None or payment_method_ids is not None:
            named = {"customers": customer_ids or (), "payment_methods": payment_method_ids or ()}
            return await self._convert_named(guest_email, owner, named)
        done: dict[str, dict[str, None]] = {noun: {} for noun in _NOUNS}
        busy: dict[str, None] = {}
        for _ in range(_MOST_PASSES):
            moved = 0
            for noun, kind in _NOUNS.items():
                converted, left = await self._convert_all(kind, guest_email, owner)
                done[noun].update(dict.fromkeys(converted))
                busy.update(dict.fromkeys(left))
                moved += len(converted)
            if not moved:
                break
        converted_ids = {row_id for ids in done.values() for row_id in ids}
        self.on_commit()
        return Conversion(
            guest_email=guest_email,
            **{noun: tuple(ids) for noun, ids in done.items()},
            busy=tuple(row_id for row_id in busy if row_id not in converted_ids),
        )

    @typed
    async def preview_guest(
        self,
        guest_email: str,
        *,
        proof: Principal | None = None,
        user_id: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Conversion:
        """Say what `convert_guest` would give to the user now. Nothing is written.

        Raises: AccessDenied, InvalidRequest, NotAuthenticated.
        """
        _new_owner(guest_email, principal, proof, user_id)

        def read(unit: Unit) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
            found: dict[str, tuple[str, ...]] = {}
            busy: list[str] = []
            for noun, kind in _NOUNS.items():
                ids = [row.id for page in _pages(unit, kind, guest_email) for row in page]
                held = {row_id for row_id in ids if unit.operations.holder_of(row_id) is not None}
                found[noun] = tuple(row_id for row_id in ids if row_id not in held)
                busy.extend(held)
            return found, tuple(busy)

        found, busy = await self.store.run(read, write=False)
        return Conversion(guest_email=guest_email, **found, busy=busy)

    async def _convert_named(
        self, guest_email: str, owner: str, named: Mapping[str, Sequence[str]]
    ) -> Conversion:
        wanted = [(noun, row_id) for noun, ids in named.items() for row_id in dict.fromkeys(ids)]

        def work(unit: Unit) -> tuple[dict[str, list[str]], list[str]]:
            # Looked up before the first is written: one that is somebody else's stops them all.
            rows = [(noun, _of_guest(unit, noun, row_id, guest_email, owner)) for noun, row_id in wanted]
            done: dict[str, list[str]] = {noun: [] for noun in named}
            busy: list[str] = []
            for noun, row in rows:
                kind = _NOUNS[noun]
                if row.user_id is not None:
                    continue  # an earlier call did that
                if unit.operations.holder_of(row.id) is not None:
                    busy.append(row.id)
                elif kind.save(unit, kind.owned(unit, row, owner), row.version, self.clock()):
                    done[noun].append(row.id)
                else:
                    raise ConcurrentUpdate
            return done, busy

        for _ in range(_MOST_PASSES):
            try:
                done, busy = await self.store.run(work)
            except ConcurrentUpdate:
                continue
            self.on_commit()
            converted = {noun: tuple(ids) for noun, ids in done.items()}
            return Conversion(guest_email=guest_email, **converted, busy=tuple(busy))
        raise ConcurrentUpdate("They are being changed by others; try again")

    async def _convert_all(self, kind: _Kind, guest_email: str, owner: str) -> tuple[list[str], list[str]]:
        """Convert one noun's rows, a page per transaction; return what was converted, and what was left."""
        converted: list[str] = []
        left: list[str] = []
        while True:
            page = partial(
                self._convert_page, kind=kind, guest_email=guest_email, owner=owner, skip=len(left)
            )
            done, busy, raced = await self.store.run(page)
            converted += done
            left += busy
            if not done and not busy and not raced:
                return converted, left

    def _convert_page(
        self, unit: Unit, kind: _Kind, guest_email: str, owner: str, *, skip: int
    ) -> tuple[list[str], list[str], int]:
        done: list[str] = []
        busy: list[str] = []
        raced = 0
        for row in kind.page(unit, guest_email, skip):
            if unit.operations.holder_of(row.id) is not None:
                busy.append(row.id)
            elif kind.save(unit, kind.owned(unit, row, owner), row.version, self.clock()):
                done.append(row.id)
            else:
                raced += 1
        return done, busy, raced


# --- whose ------------------------------------------------------------------------------------------


def _new_owner(guest_email: str, principal: Principal, proof: Principal | None, user_id: str | None) -> str:
    """Return the user who is to own the rows, if they may (rule 23)."""
    if "@" not in guest_email:
        raise InvalidRequest("is not an e-mail address", field="guest_email")
    if principal.is_trusted:
        if not user_id:
            raise InvalidRequest("is required", field="user_id")
        check_texts(Payment, user_id=user_id)
        return user_id
    if principal.kind is not PrincipalKind.USER or principal.id is None:
        raise NotAuthenticated("Authentication required")
    if user_id not in (None, principal.id):
        raise AccessDenied("Only the merchant converts for somebody else")
    if not any(_proves(who, guest_email) for who in (principal, proof)):
        raise AccessDenied("The guest's e-mail address is not proved to be yours")
    return principal.id


def _proves(who: Principal | None, guest_email: str) -> bool:
    if who is None or who.email is None or not who.email_verified:
        return False
    return email_key(who.email) == email_key(guest_email)


def _of_guest(unit: Unit, noun: str, row_id: str, guest_email: str, owner: str) -> Any:
    """Return a row that the guest left behind, or that an earlier call gave to *owner*. Raises NotFound."""
    row = _NOUNS[noun].get(unit, row_id)
    left_behind = row is not None and row.guest_email and email_key(row.guest_email) == email_key(guest_email)
    if row is None or not left_behind or row.user_id not in (None, owner):
        raise NotFound(f"{noun.removesuffix('s').replace('_', ' ').capitalize()} not found")
    return row


# --- the nouns --------------------------------------------------------------------------------------


class _Kind(Protocol):
    """One noun: which rows are the guest's, and how one changes hands."""

    def get(self, unit: Unit, row_id: str) -> Any | None:
        """Return a row that is not deleted."""

    def page(self, unit: Unit, guest_email: str, skip: int) -> Iterable[Any]: ...

    def owned(self, unit: Unit, row: Any, owner: str) -> Any: ...

    def save(self, unit: Unit, row: Any, version: int, now: Any) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Rows:
    """A noun whose rows differ only in names."""

    repository: str
    query: Callable[..., Any]
    guest_flag: str = "is_guest"
    has_default: bool = False

    def get(self, unit: Unit, row_id: str) -> Any | None:
        row = getattr(unit, self.repository).get(row_id)
        gone = (
            getattr(row, "is_deleted", False) or getattr(row, "status", None) is PaymentMethodStatus.DELETED
        )
        return None if gone else row

    def page(self, unit: Unit, guest_email: str, skip: int) -> Iterable[Any]:
        query = self.query(guest_email=guest_email, limit=_PAGE, offset=skip, descending=False)
        rows: Iterable[Any] = getattr(unit, self.repository).list(query).items
        return rows

    def owned(self, unit: Unit, row: Any, owner: str) -> Any:
        changed = {"user_id": owner, self.guest_flag: False}
        if self.has_default and row.is_default:
            # The user's own choice stays the default.
            theirs = getattr(unit, self.repository).list(self.query(user_id=owner, limit=100)).items
            changed["is_default"] = not any(
                other.is_default
                and getattr(other, "address_type", None) == getattr(row, "address_type", None)
                for other in theirs
            )
        return replace(row, **changed)

    def save(self, unit: Unit, row: Any, version: int, now: Any) -> bool:
        saved: bool = getattr(unit, self.repository).save(
            replace(row, updated_at=now), expected_version=version
        )
        return saved


_NOUNS: Final[dict[str, _Kind]] = {
    "customers": _Rows("customers", CustomerQuery),
    "payment_methods": _Rows("payment_methods", PaymentMethodQuery, has_default=True),
    "addresses": _Rows("addresses", AddressQuery, has_default=True),
    "subscriptions": _Rows("subscriptions", SubscriptionQuery, guest_flag="is_guest_subscription"),
    "payments": _Rows("payments", PaymentQuery, guest_flag="is_guest_payment"),
}


def _pages(unit: Unit, kind: _Kind, guest_email: str) -> Iterable[list[Any]]:
    skip = 0
    while page := list(kind.page(unit, guest_email, skip)):
        yield page
        skip += len(page)
