"""What a store promises about payments, their references, their lists, and refunds."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from ...errors import StoreError
from ...models import (
    MAX_MINOR_UNITS,
    CaptureMethod,
    GuestData,
    MovableClock,
    NextAction,
    NextActionKind,
    Payment,
    PaymentFlag,
    PaymentStatus,
    RefundStatus,
)
from ...stores.base import PaymentQuery, Store, Unit
from .samples import NOW, Promises, a_payment, a_refund, keep, on_a_store

__all__ = ["PaymentPromises"]


def _everything() -> Payment:
    moment = NOW + timedelta(microseconds=1)
    return a_payment(
        livemode=False,
        status=PaymentStatus.REQUIRES_ACTION,
        subtotal_cents=MAX_MINOR_UNITS - 5,
        tax_cents=10,
        discount_cents=5,
        total_cents=MAX_MINOR_UNITS,
        reference="7zk2m0c4x8v1q5w9t3rb",
        provider_intent_id="pi_3AbC",
        provider_payment_id="ch_3AbC",
        client_secret="pi_3AbC_secret_x",
        client_secret_expires_at=moment,
        authorized_cents=MAX_MINOR_UNITS,
        captured_cents=MAX_MINOR_UNITS,
        refunded_cents=3,
        refund_reserved_cents=4,
        disputed_cents=5,
        capture_method=CaptureMethod.MANUAL,
        setup_future_usage="off_session",
        return_url="https://shop.example/back?a=1&b=ü",
        next_action=NextAction(
            kind=NextActionKind.REDIRECT,
            url="https://hooks.example/3ds?payment_intent_client_secret=pi_3AbC_secret_x&x=1",
            return_url="https://shop.example/back",
        ),
        decline_code="insufficient_funds",
        provider_decline_code="51",
        decline_reference="pi_3AbC/1",
        error_message="le solde n'est pas suffisant 🙈",
        flag=PaymentFlag.MISMATCH,
        review=True,
        provider_status="requires_action" * 20,
        user_id="user_1",
        organization_id="org_1",
        project_id="project_1",
        order_id="order_1",
        subscription_id="sub_1",
        customer_id="cus_1",
        payment_method_id="pm_1",
        billing_address_id="addr_1",
        is_guest_payment=True,
        guest_email="Ana.Müller@Example.com",
        guest_data=GuestData(email="Ana.Müller@Example.com", name="Ana 🌻", phone="+34 600"),
        description="Tee 🍵 für zwei\nund \\ ' \" % _",
        concept="tea",
        reference_code="R-1",
        category="food",
        tags="a,b",
        metadata={"z": 1, "a": {"list": [1, "zwei", None, True]}, "big": MAX_MINOR_UNITS, "nul": "\x00"},
        applied_coupons=({"code": "TEA", "cents": 5},),
        is_manual_payment=True,
        manual_payment_method="cash",
        manual_payment_reference="till 4",
        manual_payment_date=moment,
        paid_at=moment,
        completed_at=moment,
        next_sync_at=moment,
        sync_count=7,
    )


async def _is_refused(store: Store, work: Any) -> bool:
    try:
        await store.run(work)
    except StoreError:
        return True
    return False


class PaymentPromises(Promises):
    # --- one payment ------------------------------------------------------------------------------

    @on_a_store
    async def test_a_payment_comes_back_field_for_field(self, store: Store, clock: MovableClock) -> None:
        payment = _everything()
        unset = {f.name for f in fields(Payment) if getattr(payment, f.name) is None}
        assert unset == {"unknown_operation_id"}, "a field of Payment is not tried here"
        await keep(store, payment)
        found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
        assert found == payment
        assert found is not None
        assert list(found.metadata) == ["z", "a", "big", "nul"], "the merchant's order of keys was lost"

    @on_a_store
    async def test_a_payment_with_nothing_optional_comes_back_as_it_was(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment(provider_id=None)
        await keep(store, payment)
        assert await store.run(lambda unit: unit.payments.get(payment.id), write=False) == payment

    @on_a_store
    async def test_an_unknown_id_is_none(self, store: Store, clock: MovableClock) -> None:
        def look(unit: Unit) -> list[Any]:
            return [
                unit.payments.get("pay_none"),
                unit.payments.get_by_reference("dummy", "pi_none"),
                unit.payments.get_by_our_reference("none"),
                unit.refunds.get("re_none"),
                unit.refunds.get_by_reference("dummy", "re_none"),
                unit.operations.get("op_none"),
                unit.operations.get_by_reference("none"),
                unit.operations.holder_of("pay_none"),
                unit.events.get("evt_none"),
                unit.deliveries.get("dlv_none"),
                unit.inbox.get("wh_none"),
                unit.inbox.get_by_event("dummy", "evt_none"),
            ]

        assert await store.run(look, write=False) == [None] * 12

    @on_a_store
    async def test_a_second_payment_with_the_same_id_is_refused(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment()
        await keep(store, payment)
        assert await _is_refused(store, lambda unit: unit.payments.add(replace(payment, total_cents=2000)))

    @on_a_store
    async def test_save_writes_the_next_version(self, store: Store, clock: MovableClock) -> None:
        payment = a_payment()
        await keep(store, payment)
        changed = replace(payment, status=PaymentStatus.SUCCEEDED, captured_cents=2000, metadata={"a": 1})
        assert await store.run(lambda unit: unit.payments.save(changed, expected_version=1)) is True
        found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
        assert found == replace(changed, version=2)

    @on_a_store
    async def test_the_loser_of_a_race_hears_false_and_writes_nothing(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment()
        await keep(store, payment)
        winner = replace(payment, status=PaymentStatus.CANCELED)
        loser = replace(payment, status=PaymentStatus.SUCCEEDED, provider_intent_id="pi_loser")
        assert await store.run(lambda unit: unit.payments.save(winner, expected_version=1))
        assert not await store.run(lambda unit: unit.payments.save(loser, expected_version=1))
        found = await store.run(lambda unit: unit.payments.get(payment.id), write=False)
        assert found == replace(winner, version=2)
        other = a_payment(provider_intent_id="pi_loser")
        await store.run(lambda unit: unit.payments.add(other))  # the loser's reference was not taken

    @on_a_store
    async def test_saving_what_was_never_added_is_false(self, store: Store, clock: MovableClock) -> None:
        payment = a_payment()
        assert not await store.run(lambda unit: unit.payments.save(payment, expected_version=1))

    # --- references -------------------------------------------------------------------------------

    @on_a_store
    async def test_references_lead_to_their_payment_within_one_account(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment(provider_intent_id="pi_1", provider_payment_id="ch_1", reference="ours_1")
        other = a_payment(provider_id="other", provider_intent_id="pi_1")
        await keep(store, payment, other)

        def look(unit: Unit) -> list[str | None]:
            find = unit.payments.get_by_reference
            found = [
                find("dummy", "pi_1"),
                find("dummy", "ch_1"),
                find("other", "pi_1"),
                find("other", "ch_1"),
            ]
            found.append(unit.payments.get_by_our_reference("ours_1"))
            return [each.id if each else None for each in found]

        ids = await store.run(look, write=False)
        assert ids == [payment.id, payment.id, other.id, None, payment.id]

    @on_a_store
    async def test_references_are_case_sensitive(self, store: Store, clock: MovableClock) -> None:
        upper, lower = a_payment(provider_intent_id="pi_3AbC"), a_payment(provider_intent_id="pi_3abc")
        await keep(store, upper, lower)
        found = await store.run(lambda unit: unit.payments.get_by_reference("dummy", "pi_3abc"), write=False)
        assert found == lower
        assert await store.run(lambda u: u.payments.get_by_reference("dummy", "PI_3ABC"), write=False) is None

    @on_a_store
    async def test_blanks_at_the_end_count(self, store: Store, clock: MovableClock) -> None:
        """MySQL's older collations call 'u' and 'u ' one user, and each would see the other's payments."""
        bare = a_payment(provider_intent_id="pi_1", user_id="u")
        blank = a_payment(provider_intent_id="pi_1 ", user_id="u ")
        await keep(store, bare, blank)

        def look(unit: Unit) -> list[object]:
            return [
                [each.id for each in unit.payments.list(PaymentQuery(user_id="u")).items],
                [each.id for each in unit.payments.list(PaymentQuery(user_id="u ")).items],
                unit.payments.get_by_reference("dummy", "pi_1 "),
                unit.payments.get_by_reference("dummy", "pi_1  "),
                unit.payments.get(f"{bare.id} "),
                unit.payments.take_merchant_reference("dummy", "R", bare.id),
                unit.payments.take_merchant_reference("dummy", "R ", blank.id),
            ]

        assert await store.run(look) == [[bare.id], [blank.id], blank, None, None, bare.id, blank.id]

    @on_a_store
    async def test_two_payments_never_share_an_intent_of_the_provider(
        self, store: Store, clock: MovableClock
    ) -> None:
        first, second = a_payment(provider_intent_id="pi_1"), a_payment()
        await keep(store, first, second)
        claiming = replace(second, provider_intent_id="pi_1", status=PaymentStatus.SUCCEEDED)
        assert await _is_refused(store, lambda unit: unit.payments.save(claiming, expected_version=1))
        assert await _is_refused(store, lambda unit: unit.payments.add(a_payment(provider_intent_id="pi_1")))
        assert await store.run(lambda unit: unit.payments.get(second.id), write=False) == second

    @on_a_store
    async def test_the_holder_of_an_intent_saves_as_often_as_it_likes(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment()
        await keep(store, payment)
        with_intent = replace(payment, provider_intent_id="pi_1")
        for version in (1, 2, 3):  # without reading first, as a record after a long call may
            saved = await store.run(
                lambda unit, version=version: unit.payments.save(with_intent, expected_version=version)  # type: ignore[misc]
            )
            assert saved

        def read_and_save(unit: Unit) -> bool:
            found = unit.payments.get(payment.id)
            assert found is not None
            return unit.payments.save(found, expected_version=found.version)

        assert await store.run(read_and_save)

    @on_a_store
    async def test_a_merchant_reference_has_one_holder_until_it_is_handed_over(
        self, store: Store, clock: MovableClock
    ) -> None:
        def take(provider_id: str, code: str, payment_id: str) -> Any:
            return store.run(
                lambda unit: unit.payments.take_merchant_reference(provider_id, code, payment_id)
            )

        def hand_over(old: str, new: str) -> Any:
            return store.run(
                lambda unit: unit.payments.replace_merchant_reference("dummy", "R-1", old=old, new=new)
            )

        assert await take("dummy", "R-1", "pay_1") == "pay_1"
        assert await take("dummy", "R-1", "pay_2") == "pay_1"
        assert await take("dummy", "r-1", "pay_2") == "pay_2", "merchant references are case-sensitive"
        assert await take("other", "R-1", "pay_3") == "pay_3", "one account knows nothing of another's"
        assert await hand_over("pay_2", "pay_4") is False
        assert await hand_over("pay_1", "pay_4") is True
        assert await hand_over("pay_1", "pay_5") is False
        assert await take("dummy", "R-1", "pay_6") == "pay_4"

    @on_a_store
    async def test_a_merchant_reference_and_an_intent_of_one_name_do_not_meet(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment(provider_intent_id="R-1")
        await keep(store, payment)
        holder = await store.run(lambda u: u.payments.take_merchant_reference("dummy", "R-1", "pay_2"))
        assert holder == "pay_2"

    # --- the last line of defence -----------------------------------------------------------------

    @on_a_store
    async def test_a_price_that_does_not_add_up_is_refused(self, store: Store, clock: MovableClock) -> None:
        wrong = a_payment(subtotal_cents=1000)
        assert await _is_refused(store, lambda unit: unit.payments.add(wrong))
        assert await store.run(lambda unit: unit.payments.get(wrong.id), write=False) is None

    @on_a_store
    async def test_more_refunds_than_money_are_never_promised(
        self, store: Store, clock: MovableClock
    ) -> None:
        payment = a_payment(captured_cents=2000, refund_reserved_cents=2000)
        await keep(store, payment)
        too_much = replace(payment, refund_reserved_cents=2001)
        assert await _is_refused(store, lambda unit: unit.payments.save(too_much, expected_version=1))
        negative = replace(payment, captured_cents=-1, refund_reserved_cents=0)
        assert await _is_refused(store, lambda unit: unit.payments.save(negative, expected_version=1))

    @on_a_store
    async def test_what_a_provider_reports_is_never_refused(self, store: Store, clock: MovableClock) -> None:
        payment = a_payment()
        await keep(store, payment)
        truth = replace(  # refunded in a dashboard before we saw the capture, and disputed on top
            payment,
            status=PaymentStatus.REFUNDED,
            refunded_cents=2500,
            refund_reserved_cents=2500,
            disputed_cents=9999,
            authorized_cents=1,
            provider_status="x" * 5000,
            error_message="y" * 5000,
        )
        assert await store.run(lambda unit: unit.payments.save(truth, expected_version=1))

    # --- refunds ----------------------------------------------------------------------------------

    @on_a_store
    async def test_refunds_come_back_and_change_by_version(self, store: Store, clock: MovableClock) -> None:
        payment = a_payment()
        first = a_refund(payment.id, reason="🙈 broken", metadata={"z": 1, "a": [2]}, operation_id="op_1")
        second = a_refund(payment.id, amount_cents=MAX_MINOR_UNITS, operation_id=None)
        other = a_refund("pay_other")
        await keep(store, second, first, other)
        listed = await store.run(lambda unit: unit.refunds.for_payment(payment.id), write=False)
        assert list(listed) == [first, second]
        done = replace(first, status=RefundStatus.SUCCEEDED, provider_refund_id="re_A", error_message="e")
        assert await store.run(lambda unit: unit.refunds.save(done, expected_version=1)) is True
        assert await store.run(lambda unit: unit.refunds.save(first, expected_version=1)) is False
        found = await store.run(lambda unit: unit.refunds.get_by_reference("dummy", "re_A"), write=False)
        assert found == replace(done, version=2)
        assert await store.run(lambda u: u.refunds.get_by_reference("dummy", "re_a"), write=False) is None
        assert await store.run(lambda u: u.refunds.get_by_reference("other", "re_A"), write=False) is None
        assert await store.run(lambda u: u.refunds.get(first.id), write=False) == found

    @on_a_store
    async def test_one_refund_of_a_provider_is_counted_once(self, store: Store, clock: MovableClock) -> None:
        first, second = a_refund("pay_1", provider_refund_id="re_1"), a_refund("pay_1")
        await keep(store, first, second)
        again = a_refund("pay_1", provider_refund_id="re_1")
        assert await _is_refused(store, lambda unit: unit.refunds.add(again))
        claiming = replace(second, provider_refund_id="re_1")
        assert await _is_refused(store, lambda unit: unit.refunds.save(claiming, expected_version=1))
        elsewhere = replace(again, provider_id="other")
        await keep(store, elsewhere)
