"""What a store promises about lists of payments, counts, and the sweep that finds what is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ...models import MovableClock, Payment, PaymentStatus
from ...stores.base import PaymentQuery, Store
from .samples import NOW, Promises, a_payment, keep, on_a_store

__all__ = ["ListPromises"]


async def _listed(store: Store, query: PaymentQuery) -> tuple[list[str], int]:
    page = await store.run(lambda unit: unit.payments.list(query), write=False)
    return [payment.id for payment in page.items], page.total


async def _counted(store: Store, guest_email: str, since: datetime) -> int:
    return await store.run(
        lambda unit: unit.payments.count_recent_guest(guest_email, since=since), write=False
    )


class ListPromises(Promises):
    @on_a_store
    async def test_lists_are_filtered_by_owner_account_status_and_date(
        self, store: Store, clock: MovableClock
    ) -> None:
        later = NOW + timedelta(hours=1)
        mine = a_payment(user_id="Ana")
        paid = a_payment(user_id="Ana", status=PaymentStatus.SUCCEEDED, created_at=later)
        theirs = a_payment(user_id="ana", provider_id="other", reference_code="Order-1")
        guest = a_payment(is_guest_payment=True, guest_email="Ana@Example.com")
        was_guest = a_payment(user_id="Bob", guest_email="ana@example.com")
        everything = [mine, paid, theirs, guest, was_guest]
        await keep(store, *(everything))
        succeeded = frozenset({PaymentStatus.SUCCEEDED})
        for query, expected in [
            (PaymentQuery(), everything),
            (PaymentQuery(user_id="Ana"), [mine, paid]),
            (PaymentQuery(user_id="Ana", statuses=succeeded), [paid]),
            (PaymentQuery(statuses=frozenset()), []),
            (PaymentQuery(provider_id="other"), [theirs]),
            (PaymentQuery(reference_code="Order-1"), [theirs]),
            (PaymentQuery(reference_code="order-1"), []),
            (PaymentQuery(reference_code="Order-"), []),
            (PaymentQuery(guest_email="aNA@example.COM"), [guest]),
            (PaymentQuery(created_from=later), [paid]),
            (PaymentQuery(created_to=NOW, user_id="Ana"), [mine]),
            (PaymentQuery(created_from=NOW, created_to=NOW, user_id="Ana"), [mine]),
        ]:
            wanted = [payment.id for payment in reversed(expected)]
            assert await _listed(store, query) == (wanted, len(wanted)), query

    @on_a_store
    async def test_totals_are_counted_by_status_and_currency(self, store: Store, clock: MovableClock) -> None:
        paid = {"status": PaymentStatus.SUCCEEDED, "authorized_cents": 5500, "captured_cents": 5500}
        await keep(store, a_payment(**paid), a_payment(**paid, refunded_cents=500, refund_reserved_cents=500))
        await keep(store, a_payment(**paid, currency="EUR"), a_payment(), a_payment())
        found = await store.run(lambda unit: unit.payments.totals(), write=False)
        assert [
            (one.status.value, one.currency, one.count, one.captured_cents, one.refunded_cents)
            for one in found
        ] == [
            ("pending", "USD", 2, 0, 0),
            ("succeeded", "EUR", 1, 5500, 0),
            ("succeeded", "USD", 2, 11000, 500),
        ]

    @on_a_store
    async def test_totals_over_time_are_counted_by_interval_account_status_and_currency(
        self, store: Store, clock: MovableClock
    ) -> None:
        hour = timedelta(hours=1)
        edges = [NOW, NOW + hour, NOW + 3 * hour]
        paid = {"status": PaymentStatus.SUCCEEDED, "authorized_cents": 5500, "captured_cents": 5500}
        await keep(
            store,
            a_payment(**paid, created_at=NOW),
            a_payment(**paid, created_at=NOW + hour - timedelta(microseconds=1), refunded_cents=500,
                      refund_reserved_cents=500),
            a_payment(**paid, created_at=NOW + hour),
            a_payment(**paid, created_at=NOW + hour, currency="EUR"),
            a_payment(**paid, created_at=NOW + 2 * hour, provider_id="other"),
            a_payment(created_at=NOW + 2 * hour, provider_id=None),
            a_payment(**paid, created_at=NOW - timedelta(microseconds=1)),
            a_payment(**paid, created_at=NOW + 3 * hour),
        )  # fmt: skip
        found = await store.run(lambda unit: unit.payments.totals_over(edges), write=False)
        assert {
            (one.interval, one.provider_id, one.status.value, one.currency):
            (one.count, one.captured_cents, one.refunded_cents)
            for one in found
        } == {
            (0, "dummy", "succeeded", "USD"): (2, 11000, 500),
            (1, "dummy", "succeeded", "EUR"): (1, 5500, 0),
            (1, "dummy", "succeeded", "USD"): (1, 5500, 0),
            (1, "other", "succeeded", "USD"): (1, 5500, 0),
            (1, None, "pending", "USD"): (1, 0, 0),
        }  # fmt: skip
        many = [NOW + number * hour for number in range(93)]
        wide = await store.run(lambda unit: unit.payments.totals_over(many), write=False)
        assert sorted(one.interval for one in wide if one.provider_id == "dummy") == [0, 1, 1, 3]

    @on_a_store
    async def test_guest_addresses_fold_case_in_every_alphabet(
        self, store: Store, clock: MovableClock
    ) -> None:
        guest = a_payment(is_guest_payment=True, guest_email="ÄNNE@Example.com")
        await keep(store, guest)
        assert await _listed(store, PaymentQuery(guest_email="änne@example.com")) == ([guest.id], 1)
        assert await _counted(store, "änne@EXAMPLE.com", NOW) == 1

    @on_a_store
    async def test_addresses_that_only_unicode_takes_for_one_are_two(
        self, store: Store, clock: MovableClock
    ) -> None:
        await keep(store, a_payment(is_guest_payment=True, guest_email="mark@strasse.de"))
        for other in ("mark@straße.de", "mar\u212a@strasse.de"):  # a Kelvin sign, which lower() makes a k
            assert await _listed(store, PaymentQuery(guest_email=other)) == ([], 0)
            assert await _counted(store, other, NOW) == 0

    @on_a_store
    async def test_search_folds_the_letters_of_every_alphabet(
        self, store: Store, clock: MovableClock
    ) -> None:
        """Words as they are written: small, in capitals, or with a capital at the beginning."""
        eclair, omega = ("un éclair", "UN ÉCLAIR", "Un Éclair"), ("ωμέγα 3", "ΩΜΈΓΑ 3", "Ωμέγα 3")
        for texts, words in (eclair, ("éclair", "ÉCLAIR", "Éclair")), (omega, ("ωμέγα", "ΩΜΈΓΑ", "Ωμέγα")):
            payments = [a_payment(description=text) for text in texts]
            await keep(store, *payments)
            wanted = [payment.id for payment in reversed(payments)]
            for word in words:
                assert await _listed(store, PaymentQuery(search=word)) == (wanted, 3), word
        assert await _listed(store, PaymentQuery(search="eclair")) == ([], 0), "é is not e"
        assert await _listed(store, PaymentQuery(search="é%r")) == ([], 0)

    @on_a_store
    async def test_long_texts_are_kept_whole(self, store: Store, clock: MovableClock) -> None:
        """Some columns end at 64 kB in some databases."""
        text = "€" * 70_000
        payment = a_payment(description=text, metadata={"note": text}, error_message=text)
        await keep(store, payment)
        assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment
        assert await _listed(store, PaymentQuery(search="€" * 1000)) == ([payment.id], 1)

    @on_a_store
    async def test_search_finds_parts_and_takes_signs_literally(
        self, store: Store, clock: MovableClock
    ) -> None:
        tea = a_payment(description="Green Tea, 100% leaf_tip")
        cake = a_payment(
            description="Cake, 1000 crumbs leaf-tip", is_guest_payment=True, guest_email="Joe@x.io"
        )
        await keep(store, tea, cake)
        for words, expected in [
            ("green tea", [tea]),
            ("100%", [tea]),
            ("leaf_t", [tea]),
            ("joe@X", [cake]),
            (cake.id[-12:], [cake]),
            (tea.id, [tea]),
            ("!", []),
            ("'; DROP TABLE provider_payments; --", []),
            ("", [cake, tea]),
        ]:
            wanted = [payment.id for payment in expected]
            assert await _listed(store, PaymentQuery(search=words)) == (wanted, len(wanted)), words

    @on_a_store
    async def test_lists_are_ordered_by_any_column_with_a_stable_tie(
        self, store: Store, clock: MovableClock
    ) -> None:
        a = a_payment(total=300, status=PaymentStatus.SUCCEEDED, updated_at=NOW + timedelta(seconds=3))
        b = a_payment(total=100, status=PaymentStatus.CANCELED, updated_at=NOW)
        c = a_payment(total=300, status=PaymentStatus.CANCELED, updated_at=NOW + timedelta(seconds=1))
        await keep(store, c, a, b)
        orders: dict[Any, list[Payment]] = {
            "created_at": [a, b, c],
            "updated_at": [b, c, a],
            "amount_cents": [b, a, c],
            "status": [b, c, a],
        }
        for column, ascending in orders.items():
            wanted = [payment.id for payment in ascending]
            query = PaymentQuery(order_by=column, descending=False)
            assert (await _listed(store, query))[0] == wanted, column
            assert (await _listed(store, replace(query, descending=True)))[0] == wanted[::-1], column

    @on_a_store
    async def test_pages_cut_the_list_and_count_the_whole(self, store: Store, clock: MovableClock) -> None:
        added = [a_payment(user_id="u") for _ in range(5)]
        await keep(store, *added, a_payment(user_id="v"))
        newest = [payment.id for payment in reversed(added)]
        query = PaymentQuery(user_id="u", limit=2)
        assert await _listed(store, query) == (newest[:2], 5)
        assert await _listed(store, replace(query, offset=4)) == (newest[4:], 5)
        assert await _listed(store, replace(query, offset=9)) == ([], 5), "a page past the end still counts"
        assert await _listed(store, replace(query, before_id=newest[1])) == (newest[2:4], 5)
        assert await _listed(store, replace(query, before_id=newest[-1])) == ([], 5)
        oldest_first = replace(query, descending=False, before_id=newest[3])
        assert await _listed(store, oldest_first) == ([newest[2], newest[1]], 5)

    @on_a_store
    async def test_recent_open_payments_of_a_guest_are_counted(
        self, store: Store, clock: MovableClock
    ) -> None:
        def guest(**changes: Any) -> Payment:
            return a_payment(**{"is_guest_payment": True, "guest_email": "Joe@x.io", **changes})

        counted = [guest(), guest(status=PaymentStatus.PROCESSING), guest(guest_email="joe@X.io")]
        others = [
            guest(status=PaymentStatus.SUCCEEDED),
            guest(status=PaymentStatus.CANCELED),
            guest(created_at=NOW - timedelta(days=2)),
            guest(guest_email="joe2@x.io"),
            guest(is_guest_payment=False),
        ]
        await keep(store, *(counted + others))
        assert await _counted(store, "JOE@x.io", NOW - timedelta(days=1)) == 3

    @on_a_store
    async def test_stale_secrets_are_found_oldest_first(self, store: Store, clock: MovableClock) -> None:
        def secret(hours: int, **changes: Any) -> Payment:
            expires = NOW + timedelta(hours=hours)
            return a_payment(client_secret_expires_at=expires, **{"client_secret": "s", **changes})

        newer, older, fresh, gone = secret(-1), secret(-2), secret(1), secret(-3, client_secret=None)
        await keep(store, newer, older, fresh, gone)
        stale = await store.run(lambda u: u.payments.with_stale_secrets(before=NOW, limit=9), write=False)
        assert list(stale) == [older, newer]
        one = await store.run(lambda u: u.payments.with_stale_secrets(before=NOW, limit=1), write=False)
        assert list(one) == [older]

    # --- the sweep --------------------------------------------------------------------------------

    @on_a_store
    async def test_due_payments_are_taken_once_per_lease_and_keep_their_version(
        self, store: Store, clock: MovableClock
    ) -> None:
        def claim(limit: int = 9) -> Any:
            return store.run(lambda unit: unit.payments.claim_due(limit=limit, lease_seconds=60))

        late = a_payment(next_sync_at=NOW - timedelta(hours=1))
        due = a_payment(next_sync_at=NOW)
        soon = a_payment(next_sync_at=NOW + timedelta(seconds=90))
        never = a_payment()
        await keep(store, soon, due, late, never)
        leased = NOW + timedelta(seconds=60)
        assert list(await claim(1)) == [replace(late, next_sync_at=leased)]
        assert list(await claim()) == [replace(due, next_sync_at=leased)]
        assert list(await claim()) == []
        found = await store.run(lambda unit: unit.payments.get(late.id), write=False)
        assert found is not None
        assert (found.version, found.next_sync_at) == (1, leased)
        clock.move(timedelta(seconds=60))
        assert sorted(payment.id for payment in await claim()) == sorted([late.id, due.id])
        assert await store.run(lambda unit: unit.payments.save(found, expected_version=1)), (
            "a lease is no change"
        )
