"""
What strangers send: whatever it is, a clear refusal in the contract's shape, nothing written, nothing sent.

Each case is asked through each framework of one shop with five payments in it. Before and after, the whole
database is compared line by line, and the gateway's log is counted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import migrate
from hosts import MOUNTS, Conversation, who
from jsonschema import Draft202012Validator

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Settings
from bridge_payments.http import ROUTES, openapi
from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.mounts import Answer

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
SECRET = "whsec_strangers"
LIMIT = 20_000
ADA = {"x-session-id": "ada"}
EVE = {"x-session-id": "eve"}
ROOT = {"x-session-id": "root"}
ORDER = {"total_cents": 5500, "currency": "usd"}
GUEST = {"guest_data": {"email": "grace@example.com", "name": "Grace"}}
CREATE = "/payments/intents"


@dataclass(frozen=True)
class Case:
    """One thing that a stranger sends. ``{open}`` and its like in a path are the shop's payments."""

    name: str
    status: int
    method: str
    path: str
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    says: str = ""
    """What has to be in the answer."""


def create(name: str, says: str = "", status: int = 400, /, **body: Any) -> Case:
    return Case(f"create: {name}", status, "POST", CREATE, {**ORDER, **body}, ADA, says)


WRONG_TYPES = [
    create("an amount in quotes", "total_cents", total_cents="5500"),
    create("a fraction of a cent", "total_cents", total_cents=55.5),
    create("a whole number with a point", "total_cents", total_cents=5500.0),
    create("a truth for an amount", "total_cents", total_cents=True),
    create("a list for an amount", "total_cents", total_cents=[5500]),
    create("a number for a currency", "currency", currency=840),
    create("metadata that is a list", "metadata", metadata=["a"]),
    create("metadata that is text", "metadata", metadata="a=b"),
    create("guest data that is text", "guest_data", guest_data="grace@example.com"),
    create("an address that is none", "guest_data.email", guest_data={"email": "grace", "name": "G"}),
    create("an address with a second line", "guest_data.email", guest_data={"email": "a@b.c\nBcc: d@e.f"}),
    create("a word for a truth", "confirm", confirm="yes"),
    create("tags in a list", "tags", tags=["a", "b"]),
    create("coupons that are no list", "applied_coupons", applied_coupons={"a": 1}),
    create("another way to capture", "capture_method", capture_method="later"),
    create("another future usage", "setup_future_usage", setup_future_usage="sometimes"),
    create("a way back that is code", "return_url", return_url="javascript:alert(1)"),
    create("a way back that leads nowhere", "return_url", return_url="thanks.html"),
    create("a method with blanks in it", "payment_method_id", payment_method_id="pm card"),
    create("a method without end", "payment_method_id", payment_method_id="x" * 9000),
    create("an account with a second line", "provider_id", provider_id="stripe\n"),
    create("an account that is not here", "provider_id", provider_id="stripe_eu"),
    create("a long description", "description", description="x" * 2001),
    create("a long concept", "concept", concept="x" * 101),
    create("a long reference", "reference_code", reference_code="x" * 101),
    create("a long category", "category", category="x" * 51),
    create("long tags", "tags", tags="x" * 501),
    create("too much metadata", "metadata", metadata={f"k{n}": n for n in range(41)}),
    create("metadata that is ours", "bridge_", metadata={"bridge_payment_id": "pay_1"}),
    create("a NUL in a text", "NUL", description="a\x00b"),
    create("a NUL deep down", "NUL", metadata={"a": [{"b": "\x00"}]}),
    create("a card number", "card number", description="4242 4242 4242 4242"),
    create("a card number as a number", "card number", metadata={"card": 4242424242424242}),
    create("paying at once without a method", "payment_method_id", confirm=True),
    create("money collected by hand, by a payer", "", 403, is_manual_payment=True),
    create("somebody's customer", "", 404, customer_id="cus_1"),
]

AMOUNTS = [
    create("nothing", "positive", total_cents=0),
    create("less than nothing", "total_cents", total_cents=-1),
    create("less than the smallest charge", "", total_cents=49),
    create("more than there is", "more than Stripe charges", total_cents=10**15),
    create("more than a database keeps", "total_cents", total_cents=2**63),
    create("a number of a thousand digits", "total_cents", total_cents=10**1000),
    create("a negative tax", "tax_cents", tax_cents=-1),
    create("a sum that does not add up", "balance", subtotal_cents=5000, tax_cents=400),
    create("a discount over the price", "", total_cents=None, subtotal_cents=100, discount_cents=101),
    create("a tax on nothing", "subtotal or a total", total_cents=None, tax_cents=500),
    create("no amount", "subtotal or a total", total_cents=None),
    create("two totals", "amount_cents", amount_cents=5501),
    create("a million digits of zeros", "", total_cents=None, subtotal_cents=None, amount_cents=-(10**18)),
    Case("create: infinity", 400, "POST", CREATE, b'{"currency":"usd","total_cents":1e999}', ADA),
    Case("create: not a number", 400, "POST", CREATE, b'{"currency":"usd","total_cents":NaN}', ADA),
]

CURRENCIES = [
    create("no currency", "currency", currency=None),
    create("four letters", "ISO 4217", currency="EURO"),
    create("a digit in it", "ISO 4217", currency="US1"),
    create("letters of elsewhere", "ISO 4217", currency="ÜSD"),
    create("a currency with a second line", "ISO 4217", currency="usd\n"),
    create("a currency that does not exist", "currency", currency="QQQ"),
    create("a currency that Stripe does not take", "KPW is not supported by", currency="KPW"),
    create("a fraction that Stripe does not take", "", currency="ISK", total_cents=-5),
    create("a step that Stripe does not take", "", currency="KWD", total_cents=5501),
]

CONFIRM, CAPTURE, CANCEL, REFUND = (
    "/payments/intents/{%s}/confirm",
    "/payments/{%s}/capture",
    "/payments/{%s}/cancel",
    "/payments/{%s}/refund",
)
INTENT = "/payments/intents/{%s}"
OTHER_CONFIRM, OTHER_SYNC = "/payments/confirm/{%s}", "/payments/sync/{%s}"
KEY = {**ROOT, "idempotency-key": "r"}
LONG_KEY = {"idempotency-key": "r" * 256}
BEFORE_TIME = "/payments?created_at_from=0001-01-01T00:00:00%2B14:00"
AFTER_TIME = "/payments?created_at_to=9999-12-31T23:59:59-12:00"
TWO_TOTALS = {"total_cents": 90, "amount_cents": 91}

STATES = [
    Case("confirm: given up", 400, "POST", CONFIRM % "canceled", {"payment_method_id": "pm_card_visa"}, ADA),
    Case("capture: not held", 400, "POST", CAPTURE % "open", {}, ROOT, "Current status: pending"),
    Case("capture: collected", 400, "POST", CAPTURE % "paid", {}, ROOT, "Current status: succeeded"),
    Case("capture: given up", 400, "POST", CAPTURE % "canceled", {}, ROOT, "Current status: canceled"),
    Case("capture: a cent too much", 400, "POST", CAPTURE % "held", {"amount_cents": 5501}, ROOT),
    Case("capture: nothing", 400, "POST", CAPTURE % "held", {"amount_cents": 0}, ROOT),
    Case("capture: less than nothing", 400, "POST", CAPTURE % "held", {"amount_cents": -1}, ROOT),
    Case("capture: text", 400, "POST", CAPTURE % "held", {"amount_cents": "all"}, ROOT),
    Case("cancel: collected", 400, "POST", CANCEL % "paid", {}, ROOT, "current status"),
    Case("cancel: given up", 400, "POST", CANCEL % "canceled", {}, ROOT, "current status"),
    Case("refund: not paid", 400, "POST", REFUND % "open", {}, KEY, "current status"),
    Case("refund: not collected", 400, "POST", REFUND % "held", {}, KEY, "current status"),
    Case("refund: given up", 400, "POST", REFUND % "canceled", {}, KEY, "current status"),
    Case("refund: a cent too much", 400, "POST", REFUND % "paid", {"amount_cents": 5501}, KEY, "left"),
    Case("refund: nothing", 400, "POST", REFUND % "paid", {"amount_cents": 0}, KEY),
    Case("refund: less than nothing", 400, "POST", REFUND % "paid", {"amount_cents": -5}, KEY),
    Case("refund: without a key", 400, "POST", REFUND % "paid", {}, ROOT, "Idempotency-Key"),
    Case("refund: a key with blanks", 400, "POST", REFUND % "paid", {}, {**ROOT, "idempotency-key": "a b"}),
    Case("refund: a key without end", 400, "POST", REFUND % "paid", {}, {**ROOT, **LONG_KEY}),
    Case("update: paid", 400, "PATCH", INTENT % "paid", {"total_cents": 100}, ADA, "current status"),
    Case("update: held", 400, "PUT", INTENT % "held", {"total_cents": 100}, ADA, "current status"),
    Case("update: nothing to pay", 400, "PATCH", INTENT % "open", {"total_cents": 0}, ADA),
    Case("update: too little", 400, "PATCH", INTENT % "open", {"total_cents": 49}, ADA),
    Case("update: another money", 400, "PATCH", INTENT % "open", {"currency": "QQQ"}, ADA),
    Case("update: two totals", 400, "PATCH", INTENT % "open", TWO_TOTALS, ADA),
    Case("update: ours", 400, "PATCH", INTENT % "open", {"metadata": {"bridge_x": "1"}}, ADA),
    Case("list: no such status", 400, "GET", "/payments?status=nonsense", b"", ADA, "status"),
    Case("list: no such day", 400, "GET", "/payments?created_at_from=yesterday", b"", ADA, "created_at_from"),
    Case("list: before time", 400, "GET", BEFORE_TIME, b"", ADA, "created_at_from"),
    Case("list: after time", 400, "GET", AFTER_TIME, b"", ADA, "created_at_to"),
]  # fmt: skip


def not_mine(name: str, status: int, caller: dict[str, str], payment: str, body: Any) -> Iterator[Case]:
    for method, path in (
        ("POST", CONFIRM % payment),
        ("POST", OTHER_CONFIRM % payment),
        ("POST", OTHER_SYNC % payment),
        ("PUT", INTENT % payment),
        ("PATCH", INTENT % payment),
        ("POST", CANCEL % payment),
    ):
        yield Case(f"{name}: {method} {path}", status, method, path, body, caller)


WHOSE = [
    *not_mine("somebody else's", 403, EVE, "open", {"description": "mine now"}),
    *not_mine("a user's, asked by nobody", 403, {}, "open", {"description": "mine now"}),
    Case("somebody else's, by the provider's id", 403, "POST", OTHER_SYNC % "intent", {}, EVE),
    Case("confirm: by the provider's id", 404, "POST", CONFIRM % "intent", {}, ADA),
    Case("read: somebody else's", 403, "GET", "/payments/{open}", b"", EVE),
    Case("read: by nobody", 401, "GET", "/payments/{open}"),
    Case("list: by nobody", 401, "GET", "/payments"),
    Case("list: another guest's", 403, "GET", "/payments/guest/grace@example.com", b"", EVE),
    Case("list: a guest's, by nobody", 401, "GET", "/payments/guest/grace@example.com"),
    Case("capture: by the payer", 403, "POST", CAPTURE % "held", {}, ADA, "Admin"),
    Case("capture: by nobody", 401, "POST", CAPTURE % "held", {}),
    Case("refund: by the payer", 403, "POST", REFUND % "paid", {}, {**ADA, "idempotency-key": "r"}, "Admin"),
    Case("refund: by nobody", 401, "POST", REFUND % "paid", {}, {"idempotency-key": "r"}),
    Case("cancel: a guest's, without its secret", 403, "POST", CANCEL % "guest", {}),
    Case("cancel: with another's secret", 403, "POST", CANCEL % "guest", {"client_secret": "{secret}"}),
    Case("cancel: with a long secret", 400, "POST", CANCEL % "guest", {"client_secret": "x" * 4097}),
    Case("update: a guest's, without its secret", 403, "PATCH", INTENT % "guest", {"total_cents": 51}),
    Case("create: a guest without a name", 400, "POST", CREATE, ORDER, {}, "Guest data is required"),
    Case("create: a guest without an address", 400, "POST", CREATE, {**ORDER, "guest_data": {"name": "G"}}),
]  # fmt: skip

STRANGE = {
    "unknown": "pay_01a20000-0000-7000-8000-000000000000",
    "a slash": "pay/1",
    "a slash at its end": "pay_1//",
    "a way up": "..",
    "a newline": "pay_1\n",
    "a second line": "pay_1\nx/y",
    "a carriage return": "pay_1\r\n",
    "a NUL": "pay_1\x00",
    "only a NUL": "\x00",
    "a blank": "pay 1",
    "a quote": "pay_1'--",
    "letters of elsewhere": "päy_1",
    "no end": "x" * 192,
    "a tab": "\t",
}
IDS = [
    Case(f"id: {name}, {method} {path}", 404, method, path.replace("ID", strange), body, headers)
    for name, strange in STRANGE.items()
    for method, path, body, headers in (
        ("GET", "/payments/ID", b"", ROOT),
        ("GET", "/payments/intents/ID", b"", ROOT),
        ("PATCH", "/payments/intents/ID", {"total_cents": 100}, ROOT),
        ("POST", "/payments/intents/ID/confirm", {}, ROOT),
        ("POST", "/payments/sync/ID", {}, ROOT),
        ("POST", "/payments/ID/capture", {}, ROOT),
        ("POST", "/payments/ID/cancel", {}, ROOT),
        ("POST", "/payments/ID/refund", {}, KEY),
        ("POST", "/webhooks/ID", {}, {}),
    )
]
NULS = [
    Case(f"id: {name}, GET {path}", 404, "GET", path.replace("ID", strange), b"", ROOT)
    for name, strange in STRANGE.items()
    if "\x00" in strange
    for path in ("/payments/guest/ID", "/webhooks/provider/ID", "/webhooks/ID/deliveries")
]

BODIES = {
    "half an object": (400, b'{"currency":'),
    "a list": (400, b"[]"),
    "a text": (400, b'"currency"'),
    "nothing at all, loudly": (400, b"null"),
    "bytes of no alphabet": (400, b'{"currency": "\xff\xfe"}'),
    "another encoding": (400, '{"currency":"usd","total_cents":5500}'.encode("utf-16")),
    "two objects": (400, b'{"currency":"usd"}{"total_cents":5500}'),
    "a comma too many": (400, b'{"currency":"usd","total_cents":5500,}'),
    "single quotes": (400, b"{'currency':'usd'}"),
    "a cave of lists": (400, b"[" * 10_000),
    "a cave of objects": (400, b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
    "half a character": (400, b'{"currency":"usd","total_cents":5500,"description":"\\ud800"}'),
    "a byte over the limit": (413, b'{"currency":"usd","total_cents":5500}'.ljust(LIMIT + 1)),
    "far over the limit": (413, b" " * (LIMIT * 50)),
}
READING = [
    *(
        Case(f"body: {name}", status, "POST", CREATE, body, ADA)
        for name, (status, body) in BODIES.items()
    ),
    *(
        Case(f"content type: {kind or 'none'}", 400, "POST", CREATE, ORDER, {**ADA, "content-type": kind})
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    ),
    Case("method: not here", 405, "DELETE", "/payments/{open}", b"", ROOT),
    Case("method: not anywhere", 405, "PURGE", "/payments", b"", ROOT),
    Case("method: another one's", 405, "POST", "/payments", ORDER, ADA),
    Case("path: not here", 404, "GET", "/payment", b"", ROOT),
]  # fmt: skip

CASES = [*WRONG_TYPES, *AMOUNTS, *CURRENCIES, *STATES, *WHOSE, *IDS, *NULS, *READING]


# --- the shop -------------------------------------------------------------------------------------


@dataclass
class Shop:
    bridge: Bridge
    gateway: FakeStripe
    file: Path
    talk: Conversation
    known: dict[str, str] = field(default_factory=dict)

    def begin(self, name: str, card: str | None = "pm_card_visa", **more: Any) -> None:
        headers = {} if "guest_data" in more else ADA
        answer = self.talk.ask("POST", CREATE, {**ORDER, **more}, **headers)
        payment = answer.json["data"]
        self.known[name] = payment["id"]
        if name == "open":
            self.known |= {"intent": payment["provider_intent_id"], "secret": payment["client_secret"]}
        if card is not None:
            body = {"payment_method_id": card, "return_url": "https://shop.example/thanks"}
            assert (
                self.talk.ask("POST", (CONFIRM % "x").format(x=payment["id"]), body, **headers).status == 200
            )

    def fill_in(self, said: Any) -> Any:
        """Put the shop's own ids where a case names its payments."""
        if isinstance(said, dict):
            return {name: self.fill_in(value) for name, value in said.items()}
        if isinstance(said, str):
            for name, value in self.known.items():
                said = said.replace("{" + name + "}", value)
        return said

    def stored(self) -> list[str]:
        """Everything in the database, as text."""
        with closing(sqlite3.connect(self.file)) as connection:
            return list(connection.iterdump())


@pytest.fixture(scope="module", params=list(MOUNTS))
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    file = tmp_path_factory.mktemp("strangers") / "payments.db"
    migrate(f"sqlite:///{file}")
    with FakeStripe(clock=lambda: NOW) as gateway:
        env = {
            "STRIPE_SECRET_KEY": gateway.secret_key,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": gateway.url,
        }
        engine = PaymentEngine(
            SQLStore(f"sqlite:///{file}", clock=gateway.clock),
            "stripe",
            settings=Settings(inprocess_worker=False, max_request_size=LIMIT),
            env=env,
            clock=gateway.clock,
        )
        bridge = Bridge(engine, auth=AuthBridge(who))
        shop = Shop(bridge, gateway, file, Conversation(MOUNTS[request.param](bridge)))
        shop.begin("open", None)
        shop.begin("paid")
        shop.begin("held", capture_method="manual")
        shop.begin("canceled", None)
        shop.talk.ask("POST", shop.fill_in(CANCEL % "canceled"), {}, **ADA)
        shop.begin("guest", None, **GUEST)
        bridge.blocking.call(bridge.run_worker, once=True)
        yield shop
        bridge.close()


DEFINED = json.loads(
    json.dumps(openapi(ROUTES)["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/")
)
PROBLEM = Draft202012Validator({"$ref": "#/$defs/Problem", "$defs": DEFINED})
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def check_shape(answer: Answer, status: int) -> Any:
    """What every refusal is: the contract's fields, and sentences for a person."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    said = answer.json
    PROBLEM.validate(said)
    assert said["success"] is False
    assert said["status"] == status
    assert said["error"]
    assert said["message"]
    assert said["details"]
    assert said["code"]
    assert MOMENT.fullmatch(said["timestamp"])
    if said["error"] == "Validation failed":
        assert said["details"] == said["validation_errors"]
        for entry, cause in zip(said["validation_errors"], said["cause"], strict=True):
            assert entry["field"]
            assert entry["message"] == cause["message"]
            assert cause["code"]
            assert isinstance(cause["path"], list)
    return said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.encode("unicode_escape").decode()[:80])
def test_what_a_stranger_sends_is_refused_and_leaves_no_trace(shop: Shop, case: Case) -> None:
    before, sent = shop.stored(), len(shop.gateway.requests())
    answer = shop.talk.ask(case.method, shop.fill_in(case.path), shop.fill_in(case.body), **case.headers)
    said = check_shape(answer, case.status)
    assert case.says in f"{said['error']} {said['message']} {said['details']}"
    assert shop.stored() == before
    assert len(shop.gateway.requests()) == sent
    assert shop.known["secret"].encode() not in answer.body


# --- webhooks -------------------------------------------------------------------------------------


def signature(body: bytes, *, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    moment = str(int((NOW - timedelta(seconds=age)).timestamp()))
    mark = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={moment},v1={mark}"}


EVENT = b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1"}}}'
MOST = b'{"x":"' + b"x" * (LIMIT - 8) + b'"}'
MARK = signature(EVENT)["stripe-signature"]
WEBHOOKS = [
    ("no signature", 400, EVENT, {}, "missing"),
    ("an empty signature", 400, EVENT, {"stripe-signature": ""}, "missing"),
    ("another's signature", 401, EVENT, signature(EVENT, secret="whsec_other"), ""),
    ("a signature over other bytes", 401, EVENT + b" ", signature(EVENT), ""),
    ("a signature of yesterday", 401, EVENT, signature(EVENT, age=301), ""),
    ("a signature of tomorrow", 401, EVENT, signature(EVENT, age=-301), ""),
    ("a signature without a time", 401, EVENT, {"stripe-signature": MARK.partition(",")[2]}, ""),
    ("a signature of another scheme", 401, EVENT, {"stripe-signature": MARK.replace("v1=", "v0=")}, ""),
    ("a signature of letters", 401, EVENT, {"stripe-signature": "t=1,v1=" + "z" * 64}, ""),
    ("a signature in another alphabet", 401, EVENT, {"stripe-signature": "t=\u00b2,v1=\u00e9"}, ""),
    ("signed, and no JSON", 400, b"{nope", signature(b"{nope"), "not an event"),
    ("signed, and no event", 400, b"[]", signature(b"[]"), "not an event"),
    ("signed, and empty", 400, b"", signature(b""), "not an event"),
    ("signed, and not even text", 400, b"\xff", signature(b"\xff"), "not an event"),
    ("signed, and without an id", 400, b'{"type":"x"}', signature(b'{"type":"x"}'), "not an event"),
    *(
        (f"signed, and {name}", 400, body, signature(body), "not an event")
        for name, body in {
            "with a NUL in its id": EVENT.replace(b"evt_1", b"evt_\\u0000"),
            "with an id without end": EVENT.replace(b"evt_1", b"evt_" + b"x" * 300),
            "with half a character in its type": EVENT.replace(b"succeeded", b"\\ud800"),
            "about a NUL": EVENT.replace(b'{"id":"pi_1"', b'{"object":"payment_intent","id":"pi_\\u0000"'),
        }.items()
    ),
    ("signed, and too long", 413, MOST + b" ", signature(MOST + b" "), "over the limit"),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "says"), [case[1:] for case in WEBHOOKS], ids=[case[0] for case in WEBHOOKS]
)
def test_a_webhook_that_proves_nothing_is_refused_and_not_kept(
    shop: Shop, status: int, body: bytes, headers: dict[str, str], says: str
) -> None:
    before, sent = shop.stored(), len(shop.gateway.requests())
    for path in ("/webhooks/stripe", "/external-webhooks/stripe"):
        said = check_shape(shop.talk.ask("POST", path, body, **headers), status)
        assert says in f"{said['error']} {said['message']}"
        assert SECRET not in str(said)
    assert shop.stored() == before
    assert len(shop.gateway.requests()) == sent


def test_what_is_refused_above_is_taken_when_it_is_right(shop: Shop) -> None:
    """The other side of the cases: a body of the very size of the limit, a true signature, a good order."""
    before = shop.stored()
    order = json.dumps(ORDER).encode().ljust(LIMIT)
    assert shop.talk.ask("POST", CREATE, order, **ADA).status == 201
    assert shop.talk.ask("POST", "/webhooks/stripe", EVENT, **signature(EVENT)).status == 200
    assert shop.stored() != before
