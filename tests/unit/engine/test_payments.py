"""What a payer and a merchant may expect of one payment when everybody behaves."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bridge_payments.engine import PaymentDraft
from bridge_payments.errors import (
    AccessDenied,
    DuplicateReference,
    IdempotencyMismatch,
    IllegalState,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PaymentDeclined,
    RateLimited,
)
from bridge_payments.models import (
    GuestData,
    Money,
    NextAction,
    NextActionKind,
    OperationState,
    Payment,
    PaymentStatus,
    Principal,
    RefundStatus,
    Verb,
)
from bridge_payments.stores.base import PaymentQuery

pytestmark = pytest.mark.anyio


async def test_a_payment_is_created_confirmed_and_told(house):
    payment = await house.engine.create_payment_intent(Money(2000, "USD"), reference_code="A-1")
    assert payment.status is PaymentStatus.PENDING
    assert payment.client_secret
    assert house.gateway.charges == []

    paid = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")

    assert paid.status is PaymentStatus.SUCCEEDED
    assert paid.captured_cents == 2000
    assert paid.client_secret is None
    assert [charge["amount"] for charge in house.gateway.charges] == [2000]
    assert await house.told(payment.id) == ["payment.created", "payment.success"]


async def test_an_event_carries_the_snapshot_and_the_version_of_the_row_it_was_written_with(house):
    paid = await house.paid()
    success = (await house.events(paid.id))[-1]
    row = await house.row(paid.id)
    assert success.payment is not None
    assert (success.payment.version, success.payment.status) == (row.version, row.status)
    assert all(event.payment.client_secret is None for event in await house.events(paid.id))


async def test_a_decline_leaves_the_payment_open_and_a_second_card_succeeds(house):
    payment = await house.new()
    with pytest.raises(PaymentDeclined) as refusal:
        await house.engine.confirm_payment(payment.id, payment_method="dummy_insufficient")
    assert refusal.value.decline_code == "insufficient_funds"
    row = await house.row(payment.id)
    assert (row.status, row.decline_code) == (PaymentStatus.PENDING, "insufficient_funds")

    paid = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")

    assert paid.status is PaymentStatus.SUCCEEDED
    events = await house.events(payment.id)
    assert [event.type for event in events] == ["payment.created", "payment.failed", "payment.success"]
    assert events[1].data["final"] is False


async def test_a_challenge_is_a_next_action_and_not_a_success(house):
    payment = await house.new()
    waiting = await house.engine.confirm_payment(payment.id, payment_method="dummy_challenge")
    assert waiting.status is PaymentStatus.REQUIRES_ACTION
    assert waiting.next_action is not None
    house.gateway.challenge(waiting.provider_intent_id, passed=True)
    assert (await house.engine.sync_payment(payment.id)).status is PaymentStatus.SUCCEEDED


async def test_a_payment_that_is_paid_answers_another_confirm_as_it_is(house):
    paid = await house.paid()
    again = await house.engine.confirm_payment(paid.id, payment_method="dummy_ok")
    assert again.status is PaymentStatus.SUCCEEDED
    assert len(house.gateway.charges) == 1


async def test_a_payment_that_was_given_up_is_not_paid_after_all(house):
    payment = await house.new()
    await house.engine.cancel_payment(payment.id)
    requests = len(house.gateway.requests)
    with pytest.raises(IllegalState):
        await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert house.gateway.charges == []
    assert len(house.gateway.requests) == requests, "the provider is not even asked"


async def test_manual_capture_holds_collects_and_releases(house):
    payment = await house.new(capture_method="manual")
    held = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert (held.status, held.authorized_cents, held.captured_cents) == (
        PaymentStatus.REQUIRES_CAPTURE,
        2000,
        0,
    )
    with pytest.raises(InvalidRequest):
        await house.engine.capture_payment(payment.id, amount_cents=2001)
    collected = await house.engine.capture_payment(payment.id, amount_cents=1500)
    assert (collected.status, collected.captured_cents) == (PaymentStatus.SUCCEEDED, 1500)

    other = await house.new(capture_method="manual")
    await house.engine.confirm_payment(other.id, payment_method="dummy_ok")
    assert (await house.engine.cancel_payment(other.id)).status is PaymentStatus.CANCELED
    assert [charge["amount"] for charge in house.gateway.charges] == [1500]


async def test_refunds_give_back_what_was_captured_and_not_one_cent_more(house):
    paid = await house.paid(1000)
    first = await house.engine.refund_payment(paid.id, amount_cents=700)
    assert first.status is RefundStatus.SUCCEEDED
    assert (await house.row(paid.id)).status is PaymentStatus.PARTIALLY_REFUNDED
    with pytest.raises(InvalidRequest):
        await house.engine.refund_payment(paid.id, amount_cents=301)
    await house.engine.refund_payment(paid.id)
    row = await house.row(paid.id)
    assert (row.status, row.refunded_cents, row.refund_reserved_cents) == (PaymentStatus.REFUNDED, 1000, 1000)
    with pytest.raises(IllegalState):
        await house.engine.refund_payment(paid.id, amount_cents=1)
    assert sum(refund["amount"] for refund in house.gateway.refunds.values()) == 1000
    told = await house.told(paid.id)
    assert told.count("refund.succeeded") == 2
    assert told.count("payment.success") == 1


async def test_a_refund_made_in_the_dashboard_counts_against_what_is_left(house):
    paid = await house.paid(1000)
    house.gateway.post("refunds", {"intent": paid.provider_intent_id, "amount": 800}, key="dashboard")
    await house.engine.sync_payment(paid.id)
    row = await house.row(paid.id)
    assert (row.refunded_cents, row.refundable_cents) == (800, 200)
    assert [refund.operation_id for refund in await house.refunds(paid.id)] == [None]
    with pytest.raises(InvalidRequest):
        await house.engine.refund_payment(paid.id, amount_cents=201)


async def test_a_dashboard_refund_that_we_have_not_heard_of_is_refused_by_the_provider_and_then_known(house):
    paid = await house.paid(1000)
    house.gateway.post("refunds", {"intent": paid.provider_intent_id, "amount": 800}, key="dashboard")
    with pytest.raises(Exception, match="more than was captured"):
        await house.engine.refund_payment(paid.id, amount_cents=500)
    row = await house.row(paid.id)
    assert (row.refunded_cents, row.refund_reserved_cents) == (800, 800)


async def test_an_update_changes_the_price_here_and_there(house):
    payment = await house.new(2000)
    changed = await house.engine.update_payment_intent(payment.id, total_cents=2500, description="two more")
    assert (changed.total_cents, changed.subtotal_cents, changed.description) == (2500, 2500, "two more")
    assert house.gateway.intents[payment.provider_intent_id]["amount"] == 2500
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    with pytest.raises(IllegalState):
        await house.engine.update_payment_intent(payment.id, total_cents=1)


async def test_the_approve_hook_prices_creates_and_updates(build):
    seen: list[PaymentDraft] = []

    async def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
        seen.append(draft)
        return draft.priced(4200)

    house = build(approve=approve)
    payment = await house.engine.create_payment_intent(total_cents=1, currency="USD")
    changed = await house.engine.update_payment_intent(payment.id, total_cents=1)
    assert (payment.total_cents, changed.total_cents) == (4200, 4200)
    assert [draft.payment_id for draft in seen] == [None, payment.id]


async def test_a_plain_approve_hook_works_and_may_refuse(build):
    def approve(draft: PaymentDraft, principal: Principal) -> PaymentDraft:
        raise AccessDenied("not for sale")

    house = build(approve=approve)
    with pytest.raises(AccessDenied, match="not for sale"):
        await house.new()
    assert house.gateway.requests == []


async def test_the_same_key_answers_from_the_rows_and_another_body_is_refused(house):
    first = await house.new(2000, idempotency_key="order-1")
    again = await house.new(2000, idempotency_key="order-1")
    assert (again.id, again.client_secret) == (first.id, first.client_secret)
    with pytest.raises(IdempotencyMismatch):
        await house.new(2001, idempotency_key="order-1")
    assert len(house.gateway.intents) == 1


async def test_a_repeated_key_of_a_declined_confirm_hears_the_same_decline(house):
    payment = await house.new()
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as refusal:
            await house.engine.confirm_payment(
                payment.id, payment_method="dummy_expired", idempotency_key="k"
            )
        assert refusal.value.decline_code == "expired_card"
    assert house.gateway.keys() == [op.id for op in await house.operations(payment.id)]
    assert len(house.gateway.requests) == 2


async def test_two_callers_never_share_a_key(house):
    users = [Principal.user("u1"), Principal.user("u2"), Principal.admin("u1")]
    payments = [await house.new(idempotency_key="k", principal=user) for user in users]
    assert len({payment.id for payment in payments}) == 3


async def test_two_anonymous_guests_with_one_key_and_one_body_never_see_each_others_secret(house, anybody):
    first = await house.new(idempotency_key="k", principal=anybody, guest=house.guest)
    second = await house.new(idempotency_key="k", principal=anybody, guest=house.guest)
    elsewhere = await house.new(
        idempotency_key="k", principal=Principal.anonymous(peer="198.51.100.4"), guest=house.guest
    )
    assert first.client_secret
    assert second.client_secret is None
    assert elsewhere.id != first.id
    assert elsewhere.client_secret != first.client_secret


async def test_a_unique_reference_has_one_open_or_paid_payment(house):
    first = await house.new(reference_code="A-1", unique_reference=True)
    with pytest.raises(DuplicateReference) as refusal:
        await house.new(reference_code="A-1", unique_reference=True)
    assert refusal.value.payment_id == first.id
    await house.engine.cancel_payment(first.id)
    second = await house.new(reference_code="A-1", unique_reference=True)
    await house.engine.confirm_payment(second.id, payment_method="dummy_ok")
    with pytest.raises(DuplicateReference):
        await house.new(reference_code="A-1", unique_reference=True)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"total_cents": 0, "currency": "USD"}, "total_cents"),
        ({"total_cents": -1, "currency": "USD"}, "total_cents"),
        ({"total_cents": 2**60, "currency": "USD"}, "amount"),
        ({"subtotal_cents": 100, "total_cents": 90, "currency": "USD"}, "total_cents"),
        ({"total_cents": 100}, "currency"),
        ({"total_cents": 100, "currency": "US"}, "currency"),
        ({"total_cents": 100, "currency": "USD", "provider": "stripe"}, "provider_id"),
        ({"total_cents": 100, "currency": "USD", "metadata": {"bridge_payment_id": "x"}}, "metadata"),
        ({"total_cents": 100, "currency": "USD", "concept": "x" * 101}, "concept"),
        ({"total_cents": 100, "currency": "USD", "confirm": True}, "payment_method_id"),
        ({"total_cents": 100, "currency": "USD", "payment_method": "a/b"}, "payment_method_id"),
    ],
)
async def test_bad_input_writes_nothing_and_sends_nothing(house, arguments, field):
    with pytest.raises(InvalidRequest) as refusal:
        await house.engine.create_payment_intent(**arguments)
    assert refusal.value.field == field
    assert house.gateway.requests == []
    assert (await house.engine.list_payments(PaymentQuery())).total == 0


async def test_who_may_do_what(house, anybody):
    mine = await house.new(principal=Principal.user("u1"))
    stranger, owner = Principal.user("u2"), Principal.user("u1")
    for verb in (house.engine.get_payment, house.engine.confirm_payment, house.engine.cancel_payment):
        with pytest.raises(AccessDenied):
            await verb(mine.id, principal=stranger)
    with pytest.raises(NotAuthenticated):
        await house.engine.get_payment(mine.id, principal=anybody)
    with pytest.raises(AccessDenied):
        await house.engine.confirm_payment(mine.id, payment_method="dummy_ok", principal=anybody)
    assert (await house.engine.get_payment(mine.id, principal=owner)).client_secret == mine.client_secret
    await house.engine.confirm_payment(mine.id, payment_method="dummy_ok", principal=owner)

    with pytest.raises(NotAuthenticated):
        await house.engine.refund_payment(mine.id, principal=anybody)
    with pytest.raises(AccessDenied):
        await house.engine.refund_payment(mine.id, principal=owner)
    with pytest.raises(NotFound):
        await house.engine.refund_payment(mine.id, principal=stranger)
    assert house.gateway.refunds == {}
    assert (await house.engine.refund_payment(mine.id, principal=Principal.admin("a"))).amount_cents == 2000


async def test_an_anonymous_guest_confirms_by_id_and_cancels_by_secret_only(house, anybody):
    payment = await house.new(principal=anybody, guest=house.guest)
    with pytest.raises(AccessDenied):
        await house.engine.cancel_payment(payment.id, principal=anybody)
    with pytest.raises(AccessDenied):
        await house.engine.cancel_payment(payment.id, client_secret="wrong", principal=anybody)
    canceled = await house.engine.cancel_payment(
        payment.id, client_secret=payment.client_secret, principal=anybody
    )
    assert canceled.status is PaymentStatus.CANCELED
    other = await house.new(principal=anybody, guest=house.guest)
    paid = await house.engine.confirm_payment(other.id, payment_method="dummy_ok", principal=anybody)
    assert paid.status is PaymentStatus.SUCCEEDED
    assert paid.client_secret is None


async def test_no_payer_releases_held_money(house):
    owner = Principal.user("u1")
    payment = await house.new(capture_method="manual", principal=owner)
    await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", principal=owner)
    with pytest.raises(AccessDenied):
        await house.engine.cancel_payment(payment.id, principal=owner)


async def test_an_anonymous_create_needs_guest_data_and_is_limited_per_address(build, anybody):
    house = build(settings={"guest_max_payments_per_email": 2})
    with pytest.raises(InvalidRequest, match="Guest data is required"):
        await house.new(principal=anybody)
    for email in ("ada@example.com", "ADA@example.com"):
        await house.new(principal=anybody, guest=GuestData(email=email, name="Ada"))
    with pytest.raises(RateLimited):
        await house.new(principal=anybody, guest=house.guest)


async def test_only_the_merchant_writes_down_money_collected_by_hand(house, anybody):
    for principal in (anybody, Principal.user("u1"), Principal.guest("ada@example.com")):
        with pytest.raises(AccessDenied):
            await house.new(is_manual_payment=True, guest=house.guest, principal=principal)
    paid = await house.new(
        is_manual_payment=True, manual_payment_method="cash", manual_payment_date=house.clock()
    )
    assert (paid.status, paid.provider_id) == (PaymentStatus.SUCCEEDED, None)
    assert await house.told(paid.id) == ["payment.created", "payment.success"]
    assert house.gateway.requests == []


async def test_money_that_is_to_come_by_hand_comes(house):
    """By bank transfer, say: written down when it is promised, completed when it is there."""
    due = await house.new(is_manual_payment=True, manual_payment_method="bank_transfer", guest=house.guest)
    assert (due.status, due.captured_cents) == (PaymentStatus.PENDING, 0)
    house.move(days=2)
    paid = await house.engine.capture_payment(due.id, idempotency_key="k", principal=Principal.admin("root"))
    again = await house.engine.capture_payment(due.id, idempotency_key="k", principal=Principal.admin("root"))

    assert again == paid == await house.row(due.id)
    assert (paid.status, paid.captured_cents, paid.authorized_cents) == (PaymentStatus.SUCCEEDED, 2000, 2000)
    assert paid.paid_at == paid.completed_at == paid.manual_payment_date
    assert (paid.paid_at - due.created_at).days == 2
    created, success = await house.events(due.id)
    assert (created.type, success.type, success.payment) == ("payment.created", "payment.success", paid)
    (operation,) = await house.operations(due.id)
    assert (operation.verb, operation.state) == (Verb.CAPTURE, OperationState.SUCCEEDED)
    assert (operation.principal, operation.inputs["amount"]["minor_units"]) == ("admin:root", 2000)
    assert house.gateway.requests == []
    # The slot is free, and nothing is due.
    assert await house.engine.list_unknown() == []
    with pytest.raises(IllegalState, match="Current status: succeeded"):
        await house.engine.capture_payment(due.id)
    with pytest.raises(IllegalState):
        await house.engine.cancel_payment(due.id)


async def test_a_part_of_it_may_come_and_no_more_than_all_of_it(house):
    for amount in (0, -1, 2001):
        due = await house.new(is_manual_payment=True)
        with pytest.raises(InvalidRequest):
            await house.engine.capture_payment(due.id, amount_cents=amount)
        with pytest.raises(InvalidRequest, match="by hand"):
            await house.engine.capture_payment(due.id, final=False)
        assert (await house.row(due.id)).status is PaymentStatus.PENDING
        assert await house.operations(due.id) == []
    paid = await house.engine.capture_payment(due.id, amount_cents=1500)
    assert (paid.status, paid.captured_cents) == (PaymentStatus.SUCCEEDED, 1500)


async def test_money_that_does_not_come_by_hand_is_given_up(house, anybody):
    due = await house.new(is_manual_payment=True, guest=house.guest)
    for principal in (anybody, Principal.user("u1"), Principal.guest("eve@example.com")):
        with pytest.raises((AccessDenied, NotFound)):
            await house.engine.cancel_payment(due.id, principal=principal)
        with pytest.raises((AccessDenied, NotFound, NotAuthenticated)):
            await house.engine.capture_payment(due.id, principal=principal)
    with pytest.raises(AccessDenied):
        await house.engine.capture_payment(due.id, principal=Principal.guest(house.guest.email))

    ended = await house.engine.cancel_payment(due.id, principal=Principal.admin("root"))
    assert (ended.status, ended.captured_cents) == (PaymentStatus.CANCELED, 0)
    assert await house.told(due.id) == ["payment.created", "payment.canceled"]
    assert [operation.verb for operation in await house.operations(due.id)] == [Verb.CANCEL]
    assert house.gateway.requests == []
    with pytest.raises(IllegalState, match="Current status: canceled"):
        await house.engine.capture_payment(due.id)


async def test_of_two_who_settle_it_at_once_one_does(house):
    due = await house.new(is_manual_payment=True)
    asked = [settle(due.id) for settle in (house.engine.capture_payment, house.engine.cancel_payment) * 3]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(end, Payment) for end in ends) == 1
    assert all(isinstance(end, (Payment, IllegalState)) for end in ends)
    assert len(await house.operations(due.id)) == 1


async def test_money_collected_by_hand_is_given_back_by_hand(house):
    for date in (house.clock(), None):
        paid = await house.new(is_manual_payment=True, manual_payment_date=date)
        with pytest.raises(IllegalState, match="by hand"):
            await house.engine.refund_payment(paid.id, idempotency_key="r")
        assert await house.refunds(paid.id) == []


async def test_lists_show_ones_own_without_secrets(house, anybody):
    await house.new(principal=Principal.user("u1"))
    await house.new(principal=Principal.user("u2"))
    await house.new(principal=anybody, guest=house.guest)
    mine = await house.engine.list_payments(PaymentQuery(user_id="u2"), principal=Principal.user("u1"))
    assert [payment.user_id for payment in mine.items] == ["u1"]
    guests = await house.engine.list_payments(PaymentQuery(), principal=Principal.guest("Ada@Example.com"))
    assert [payment.guest_email for payment in guests.items] == ["ada@example.com"]
    everybody = await house.engine.list_payments(PaymentQuery())
    assert everybody.total == 3
    assert all(payment.client_secret is None for payment in everybody.items)
    with pytest.raises(NotAuthenticated):
        await house.engine.list_payments(PaymentQuery(), principal=anybody)


async def test_somebody_elses_organization_stays_a_claim(house):
    user = Principal.user("u1", organization_id="org_mine")
    claimed = await house.new(principal=user, organization_id="org_other")
    own = await house.new(principal=user, organization_id="org_mine")
    assert (claimed.organization_id, claimed.metadata["claimed_organization_id"]) == (None, "org_other")
    assert own.organization_id == "org_mine"


@pytest.mark.parametrize("payment_id", ["", "nope", "../x", "a/b", "x\n", "x\x00", "é" * 300])
async def test_strange_ids_are_not_found(house, payment_id):
    for verb in (house.engine.get_payment, house.engine.confirm_payment, house.engine.sync_payment):
        with pytest.raises(NotFound):
            await verb(payment_id)


async def test_who_knows_only_the_id_is_not_told_where_the_secret_stands(house, anybody):
    """The page of a challenge carries the payment's client secret in its URL."""
    payment = await house.new(principal=anybody, guest=house.guest)
    provider = house.engine.provider("dummy")
    reading = provider.sync_known_payment

    async def with_page(known):
        truth = await reading(known)
        page = f"https://bank.example/3ds?payment_intent_client_secret={payment.client_secret}"
        return replace(truth, next_action=NextAction(kind=NextActionKind.REDIRECT, url=page))

    provider.sync_known_payment = with_page
    await house.engine.confirm_payment(payment.id, payment_method="dummy_challenge", principal=anybody)

    stranger = await house.engine.sync_payment(payment.id, principal=Principal.anonymous(peer="203.0.113.9"))
    payer = await house.engine.sync_payment(
        payment.id, client_secret=payment.client_secret, principal=anybody
    )

    assert stranger.next_action == NextAction(kind=NextActionKind.USE_SDK)
    assert stranger.client_secret is None
    assert payer.next_action is not None
    assert payer.next_action.kind is NextActionKind.REDIRECT
    assert payer.client_secret == payment.client_secret


async def test_a_payment_is_no_place_to_find_out_which_cards_work(house, anybody):
    payment = await house.new(principal=anybody, guest=house.guest)
    for _ in range(10):
        with pytest.raises(PaymentDeclined):
            await house.engine.confirm_payment(payment.id, payment_method="dummy_declined", principal=anybody)
    with pytest.raises(RateLimited):
        await house.engine.confirm_payment(payment.id, payment_method="dummy_ok", principal=anybody)
    assert house.gateway.charges == []


async def test_a_canceled_guest_payment_says_its_state_to_whoever_held_its_secret(house, anybody):
    payment = await house.new(principal=anybody, guest=house.guest)
    secret = payment.client_secret
    await house.engine.cancel_payment(payment.id, client_secret=secret, principal=anybody)
    with pytest.raises(IllegalState):
        await house.engine.cancel_payment(payment.id, client_secret=secret, principal=anybody)


@pytest.mark.parametrize("metadata", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
async def test_metadata_that_is_not_json_is_bad_input(house, metadata):
    with pytest.raises(InvalidRequest) as refusal:
        await house.new(metadata=metadata)
    assert refusal.value.field == "metadata"


async def test_an_amount_and_its_parts_do_not_come_together(house):
    with pytest.raises(InvalidRequest):
        await house.engine.create_payment_intent(Money(2000, "USD"), total_cents=2500, currency="USD")


async def test_an_adapter_that_answers_nonsense_leaves_the_outcome_unknown(house, monkeypatch):
    payment = await house.new()

    async def nonsense(request, *, step):
        return {"status": "paid"}

    monkeypatch.setattr(house.engine.provider("dummy"), "confirm_payment", nonsense)
    answer = await house.engine.confirm_payment(payment.id, payment_method="dummy_ok")
    assert answer.unknown_operation_id
