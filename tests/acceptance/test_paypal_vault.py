"""What PayPal's vault keeps, over HTTP: set-ups, stored methods, and charging them without the payer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge_payments.errors import (
    InvalidRequest,
    ProviderDeclined,
    ProviderNotFound,
    ProviderStateConflict,
    ProviderUnknown,
    UnsupportedOperation,
)
from bridge_payments.models import (
    CaptureMethod,
    Money,
    NextActionKind,
    Noun,
    PaymentMethodStatus,
    PaymentStatus,
    Verb,
)
from bridge_payments.providers.base import (
    Absent,
    BillingDetails,
    ConfirmRequest,
    Evidence,
    Found,
    IntentRequest,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    ProviderMethod,
    ProviderPayment,
    Step,
)
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.providers.paypal.events import event_from
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

BACK = "https://shop.example/back"
USD = Money(2000, "USD")


@pytest.fixture(scope="module")
def listening() -> Iterator[FakePayPal]:
    with FakePayPal() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakePayPal) -> FakePayPal:
    listening.reset(endpoints=True)
    listening.webhooks.off = True
    return listening


class Wallet:
    """One account and what a shop keeps with it."""

    def __init__(self, account: PayPalProvider, gateway: FakePayPal) -> None:
        self.account, self.gateway = account, gateway
        self._count = 0

    def step(self, **changes: Any) -> Step:
        self._count += 1
        named = {"key": f"op-{self._count}", "reference": f"reference{self._count:011}", "deadline": 5}
        return Step(**{**named, **changes})

    async def begin(self, kind: str = "paypal", step: Step | None = None, **changes: Any) -> ProviderMethod:
        step = step or self.step()
        facts: dict[str, Any] = {
            "payment_method_id": f"pm_{step.key}",
            "reference": step.reference,
            "payment_type": kind,
            "return_url": BACK,
        }
        return await self.account.create_payment_method(
            PaymentMethodRequest(**{**facts, **changes}), step=step
        )

    async def confirm(self, setup: ProviderMethod, step: Step | None = None) -> ProviderMethod:
        asked = PaymentMethodConfirmation(payment_method_id="pm_1", setup=setup.reference)
        return await self.account.confirm_payment_method(asked, step=step or self.step())

    async def kept(self, instrument: str = "balance", kind: str = "paypal") -> ProviderMethod:
        setup = await self.begin(kind)
        self.gateway.agree(setup.reference, instrument)
        return await self.confirm(setup)

    async def charge(
        self, method: ProviderMethod, step: Step | None = None, **changes: Any
    ) -> ProviderPayment:
        step = step or self.step()
        facts: dict[str, Any] = {
            "amount": USD,
            "payment_id": "pay_1",
            "reference": step.reference,
            "payment_method": method.reference,
            "confirm": True,
            "off_session": True,
        }
        return await self.account.create_payment_intent(IntentRequest(**{**facts, **changes}), step=step)


@pytest.fixture
async def wallet(gateway: FakePayPal) -> AsyncIterator[Wallet]:
    transport = Transport()
    account = PayPalProvider(
        client_id=gateway.client_id,
        client_secret=gateway.client_secret,
        webhook_ids=["8PT597110X687430L"],
        transport=transport,
        api_base=gateway.url,
    )
    yield Wallet(account, gateway)
    await account.aclose()
    await transport.aclose()


def lost(verb: Verb, step: Step, **facts: Any) -> Evidence:
    return Evidence(verb=verb, reference=step.reference, key=step.key, started_at=datetime.now(UTC), **facts)


class Keeper:
    """What the engine does with the results of single calls; dies before it keeps the call named."""

    def __init__(self, dies_before: str | None = None) -> None:
        self.results: dict[str, Any] = {}
        self.dies_before = dies_before

    async def keep(self, name: str, result: Any) -> None:
        if name == self.dies_before:
            self.dies_before = None
            raise RuntimeError("killed before it was stored")
        self.results[name] = result


# --- keeping ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "instrument", "type_", "wallet_type"),
    [
        ("paypal", "balance", "paypal", "paypal"),
        ("venmo", "venmo", "venmo", "venmo"),
        ("credit_card", "card", "credit_card", None),
    ],
)
async def test_a_payer_agrees_and_the_method_is_kept(
    wallet: Wallet, kind: str, instrument: str, type_: str, wallet_type: str | None
) -> None:
    setup = await wallet.begin(kind)
    assert (setup.status, setup.setup) == (PaymentMethodStatus.REQUIRES_ACTION, setup.reference)
    assert setup.next_action is not None
    redirected = setup.next_action.kind is NextActionKind.REDIRECT
    assert redirected is (kind != "credit_card"), "a card is typed into PayPal's fields"
    wallet.gateway.agree(setup.reference, instrument)
    method = await wallet.confirm(setup)
    assert (method.status, method.type, method.wallet_type) == (
        PaymentMethodStatus.ACTIVE,
        type_,
        wallet_type,
    )
    assert (method.saved, method.setup, method.payment_method_id) == (True, setup.reference, "pm_op-1")
    assert method.customer == setup.customer is not None
    if kind == "credit_card":
        assert (method.brand, method.last_four, method.expiry_month, method.expiry_year) == (
            "visa", "1111", 8, 2031,
        )  # fmt: skip
    assert (await wallet.account.sync_payment_method(method.reference)).reference == method.reference


async def test_who_has_not_agreed_is_sent_on_and_nothing_is_asked(wallet: Wallet) -> None:
    setup = await wallet.begin()
    seen = await wallet.confirm(setup)
    assert (seen.status, seen.next_action) == (PaymentMethodStatus.REQUIRES_ACTION, setup.next_action)
    assert [each.path for each in wallet.gateway.requests("/v3/", method="POST")] == [
        "/v3/vault/setup-tokens"
    ]


async def test_a_set_up_that_is_finished_is_a_success_and_keeps_nothing_more(wallet: Wallet) -> None:
    method = await wallet.kept()
    setup = ProviderMethod(reference=method.setup or "")
    again = await wallet.confirm(setup)
    assert again.reference == method.reference
    assert (await wallet.account.sync_payment_method(setup.reference)).reference == method.reference
    assert len(wallet.gateway.payment_tokens()) == 1


async def test_two_users_with_one_paypal_account_have_a_method_each(wallet: Wallet) -> None:
    first, second = await wallet.kept(), await wallet.kept()
    assert first.reference != second.reference
    await wallet.account.delete_payment_method(
        PaymentMethodDeletion(payment_method=first.reference), step=wallet.step()
    )
    assert (await wallet.account.sync_payment_method(second.reference)).status is PaymentMethodStatus.ACTIVE


async def test_billing_details_go_along_with_a_card(wallet: Wallet) -> None:
    where = BillingDetails(
        name="Ada Sandbox", line1="1 Main St", city="San Jose", postal_code="95131", country="us"
    )
    await wallet.begin("credit_card", billing=where)
    sent = wallet.gateway.requests("/v3/", method="POST")[0].body
    assert '"country_code": "US"' in sent
    assert '"admin_area_2": "San Jose"' in sent


async def test_an_expired_card_is_declined_when_it_is_to_be_kept(wallet: Wallet) -> None:
    setup = await wallet.begin("credit_card")
    wallet.gateway.agree(setup.reference, "card_expired")
    with pytest.raises(ProviderDeclined) as refused:
        await wallet.confirm(setup)
    assert (refused.value.decline_code, refused.value.provider_code) == ("expired_card", "CARD_EXPIRED")
    assert wallet.gateway.payment_tokens() == []


async def test_a_method_is_deleted_and_deleted_again(wallet: Wallet) -> None:
    method = await wallet.kept()
    for _ in range(2):
        gone = await wallet.account.delete_payment_method(
            PaymentMethodDeletion(payment_method=method.reference), step=wallet.step()
        )
        assert gone.status is PaymentMethodStatus.DELETED
    with pytest.raises(ProviderNotFound):
        await wallet.account.sync_payment_method(method.reference)
    assert wallet.gateway.payment_tokens() == []


async def test_what_paypal_does_not_keep_is_refused_with_nothing_sent(wallet: Wallet) -> None:
    for changes in ({"payment_type": "bank_account"}, {"return_url": None}):
        with pytest.raises(InvalidRequest):
            await wallet.begin(**changes)
    for call in (wallet.account.create_customer, wallet.account.delete_customer):
        with pytest.raises(UnsupportedOperation):
            await call(None, step=wallet.step())  # type: ignore[operator]
    assert not PayPalProvider.supports(Verb.UPDATE_METHOD)
    assert wallet.gateway.requests("/v") == []


async def test_a_reference_that_a_payer_brings_is_an_agreed_set_up_or_nothing(wallet: Wallet) -> None:
    owns = wallet.account.owns_payment_method
    assert await owns("paypal"), "a word names nobody's instrument"
    ours = await wallet.begin()
    wallet.gateway.agree(ours.reference)
    assert not await owns(ours.reference), "a set-up of ours has a row, whose owner decides"
    theirs = await wallet.begin(customer="customer_elsewhere")
    assert not await owns(theirs.reference), "nobody has agreed to it"
    wallet.gateway.agree(theirs.reference)
    assert await owns(theirs.reference)
    kept = await wallet.confirm(theirs)
    assert not await owns(theirs.reference), "it was used"
    assert not await owns(kept.reference), "what is kept is never brought"
    assert not await owns("8kk8451t")


# --- charging what is kept --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "instrument"), [("paypal", "balance"), ("venmo", "venmo"), ("credit_card", "card")]
)
async def test_a_stored_method_is_charged_without_its_payer(
    wallet: Wallet, kind: str, instrument: str
) -> None:
    method = await wallet.kept(instrument, kind)
    paid = await wallet.charge(method)
    assert (paid.status, paid.captured, paid.payment_id) == (PaymentStatus.SUCCEEDED, 2000, "pay_1")
    assert len(wallet.gateway.captures(taken=True)) == 1


async def test_a_stored_method_may_be_held_first(wallet: Wallet) -> None:
    paid = await wallet.charge(await wallet.kept(), capture_method=CaptureMethod.MANUAL)
    assert (paid.status, paid.authorized, paid.captured) == (PaymentStatus.REQUIRES_CAPTURE, 2000, 0)


async def test_a_declined_card_is_a_payment_that_failed(wallet: Wallet) -> None:
    method = await wallet.kept("card_declined", "credit_card")
    failed = await wallet.charge(method)
    assert failed.status is PaymentStatus.FAILED
    assert failed.decline is not None
    assert failed.decline.code == "insufficient_funds"


async def test_a_bank_that_asks_for_the_absent_payer_is_a_decline(wallet: Wallet) -> None:
    method = await wallet.kept("card_challenge", "credit_card")
    with pytest.raises(ProviderDeclined) as refused:
        await wallet.charge(method)
    assert refused.value.decline_code == "authentication_required"
    assert refused.value.payment == wallet.gateway.orders()[0]["id"]
    assert wallet.gateway.captures() == []


async def test_a_bank_that_asks_for_the_present_payer_sends_them_to_its_page(wallet: Wallet) -> None:
    method = await wallet.kept("card_challenge", "credit_card")
    waiting = await wallet.charge(method, off_session=False)
    assert waiting.status is PaymentStatus.REQUIRES_ACTION
    assert waiting.next_action is not None
    wallet.gateway.approve(waiting.reference, "card_challenge")
    asked = ConfirmRequest(payment=waiting.reference, amount=USD)
    paid = await wallet.account.confirm_payment(asked, step=wallet.step())
    assert (paid.status, paid.captured) == (PaymentStatus.SUCCEEDED, 2000)


async def test_an_open_order_is_confirmed_with_a_stored_method(wallet: Wallet) -> None:
    method = await wallet.kept()
    begun = await wallet.charge(method, confirm=False)
    assert begun.status is PaymentStatus.REQUIRES_ACTION
    asked = ConfirmRequest(payment=begun.reference, amount=USD, payment_method=method.reference)
    paid = await wallet.account.confirm_payment(asked, step=wallet.step())
    assert (paid.status, paid.captured) == (PaymentStatus.SUCCEEDED, 2000)


async def test_a_method_that_was_deleted_pays_nothing(wallet: Wallet) -> None:
    method = await wallet.kept()
    wallet.gateway.api.vault.delete(method.reference)
    with pytest.raises(ProviderNotFound):
        await wallet.charge(method)
    assert wallet.gateway.orders() == []


async def test_a_charge_is_killed_after_each_call_and_takes_the_money_once(wallet: Wallet) -> None:
    """Once before a call's result was stored, and once after it."""
    method = await wallet.kept()
    for number, (fault, dies) in enumerate(
        [(None, "order"), ("/v2/checkout/orders", None), ("/v2/checkout/orders/*/capture", None)]
    ):
        keeper = Keeper(dies)
        step = wallet.step(results=keeper.results, keep=keeper.keep)
        if fault:
            wallet.gateway.lose_next_answer(fault)
        with pytest.raises((ProviderUnknown, RuntimeError)):
            await wallet.charge(method, step)
        again = Step(
            key=step.key, reference=step.reference, repeat=True, results=keeper.results, keep=keeper.keep
        )
        paid = await wallet.charge(method, again)
        assert paid.status is PaymentStatus.SUCCEEDED
        assert len(wallet.gateway.captures(taken=True)) == number + 1
        assert len(wallet.gateway.orders()) == number + 1


async def test_a_lost_charge_is_found_by_its_order_or_proved_absent(wallet: Wallet) -> None:
    method = await wallet.kept()
    keeper = Keeper()
    step = wallet.step(results=keeper.results, keep=keeper.keep)
    wallet.gateway.lose_next_answer("/v2/checkout/orders/*/capture")
    with pytest.raises(ProviderUnknown):
        await wallet.charge(method, step)
    inputs = {"confirm": True, "payment_method": method.reference}
    found = await wallet.account.find_operation(
        lost(Verb.CREATE, step, results=keeper.results, inputs=inputs)
    )
    assert isinstance(found, Found)
    assert found.payment is not None
    assert found.payment.captured == 2000

    keeper, step = Keeper(), wallet.step()
    step = Step(key=step.key, reference=step.reference, deadline=5, results=keeper.results, keep=keeper.keep)
    wallet.gateway.faults.add("drop_before", path="/v2/checkout/orders/*/capture")
    with pytest.raises(ProviderUnknown):
        await wallet.charge(method, step)
    seen = await wallet.account.find_operation(lost(Verb.CREATE, step, results=keeper.results, inputs=inputs))
    assert isinstance(seen, Absent)
    assert isinstance(await wallet.account.find_operation(lost(Verb.CREATE, step, inputs=inputs)), Absent)


# --- keeping with a payment -------------------------------------------------------------------------


async def paid_and_kept(wallet: Wallet, kind: str, instrument: str, **changes: Any) -> ProviderPayment:
    step = wallet.step()
    asked = IntentRequest(
        amount=USD,
        payment_id="pay_1",
        reference=step.reference,
        payment_method=kind,
        setup_future_usage="off_session",
        return_url=BACK,
        **changes,
    )
    begun = await wallet.account.create_payment_intent(asked, step=step)
    assert begun.status is PaymentStatus.REQUIRES_ACTION, "a card that nobody has typed is not named"
    wallet.gateway.approve(begun.reference, instrument)
    confirm = ConfirmRequest(payment=begun.reference, amount=USD, setup_future_usage="off_session")
    return await wallet.account.confirm_payment(confirm, step=wallet.step())


@pytest.mark.parametrize(
    ("kind", "instrument"), [("paypal", "balance"), ("venmo", "venmo"), ("card", "card")]
)
async def test_what_pays_is_kept_with_the_payment_and_charged_later(
    wallet: Wallet, kind: str, instrument: str
) -> None:
    paid = await paid_and_kept(wallet, kind, instrument)
    assert paid.method is not None
    assert paid.method.saved
    again = await wallet.charge(paid.method)
    assert again.captured == 2000
    second = await paid_and_kept(wallet, kind, instrument, customer=paid.method.customer)
    assert second.method is not None
    assert second.method.customer == paid.method.customer


async def test_what_is_kept_a_little_later_is_read_with_its_order(wallet: Wallet) -> None:
    wallet.gateway.keep_late()
    paid = await paid_and_kept(wallet, "paypal", "balance")
    assert paid.captured == 2000
    assert paid.method is None or not paid.method.saved
    wallet.gateway.finish_keeping(paid.reference)
    event = event_from(wallet.gateway.events("VAULT.PAYMENT-TOKEN.CREATED")[-1])
    assert (event.noun, event.reference) == (Noun.PAYMENT, paid.reference)
    seen = await wallet.account.sync_payment_status(paid.reference)
    assert seen.method is not None
    assert seen.method.saved


async def test_a_refused_card_is_not_kept(wallet: Wallet) -> None:
    failed = await paid_and_kept(wallet, "card", "card_declined")
    assert failed.status is PaymentStatus.FAILED
    assert wallet.gateway.payment_tokens() == []


async def test_to_keep_something_it_has_to_be_known_what(wallet: Wallet) -> None:
    step = wallet.step()
    asked = IntentRequest(
        amount=USD, payment_id="pay_1", reference=step.reference, setup_future_usage="off_session"
    )
    with pytest.raises(InvalidRequest):
        await wallet.account.create_payment_intent(asked, step=step)
    assert wallet.gateway.requests("/v") == []


# --- lost answers and events ------------------------------------------------------------------------


async def test_a_lost_set_up_is_repeated_with_its_key_and_harms_nobody(wallet: Wallet) -> None:
    step = wallet.step()
    wallet.gateway.lose_next_answer("/v3/vault/setup-tokens")
    with pytest.raises(ProviderUnknown):
        await wallet.begin(step=step)
    seen = await wallet.account.find_operation(lost(Verb.CREATE_METHOD, step, inputs={"token": None}))
    assert isinstance(seen, Absent)
    again = Step(key=step.key, reference=step.reference, repeat=True)
    await wallet.begin(step=again)
    assert len(wallet.gateway.setup_tokens()) == 1


async def test_a_lost_confirmation_is_found_or_proved_absent_and_keeps_one_method(wallet: Wallet) -> None:
    for fault, kind in (("drop_after", Found), ("drop_before", Absent)):
        setup = await wallet.begin()
        wallet.gateway.agree(setup.reference)
        step = wallet.step()
        wallet.gateway.faults.add(fault, path="/v3/vault/payment-tokens")
        with pytest.raises(ProviderUnknown):
            await wallet.confirm(setup, step)
        before = len(wallet.gateway.payment_tokens())
        evidence = lost(Verb.CONFIRM_METHOD, step, subject=setup.reference, inputs={"setup": setup.reference})
        seen = await wallet.account.find_operation(evidence)
        assert isinstance(seen, kind)
        again = await wallet.confirm(setup, Step(key=step.key, reference=step.reference, repeat=True))
        assert again.status is PaymentMethodStatus.ACTIVE
        assert len(wallet.gateway.payment_tokens()) == max(before, 1) if kind is Found else before + 1
        if isinstance(seen, Found):
            assert seen.method is not None
            assert seen.method.reference == again.reference


async def test_a_lost_deletion_is_found_or_proved_absent(wallet: Wallet) -> None:
    for fault, kind in (("drop_after", Found), ("drop_before", Absent)):
        method, step = await wallet.kept(), wallet.step()
        wallet.gateway.faults.add(fault, path="/v3/vault/payment-tokens/*", method="DELETE")
        with pytest.raises(ProviderUnknown):
            await wallet.account.delete_payment_method(
                PaymentMethodDeletion(payment_method=method.reference), step=step
            )
        evidence = lost(
            Verb.DELETE_METHOD,
            step,
            subject=method.reference,
            inputs={"payment_method": method.reference},
        )
        assert isinstance(await wallet.account.find_operation(evidence), kind)


async def test_a_set_up_used_by_somebody_faster_is_the_same_method(wallet: Wallet) -> None:
    setup = await wallet.begin()
    wallet.gateway.agree(setup.reference)
    with wallet.gateway.books.lock:
        wish = {"payment_source": {"token": {"id": setup.reference, "type": "SETUP_TOKEN"}}}
        made = wallet.gateway.api.vault.create_token(wish)
        wallet.gateway.books.setups[setup.reference]["customer"] = {"id": "somebody"}
    with pytest.raises(ProviderStateConflict):
        await wallet.confirm(setup)
    assert [each["id"] for each in wallet.gateway.payment_tokens()] == [made["id"]]


async def test_events_of_the_vault_lead_to_the_method(wallet: Wallet) -> None:
    method = await wallet.kept()
    await wallet.account.delete_payment_method(
        PaymentMethodDeletion(payment_method=method.reference), step=wallet.step()
    )
    for word in ("CREATED", "DELETED"):
        event = event_from(wallet.gateway.events(f"VAULT.PAYMENT-TOKEN.{word}")[-1])
        assert (event.noun, event.reference) == (Noun.PAYMENT_METHOD, method.reference)
