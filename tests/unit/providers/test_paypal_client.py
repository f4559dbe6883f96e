"""The SDK on our transport: one token, one deadline, nothing executed that an answer says, nothing leaked."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import jsonpickle
import pytest

from bridge_payments.errors import (
    MissingExtra,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderUnknown,
    Unavailable,
)
from bridge_payments.models import Money, PaymentStatus
from bridge_payments.providers.base import CaptureRequest, ConfirmRequest, IntentRequest, RefundRequest, Step
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.transport import Transport, sending_before

pytestmark = pytest.mark.anyio

SECRET = "EGnHDxD-hush-hush"
TOKEN = {"access_token": "A21AAhush", "token_type": "Bearer", "expires_in": 32400}
ORDER = {
    "id": "ORDER1",
    "intent": "CAPTURE",
    "status": "CREATED",
    "purchase_units": [{"reference_id": "default", "amount": {"currency_code": "USD", "value": "20.00"}}],
    "links": [{"href": "https://www.paypal.com/checkoutnow?token=ORDER1", "rel": "approve", "method": "GET"}],
}


@asynccontextmanager
async def account_at(url: str, **more: Any) -> AsyncIterator[PayPalProvider]:
    transport = Transport()
    account = PayPalProvider(
        **{"client_id": "lab", "client_secret": SECRET, "transport": transport, "api_base": url, **more}
    )
    try:
        yield account
    finally:
        await account.aclose()
        await transport.aclose()


@pytest.fixture
async def account(scripted: Any) -> AsyncIterator[PayPalProvider]:
    async with account_at(scripted.url) as built:
        yield built


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakePayPal]:
    with FakePayPal() as gateway:
        yield gateway


def step(**more: Any) -> Step:
    return Step(**{"key": "op_1", "reference": "r" * 20, "deadline": 5.0, **more})


def asked() -> IntentRequest:
    return IntentRequest(amount=Money(2000, "USD"), payment_id="pay_1", reference="r" * 20)


def refund() -> RefundRequest:
    return RefundRequest(
        payment="ORDER1", charge="CAP1", refund_id="ref_1", amount=Money(1, "USD"), reference="r" * 20
    )


async def test_many_cold_calls_share_one_token(gateway: FakePayPal) -> None:
    async with account_at(
        gateway.url, client_id=gateway.client_id, client_secret=gateway.client_secret
    ) as account:
        gateway.faults.add("slow", path="/v1/oauth2/token", seconds=0.2, caller="any")
        before = len(gateway.requests("/v1/oauth2/token"))
        made = await asyncio.gather(
            *(account.create_payment_intent(asked(), step=step(key=f"op_{number}")) for number in range(40))
        )
        assert len({each.reference for each in made}) == 40
        assert len(gateway.requests("/v1/oauth2/token")) - before == 1


async def test_what_is_sent_says_what_it_must_and_nothing_of_this_machine(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.answer(TOKEN)
    scripted.answer(ORDER, 201)
    await account.create_payment_intent(asked(), step=step())
    token, create = scripted.received
    assert token.headers["authorization"].startswith("Basic ")
    assert (create.headers["paypal-request-id"], create.headers["prefer"]) == (
        "op_1",
        "return=representation",
    )
    assert create.headers["authorization"] == "Bearer A21AAhush"
    told = str(create.headers).lower()
    assert "python" not in told
    assert "linux" not in told


async def test_an_answer_is_read_and_never_executed(
    account: PayPalProvider, scripted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    crafted = b'{"py/reduce": [{"py/function": "builtins.print"}, {"py/tuple": ["owned"]}]}'
    jsonpickle.decode(crafted.decode())
    assert "owned" in capsys.readouterr().out, "the SDK's own decoder does it"
    scripted.answer(TOKEN)
    scripted.break_(crafted, 201)
    with pytest.raises(ProviderUnknown):
        await account.create_payment_intent(asked(), step=step())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"{", b"null", b'{"id": 1}', b"{}"])
async def test_a_success_that_nobody_can_read_may_have_moved_money(
    account: PayPalProvider, scripted: Any, body: bytes
) -> None:
    scripted.answer(TOKEN)
    scripted.break_(body, 201)
    with pytest.raises(ProviderUnknown):
        await account.refund_payment(refund(), step=step())


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": "no"}'])
async def test_an_error_that_nobody_can_read_is_no_definite_no(
    account: PayPalProvider, scripted: Any, body: bytes
) -> None:
    scripted.answer(TOKEN)
    scripted.break_(body, 422)
    with pytest.raises(ProviderUnknown):
        await account.refund_payment(refund(), step=step())


async def test_a_redirect_is_not_followed_with_our_credentials(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.answer(TOKEN)
    scripted.answer({}, 307, Location=f"{scripted.url}/v2/elsewhere", x_lab_not_paypal="on purpose")
    with pytest.raises(ProviderUnknown):
        await account.refund_payment(refund(), step=step())
    assert len(scripted.received) == 2


async def test_a_call_without_an_answer_is_unknown_at_its_deadline(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.answer(TOKEN)
    scripted.hold()
    with pytest.raises(ProviderUnknown):
        await account.refund_payment(refund(), step=step(deadline=0.5))


async def test_a_call_that_hears_nothing_but_a_hung_up_line_is_unknown(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.answer(TOKEN)
    scripted.hang_up()
    with pytest.raises(ProviderUnknown):
        await account.refund_payment(refund(), step=step())


async def test_what_could_not_be_sent_is_known_not_to_have_been() -> None:
    async with account_at("http://127.0.0.1:9") as account:
        with pytest.raises(ProviderNeverSent):
            await account.refund_payment(refund(), step=step())


async def test_whoever_waits_for_a_token_for_too_long_has_sent_nothing_and_never_will(
    account: PayPalProvider, scripted: Any
) -> None:
    """The thread is left behind with a token on its way: it must not send when the token comes."""
    scripted.hold()
    with pytest.raises(ProviderNeverSent):
        await account.refund_payment(refund(), step=step(deadline=0.3))
    scripted.release()
    await asyncio.sleep(0.2)
    assert [each.path for each in scripted.received] == ["/v1/oauth2/token"]


async def test_a_caller_who_goes_away_stops_what_was_not_sent_yet(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.hold()
    call = asyncio.create_task(account.refund_payment(refund(), step=step()))
    await asyncio.to_thread(scripted.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    scripted.release()
    await asyncio.sleep(0.2)
    assert len(scripted.received) == 1


async def test_a_sender_whose_lease_is_over_sends_nothing(account: PayPalProvider, scripted: Any) -> None:
    scripted.answer(TOKEN)
    scripted.answer(ORDER, 201)
    await account.create_payment_intent(asked(), step=step())
    with sending_before(time.monotonic() - 1), pytest.raises(ProviderNeverSent):
        await account.refund_payment(refund(), step=step())
    assert len(scripted.received) == 2


async def test_a_token_that_is_no_token_sends_nothing(account: PayPalProvider, scripted: Any) -> None:
    for body in (b"", b"<html>", b"[]", b'{"token_type": "Bearer"}', b'{"access_token": ""}'):
        scripted.break_(body)
        with pytest.raises(ProviderNeverSent):
            await account.refund_payment(refund(), step=step())
    assert {each.path for each in scripted.received} == {"/v1/oauth2/token"}


async def test_a_refused_write_is_not_sent_again_with_another_token(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.answer(TOKEN)
    scripted.answer({"error": "invalid_token"}, 401, x_lab_not_paypal="its edge's own shape")
    with pytest.raises(ProviderRejected):
        await account.refund_payment(refund(), step=step())
    assert len(scripted.received) == 2
    scripted.answer(TOKEN)
    scripted.answer(ORDER)
    await account.sync_payment_status("ORDER1")
    assert [each.path for each in scripted.received[2:]] == [
        "/v1/oauth2/token", "/v2/checkout/orders/ORDER1",
    ]  # fmt: skip


async def test_an_order_that_is_not_the_one_asked_for_is_not_believed(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.answer(TOKEN)
    scripted.answer({**ORDER, "id": "ORDER2"})
    with pytest.raises(ProviderUnknown):
        await account.sync_payment_status("ORDER1")


async def test_an_order_that_is_gone_is_said_to_be_gone(account: PayPalProvider, scripted: Any) -> None:
    scripted.answer(TOKEN)
    details = [{"issue": "INVALID_RESOURCE_ID", "description": "Specified resource ID does not exist."}]
    gone = {"name": "RESOURCE_NOT_FOUND", "message": "no", "debug_id": "d", "details": details}
    scripted.answer(gone, 404)
    # Nor is it what a subscription collected.
    scripted.answer({**gone, "message": "The specified resource does not exist.", "details": []}, 404)
    with pytest.raises(ProviderNotFound):
        await account.sync_payment_status("ORDER1")


async def test_no_log_no_error_and_no_repr_holds_a_secret(
    account: PayPalProvider, scripted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = [repr(account), repr(account._client), repr(vars(account))]
    scripted.answer(TOKEN)
    for status in (401, 422, 500):
        scripted.break_(b'{"name": "X", "message": "token A21AAhush for 4111111111111111"}', status)
        with pytest.raises((ProviderUnknown, ProviderRejected)) as failed:
            await account.refund_payment(refund(), step=step())
        error: BaseException | None = failed.value
        while error is not None:
            seen += [repr(error), str(error), repr(vars(error)), repr(error.args)]
            error = error.__cause__ or error.__context__
        if status == 401:
            scripted.answer(TOKEN)
    for secret in ("hush", "A21AA", "4111111111111111"):
        assert secret not in caplog.text
        assert not [text for text in seen if secret in text]


async def test_a_child_of_a_fork_has_threads_and_a_lock_of_its_own(
    account: PayPalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = account._client._workshop()
    assert account._client._workshop() is mine
    monkeypatch.setattr("os.getpid", lambda: -1)
    theirs = account._client._workshop()
    assert theirs is not mine
    assert theirs.pool is not mine.pool
    assert theirs.tokens._lock is not mine.tokens._lock


async def test_webhooks_wait_their_turn_and_are_put_off_when_paypal_is_slow(
    gateway: FakePayPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_payments.providers.paypal.verification.SECONDS", 0.5)
    gateway.reset(endpoints=True)
    hook = gateway.add_webhook("http://127.0.0.1:9/")
    async with account_at(
        gateway.url,
        client_id=gateway.client_id,
        client_secret=gateway.client_secret,
        webhook_ids=[hook.secret],
    ) as account:
        body = b'{"id": "WH-1", "event_type": "BILLING.PLAN.CREATED", "resource": {}}'
        headers, _ = gateway.signed_webhook(body)
        from bridge_payments.messages import Request

        request = Request(method="POST", path="/", headers=dict(headers), body=body)
        assert (await account.read_webhook(request)).reference is None
        before = len(gateway.requests("/v1/notifications"))
        gateway.faults.add("hang_before", path="/v1/notifications/*", times=100)
        answers = await asyncio.gather(
            *(account.read_webhook(request) for _ in range(30)), return_exceptions=True
        )
        assert {type(each) for each in answers} == {Unavailable}
        gateway.faults.clear()
        # Whoever waits too long for a turn is put off without asking.
        assert len(gateway.requests("/v1/notifications")) - before < 30


def with_payments(status: str = "COMPLETED", **payments: Any) -> dict[str, Any]:
    unit = {**ORDER["purchase_units"][0], "payments": payments}
    return {**ORDER, "status": status, "purchase_units": [unit]}


DECLINED = {
    "id": "CAP1",
    "status": "DECLINED",
    "amount": {"currency_code": "USD", "value": "7.00"},
    "processor_response": {"response_code": "5120"},
}


@pytest.mark.parametrize(("repeat", "kind"), [(False, ProviderRejected), (True, ProviderUnknown)])
async def test_a_capture_that_the_processor_declines_leaves_the_money_held(
    account: PayPalProvider, scripted: Any, repeat: bool, kind: type[Exception]
) -> None:
    held = {"id": "AUTH1", "status": "CREATED", "amount": {"currency_code": "USD", "value": "20.00"}}
    scripted.answer(TOKEN)
    scripted.answer({**with_payments(authorizations=[held]), "intent": "AUTHORIZE"})
    scripted.answer(DECLINED, 201)
    asked = CaptureRequest(payment="ORDER1", amount=Money(700, "USD"))
    with pytest.raises(kind) as refused:
        await account.capture_payment(asked, step=step(repeat=repeat))
    assert type(refused.value) is kind, "a decline would open the payment to another card"
    assert vars(refused.value)["decline_code"] == "insufficient_funds"


async def test_after_a_refused_attempt_an_approved_order_is_asked_for_again(
    account: PayPalProvider, scripted: Any
) -> None:
    scripted.answer(TOKEN)
    scripted.answer(with_payments("APPROVED", captures=[DECLINED]))
    taken = {**DECLINED, "id": "CAP2", "status": "COMPLETED", "create_time": "2026-11-23T11:00:00Z"}
    scripted.answer(with_payments(captures=[DECLINED, taken]), 201)
    asked = ConfirmRequest(payment="ORDER1", amount=Money(2000, "USD"))
    paid = await account.confirm_payment(asked, step=step())
    assert (paid.status, paid.charge, paid.decline) == (PaymentStatus.SUCCEEDED, "CAP2", None)


# --- what is imported -------------------------------------------------------------------------------


def test_the_folder_imports_no_sdk_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys, bridge_payments.providers.paypal as p;"
        "print([n for n in ('paypalserversdk', 'requests', 'cryptography', 'stripe') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("absent", "options", "extra"),
    [
        ("paypalserversdk.configuration", {}, "bridge-payments[paypal]"),
        ("cryptography.exceptions", {"verify_offline": True}, "bridge-payments[paypal-offline]"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, absent: str, options: dict[str, Any], extra: str
) -> None:
    for module in list(sys.modules):
        if module.startswith("bridge_payments.providers.paypal."):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, absent, None)
    from bridge_payments.providers.paypal.provider import PayPalProvider as Fresh

    with pytest.raises(MissingExtra) as missing:
        Fresh(client_id="a", client_secret="b", transport=Transport(), **options)
    assert extra in str(missing.value)
