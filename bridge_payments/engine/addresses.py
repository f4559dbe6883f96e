"""Addresses: ours alone. No provider is asked to keep one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from ..arguments import typed
from ..errors import ConcurrentUpdate, InvalidRequest, NotFound
from ..models import (
    ID_PATTERN,
    SYSTEM,
    Address,
    AddressType,
    GuestData,
    Principal,
    new_id,
)
from ..stores.base import AddressQuery, Listing, Unit
from ..tripwire import guarded
from . import rules
from .fitting import check_texts, fitting
from .inputs import digest
from .operations import MERGE_ATTEMPTS, Operations
from .owners import check_list, may_touch, owner_for

__all__ = ["AddressVerbs"]

_COUNTRY: Final = re.compile(r"[A-Z]{2}\Z")
_LENGTHS: Final = {"postal_code": 50, "phone": 50}
_REQUIRED: Final = ("line1", "city", "postal_code", "country")
_TEXTS: Final = (
    "line1", "line2", "city", "state", "postal_code", "country", "name", "phone", "email", "alias",
)  # fmt: skip
_MISSING: Final = "Address not found"


class AddressVerbs(Operations):
    """The part of the engine that keeps where payers live and where parcels go."""

    @guarded
    async def create_address(
        self,
        *,
        line1: str,
        city: str,
        postal_code: str,
        country: str,
        address_type: AddressType | str = AddressType.BILLING,
        line2: str | None = None,
        state: str | None = None,
        name: str | None = None,
        phone: str | None = None,
        email: str | None = None,
        alias: str | None = None,
        is_default: bool = False,
        metadata: Mapping[str, Any] | None = None,
        guest: GuestData | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
        idempotency_key: str | None = None,
        principal: Principal = SYSTEM,
    ) -> Address:
        """Keep an address. *country* is two letters (ISO 3166-1). An anonymous caller needs *guest*.

        Raises: AccessDenied, IdempotencyMismatch, InvalidRequest.
        """
        texts = _checked(
            {
                "line1": line1, "line2": line2, "city": city, "state": state, "postal_code": postal_code,
                "country": country, "name": name, "phone": phone, "email": email, "alias": alias,
            }
        )  # fmt: skip
        rules.check_metadata(metadata or {})
        kind = type_of(address_type)
        owner = owner_for(
            principal, self.settings, guest=guest, user_id=user_id, organization_id=organization_id
        )
        now = self.clock()
        row = Address(
            id=new_id("addr"),
            address_type=kind,
            created_at=now,
            updated_at=now,
            is_default=is_default,
            metadata={**(metadata or {}), **owner.claims},
            **texts,
            **owner.columns(),
        )
        fitting(row)
        scope = f"create_address:{principal.scope(owner.guest_email)}"
        body = {**texts, "type": kind.value, "default": is_default, "metadata": metadata}

        def work(unit: Unit) -> Address:
            earlier = self.replay_or(
                unit, scope=scope, key=idempotency_key, body_hash=digest(body), subject_id=row.id,
                operation_id=None,
            )  # fmt: skip
            if earlier is not None:
                return unit.addresses.get(earlier.subject_id) or row
            unit.addresses.add(row)
            self._only(unit, row)
            return row

        made = await self.store.run(work)
        return await self._one_default(made) if made.is_default else made

    @guarded
    async def update_address(
        self,
        address_id: str,
        *,
        principal: Principal = SYSTEM,
        address_type: AddressType | str | None = None,
        is_default: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        **texts: str | None,
    ) -> Address:
        """Change an address. What is not given stays; None empties what may be empty, *metadata* replaces.

        *texts* are ``line1 line2 city state postal_code country name phone email alias``.

        Raises: InvalidRequest, NotAuthenticated, NotFound.
        """
        if unknown := set(texts) - set(_TEXTS):
            raise InvalidRequest("is not a part of an address", field=min(unknown))
        check_texts(Address, **texts)
        changed: dict[str, Any] = _checked(texts)
        if address_type is not None:
            changed["address_type"] = type_of(address_type)
        if is_default is not None:
            changed["is_default"] = is_default
        if metadata is not None:
            rules.check_metadata(metadata)
            changed["metadata"] = dict(metadata)

        def work(unit: Unit) -> Address:
            row = may_touch(principal, _found(unit, address_id), missing=_MISSING)
            new = replace(row, **changed)
            if new == row:
                return row
            new = replace(new, updated_at=self.clock())
            if not unit.addresses.save(new, expected_version=row.version):
                raise ConcurrentUpdate
            self._only(unit, new)
            return replace(new, version=row.version + 1)

        saved = await self._again_if_raced(work)
        return await self._one_default(saved) if changed.get("is_default") else saved

    @typed
    async def set_default_address(self, address_id: str, *, principal: Principal = SYSTEM) -> Address:
        """Make this the default of its type; no other one of its owner is then.

        Raises: NotAuthenticated, NotFound.
        """
        return await self.update_address(address_id, is_default=True, principal=principal)

    @typed
    async def delete_address(self, address_id: str, *, principal: Principal = SYSTEM) -> Address:
        """Remove an address; return the last of it. Payments that name it keep their mention.

        Raises: NotAuthenticated, NotFound.
        """

        def work(unit: Unit) -> Address:
            row = may_touch(principal, _found(unit, address_id), missing=_MISSING)
            if not unit.addresses.delete(row.id):
                raise NotFound(_MISSING)
            return row

        return await self.store.run(work)

    @typed
    async def get_address(self, address_id: str, *, principal: Principal = SYSTEM) -> Address:
        """Return one address. Raises NotAuthenticated, NotFound."""
        row = await self.store.run(lambda unit: _found(unit, address_id), write=False)
        return may_touch(principal, row, missing=_MISSING)

    @typed
    async def list_addresses(self, query: AddressQuery, *, principal: Principal = SYSTEM) -> Listing[Address]:
        """Return a page of addresses; users and guests see only their own. Raises NotAuthenticated."""
        mine = check_list(query, principal)
        return await self.store.run(lambda unit: unit.addresses.list(mine), write=False)

    @staticmethod
    def _only(unit: Unit, row: Address) -> None:
        if row.is_default and (row.user_id or row.guest_email):
            unit.addresses.clear_default(row)

    async def _one_default(self, row: Address) -> Address:
        """See that there is one default, after two callers chose two at the same moment: the later stays."""
        if row.user_id is None and row.guest_email is None:
            return row
        query = AddressQuery(
            user_id=row.user_id,
            guest_email=None if row.user_id else row.guest_email,
            address_type=row.address_type,
            limit=100,
        )

        def work(unit: Unit) -> Address | None:
            chosen = [address for address in unit.addresses.list(query).items if address.is_default]
            # Only what was seen gives way: who is chosen in this very moment is not undone.
            for other in sorted(chosen, key=lambda each: (each.updated_at, each.id))[:-1]:
                unit.addresses.save(replace(other, is_default=False), expected_version=other.version)
            return unit.addresses.get(row.id)

        return await self.store.run(work) or row

    async def _again_if_raced(self, work: Callable[[Unit], Address]) -> Address:
        for _ in range(MERGE_ATTEMPTS):
            try:
                return await self.store.run(work)
            except ConcurrentUpdate:
                continue
        raise ConcurrentUpdate("The address is being changed by others; try again")


def type_of(value: AddressType | str) -> AddressType:
    try:
        return AddressType(value)
    except ValueError:
        raise InvalidRequest("is billing, shipping or both", field="address_type") from None


def _found(unit: Unit, address_id: str) -> Address | None:
    return unit.addresses.get(address_id) if ID_PATTERN.match(address_id) else None


def _checked(texts: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the parts of an address as they are kept, or say what is wrong with them."""
    kept: dict[str, Any] = {}
    for name, value in texts.items():
        text = value.strip() if value is not None else None
        if name in _REQUIRED and not text:
            raise InvalidRequest("is required", field=name)
        if text is not None and len(text) > _LENGTHS.get(name, 255):
            raise InvalidRequest(f"has more than {_LENGTHS.get(name, 255)} characters", field=name)
        kept[name] = text or None
    if (country := kept.get("country")) is not None:
        kept["country"] = country.upper()
        if not _COUNTRY.match(kept["country"]):
            raise InvalidRequest("is two letters (ISO 3166-1)", field="country")
    return kept
