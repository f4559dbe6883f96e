"""The account: what it is built from, what leaves this process, and what every kind of silence becomes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge_payments.errors import (
    ConfigurationError,
    InvalidRequest,
    InvalidSignature,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.messages import Request
from bridge_payments.models import PAYMENT_VERBS, BillingInterval, Money, PaymentStatus, Verb
from bridge_payments.providers import registry
from bridge_payments.providers.authorize_net import AuthorizeNetProvider
from bridge_payments.providers.authorize_net.listings import Listings
from bridge_payments.providers.base import (
    Absent,
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    CustomerRequest,
    Evidence,
    IntentRequest,
    KnownPayment,
    PaymentProvider,
    RefundRequest,
    Step,
    SubscriptionRequest,
    UpdateRequest,
)
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

REFERENCE = "0123456789abcdefghjk"
INTENT = f"anet_{REFERENCE}"
USD = Money(2000, "USD")
KEY = "0A" * 64
ENV = {
    "AUTHORIZE_NET_API_LOGIN_ID": "login",
    "AUTHORIZE_NET_TRANSACTION_KEY": "hushhush",
    "AUTHORIZE_NET_SIGNATURE_KEY": KEY,
}


def build(url: str | None = None, **env: str) -> AuthorizeNetProvider:
    given = {**ENV, **env, **({"AUTHORIZE_NET_API_BASE": url} if url else {})}
    return AuthorizeNetProvider.from_env({k: v for k, v in given.items() if v}, transport=Transport())


@pytest.fixture
async def account(scripted: Any) -> AsyncIterator[AuthorizeNetProvider]:
    transport = Transport()
    env = {**ENV, "AUTHORIZE_NET_API_BASE": scripted.url, "AUTHORIZE_NET_ENCODER": "json"}
    yield AuthorizeNetProvider.from_env(env, transport=transport)
    await transport.aclose()


@pytest.fixture
def step() -> Callable[..., Step]:
    return lambda **more: Step(**{"key": "op_1", "reference": "r" * 20, "deadline": 5.0, **more})


# --- configuration --------------------------------------------------------------------------------


def test_an_account_is_built_from_its_variables() -> None:
    account = build(AUTHORIZE_NET_PUBLIC_CLIENT_KEY="public")
    assert (account.livemode, account.currency) == (False, "USD")
    assert account.publishable == {
        "api_login_id": "login", "public_client_key": "public",
        "script": "https://jstest.authorize.net/v1/Accept.js",
    }  # fmt: skip
    live = build(AUTHORIZE_NET_ENVIRONMENT="Production", AUTHORIZE_NET_CURRENCY="cad")
    assert (live.livemode, live.currency, live.publishable) == (True, "CAD", {})
    old = build(AUTHORIZE_NET_API_LOGIN_ID="", AUTHORIZE_NET_API_LOGIN="login")
    assert old.livemode is False
    assert "hush" not in repr(account) + repr(vars(account)["_client"]) + repr(vars(account)["_account"])


def test_what_is_missing_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as missing:
        AuthorizeNetProvider.from_env({}, transport=Transport())
    assert missing.value.missing == sorted(ENV)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTHORIZE_NET_API_LOGIN_ID", "l" * 26),
        ("AUTHORIZE_NET_TRANSACTION_KEY", "hush" * 5),
        ("AUTHORIZE_NET_SIGNATURE_KEY", "a,,b"),
        ("AUTHORIZE_NET_SIGNATURE_KEY_ENCODING", "base64"),
        ("AUTHORIZE_NET_ENVIRONMENT", "live"),
        ("AUTHORIZE_NET_CURRENCY", "JPY"),
        ("AUTHORIZE_NET_API_BASE", "ftp://x"),
        ("AUTHORIZE_NET_API_BASE", "http://gateway.example"),
        ("AUTHORIZE_NET_ENCODER", "yaml"),
        ("AUTHORIZE_NET_VALIDATION_MODE", "oldLiveMode"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        build(**{name: value})
    assert name in str(wrong.value)
    assert value not in str(wrong.value) or name.endswith(
        ("ENVIRONMENT", "ENCODER", "CURRENCY", "ENCODING", "MODE")
    )


def test_live_credentials_never_travel_in_clear_text() -> None:
    with pytest.raises(ConfigurationError, match="https only"):
        build("http://127.0.0.1:1", AUTHORIZE_NET_ENVIRONMENT="production")


def test_the_registry_builds_it() -> None:
    assert "authorize_net" in registry.available()
    built = registry.build(
        registry.parse_accounts("authorize_net,anet_ca=authorize_net:CA_"),
        {**ENV, **{f"CA_{name}": value for name, value in ENV.items()}, "CA_AUTHORIZE_NET_CURRENCY": "CAD"},
        transport=Transport(),
    )
    assert [each.currency for each in built.values()] == ["USD", "CAD"]  # type: ignore[attr-defined]


def test_it_claims_what_it_can_and_has_no_keys() -> None:
    assert AuthorizeNetProvider.keys.has_keys is False
    assert AuthorizeNetProvider.absence_margin_seconds >= 15 * 60
    assert AuthorizeNetProvider.absence_looks == 2
    assert all(AuthorizeNetProvider.supports(verb) for verb in PAYMENT_VERBS)
    assert AuthorizeNetProvider.capabilities == {Capability.MANUAL_CAPTURE, Capability.PARTIAL_REFUND}


# --- nothing leaves -------------------------------------------------------------------------------


async def test_an_intent_before_its_charge_is_ours(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step]
) -> None:
    begun = await account.create_payment_intent(
        IntentRequest(amount=USD, payment_id="pay_1", reference=REFERENCE), step=step()
    )
    assert (begun.reference, begun.our_reference, begun.payment_id) == (INTENT, REFERENCE, "pay_1")
    assert begun.client_secret is None, "the engine's own"
    changed = await account.update_payment_intent(
        UpdateRequest(payment=INTENT, amount=Money(2500, "USD")), step=step()
    )
    assert changed.amount == Money(2500, "USD")
    ended = await account.cancel_payment(CancelRequest(payment=INTENT, total=USD), step=step())
    assert ended.status is PaymentStatus.CANCELED
    assert scripted.received == []


@pytest.mark.parametrize(
    "more",
    [
        {"amount": Money(2000, "CAD")},
        {"extra": {"customerIP": "192.0.2.1"}},
        {"confirm": True},
        {"confirm": True, "payment_method": "1:2", "customer": "2"},
        {"confirm": True, "payment_method": "1:2", "customer": "1", "extra": {"billTo": {"zip": "1"}}},
        {"confirm": True, "payment_method": "abcdefgh", "extra": {"amount": "1"}},
        {"confirm": True, "payment_method": "abcdefgh", "extra": {"billTo": {"nonsense": "1"}}},
    ],
)
async def test_what_cannot_be_charged_is_refused_with_zero_bytes(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step], more: dict[str, Any]
) -> None:
    facts = {"amount": USD, "payment_id": "pay_1", "reference": REFERENCE, **more}
    with pytest.raises(InvalidRequest):
        await account.create_payment_intent(IntentRequest(**facts), step=step())
    assert scripted.received == []


async def test_what_has_no_transaction_is_refused_with_zero_bytes(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step]
) -> None:
    for asked in (
        account.capture_payment(CaptureRequest(payment=INTENT, amount=USD), step=step()),
        account.refund_payment(
            RefundRequest(payment=INTENT, refund_id="ref_1", amount=USD, reference="r" * 20), step=step()
        ),
        account.refund_payment(
            RefundRequest(payment=INTENT, refund_id="ref_1", amount=USD, reference="r" * 20, charge="../x"),
            step=step(),
        ),
    ):
        with pytest.raises(InvalidRequest):
            await asked
    assert scripted.received == []


# --- every kind of silence ------------------------------------------------------------------------


def confirm(account: AuthorizeNetProvider, step: Step) -> Any:
    asked = ConfirmRequest(payment=INTENT, amount=USD, payment_method="abcdefgh")
    return account.confirm_payment(asked, step=step)


OK = b'{"messages": {"resultCode": "Ok"}, '
BROKEN: list[tuple[str, Callable[[Any], None]]] = [
    ("hung up", lambda gateway: gateway.hang_up()),
    ("no answer", lambda gateway: gateway.hold()),
    ("a page", lambda gateway: gateway.break_(b"<html>later</html>")),
    ("nothing", lambda gateway: gateway.break_(b"")),
    ("no messages", lambda gateway: gateway.break_(b"{}")),
    ("an odd result", lambda gateway: gateway.break_(b'{"messages": {"resultCode": "Fine"}}')),
    ("a list", lambda gateway: gateway.break_(b"[1]")),
    ("a 500", lambda gateway: gateway.break_(b'{"messages": {"resultCode": "Error"}}', status=500)),
    ("a 403", lambda gateway: gateway.break_(b"", status=403)),
    ("approved without a number",
     lambda gateway: gateway.break_(OK + b'"transactionResponse": {"responseCode": "4"}}')),
    ("a strange code",
     lambda gateway: gateway.break_(OK + b'"transactionResponse": {"responseCode": "9"}}')),
]  # fmt: skip


@pytest.mark.parametrize(("what", "arrange"), BROKEN)
async def test_an_answer_that_is_none_is_unknown_and_nothing_is_repeated(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step], what: str,
    arrange: Callable[[Any], None],
) -> None:  # fmt: skip
    arrange(scripted)
    with pytest.raises(ProviderUnknown) as unknown:
        await confirm(account, step(deadline=0.5))
    assert len(scripted.received) == 1
    assert unknown.value.__cause__ is None
    assert "hush" not in repr(unknown.value)


async def test_what_could_not_be_sent_was_not_sent(step: Callable[..., Step]) -> None:
    transport = Transport()
    env = {**ENV, "AUTHORIZE_NET_API_BASE": "http://127.0.0.1:9"}
    account = AuthorizeNetProvider.from_env(env, transport=transport)
    with pytest.raises(ProviderNeverSent):
        await confirm(account, step())
    await transport.aclose()


async def test_a_look_that_fails_before_a_void_leaves_it_unsent(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step]
) -> None:
    scripted.break_(b"", status=502)
    asked = CancelRequest(payment=INTENT, charge="60001", total=USD)
    with pytest.raises(ProviderNeverSent):
        await account.cancel_payment(asked, step=step())
    assert len(scripted.received) == 1


async def test_a_used_token_is_an_answer_once_and_not_on_a_repeat(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step]
) -> None:
    said = {
        "messages": {"resultCode": "Error", "message": [{"code": "E00114", "text": "Invalid OTS Token."}]},
        "transactionResponse": {},
    }
    scripted.answer(said)
    with pytest.raises(ProviderRejected):
        await confirm(account, step())
    scripted.answer(
        {"messages": {"resultCode": "Ok", "message": [{"code": "I00004", "text": "No records."}]}}
    )
    scripted.answer(said)
    with pytest.raises(ProviderUnknown):
        await confirm(account, step(repeat=True))


async def test_nothing_secret_is_logged(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        scripted.break_(b"oops")
        with pytest.raises(ProviderUnknown):
            await confirm(account, step())
    assert "hushhush" in scripted.received[0].content.decode(), "it was sent"
    assert "hushhush" not in caplog.text
    assert "abcdefgh" not in caplog.text


# --- duplicates that are somebody else's ----------------------------------------------------------


def refused(code: str, sentence: str) -> dict[str, Any]:
    return {"messages": {"resultCode": "Error", "message": [{"code": code, "text": sentence}]}}


OK_HEAD = {"messages": {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]}}


async def test_another_customer_or_subscription_that_is_alike_is_not_taken_for_ours(
    account: AuthorizeNetProvider, scripted: Any, step: Callable[..., Step]
) -> None:
    scripted.answer(refused("E00039", "A duplicate record with ID 31 already exists."))
    scripted.answer({**OK_HEAD, "profile": {"merchantCustomerId": "somebody", "customerProfileId": "31"}})
    request = CustomerRequest(customer_id="cus_1", reference=REFERENCE)
    with pytest.raises(ProviderStateConflict):
        await account.create_customer(request, step=step())
    scripted.answer(refused("E00012", "You have submitted a duplicate of Subscription 51."))
    schedule = {"interval": {"length": 1, "unit": "months"}, "startDate": "2026-01-01"}
    other = {"paymentSchedule": schedule, "status": "active", "order": {"invoiceNumber": "s" * 20}}
    scripted.answer({**OK_HEAD, "subscription": other})
    asked = SubscriptionRequest(
        subscription_id="sub_1", reference=REFERENCE, amount=USD, interval=BillingInterval.MONTHLY,
        customer="31", payment_method="31:41",
    )  # fmt: skip
    with pytest.raises(ProviderStateConflict):
        await account.create_subscription(asked, step=step())
    scripted.answer(refused("E00040", "The record cannot be found."))
    with pytest.raises(ProviderRejected) as gone:
        await account.create_subscription(asked, step=step())
    assert type(gone.value) is ProviderRejected


async def test_a_subscriptions_charge_that_is_not_shown_yet_is_not_a_missing_subscription(
    account: AuthorizeNetProvider, scripted: Any
) -> None:
    schedule = {"interval": {"length": 1, "unit": "months"}, "startDate": "2026-01-01"}
    shown = {
        "paymentSchedule": schedule, "status": "active",
        "arbTransactions": [{"transId": "60001", "submitTimeUTC": "2026-01-02T10:00:00"}],
    }  # fmt: skip
    scripted.answer({**OK_HEAD, "subscription": shown})
    scripted.answer(refused("E00040", "The record cannot be found."))
    with pytest.raises(ProviderUnknown):
        await account.sync_subscription("51")


# --- reading --------------------------------------------------------------------------------------


async def test_a_read_of_another_transaction_is_not_read(
    account: AuthorizeNetProvider, scripted: Any
) -> None:
    scripted.break_(
        b'{"messages": {"resultCode": "Ok"}, "transaction": {"transId": "2", "transactionStatus": "x"}}'
    )
    with pytest.raises(ProviderUnknown):
        await account.sync_payment_status("60001")
    scripted.answer({"messages": {"resultCode": "Error", "message": [{"code": "E00040", "text": "no"}]}})
    with pytest.raises(ProviderNotFound):
        await account.sync_payment_status("60001")


async def test_an_old_intent_that_was_never_charged_costs_no_call(
    account: AuthorizeNetProvider, scripted: Any
) -> None:
    old = KnownPayment(
        reference=INTENT, total=USD, status=PaymentStatus.PENDING,
        created_at=datetime.now(UTC) - timedelta(days=2),
    )  # fmt: skip
    assert (await account.sync_known_payment(old)).status is PaymentStatus.PENDING
    assert scripted.received == []


async def test_what_was_begun_and_cannot_be_seen_is_not_open_again(
    account: AuthorizeNetProvider, scripted: Any
) -> None:
    begun = KnownPayment(
        reference=INTENT, total=USD, status=PaymentStatus.PROCESSING,
        created_at=datetime.now(UTC) - timedelta(days=2),
    )  # fmt: skip
    with pytest.raises(ProviderUnknown):
        await account.sync_known_payment(begun)


async def test_a_lost_local_step_was_never_under_way(account: AuthorizeNetProvider, scripted: Any) -> None:
    facts: dict[str, Any] = {
        "reference": REFERENCE, "key": "op_1", "payment_id": "pay_1", "amount": USD,
        "started_at": datetime.now(UTC),
    }  # fmt: skip
    known = KnownPayment(reference=INTENT, total=USD, status=PaymentStatus.PENDING)
    for evidence in (
        Evidence(verb=Verb.CREATE, payment=None, inputs={"confirm": False}, **facts),
        Evidence(verb=Verb.UPDATE, payment=INTENT, known=known, **facts),
        Evidence(verb=Verb.CANCEL, payment=INTENT, known=known, **facts),
    ):
        found = await account.find_operation(evidence)
        assert isinstance(found, Absent)
        assert found.at_once
    assert scripted.received == []


async def test_a_gateway_that_does_not_answer_cannot_say(
    account: AuthorizeNetProvider, scripted: Any
) -> None:
    scripted.break_(b"", status=503)
    evidence = Evidence(
        verb=Verb.CONFIRM, reference="r" * 20, key="op_1", payment_id="pay_1", payment=INTENT, amount=USD,
        started_at=datetime.now(UTC),
    )  # fmt: skip
    assert isinstance(await account.find_operation(evidence), CannotSay)
    assert not isinstance(Absent("x"), CannotSay)


# --- lists ----------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def line(number: int, invoice: str = "x") -> dict[str, Any]:
    moment = NOW - timedelta(seconds=number)
    return {
        "transId": str(9000 - number), "submitTimeUTC": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "transactionStatus": "capturedPendingSettlement", "invoiceNumber": invoice,
    }  # fmt: skip


async def test_a_list_is_read_page_by_page_until_it_is_older_than_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge_payments.providers.authorize_net.listings.PAGE", 10)
    everything = [line(number, "mine" if number == 27 else "x") for number in range(100)]
    asked: list[int] = []

    async def read(operation: str, payload: Any) -> Any:
        page = payload["paging"]["offset"]
        asked.append(page)
        # A new transaction pushes one down to the next page.
        everything.insert(0, line(-page))
        return {"transactions": everything[(page - 1) * 10 : page * 10]}

    found = await Listings(read).unsettled("mine", since=NOW - timedelta(seconds=45))
    assert [each.invoice for each in found.entries] == ["mine"]
    assert asked == [1, 2, 3, 4, 5, 6]


async def test_half_a_list_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge_payments.providers.authorize_net.listings.PAGE", 2)

    async def the_same(operation: str, payload: Any) -> Any:
        return {"transactions": [line(1), line(2)]}

    async def endless(operation: str, payload: Any) -> Any:
        page = payload["paging"]["offset"]
        return {"transactions": [line(2 * page), line(2 * page + 1)]}

    async def unreadable(operation: str, payload: Any) -> Any:
        return {"transactions": [{"transId": "", "submitTimeUTC": ""}]}

    for read in (the_same, endless, unreadable):
        with pytest.raises(ProviderUnknown):
            await Listings(read).unsettled("mine", since=NOW - timedelta(days=1))
    with pytest.raises(ProviderUnknown, match="too long ago"):
        await Listings(nothing).all_since("mine", since=NOW - timedelta(days=40), now=NOW)


async def nothing(operation: str, payload: Any) -> Any:
    return {}


async def test_no_records_are_an_empty_list() -> None:
    found = await Listings(nothing).all_since("mine", since=NOW - timedelta(days=1), now=NOW)
    assert (found.entries, found.seen, found.batches) == ((), 0, 0)


# --- webhooks -------------------------------------------------------------------------------------


async def test_keys_are_text_unless_it_is_said_otherwise_and_several_are_good_while_they_change() -> None:
    import hashlib
    import hmac

    body = b'{"notificationId":"n","eventType":"t","payload":{"entityName":"transaction","id":"1"}}'

    def request(key: bytes) -> Request:
        signature = hmac.new(key, body, hashlib.sha512).hexdigest().upper()
        return Request(
            method="POST", path="/", headers={"x-anet-signature": f"sha512={signature}"}, body=body
        )

    two = build(AUTHORIZE_NET_SIGNATURE_KEY=f"{KEY}, other")
    for key in (KEY, "other"):
        assert (await two.read_webhook(request(key.encode()))).reference == "1"
    with pytest.raises(InvalidSignature):
        await two.read_webhook(request(bytes.fromhex(KEY)))
    decoded = build(AUTHORIZE_NET_SIGNATURE_KEY_ENCODING="hex")
    assert (await decoded.read_webhook(request(bytes.fromhex(KEY)))).id == "n"
    with pytest.raises(InvalidSignature):
        await decoded.read_webhook(request(KEY.encode()))
    broken = body[:-1]
    signature = hmac.new(KEY.encode(), broken, hashlib.sha512).hexdigest()
    headers = {"x-anet-signature": f"sha512={signature}"}
    with pytest.raises(InvalidRequest):
        await two.read_webhook(Request(method="POST", path="/", headers=headers, body=broken))
    with pytest.raises(InvalidSignature) as missing:
        await two.read_webhook(Request(method="POST", path="/", body=body))
    assert missing.value.missing


def test_the_contract_of_a_provider_is_kept_where_nothing_is_overridden() -> None:
    assert PaymentProvider.absence_looks == 1
