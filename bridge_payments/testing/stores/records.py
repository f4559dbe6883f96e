"""What a store promises about customers, payment methods, addresses, subscriptions and disputes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Final

from ...errors import StoreError
from ...models import (
    Address,
    AddressType,
    BillingInterval,
    Customer,
    Dispute,
    DisputeStatus,
    Event,
    GuestData,
    MovableClock,
    NextAction,
    NextActionKind,
    PaymentMethod,
    PaymentMethodStatus,
    Subscription,
    SubscriptionStatus,
    new_id,
)
from ...stores.base import (
    AddressQuery,
    CustomerQuery,
    Listing,
    PaymentMethodQuery,
    Store,
    SubscriptionQuery,
    Unit,
)
from .samples import NOW, Promises, on_a_store

__all__ = ["RecordPromises", "a_customer", "a_dispute", "a_method", "a_subscription", "an_address"]

_SECRET: Final = "seti_1_secret_x"
_ACTION: Final = NextAction(
    kind=NextActionKind.REDIRECT,
    url=f"https://hooks.example/3ds?setup_intent_client_secret={_SECRET}&x=1",
    return_url="https://shop.example/back",
)
_METADATA: Final = {"z": 1, "a": {"list": [1, "zwei", None, True]}}


def a_customer(**changes: Any) -> Customer:
    customer = Customer(id=new_id("cus"), provider_id="dummy", created_at=NOW, updated_at=NOW)
    return replace(customer, **changes)


def a_method(**changes: Any) -> PaymentMethod:
    method = PaymentMethod(
        id=new_id("pm"),
        provider_id="dummy",
        payment_type="credit_card",
        status=PaymentMethodStatus.ACTIVE,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(method, **changes)


def an_address(**changes: Any) -> Address:
    address = Address(
        id=new_id("addr"),
        address_type=AddressType.BILLING,
        line1="Calle Mayor 1",
        city="Madrid",
        postal_code="28013",
        country="ES",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(address, **changes)


def a_subscription(**changes: Any) -> Subscription:
    subscription = Subscription(
        id=new_id("sub"),
        provider_id="dummy",
        customer_id="cus_1",
        status=SubscriptionStatus.ACTIVE,
        subtotal_cents=900,
        total_cents=900,
        currency="USD",
        billing_interval=BillingInterval.MONTHLY,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(subscription, **changes)


def a_dispute(**changes: Any) -> Dispute:
    dispute = Dispute(
        id=new_id("dp"),
        payment_id="pay_1",
        provider_id="dummy",
        provider_dispute_id=new_id("du"),
        amount_cents=900,
        currency="USD",
        status=DisputeStatus.OPEN,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(dispute, **changes)


_LATER: Final = NOW + timedelta(microseconds=1)
_OWNED: Final = {
    "user_id": "user_1",
    "organization_id": "org_1",
    "guest_email": "Ana.Müller@Example.com",
    "metadata": _METADATA,
}
_FULL: Final[tuple[Any, ...]] = (
    a_customer(
        **_OWNED,
        provider_customer_id="cus_AbC",
        email="ana@example.com",
        name="Ana 🌻",
        phone="+34 600",
        is_guest=True,
        guest_name="Ana",
        default_payment_method_id="pm_1",
        deleted_at=_LATER,
    ),
    a_method(
        **_OWNED,
        provider_payment_method_id="pm_AbC",
        provider_setup_id="seti_1",
        customer_id="cus_1",
        wallet_type="apple_pay",
        card_brand="visa",
        last_four="4242",
        expiry_month=12,
        expiry_year=2031,
        alias="mine",
        is_default=True,
        billing_address_id="addr_1",
        is_guest=True,
        guest_name="Ana",
        next_action=_ACTION,
        client_secret=_SECRET,
        client_secret_expires_at=_LATER,
        decline_code="declined",
        error_message="no",
    ),
    an_address(
        **_OWNED,
        is_default=True,
        name="Ana",
        line2="2º",
        state="M",
        phone="+34 600",
        email="ana@example.com",
        alias="home",
        is_guest=True,
        guest_name="Ana",
    ),
    a_subscription(
        **_OWNED,
        tax_cents=10,
        discount_cents=10,
        interval_multiplier=3,
        provider_subscription_id="sub_AbC",
        reference="7zk2m0c4x8v1q5w9t3rb",
        payment_method_id="pm_1",
        product_id="prod_1",
        project_id="project_1",
        billing_address_id="addr_1",
        current_period_start=NOW,
        current_period_end=_LATER,
        cancel_at_period_end=True,
        canceled_at=_LATER,
        trial_end=_LATER,
        next_billing_date=_LATER,
        next_action=_ACTION,
        client_secret=_SECRET,
        client_secret_expires_at=_LATER,
        decline_code="declined",
        error_message="no",
        provider_status="active",
        livemode=False,
        description="Tea",
        concept="tea",
        reference_code="R-1",
        category="subscription",
        tags="a,b",
        is_guest_subscription=True,
        guest_data=GuestData(email="ana@example.com", name="Ana", phone=None),
        next_sync_at=_LATER,
    ),
    a_dispute(
        reason="fraudulent", provider_status="needs_response", evidence_due_by=_LATER, closed_at=_LATER
    ),
)
_SPARE: Final[tuple[Any, ...]] = (a_customer(), a_method(), an_address(), a_subscription(), a_dispute())


def _repository(unit: Unit, record: object) -> Any:
    match record:
        case Customer():
            return unit.customers
        case PaymentMethod():
            return unit.payment_methods
        case Address():
            return unit.addresses
        case Subscription():
            return unit.subscriptions
        case _:
            return unit.disputes


async def _keep(store: Store, *records: Any) -> None:
    def work(unit: Unit) -> None:
        for record in records:
            _repository(unit, record).add(record)

    await store.run(work)


async def _get(store: Store, record: Any) -> Any:
    return await store.run(lambda unit: _repository(unit, record).get(record.id), write=False)


async def _save(store: Store, record: Any, version: int = 1) -> bool:
    saved: bool = await store.run(
        lambda unit: _repository(unit, record).save(record, expected_version=version)
    )
    return saved


async def _refused(store: Store, record: Any) -> bool:
    try:
        await _keep(store, record)
    except StoreError:
        return True
    return False


async def _told(store: Store, event: Event) -> Sequence[Event]:
    await store.run(lambda unit: unit.events.add(event))
    return await store.run(lambda unit: unit.events.for_subject(event.subject_id or ""), write=False)


async def _stale(store: Store, record: Any) -> list[str]:
    def look(unit: Unit) -> list[str]:
        found = _repository(unit, record).with_stale_secrets(before=NOW, limit=9)
        return [row.id for row in found]

    return await store.run(look, write=False)


async def _ids(store: Store, work: Callable[[Unit], Listing[Any]]) -> tuple[list[str], int]:
    found = await store.run(work, write=False)
    return [row.id for row in found.items], found.total


class RecordPromises(Promises):
    @on_a_store
    async def test_who_listens_hears_of_each_customer_and_method_that_was_written(
        self, store: Store, clock: MovableClock
    ) -> None:
        heard: list[str] = []
        if not store.tell_of_changes(lambda rows: heard.extend(row.id for row in rows)):
            return  # then nothing of it is remembered anywhere
        customer, method = a_customer(user_id="ada"), a_method(user_id="ada")

        def heard_of(work: Callable[[Unit], object]) -> Callable[[Unit], None]:
            def tried(unit: Unit) -> None:
                work(unit)
                assert heard == [], "told before the commit"

            return tried

        writes: Sequence[tuple[Callable[[Unit], object], Customer | PaymentMethod]] = [
            (lambda unit: unit.customers.add(customer), customer),
            (lambda unit: unit.payment_methods.add(method), method),
            (lambda unit: unit.customers.save(customer, expected_version=1), customer),
            (lambda unit: unit.payment_methods.save(method, expected_version=1), method),
            (lambda unit: unit.payment_methods.clear_default(method), method),
        ]
        for work, row in writes:
            await store.run(heard_of(work))
            assert heard == [row.id]
            heard.clear()

        def tear(unit: Unit) -> None:
            unit.payment_methods.save(replace(method, alias="torn"), expected_version=2)
            raise LookupError

        with suppress(LookupError):
            await store.run(tear)
        await store.run(lambda unit: unit.payment_methods.get(method.id), write=False)
        assert heard == []

    # --- every record -----------------------------------------------------------------------------

    @on_a_store
    async def test_a_record_comes_back_field_for_field(self, store: Store, clock: MovableClock) -> None:
        for full, spare in zip(_FULL, _SPARE, strict=True):
            stored = [field.name for field in fields(full) if field.compare]
            unset = [name for name in stored if getattr(full, name) is None]
            assert unset == [], f"a field of {type(full).__name__} is not tried here"
            await _keep(store, full, spare)
            assert await _get(store, full) == full
            assert await _get(store, spare) == spare

    @on_a_store
    async def test_of_two_who_read_a_record_one_writes_it(self, store: Store, clock: MovableClock) -> None:
        for record in _FULL:
            await _keep(store, record)
            later = replace(record, updated_at=_LATER)
            assert await _save(store, later)
            assert not await _save(store, replace(record, updated_at=NOW)), "the loser wrote"
            assert await _get(store, record) == replace(later, version=2)
        for never in _SPARE:
            assert not await _save(store, never), "what was never added was saved"

    @on_a_store
    async def test_a_record_with_a_taken_identity_is_refused(self, store: Store, clock: MovableClock) -> None:
        for record in _SPARE:
            await _keep(store, record)
            if not isinstance(record, Customer | Dispute):
                assert await _refused(store, record)

    @on_a_store
    async def test_no_two_living_rows_of_an_account_hold_one_reference(
        self, store: Store, clock: MovableClock
    ) -> None:
        gone = a_method(provider_payment_method_id="pm_x", status=PaymentMethodStatus.DELETED)
        former = a_customer(provider_customer_id="cus_x", deleted_at=NOW)
        await _keep(store, gone, former)
        for first in (
            a_customer(provider_customer_id="cus_x"),
            a_method(provider_payment_method_id="pm_x"),
            a_subscription(provider_subscription_id="sub_x"),
            a_dispute(provider_dispute_id="du_x"),
        ):
            elsewhere = replace(first, id=new_id("x"), provider_id="dummy_eu")
            await _keep(store, first, elsewhere)
            second = replace(first, id=new_id("x"))
            assert await _refused(store, second)

            def look(unit: Unit, it: Any = first) -> Any:
                reference = next(
                    value for name, value in vars_of(it).items() if str(value).endswith("_x") and name != "id"
                )
                found = _repository(unit, it).get_by_reference("dummy", reference)
                none = _repository(unit, it).get_by_reference("dummy", reference.upper())
                return found.id, none

            assert await store.run(look, write=False) == (first.id, None)

    @on_a_store
    async def test_events_carry_what_they_are_about_without_a_client_secret(
        self, store: Store, clock: MovableClock
    ) -> None:
        customer, method, _, subscription, dispute = _FULL
        about: list[dict[str, Any]] = [
            {"customer": customer},
            {"payment_method": method},
            {"subscription": subscription},
            {"dispute": dispute},
        ]
        for what in about:
            event = Event(id=new_id("evt"), type="x.y", created_at=NOW, **what)
            [told] = await _told(store, event)
            [(name, row)] = what.items()
            kept = getattr(told, name)
            assert _SECRET not in repr(vars_of(kept))
            if hasattr(row, "client_secret"):
                assert kept.client_secret is None
                row = replace(row, client_secret=None, next_action=kept.next_action)
            assert kept == row

    # --- customers --------------------------------------------------------------------------------

    @on_a_store
    async def test_an_owner_has_one_customer_at_an_account(self, store: Store, clock: MovableClock) -> None:
        def add(customer: Customer) -> Any:
            return store.run(lambda unit: unit.customers.add(customer))

        mine = a_customer(user_id="u")
        assert await add(mine) == mine.id
        assert await add(a_customer(user_id="u")) == mine.id
        other = a_customer(user_id="u", provider_id="dummy_eu")
        assert await add(other) == other.id
        blank = a_customer(user_id="u ")
        assert await add(blank) == blank.id, "blanks at the end count"
        guest = a_customer(is_guest=True, guest_email="Ana@Example.com")
        assert await add(guest) == guest.id
        assert await add(a_customer(is_guest=True, guest_email="ana@example.COM")) == guest.id
        nobody = a_customer()
        assert await add(nobody) == nobody.id

        assert await _save(store, replace(mine, deleted_at=NOW))
        again = a_customer(user_id="u")
        assert await add(again) == again.id, "a deleted customer kept its owner's place"

        # A guest signs in and had a customer as a user already: both rows live, one has the place.
        assert await _save(store, replace(guest, user_id="u"))

        def owners(unit: Unit) -> list[str | None]:
            found = (
                unit.customers.of_owner("dummy", user_id="u"),
                unit.customers.of_owner("dummy", guest_email="ana@example.com"),
                unit.customers.of_owner("dummy"),
            )
            return [each.id if each is not None else None for each in found]

        assert await store.run(owners, write=False) == [again.id, None, None]

    # --- lists ------------------------------------------------------------------------------------

    @on_a_store
    async def test_everybody_lists_what_is_theirs(self, store: Store, clock: MovableClock) -> None:
        mine = {"user_id": "u"}
        guests = {"is_guest": True, "guest_email": "Ana@Example.com"}
        converted = {"user_id": "v", "guest_email": "ana@example.com"}
        for make in (a_customer, a_method, an_address):
            rows = [make(**mine), make(**guests), make(**converted)]
            await _keep(store, *rows)
            for query, whose in (
                ({"user_id": "u"}, rows[:1]),
                ({"guest_email": "ANA@example.com"}, rows[1:2]),
            ):
                ids = [row.id for row in whose]
                assert await _ids(store, _list_of(rows[0], **query)) == (ids, len(ids))
        guest = a_subscription(is_guest_subscription=True, guest_email="Ana@Example.com")
        await _keep(store, guest, a_subscription(user_id="u"))
        assert await _ids(store, _list_of(guest, guest_email="ana@example.com")) == ([guest.id], 1)

    @on_a_store
    async def test_lists_are_filtered_searched_ordered_and_cut(
        self, store: Store, clock: MovableClock
    ) -> None:
        visa = a_method(user_id="u", card_brand="visa", last_four="4242", alias="work_1", customer_id="c")
        amex = a_method(user_id="u", card_brand="amex", last_four="0005", alias="home")
        bank = a_method(user_id="u", payment_type="bank_account")
        hidden = [
            a_method(user_id="u", status=status)
            for status in (
                PaymentMethodStatus.PENDING,
                PaymentMethodStatus.FAILED,
                PaymentMethodStatus.DELETED,
            )
        ]
        asked = a_method(user_id="u", status=PaymentMethodStatus.REQUIRES_ACTION)
        await _keep(store, visa, amex, bank, asked, *hidden)

        async def methods(**query: Any) -> list[str]:
            return (await _ids(store, _list_of(visa, user_id="u", **query)))[0]

        assert await methods() == [asked.id, bank.id, amex.id, visa.id]
        assert await methods(customer_id="c") == [visa.id]
        assert await methods(payment_type="bank_account") == [bank.id]
        assert await methods(card_brand="amex", provider_id="dummy") == [amex.id]
        assert await methods(card_brand="amex", provider_id="dummy_eu") == []
        assert await methods(search="WORK_") == [visa.id], "search folds case and takes signs literally"
        assert await methods(search="ork%1") == []
        by_alias = await methods(order_by="alias", descending=False)
        assert by_alias == [*sorted([bank.id, asked.id]), amex.id, visa.id], "no alias is the smallest"
        assert (await methods(order_by="last_four"))[:2] == [visa.id, amex.id]
        page = await _ids(store, _list_of(visa, user_id="u", limit=1, offset=1))
        assert page == ([bank.id], 4)
        assert await _ids(store, _list_of(visa, user_id="u", limit=2, offset=9)) == ([], 4)

        home = an_address(user_id="u", city="Ávila", name="Ana", address_type=AddressType.SHIPPING)
        away = an_address(user_id="u", city="Bilbao", postal_code="48001")
        await _keep(store, home, away)
        found: tuple[tuple[dict[str, Any], list[Any]], ...] = (
            ({"address_type": AddressType.SHIPPING}, [home]),
            ({"search": "480"}, [away]),
            ({"order_by": "name"}, [home, away]),
        )
        for query, whose in found:
            assert (await _ids(store, _list_of(home, user_id="u", **query)))[0] == [row.id for row in whose]

        over = a_subscription(status=SubscriptionStatus.CANCELED, customer_id="c")
        runs = a_subscription(description="Oolong")
        await _keep(store, over, runs)
        living = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING})
        found = (
            ({"statuses": living}, [runs]),
            ({"customer_id": "c"}, [over]),
            ({"search": "oolong"}, [runs]),
            ({"order_by": "status", "descending": False}, [runs, over]),
        )
        for query, whose in found:
            assert (await _ids(store, _list_of(over, **query)))[0] == [row.id for row in whose]

        await _keep(store, a_customer(deleted_at=NOW), ana := a_customer(name="Ana", email="a@example.com"))
        assert await _ids(store, _list_of(ana)) == ([ana.id], 1)
        assert await _ids(store, _list_of(ana, search="A@EX")) == ([ana.id], 1)

    # --- defaults ---------------------------------------------------------------------------------

    @on_a_store
    async def test_an_owner_has_one_default(self, store: Store, clock: MovableClock) -> None:
        old = a_method(user_id="u", is_default=True)
        new = a_method(user_id="u", is_default=True)
        others = a_method(user_id="v", is_default=True)
        await _keep(store, old, new, others)
        assert await store.run(lambda unit: unit.payment_methods.clear_default(new)) == 1
        assert await _get(store, old) == replace(old, is_default=False, version=2)
        assert (await _get(store, new)).is_default
        assert (await _get(store, others)).is_default

        billing = an_address(guest_email="ANA@example.com", is_guest=True, is_default=True)
        shipping = replace(billing, id=new_id("addr"), address_type=AddressType.SHIPPING)
        newer = replace(billing, id=new_id("addr"), guest_email="ana@example.com")
        await _keep(store, billing, shipping, newer)
        assert await store.run(lambda unit: unit.addresses.clear_default(newer)) == 1
        assert not (await _get(store, billing)).is_default
        assert (await _get(store, shipping)).is_default

    @on_a_store
    async def test_an_address_is_removed_once(self, store: Store, clock: MovableClock) -> None:
        address = an_address()
        await _keep(store, address)
        assert await store.run(lambda unit: unit.addresses.delete(address.id))
        assert not await store.run(lambda unit: unit.addresses.delete(address.id))
        assert await _get(store, address) is None

    # --- work -------------------------------------------------------------------------------------

    @on_a_store
    async def test_due_subscriptions_are_taken_once_per_lease(
        self, store: Store, clock: MovableClock
    ) -> None:
        due = a_subscription(next_sync_at=NOW)
        await _keep(store, due, a_subscription(next_sync_at=NOW + timedelta(hours=9)), a_subscription())

        def claim() -> Any:
            return store.run(lambda unit: unit.subscriptions.claim_due(limit=9, lease_seconds=60))

        assert [row.id for row in await claim()] == [due.id]
        assert await claim() == []
        clock.move(timedelta(seconds=61))
        [again] = await claim()
        assert again == replace(due, next_sync_at=clock() + timedelta(seconds=60)), "the version moved"

    @on_a_store
    async def test_stale_secrets_of_set_ups_and_subscriptions_are_found(
        self, store: Store, clock: MovableClock
    ) -> None:
        old, fresh = NOW - timedelta(hours=2), NOW + timedelta(hours=2)
        rows: list[Any] = []
        for make in (a_method, a_subscription):
            stale = make(client_secret=_SECRET, client_secret_expires_at=old)
            await _keep(store, stale, make(client_secret=_SECRET, client_secret_expires_at=fresh), make())
            rows.append(stale)
        for stale in rows:
            assert await _stale(store, stale) == [stale.id]


def vars_of(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _list_of(record: Any, **query: Any) -> Callable[[Unit], Listing[Any]]:
    kinds: dict[type, type] = {
        Customer: CustomerQuery,
        PaymentMethod: PaymentMethodQuery,
        Address: AddressQuery,
        Subscription: SubscriptionQuery,
    }
    return lambda unit: _repository(unit, record).list(kinds[type(record)](**query))
