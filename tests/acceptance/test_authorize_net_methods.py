"""Customers and stored methods of Authorize.net (CIM): the adapter against its gateway, in both languages.

The gateway has no keys: none is made twice because a mark of ours, or what was there before, is looked at
first. What is sent and answered is judged by the gateway's own schema while it happens (tests/lab).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from anet import USD, Caller, Killed, open_account

from bridge_payments.errors import (
    InvalidRequest,
    ProviderDeclined,
    ProviderNotFound,
    ProviderRejected,
    ProviderUnknown,
)
from bridge_payments.messages import Request
from bridge_payments.models import Noun, PaymentMethodStatus, PaymentStatus, Verb, new_reference
from bridge_payments.providers.base import (
    Absent,
    BillingDetails,
    CannotSay,
    CustomerDeletion,
    CustomerUpdate,
    Found,
    IntentRequest,
    KnownPayment,
    PaymentMethodDeletion,
    PaymentMethodUpdate,
)
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

NEW_CUSTOMER, NEW_METHOD = "createCustomerProfileRequest", "createCustomerPaymentProfileRequest"
FROM_CHARGE = "createCustomerProfileFromTransactionRequest"
DONE = ("drop_after", "half_answer", "unreadable", "error_after")
NOT_DONE = ("drop_before", "error_before", "error_stored", "key_in_use")


@pytest.fixture(scope="module")
def listening() -> Iterator[FakeAuthorizeNet]:
    with FakeAuthorizeNet() as gateway:
        yield gateway


@pytest.fixture
def gateway(listening: FakeAuthorizeNet) -> FakeAuthorizeNet:
    listening.reset(endpoints=True)
    return listening


@pytest.fixture(params=["xml", "json"])
async def ask(request: pytest.FixtureRequest, gateway: FakeAuthorizeNet) -> AsyncIterator[Caller]:
    if request.param == "xml":
        pytest.importorskip("authorizenet", reason="the vendor's contracts are not installed")
    transport = Transport()
    yield Caller(open_account(gateway, transport, encoder=request.param), gateway)
    await transport.aclose()


def asked(gateway: FakeAuthorizeNet, operation: str) -> int:
    return sum(each.operation == operation for each in gateway.requests())


# --- customers ------------------------------------------------------------------------------------


async def test_a_customer_carries_our_id_and_mark_and_can_be_changed_and_forgotten(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    request = ask.customer(name="Zoë O'Neil & <Sons>", phone="+1 206 555")
    made = await ask.provider.create_customer(request, step=ask.step())
    assert (made.customer_id, made.our_reference) == (request.customer_id, request.reference)
    assert (made.email, made.name, made.livemode) == ("ada@shop.example", "Zoë O'Neil & <Sons>", False)
    (kept,) = gateway.customers()
    assert (kept["id"], kept["merchantCustomerId"]) == (made.reference, request.reference)
    change = CustomerUpdate(customer=made.reference, email="zoe@shop.example")
    changed = await ask.provider.update_customer(change, step=ask.step())
    assert (changed.email, changed.name, changed.our_reference) == (
        "zoe@shop.example", "Zoë O'Neil & <Sons>", request.reference,
    )  # fmt: skip
    renamed = await ask.provider.update_customer(replace(change, email=None, name="Zoë"), step=ask.step())
    assert (renamed.email, renamed.name, renamed.customer_id) == (
        "zoe@shop.example", "Zoë", request.customer_id,
    )  # fmt: skip
    for _ in range(2):  # gone already is gone
        gone = await ask.provider.delete_customer(CustomerDeletion(customer=made.reference), step=ask.step())
        assert gone.deleted
    assert gateway.customers() == []
    with pytest.raises(ProviderNotFound):
        await ask.provider.update_customer(change, step=ask.step())


@pytest.mark.parametrize("fault", DONE + NOT_DONE)
async def test_a_lost_customer_is_found_by_its_mark_and_never_made_twice(
    ask: Caller, gateway: FakeAuthorizeNet, fault: str
) -> None:
    request = ask.customer()
    gateway.spoil(fault, NEW_CUSTOMER)
    with pytest.raises(ProviderUnknown):
        await ask.provider.create_customer(request, step=ask.step())
    found = await ask.look_up(Verb.CREATE_CUSTOMER, request)
    if fault in DONE:
        assert isinstance(found, Found)
        assert found.customer is not None
        assert found.customer.our_reference == request.reference
    else:
        assert isinstance(found, Absent)
        assert not found.at_once
    again = await ask.provider.create_customer(request, step=ask.step(repeat=True))
    assert [each["id"] for each in gateway.customers()] == [again.reference]


async def test_a_lost_change_and_a_lost_deletion_are_told_from_the_customer_itself(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    customer = (await ask.a_customer()).reference
    change = CustomerUpdate(customer=customer, name="Grace Hopper")
    for fault, kind in (("drop_before", Absent), ("drop_after", Found)):
        gateway.spoil(fault, "updateCustomerProfileRequest")
        with pytest.raises(ProviderUnknown):
            await ask.provider.update_customer(change, step=ask.step())
        assert isinstance(await ask.look_up(Verb.UPDATE_CUSTOMER, change, subject=customer), kind)
    deletion = CustomerDeletion(customer=customer)
    for fault, kind in (("drop_before", Absent), ("drop_after", Found)):
        gateway.spoil(fault, "deleteCustomerProfileRequest")
        with pytest.raises(ProviderUnknown):
            await ask.provider.delete_customer(deletion, step=ask.step())
        assert isinstance(await ask.look_up(Verb.DELETE_CUSTOMER, deletion, subject=customer), kind)


async def test_what_is_no_customer_or_method_of_the_gateways_is_refused_with_zero_bytes(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    provider, step = ask.provider, ask.step()
    for wrong in ("", "cus_1", "../1", "0", "1:2"):
        with pytest.raises(InvalidRequest):
            await provider.delete_customer(CustomerDeletion(customer=wrong), step=step)
    for method, customer in (("31", None), ("31:41", "32"), ("token", None), ("31:41:51", None)):
        deletion = PaymentMethodDeletion(payment_method=method, customer=customer)
        with pytest.raises(InvalidRequest):
            await provider.delete_payment_method(deletion, step=step)
    for token in (None, "31:41", "4111111111111111", "sepa:abcdefgh"):
        with pytest.raises(InvalidRequest):
            await provider.create_payment_method(ask.method(token=token, customer="31"), step=step)
    assert gateway.requests() == []


# --- stored methods -------------------------------------------------------------------------------


async def test_a_card_is_kept_shown_without_its_number_changed_and_forgotten(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    made = await ask.a_method()
    assert (made.brand, made.last_four, made.type) == ("Visa", "1111", "credit_card")
    assert (made.expiry_month, made.expiry_year, made.saved) == (12, 2030, True)
    assert made.status is PaymentMethodStatus.ACTIVE
    assert made.reference.startswith(f"{made.customer}:")
    (kept,) = gateway.customers()[0]["methods"]
    assert kept["billing"] == {
        "firstName": "Ada King", "lastName": "Lovelace", "address": "1 Main St", "zip": "98004",
    }  # fmt: skip
    change = PaymentMethodUpdate(
        payment_method=made.reference, customer=made.customer,
        billing=BillingDetails(postal_code="10115", city="Berlin", country="DE"),
    )  # fmt: skip
    changed = await ask.provider.update_payment_method(change, step=ask.step())
    assert (changed.reference, changed.last_four) == (made.reference, "1111")
    (kept,) = gateway.customers()[0]["methods"]
    assert kept["billing"] == {
        "firstName": "Ada King", "lastName": "Lovelace", "address": "1 Main St", "city": "Berlin",
        "zip": "10115", "country": "DE",
    }, "what is not said stays"  # fmt: skip
    assert (await ask.provider.sync_payment_method(made.reference)).expiry_year == 2030
    deletion = PaymentMethodDeletion(payment_method=made.reference)
    for _ in range(2):
        gone = await ask.provider.delete_payment_method(deletion, step=ask.step())
        assert gone.status is PaymentMethodStatus.DELETED
    with pytest.raises(ProviderNotFound):
        await ask.provider.sync_payment_method(made.reference)
    assert "4111111111111111" not in repr(made)


async def test_a_bank_account_is_kept_and_charged(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    made = await ask.a_method(token=gateway.bank_token(), payment_type="bank_account")
    assert (made.type, made.last_four, made.brand) == ("bank_account", "7890", None)
    change = PaymentMethodUpdate(payment_method=made.reference, billing=BillingDetails(city="Oslo"))
    assert (await ask.provider.update_payment_method(change, step=ask.step())).last_four == "7890"
    paid = await ask.provider.confirm_payment(
        ask.confirmation(payment_method=made.reference, customer=made.customer), step=ask.step()
    )
    assert (paid.status, paid.method and paid.method.type) == (PaymentStatus.SUCCEEDED, "bank_account")


async def test_a_method_without_a_customer_gets_one_of_its_own_in_one_call(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    request = ask.method()
    gateway.lose_next_answer(NEW_CUSTOMER)
    with pytest.raises(ProviderUnknown):
        await ask.provider.create_payment_method(request, step=ask.step())
    found = await ask.look_up(Verb.CREATE_METHOD, request)
    assert isinstance(found, Found)
    assert found.method is not None
    again = await ask.provider.create_payment_method(request, step=ask.step(repeat=True))
    assert again.reference == found.method.reference
    assert again.payment_method_id == request.payment_method_id
    (customer,) = gateway.customers()
    assert len(customer["methods"]) == 1
    assert isinstance(await ask.look_up(Verb.CREATE_METHOD, ask.method()), Absent)


@pytest.mark.parametrize(
    ("card", "code", "theirs"),
    [("declined", "declined", "2"), ("expired", "expired_card", "8"), ("wrong_code", "incorrect_cvc", "65")],
)
@pytest.mark.parametrize("alone", [True, False])
async def test_a_card_that_its_issuer_refuses_is_not_kept(
    ask: Caller, gateway: FakeAuthorizeNet, card: str, code: str, theirs: str, alone: bool
) -> None:
    customer = None if alone else (await ask.a_customer()).reference
    with pytest.raises(ProviderDeclined) as refused:
        await ask.provider.create_payment_method(ask.method(card, customer=customer), step=ask.step())
    assert (refused.value.decline_code, refused.value.provider_code) == (code, theirs)
    assert not any(each["methods"] for each in gateway.customers())


async def test_whether_an_issuer_is_asked_is_the_accounts_choice(gateway: FakeAuthorizeNet) -> None:
    transport = Transport()
    ask = Caller(open_account(gateway, transport, encoder="json", validation_mode="none"), gateway)
    assert (await ask.a_method("declined")).saved
    await transport.aclose()


async def test_the_same_card_twice_is_the_method_that_is_there(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    first = await ask.a_method()
    second = await ask.a_method(customer=first.customer)
    assert second.reference == first.reference
    other = await ask.a_method("mastercard", customer=first.customer)
    assert other.reference != first.reference
    assert len(gateway.customers()[0]["methods"]) == 2


@pytest.mark.parametrize("fault", DONE + NOT_DONE)
async def test_a_lost_method_is_found_as_what_was_not_there_before_and_never_made_twice(
    ask: Caller, gateway: FakeAuthorizeNet, fault: str
) -> None:
    there = await ask.a_method("mastercard")
    request = ask.method(customer=there.customer)
    gateway.spoil(fault, NEW_METHOD)
    with pytest.raises(ProviderUnknown):
        await ask.provider.create_payment_method(request, step=ask.step())
    found = await ask.look_up(Verb.CREATE_METHOD, request)
    assert isinstance(found, Found if fault in DONE else Absent)
    again = await ask.provider.create_payment_method(request, step=ask.step(repeat=True))
    assert again.reference != there.reference
    if isinstance(found, Found):
        assert found.method is not None
        assert found.method.reference == again.reference
    assert len(gateway.customers()[0]["methods"]) == 2


async def test_a_method_is_one_wherever_the_process_dies(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    for die in ("die_before", "die_after"):
        request = ask.method(customer=(await ask.a_customer()).reference)
        ask.results.clear()
        setattr(ask, die, "seen")
        with pytest.raises(Killed):
            await ask.provider.create_payment_method(request, step=ask.step())
        setattr(ask, die, None)
        found = await ask.look_up(Verb.CREATE_METHOD, request)
        assert isinstance(found, Absent)
        assert found.at_once is (die == "die_before"), "nothing is sent before what is there was stored"
        made = await ask.provider.create_payment_method(request, step=ask.step(repeat=True))
        assert [each["id"] for each in gateway.customers()[-1]["methods"]] == [made.reference.split(":")[1]]


async def test_which_of_several_new_methods_was_meant_cannot_be_said(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    customer = (await ask.a_customer()).reference
    request = ask.method(customer=customer)
    gateway.lose_next_answer(NEW_METHOD)
    with pytest.raises(ProviderUnknown):
        await ask.provider.create_payment_method(request, step=ask.step())
    seen = dict(ask.results)
    await ask.a_method("mastercard", customer=customer)
    ask.results.update(seen)
    assert isinstance(await ask.look_up(Verb.CREATE_METHOD, request), CannotSay)
    with pytest.raises(ProviderUnknown):
        await ask.provider.create_payment_method(request, step=ask.step(repeat=True))


async def test_a_lost_change_or_deletion_of_a_method_is_told_from_the_method_itself(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    method = (await ask.a_method()).reference
    change = PaymentMethodUpdate(payment_method=method, billing=BillingDetails(city="Paris"))
    for fault, kind in (("drop_before", Absent), ("drop_after", Found)):
        gateway.spoil(fault, "updateCustomerPaymentProfileRequest")
        with pytest.raises(ProviderUnknown):
            await ask.provider.update_payment_method(change, step=ask.step())
        assert isinstance(await ask.look_up(Verb.UPDATE_METHOD, change, subject=method), kind)
    deletion = PaymentMethodDeletion(payment_method=method)
    for fault, kind in (("drop_before", Absent), ("drop_after", Found)):
        gateway.spoil(fault, "deleteCustomerPaymentProfileRequest")
        with pytest.raises(ProviderUnknown):
            await ask.provider.delete_payment_method(deletion, step=ask.step())
        assert isinstance(await ask.look_up(Verb.DELETE_METHOD, deletion, subject=method), kind)


async def test_only_a_one_time_token_is_believed_on_its_word(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    owns = ask.provider.owns_payment_method
    assert await owns(gateway.token())
    assert await owns("apple_pay:" + "eyJ2ZXJzaW9uIjoi" * 9)
    for other in ((await ask.a_method()).reference, "4111111111111111", "pm_1", ""):
        assert not await owns(other)


# --- charges of stored methods --------------------------------------------------------------------


@pytest.mark.parametrize("off_session", [True, False])
async def test_a_stored_method_is_charged_again_and_again_and_says_who_began_it(
    ask: Caller, gateway: FakeAuthorizeNet, off_session: bool
) -> None:
    method = await ask.a_method()
    for _ in range(2):
        reference = new_reference()
        request = IntentRequest(
            amount=USD, payment_id="pay_1", reference=reference, confirm=True, off_session=off_session,
            payment_method=method.reference, customer=method.customer,
        )  # fmt: skip
        paid = await ask.provider.create_payment_intent(request, step=ask.step())
        assert (paid.status, paid.captured, paid.customer) == (PaymentStatus.SUCCEEDED, 2000, method.customer)
        assert paid.method is not None
        assert (paid.method.reference, paid.method.saved) == (method.reference, True)
        seen = await ask.provider.sync_known_payment(
            KnownPayment(
                reference=paid.reference, total=USD, status=paid.status, charge=paid.charge, captured=2000
            )
        )
        assert seen.method is not None
        assert (seen.method.reference, seen.our_reference) == (method.reference, reference)
    sent = [each.body for each in gateway.requests() if each.transaction]
    assert all(("isSubsequentAuth" in body) is off_session for body in sent)
    assert all(("isStoredCredentials" in body) is not off_session for body in sent)
    assert len(gateway.charges()) == 2


async def test_a_strangers_pair_is_refused_before_a_byte_is_sent(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    method = await ask.a_method()
    stranger = (await ask.a_customer()).reference
    before = len(gateway.requests())
    for customer in (stranger, "not-a-number", ""):
        with pytest.raises(InvalidRequest):
            await ask.provider.confirm_payment(
                ask.confirmation(payment_method=method.reference, customer=customer), step=ask.step()
            )
    assert len(gateway.requests()) == before


async def test_a_stored_method_that_is_declined_or_gone_is_refused(
    gateway: FakeAuthorizeNet,
) -> None:
    transport = Transport()
    ask = Caller(open_account(gateway, transport, encoder="json", validation_mode="none"), gateway)
    method = await ask.a_method("declined")
    confirmation = ask.confirmation(payment_method=method.reference, customer=method.customer)
    with pytest.raises(ProviderDeclined) as refused:
        await ask.provider.confirm_payment(confirmation, step=ask.step())
    assert refused.value.decline_code == "declined"
    await ask.provider.delete_payment_method(
        PaymentMethodDeletion(payment_method=method.reference), step=ask.step()
    )
    with pytest.raises(ProviderRejected) as gone:
        await ask.provider.confirm_payment(
            ask.confirmation(payment_method=method.reference, customer=method.customer), step=ask.step()
        )
    assert type(gone.value) is ProviderRejected, "the payment is there; its method is not"
    assert gone.value.provider_code == "E00040"
    await transport.aclose()


async def test_a_stored_method_is_not_charged_by_a_repeat(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    method = await ask.a_method()
    confirmation = ask.confirmation(payment_method=method.reference, customer=method.customer)
    gateway.spoil("drop_before", "*Transaction")
    for repeat in (False, True):
        with pytest.raises(ProviderUnknown):
            await ask.provider.confirm_payment(confirmation, step=ask.step(repeat=repeat))
    assert gateway.charges() == []
    gateway.lose_next_answer()
    with pytest.raises(ProviderUnknown):
        await ask.provider.confirm_payment(confirmation, step=ask.step())
    again = await ask.provider.confirm_payment(confirmation, step=ask.step(repeat=True))
    (charge,) = gateway.charges()
    assert again.charge == charge["id"]


# --- save on confirm ------------------------------------------------------------------------------


async def test_a_card_is_kept_with_the_payment_it_pays(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    customer = (await ask.a_customer()).reference
    confirmation = ask.confirmation(
        payment_method=gateway.token(), customer=customer, setup_future_usage="off_session"
    )
    paid = await ask.provider.confirm_payment(confirmation, step=ask.step())
    assert paid.status is PaymentStatus.SUCCEEDED
    assert paid.method is not None
    assert (paid.method.saved, paid.method.customer) == (True, customer)
    assert (paid.method.last_four, paid.method.expiry_year) == ("1111", 2030)
    again = await ask.provider.confirm_payment(
        ask.confirmation(payment_method=paid.method.reference, customer=customer), step=ask.step()
    )
    assert again.status is PaymentStatus.SUCCEEDED
    assert [each.body.count("isFirstSubsequentAuth") for each in gateway.requests() if each.transaction] == [
        1,
        0,
    ]
    assert "transId" in ask.results["charge"]
    assert "token" not in str(ask.results)


async def test_a_card_that_is_there_already_is_named_and_one_without_a_customer_gets_one(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    customer = (await ask.a_customer()).reference
    found = []
    for _ in range(2):
        ask.results.clear()
        confirmation = ask.confirmation(
            payment_method=gateway.token(), customer=customer, setup_future_usage="on_session"
        )
        found.append((await ask.provider.confirm_payment(confirmation, step=ask.step())).method)
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].reference == found[1].reference
    assert len(gateway.charges()) == 2
    ask.results.clear()
    alone = await ask.provider.confirm_payment(
        ask.confirmation(payment_method=gateway.token(), setup_future_usage="off_session"), step=ask.step()
    )
    assert alone.method is not None
    assert alone.method.saved
    assert alone.customer not in (None, customer)


@pytest.mark.parametrize("fault", [*DONE, *NOT_DONE, "wallet", "held"])
async def test_what_cannot_be_kept_has_paid_all_the_same(
    ask: Caller, gateway: FakeAuthorizeNet, fault: str
) -> None:
    customer = (await ask.a_customer()).reference
    token = "apple_pay:" + "eyJ2ZXJzaW9uIjoi" * 9 if fault == "wallet" else gateway.token()
    if fault == "held":
        gateway.hold_next()
    elif fault != "wallet":
        gateway.spoil(fault, FROM_CHARGE)
    confirmation = ask.confirmation(payment_method=token, customer=customer, setup_future_usage="off_session")
    paid = await ask.provider.confirm_payment(confirmation, step=ask.step())
    assert paid.status is (PaymentStatus.PROCESSING if fault == "held" else PaymentStatus.SUCCEEDED)
    assert paid.method is not None
    assert not paid.method.saved
    assert len(gateway.charges()) == 1


async def test_a_payment_that_is_kept_is_one_charge_and_one_method_wherever_the_process_dies(
    ask: Caller, gateway: FakeAuthorizeNet
) -> None:
    for number, die in enumerate(("die_before", "die_after", "die_later"), start=1):
        customer = (await ask.a_customer()).reference
        ask.results.clear()
        confirmation = ask.confirmation(
            payment_method=gateway.token(), customer=customer,
            setup_future_usage="off_session",
        )  # fmt: skip
        if die == "die_later":  # after both calls, before anything of it was recorded
            await ask.provider.confirm_payment(confirmation, step=ask.step())
        else:
            setattr(ask, die, "charge")
            with pytest.raises(Killed):
                await ask.provider.confirm_payment(confirmation, step=ask.step())
            setattr(ask, die, None)
        found = await ask.look_up(
            Verb.CONFIRM, confirmation, payment=confirmation.payment, amount=USD,
            known=KnownPayment(reference=confirmation.payment, total=USD, status=PaymentStatus.PENDING),
        )  # fmt: skip
        assert isinstance(found, Found)
        assert found.payment is not None
        assert found.payment.method is not None
        assert found.payment.method.saved is (die == "die_later")
        again = await ask.provider.confirm_payment(confirmation, step=ask.step(repeat=True))
        assert again.charge == found.payment.charge
        assert again.method is not None
        assert again.method.saved
        assert len(gateway.charges()) == number
        assert len(gateway.customers()[-1]["methods"]) == 1


# --- events ---------------------------------------------------------------------------------------


async def test_events_name_what_is_to_be_read_again(ask: Caller, gateway: FakeAuthorizeNet) -> None:
    method = await ask.a_method()
    await ask.provider.delete_payment_method(
        PaymentMethodDeletion(payment_method=method.reference), step=ask.step()
    )
    heard: list[Any] = []
    for event in gateway.events():
        headers, body = gateway.signed_webhook(event)
        heard.append(
            await ask.provider.read_webhook(Request(method="POST", path="/", headers=headers, body=body))
        )
    assert [(each.noun, each.reference) for each in heard] == [
        (Noun.CUSTOMER, method.customer),
        (Noun.PAYMENT_METHOD, method.reference),
        (Noun.PAYMENT_METHOD, method.reference),
    ]
    assert heard[0].our_reference == gateway.customers()[0]["merchantCustomerId"]
