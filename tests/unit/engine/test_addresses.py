"""Addresses: their owner's alone, one default per type."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge_payments.errors import InvalidRequest, NotAuthenticated, NotFound
from bridge_payments.models import Address, AddressType, GuestData, Principal
from bridge_payments.stores.base import AddressQuery

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada")
BOB = Principal.user("bob")
GUEST = GuestData(email="guest@example.com", name="Gail")


async def new(house: Any, principal: Principal = ADA, **more: Any) -> Address:
    parts = {"line1": "1 Way", "city": "Town", "postal_code": "AB1", "country": "gb", **more}
    return await house.engine.create_address(principal=principal, **parts)


async def test_an_address_is_kept_changed_in_part_and_removed(house: Any) -> None:
    made = await new(house, name="Ada", metadata={"a": 1})
    assert (made.country, made.address_type, made.user_id) == ("GB", AddressType.BILLING, "ada")
    moved = await house.engine.update_address(made.id, city="City", principal=ADA)
    assert (moved.city, moved.name, moved.metadata, moved.version) == ("City", "Ada", {"a": 1}, 2)
    emptied = await house.engine.update_address(made.id, name=None, principal=ADA)
    assert emptied.name is None
    assert await house.engine.get_address(made.id, principal=ADA) == emptied
    await house.engine.delete_address(made.id, principal=ADA)
    with pytest.raises(NotFound):
        await house.engine.get_address(made.id, principal=ADA)


@pytest.mark.parametrize(
    "wrong",
    [{"line1": " "}, {"country": "GBR"}, {"country": "1!"}, {"address_type": "home"}, {"city": "x" * 256}],
)
async def test_what_is_no_address_is_refused(house: Any, wrong: Any) -> None:
    with pytest.raises(InvalidRequest):
        await new(house, **wrong)
    made = await new(house)
    with pytest.raises(InvalidRequest):
        await house.engine.update_address(made.id, principal=ADA, **wrong)


async def test_somebody_elses_address_is_not_there(house: Any) -> None:
    made = await new(house)
    for call in (
        house.engine.get_address(made.id, principal=BOB),
        house.engine.update_address(made.id, city="x", principal=BOB),
        house.engine.delete_address(made.id, principal=BOB),
        house.engine.set_default_address(made.id, principal=BOB),
    ):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotAuthenticated):
        await house.engine.get_address(made.id, principal=Principal.anonymous())
    assert (await house.engine.list_addresses(AddressQuery(user_id="ada"), principal=BOB)).total == 0


async def test_a_guests_address_is_seen_by_who_proves_the_e_mail(house: Any) -> None:
    with pytest.raises(InvalidRequest):
        await new(house, Principal.anonymous())
    made = await new(house, Principal.anonymous(), guest=GUEST)
    proved = Principal.guest("GUEST@example.com")
    assert await house.engine.get_address(made.id, principal=proved) == made
    assert (await house.engine.list_addresses(AddressQuery(), principal=proved)).items == (made,)


async def test_there_is_one_default_per_type_however_many_are_chosen_at_once(house: Any) -> None:
    billing = [await new(house) for _ in range(4)]
    shipping = await new(house, address_type="shipping", is_default=True)
    await asyncio.gather(
        *(house.engine.set_default_address(address.id, principal=ADA) for address in billing)
    )
    listed = (await house.engine.list_addresses(AddressQuery(), principal=ADA)).items
    defaults = [row.address_type for row in listed if row.is_default]
    assert sorted(defaults) == [AddressType.BILLING, AddressType.SHIPPING]
    assert (await house.engine.get_address(shipping.id, principal=ADA)).is_default


async def test_a_key_keeps_one_address(house: Any) -> None:
    first, again = [await new(house, idempotency_key="k") for _ in range(2)]
    assert first == again
    assert (await house.engine.list_addresses(AddressQuery(), principal=ADA)).total == 1
