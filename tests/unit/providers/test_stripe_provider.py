"""The adapter against a real socket: what leaves, what comes back, and what it makes of the worst second."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge_payments.errors import (
    ConfigurationError,
    InvalidRequest,
    ProviderDeclined,
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderStateConflict,
    ProviderUnknown,
)
from bridge_payments.models import PAYMENT_VERBS, Money, PaymentStatus, RefundStatus, Verb
from bridge_payments.providers.base import (
    Absent,
    CancelRequest,
    CannotSay,
    Capability,
    CaptureRequest,
    ConfirmRequest,
    Evidence,
    Found,
    IntentRequest,
    RefundRequest,
    Step,
    UpdateRequest,
)
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.providers.stripe.provider import TESTED_VERSIONS
from bridge_payments.transport import Transport

pytestmark = pytest.mark.anyio

Make = Callable[..., Any]
USD = Money(2000, "USD")
CREATE = IntentRequest(amount=USD, payment_id="pay_1", reference="ref00000000000000001")
CONFIRM = ConfirmRequest(payment="pi_1", amount=USD, payment_method="pm_1", return_url="https://shop.example")
REFUND = RefundRequest(
    payment="pi_1", refund_id="ref_1", amount=Money(500, "USD"), reference="ref00000000000000009"
)

VERBS: dict[str, Callable[[StripeProvider, Step], Awaitable[Any]]] = {
    "create": lambda account, step: account.create_payment_intent(CREATE, step=step),
    "update": lambda account, step: account.update_payment_intent(
        UpdateRequest(payment="pi_1", amount=USD), step=step
    ),
    "confirm": lambda account, step: account.confirm_payment(CONFIRM, step=step),
    "capture": lambda account, step: account.capture_payment(
        CaptureRequest(payment="pi_1", amount=USD), step=step
    ),
    "cancel": lambda account, step: account.cancel_payment(CancelRequest(payment="pi_1"), step=step),
    "refund": lambda account, step: account.refund_payment(REFUND, step=step),
}
PATHS = {
    "create": "/v1/payment_intents",
    "update": "/v1/payment_intents/pi_1",
    "confirm": "/v1/payment_intents/pi_1/confirm",
    "capture": "/v1/payment_intents/pi_1/capture",
    "cancel": "/v1/payment_intents/pi_1/cancel",
    "refund": "/v1/refunds",
}
every_verb = pytest.mark.parametrize("verb", VERBS)


# --- what leaves ----------------------------------------------------------------------------------


@every_verb
async def test_a_verb_is_one_post_with_the_operations_key(
    stripe_account: StripeProvider, scripted: Any, make: Any, verb: str
) -> None:
    scripted.answer(make.refund() if verb == "refund" else make.intent())
    await VERBS[verb](stripe_account, make.step(key="op_7"))
    (sent,) = scripted.received
    assert (sent.method, sent.path) == ("POST", PATHS[verb])
    assert sent.headers["idempotency-key"] == "op_7"
    assert sent.headers["stripe-version"] == TESTED_VERSIONS[0]
    assert sent.headers["authorization"] == "Bearer sk_test_51LabLabLab"


async def test_two_sends_of_one_step_are_the_same_bytes(
    stripe_account: StripeProvider, scripted: Any, intent: Make, step: Make
) -> None:
    """Stripe compares the body of a repeat with the first one, and refuses another."""
    for repeat in (False, True):
        scripted.answer(intent())
        await stripe_account.create_payment_intent(CREATE, step=step(repeat=repeat))
    first, second = scripted.received
    assert (first.content, first.headers["idempotency-key"]) == (
        second.content,
        second.headers["idempotency-key"],
    )


async def test_a_repeat_speaks_the_version_of_the_first_send(
    stripe_account: StripeProvider, scripted: Any, intent: Make, step: Make
) -> None:
    scripted.answer(intent())
    await stripe_account.create_payment_intent(CREATE, step=step(api_version="2026-07-29.dahlia"))
    assert scripted.received[0].headers["stripe-version"] == "2026-07-29.dahlia"


async def test_nothing_of_this_machine_leaves_with_the_request(
    stripe_account: StripeProvider, scripted: Any, intent: Make, step: Make
) -> None:
    scripted.answer(intent())
    await stripe_account.create_payment_intent(CREATE, step=step())
    names = set(scripted.received[0].headers)
    assert not {name for name in names if "telemetry" in name or "client-user-agent" in name}
    assert scripted.received[0].headers["user-agent"].startswith("Bridge-Payments/")


async def test_an_identity_that_stripe_cannot_have_given_sends_nothing(
    stripe_account: StripeProvider, scripted: Any, step: Make
) -> None:
    for nonsense in ("", "pi_1/refunds", "../customers"):
        with pytest.raises(InvalidRequest):
            await stripe_account.sync_payment_status(nonsense)
        with pytest.raises(InvalidRequest):
            await stripe_account.cancel_payment(CancelRequest(payment=nonsense), step=step())
    assert scripted.received == []


# --- what comes back ------------------------------------------------------------------------------


async def test_the_answer_is_the_payment_with_the_request_id_for_support(
    stripe_account: StripeProvider, scripted: Any, paid: Make, step: Make
) -> None:
    scripted.answer(paid())
    payment = await stripe_account.confirm_payment(CONFIRM, step=step())
    assert (payment.status, payment.captured, payment.request_id) == (
        PaymentStatus.SUCCEEDED,
        2000,
        "req_lab",
    )


async def test_a_refund_answers_with_its_own_state(
    stripe_account: StripeProvider, scripted: Any, refund: Make, step: Make
) -> None:
    scripted.answer(refund(status="pending"))
    answered = await stripe_account.refund_payment(REFUND, step=step())
    assert (answered.reference, answered.status, answered.amount) == (
        "re_1",
        RefundStatus.PENDING,
        Money(500, "USD"),
    )


async def test_a_decline_names_the_intent_that_can_still_be_paid(
    stripe_account: StripeProvider, scripted: Any, intent: Make, step: Make
) -> None:
    scripted.refuse(
        402,
        type="card_error",
        code="card_declined",
        decline_code="insufficient_funds",
        charge="ch_1",
        message="Your card has insufficient funds.",
        payment_intent=intent(),
    )
    with pytest.raises(ProviderDeclined) as refused:
        await stripe_account.confirm_payment(CONFIRM, step=step())
    assert (refused.value.payment, refused.value.attempt) == ("pi_1", "ch_1")
    assert (refused.value.decline_code, refused.value.request_id) == ("insufficient_funds", "req_lab")


REFUSALS: list[tuple[int, dict[str, Any], type[ProviderError]]] = [
    (400, {"code": "parameter_invalid_integer"}, ProviderRejected),
    (400, {"code": "payment_intent_unexpected_state"}, ProviderStateConflict),
    (404, {"code": "resource_missing"}, ProviderNotFound),
    (401, {}, ProviderRejected),
    (403, {}, ProviderRejected),
    (429, {"code": "rate_limit"}, ProviderRejected),
    (429, {"code": "lock_timeout"}, ProviderUnknown),
    (409, {"code": "idempotency_key_in_use"}, ProviderUnknown),
    (409, {"type": "idempotency_error"}, ProviderUnknown),
    (400, {"type": "idempotency_error"}, ProviderUnknown),
    (500, {"type": "api_error"}, ProviderUnknown),
    (503, {"type": "api_error"}, ProviderUnknown),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: f"{refusal[0]}-{refusal[1]}")
async def test_a_refusal_counts_on_the_first_send_only(
    stripe_account: StripeProvider, scripted: Any, step: Make, refusal: Any
) -> None:
    status, error, expected = refusal
    capture = CaptureRequest(payment="pi_1", amount=USD)
    for repeat in (False, True):
        scripted.refuse(status, message="No.", **error)
        with pytest.raises(ProviderError) as refused:
            await stripe_account.capture_payment(capture, step=step(repeat=repeat))
        assert type(refused.value) is (ProviderUnknown if repeat else expected)
        assert (refused.value.http_status, refused.value.request_id) == (status, "req_lab")
    assert len(scripted.received) == 2, "an error is never repeated by the adapter"


# --- the worst second -----------------------------------------------------------------------------


@every_verb
async def test_a_lost_answer_is_unknown_and_nothing_is_sent_again(
    stripe_account: StripeProvider, scripted: Any, step: Make, verb: str
) -> None:
    scripted.hang_up()
    with pytest.raises(ProviderUnknown):
        await VERBS[verb](stripe_account, step())
    assert len(scripted.received) == 1


@every_verb
async def test_the_deadline_of_the_step_ends_the_wait_and_leaves_it_unknown(
    stripe_account: StripeProvider, scripted: Any, step: Make, verb: str
) -> None:
    scripted.hold()
    started = asyncio.get_running_loop().time()
    with pytest.raises(ProviderUnknown):
        await VERBS[verb](stripe_account, step(deadline=0.2))
    assert asyncio.get_running_loop().time() - started < 3
    assert len(scripted.received) == 1


@every_verb
async def test_where_nobody_listens_nothing_was_sent(step: Make, verb: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        transport = Transport()
        account = StripeProvider(secret_key="sk_test_1", transport=transport, api_base=nobody)
        with pytest.raises(ProviderNeverSent):
            await VERBS[verb](account, step())
        await transport.aclose()


UNREADABLE = [
    (200, b""),
    (200, b"<html>Gateway</html>"),
    (200, b"null"),
    (200, b"[]"),
    (200, b"{}"),
    (200, b"\xff\xfe"),
    (200, b'{"object": "payment_intent", "id": "pi_1"}'),
    (
        200,
        b'{"object": "payment_intent", "id": "pi_1", "status": "canceled", "amount": "x", "currency": "usd"}',
    ),
    (
        200,
        b'{"object": "payment_intent", "id": "pi_2", "status": "succeeded", "amount": 1, "currency": "usd"}',
    ),
    (200, b'{"object": "charge", "id": "ch_1", "amount": 1, "currency": "usd"}'),
    (200, b'{"error": {"type": "card_error"}}'),
    (302, b""),
    (400, b"<html>Bad Request</html>"),
    (402, b'{"error": "plain"}'),
    (403, b'{"message": "blocked by a firewall"}'),
    (500, b"<html>oops</html>"),
    (502, b""),
]


@pytest.mark.parametrize(("status", "body"), UNREADABLE)
async def test_an_answer_that_nobody_can_read_is_unknown(
    stripe_account: StripeProvider, scripted: Any, step: Make, status: int, body: bytes
) -> None:
    scripted.break_(body, status)
    with pytest.raises(ProviderUnknown):
        await stripe_account.confirm_payment(CONFIRM, step=step())


@pytest.mark.parametrize(("status", "body"), UNREADABLE)
async def test_a_refund_whose_answer_nobody_can_read_is_unknown(
    stripe_account: StripeProvider, scripted: Any, step: Make, status: int, body: bytes
) -> None:
    """A refund taken for failed is given a second time."""
    scripted.break_(body, status)
    with pytest.raises(ProviderUnknown):
        await stripe_account.refund_payment(REFUND, step=step())


async def test_a_caller_who_gives_up_cancels_and_hears_no_verdict(
    stripe_account: StripeProvider, scripted: Any, step: Make
) -> None:
    scripted.hold()
    call = asyncio.ensure_future(stripe_account.confirm_payment(CONFIRM, step=step()))
    await asyncio.to_thread(scripted.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_what_is_raised_leads_to_no_secret(
    stripe_account: StripeProvider, scripted: Any, intent: Make, step: Make
) -> None:
    """An error tracker keeps the chain of exceptions with everything that hangs on it."""
    for say in (
        lambda: scripted.refuse(
            402, type="card_error", code="card_declined", message="No.", payment_intent=intent()
        ),
        lambda: scripted.break_(b'{"client_secret": "pi_1_secret_abc"'),
        scripted.hang_up,
    ):
        say()
        with pytest.raises(ProviderError) as raised:
            await stripe_account.confirm_payment(CONFIRM, step=step())
        assert raised.value.__context__ is None
        assert raised.value.__cause__ is None
        told = "".join(traceback.format_exception(raised.value)) + repr(vars(raised.value))
        assert "secret_abc" not in told
        assert "sk_test_51" not in told


# --- reading --------------------------------------------------------------------------------------


async def test_a_sync_reads_once_with_the_charge_and_its_refunds(
    stripe_account: StripeProvider, scripted: Any, paid: Make, refund: Make, listing: Make
) -> None:
    scripted.answer(paid(charge={"amount_refunded": 500, "refunds": listing(refund())}))
    payment = await stripe_account.sync_payment_status("pi_1")
    (sent,) = scripted.received
    assert sent.method == "GET"
    assert sent.form == {"expand": ["latest_charge.refunds"]}
    assert (payment.captured, payment.refunded, len(payment.refunds or ())) == (2000, 500, 1)


async def test_a_sync_reads_all_refunds_and_the_disputes_where_the_charge_says_that_there_are(
    stripe_account: StripeProvider, scripted: Any, paid: Make, refund: Make, dispute: Make, listing: Make
) -> None:
    scripted.answer(
        paid(charge={"amount_refunded": 600, "disputed": True, "refunds": listing(refund(), has_more=True)})
    )
    scripted.answer(listing(refund(id="re_1"), has_more=True))
    scripted.answer(listing(refund(id="re_2", amount=100)))
    scripted.answer(listing(dispute(amount=700, status="lost")))
    payment = await stripe_account.sync_payment_status("pi_1")
    assert (payment.refunded, payment.disputed, len(payment.refunds or ())) == (600, 700, 2)
    assert [(each.reference, each.status) for each in payment.disputes or ()] == [("dp_1", "lost")]
    assert [sent.path.partition("?")[0] for sent in scripted.received[1:]] == ["/v1/refunds"] * 2 + [
        "/v1/disputes"
    ]
    assert scripted.received[2].form["starting_after"] == "re_1"


async def test_a_sync_of_what_stripe_does_not_have_is_not_found(
    stripe_account: StripeProvider, scripted: Any
) -> None:
    scripted.refuse(404, code="resource_missing", message="No such payment_intent: 'pi_9'")
    with pytest.raises(ProviderNotFound):
        await stripe_account.sync_payment_status("pi_9")


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_a_sync_that_was_refused_says_nothing_of_the_payment(
    stripe_account: StripeProvider, scripted: Any, status: int
) -> None:
    """A revoked key must not make every open payment look rejected."""
    scripted.refuse(status, message="No.")
    with pytest.raises(ProviderUnknown):
        await stripe_account.sync_payment_status("pi_1")


# --- looking up -----------------------------------------------------------------------------------


def evidence(verb: Verb, **changes: Any) -> Evidence:
    facts: dict[str, Any] = {
        "verb": verb,
        "reference": "ref00000000000000009",
        "key": "op_1",
        "payment_id": "pay_1",
        "payment": "pi_1",
        "started_at": datetime.fromtimestamp(1_790_000_005, UTC),
    }
    return Evidence(**{**facts, **changes})


async def test_a_lost_create_is_found_by_our_reference_in_the_list(
    stripe_account: StripeProvider, scripted: Any, intent: Make, listing: Make
) -> None:
    ours = intent(
        id="pi_7", metadata={"bridge_reference": "ref00000000000000009", "bridge_payment_id": "pay_1"}
    )
    scripted.answer(listing(intent(id="pi_9"), intent(id="pi_8"), has_more=True))
    scripted.answer(listing(ours))
    scripted.answer(ours)
    found = await stripe_account.find_operation(evidence(Verb.CREATE, payment=None))
    assert isinstance(found, Found)
    assert found.payment is not None
    assert found.payment.reference == "pi_7"
    first, second, read = scripted.received
    assert first.path.startswith("/v1/payment_intents?"), "never the search, which lags"
    assert first.form == {"created": {"gte": str(1_790_000_005 - 300)}, "limit": "100"}
    assert second.form["starting_after"] == "pi_8"
    assert read.path.startswith("/v1/payment_intents/pi_7?")


async def test_a_create_that_is_in_no_page_of_the_list_was_never_executed(
    stripe_account: StripeProvider, scripted: Any, intent: Make, listing: Make
) -> None:
    scripted.answer(listing(intent(id="pi_9"), has_more=True))
    scripted.answer(listing(intent(id="pi_8")))
    found = await stripe_account.find_operation(evidence(Verb.CREATE, payment=None))
    assert isinstance(found, Absent)
    assert "2 intents" in found.proof


async def test_half_a_list_proves_no_absence(
    stripe_account: StripeProvider, scripted: Any, intent: Make, listing: Make
) -> None:
    scripted.answer(listing(intent(id="pi_9"), has_more=True))
    scripted.refuse(500, type="api_error")
    assert isinstance(await stripe_account.find_operation(evidence(Verb.CREATE, payment=None)), CannotSay)


async def test_a_list_without_an_end_proves_no_absence(
    stripe_account: StripeProvider, scripted: Any, intent: Make, listing: Make
) -> None:
    for page in range(20):
        scripted.answer(listing(intent(id=f"pi_{page}"), has_more=True))
    assert isinstance(await stripe_account.find_operation(evidence(Verb.CREATE, payment=None)), CannotSay)


@pytest.mark.parametrize(
    "metadata", [{"bridge_reference": "ref00000000000000009"}, {"bridge_refund_id": "ref_1"}]
)
async def test_a_lost_refund_is_found_among_the_refunds_of_its_payment(
    stripe_account: StripeProvider, scripted: Any, make: Any, metadata: dict[str, str]
) -> None:
    others = make.refund(id="re_0", metadata={})
    scripted.answer(make.listing(others, make.refund(id="re_1", metadata=metadata)))
    scripted.answer(make.paid())
    found = await stripe_account.find_operation(evidence(Verb.REFUND, refund_id="ref_1"))
    assert isinstance(found, Found)
    assert found.refund is not None
    assert found.refund.reference == "re_1"
    assert scripted.received[0].form == {"payment_intent": "pi_1", "limit": "100"}


async def test_another_refund_of_the_same_amount_is_not_taken_for_the_lost_one(
    stripe_account: StripeProvider, scripted: Any, refund: Make, listing: Make
) -> None:
    others = listing(
        refund(id="re_0", metadata={}), refund(id="re_1", metadata={"bridge_reference": "another"})
    )
    scripted.answer(others)
    assert isinstance(await stripe_account.find_operation(evidence(Verb.REFUND, refund_id="ref_1")), Absent)


@pytest.mark.parametrize("verb", [Verb.UPDATE, Verb.CONFIRM, Verb.CAPTURE, Verb.CANCEL])
async def test_a_lost_call_on_an_intent_is_judged_by_reading_the_intent(
    stripe_account: StripeProvider, scripted: Any, intent: Make, verb: Verb
) -> None:
    scripted.answer(intent())
    assert isinstance(await stripe_account.find_operation(evidence(verb)), Absent)
    assert [sent.method for sent in scripted.received] == ["GET"]


@pytest.mark.parametrize("verb", PAYMENT_VERBS)
async def test_a_look_up_that_is_refused_cannot_say(
    stripe_account: StripeProvider, scripted: Any, verb: Verb
) -> None:
    """Not even 404: the key may have been changed for that of another account."""
    for status, code in ((404, "resource_missing"), (401, ""), (500, "")):
        scripted.refuse(status, message="No.", **({"code": code} if code else {}))
        assert isinstance(await stripe_account.find_operation(evidence(verb)), CannotSay)


async def test_a_look_up_without_an_intent_cannot_say(stripe_account: StripeProvider, scripted: Any) -> None:
    assert isinstance(await stripe_account.find_operation(evidence(Verb.CAPTURE, payment=None)), CannotSay)
    assert scripted.received == []


# --- the account ----------------------------------------------------------------------------------


def build(**changes: Any) -> StripeProvider:
    return StripeProvider(**{"secret_key": "sk_test_1", "transport": Transport(), **changes})


def test_the_mode_of_the_account_is_read_from_its_key() -> None:
    modes = {
        key: build(secret_key=key).livemode
        for key in ("sk_live_1", "rk_live_1", "sk_test_1", "rk_test_1", "sk_1a")
    }
    assert modes == {
        "sk_live_1": True,
        "rk_live_1": True,
        "sk_test_1": False,
        "rk_test_1": False,
        "sk_1a": None,
    }


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"secret_key": "pk_live_1"}, "STRIPE_SECRET_KEY"),
        ({"secret_key": "sk_test_1\nX-Injected: 1"}, "STRIPE_SECRET_KEY"),
        ({"api_base": "http://api.stripe.com"}, "STRIPE_API_BASE"),
        ({"api_base": "http://10.0.0.1"}, "STRIPE_API_BASE"),
        ({"api_base": "ftp://127.0.0.1"}, "STRIPE_API_BASE"),
        ({"api_base": "127.0.0.1:8080"}, "STRIPE_API_BASE"),
        ({"secret_key": "sk_live_1", "api_base": "http://127.0.0.1:1"}, "STRIPE_API_BASE"),
        ({"api_version": "2023-10-16"}, "STRIPE_API_VERSION"),
        ({"webhook_secrets": ["whsec_1", ""]}, "STRIPE_WEBHOOK_SECRET"),
    ],
)
def test_an_account_that_would_misbehave_is_not_built(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        build(**changes)
    assert set(told.value.invalid) == {names}
    assert "live_1" not in str(told.value)


@pytest.mark.parametrize(
    "base", ["https://stripe.proxy.example", "http://localhost:1", "http://[::1]:1/below/"]
)
def test_an_account_may_speak_through_a_proxy_or_to_this_machine(base: str) -> None:
    build(api_base=base)


def test_an_account_shows_no_secret_and_tells_the_browser_only_what_it_may_know() -> None:
    account = build(secret_key="sk_test_hush", webhook_secrets=["whsec_hush"], publishable_key="pk_test_1")
    assert "hush" not in repr(account)
    assert account.publishable == {"publishable_key": "pk_test_1"}
    assert build().publishable == {}


def test_an_account_claims_what_it_implements() -> None:
    assert all(StripeProvider.supports(verb) for verb in PAYMENT_VERBS)
    assert all(StripeProvider.supports(each) for each in Capability)


def test_the_default_version_is_the_installed_sdks() -> None:
    """When the SDK moves on, its types and our pin have to be looked at together."""
    import stripe

    assert TESTED_VERSIONS[0] == stripe.api_version
    assert build().api_version == TESTED_VERSIONS[0]


def test_one_account_serves_one_loop_after_another(scripted: Any, intent: Make) -> None:
    transport = Transport()
    account = StripeProvider(secret_key="sk_test_1", transport=transport, api_base=scripted.url)

    async def once() -> None:
        scripted.answer(intent())
        await account.sync_payment_status("pi_1")
        await transport.aclose()

    asyncio.run(once())
    asyncio.run(once())


async def test_a_notice_of_stripes_is_not_a_warning(
    stripe_account: StripeProvider, scripted: Any, intent: Make, recwarn: pytest.WarningsRecorder
) -> None:
    scripted.answer(intent(), Stripe_Notice="Upgrade your integration")
    await stripe_account.sync_payment_status("pi_1")
    assert not recwarn.list


def test_the_sdk_writes_no_secret_to_the_log_nor_a_file_to_the_home(
    scripted: Any, intent: Make, tmp_path: Path
) -> None:
    """STRIPE_LOG=debug prints every form and every answer, and telemetry leaves an identity behind."""
    scripted.answer(intent())
    script = f"""
import asyncio, logging
logging.basicConfig(level=logging.DEBUG)
from bridge_payments.models import Money
from bridge_payments.providers.base import IntentRequest, Step
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.transport import Transport
async def main():
    transport = Transport()
    account = StripeProvider(secret_key="sk_test_hush", transport=transport, api_base={scripted.url!r})
    logging.getLogger("stripe").setLevel(logging.DEBUG)
    asked = IntentRequest(amount=Money(2000, "USD"), payment_id="p", reference="r", description="hush_form")
    await account.create_payment_intent(asked, step=Step(key="k", reference="r"))
    await transport.aclose()
asyncio.run(main())
"""
    env = {
        **os.environ,
        "STRIPE_LOG": "debug",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=env)
    told = ran.stdout + ran.stderr
    assert len(scripted.received) == 1
    for secret in ("secret_abc", "sk_test_hush", "hush_form", base64.b64encode(b"sk_test_hush").decode()):
        assert secret not in told
    assert list(tmp_path.iterdir()) == []
