"""The gateways' books in one shape, and the audit: whoever disagrees with ours is named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bridge_payments.models import PaymentStatus, SubscriptionStatus
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet
from bridge_payments.sandbox.paypal import FakePayPal
from bridge_payments.sandbox.stripe import FakeStripe

from .books import Audit, status_of_paid
from .lives import Ours
from .premises import Row
from .stories import Ending

__all__ = ["Ledger", "check", "check_books", "ledger_of"]

Gateway = FakeStripe | FakePayPal | FakeAuthorizeNet


@dataclass(kw_only=True)
class Ledger:
    """What one gateway says, by the references under which our rows know it. Amounts in cents."""

    charged: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """What was collected of each payment, a number for each collection."""
    refunded: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    held: set[str] = field(default_factory=set)
    """Payments of which something is authorised and may still be collected."""
    released: set[str] = field(default_factory=set)
    """Those that were given up there and will never be paid."""
    customers: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    subscriptions: dict[str, str] = field(default_factory=dict)
    """``runs``, ``rests``, ``ended`` or ``begun`` of each."""
    plans: list[str] = field(default_factory=list)
    """What a subscription is of; each belongs to one."""
    bodies: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """What was asked under each idempotency key."""


def ledger_of(gateway: Gateway) -> Ledger:
    match gateway:
        case FakeStripe():
            return _of_stripe(gateway)
        case FakePayPal():
            return _of_paypal(gateway)
        case _:
            return _of_authorize_net(gateway)


def _of_stripe(gateway: FakeStripe) -> Ledger:
    found = Ledger(
        customers=[each["id"] for each in gateway.customers()],
        methods=[each["id"] for each in gateway.methods(stored=True)],
        plans=[each["id"] for each in gateway.products()],
    )
    for charge in gateway.charges(paid=True):
        if charge["captured"]:
            found.charged[charge["payment_intent"]].append(charge["amount_captured"])
    for refund in gateway.refunds():
        if refund["status"] not in ("failed", "canceled"):
            found.refunded[refund["payment_intent"]].append(refund["amount"])
    for intent in gateway.intents():
        if intent["amount_capturable"]:
            found.held.add(intent["id"])
        if intent["status"] == "canceled":
            found.released.add(intent["id"])
    for each in gateway.subscriptions():
        rests = each["pause_collection"] is not None and each["status"] == "active"
        found.subscriptions[each["id"]] = "rests" if rests else _STRIPE.get(each["status"], each["status"])
    for exchange in gateway.requests(caller="server"):
        if exchange.key is not None:
            found.bodies[exchange.key].add(f"{exchange.method} {exchange.path} {exchange.params}")
    return found


def _of_paypal(gateway: FakePayPal) -> Ledger:
    found = Ledger(
        methods=[each["id"] for each in gateway.payment_tokens()],
        subscriptions={
            each["id"]: _PAYPAL.get(each["status"], each["status"]) for each in gateway.subscriptions()
        },
        plans=[each["id"] for each in gateway.plans()],
    )
    order_of = dict(gateway.books.order_of)
    for capture in gateway.captures(taken=True):
        order = order_of.get(capture["id"], capture["id"])
        found.charged[order].append(_cents(capture["amount"]["value"]))
    for refund in gateway.refunds():
        if refund["status"] in ("COMPLETED", "PENDING"):
            order = order_of.get(refund["id"], refund["id"])
            found.refunded[order].append(_cents(refund["amount"]["value"]))
    for held in gateway.authorizations():
        if held["status"] == "CREATED":
            found.held.add(order_of[held["id"]])
        if held["status"] == "VOIDED":
            found.released.add(order_of[held["id"]])
    for exchange in gateway.requests("/v"):
        if exchange.key is not None and exchange.method != "GET":
            found.bodies[exchange.key].add(f"{exchange.method} {exchange.path} {exchange.body}")
    return found


def _of_authorize_net(gateway: FakeAuthorizeNet) -> Ledger:
    customers = gateway.customers()
    found = Ledger(
        customers=[each["id"] for each in customers],
        methods=[f"{each['id']}:{method['id']}" for each in customers for method in each["methods"]],
        subscriptions={
            each["id"]: _AUTHORIZE_NET.get(each["status"], each["status"]) for each in gateway.subscriptions()
        },
    )
    # A void leaves no trace of a capture before it, but what was told of the capture.
    captured = {
        each["payload"]["id"]
        for each in gateway.events()
        if each["eventType"].endswith("priorAuthCapture.created")
    }
    names = {}
    for each in gateway.transactions():
        if each["type"] == "refundTransaction":
            continue
        name = names[each["id"]] = each["id"] if each["subscription"] else f"anet_{each['invoice']}"
        amount = _cents(each["settles"])
        collected = each["status"] in ("capturedPendingSettlement", "settledSuccessfully")
        taken = each["type"] == "authCaptureTransaction" or each["id"] in captured
        given_back = each["status"] == "voided" and taken
        if collected or given_back:
            found.charged[name].append(amount)
        if given_back:
            found.refunded[name].append(amount)
        if each["status"] == "authorizedPendingCapture":
            found.held.add(name)
        if each["status"] == "voided":
            found.released.add(name)
    for each in gateway.refunds():
        found.refunded[names[each["original"]]].append(_cents(each["amount"]))
    return found


_STRIPE: Final = {"active": "runs", "trialing": "runs", "canceled": "ended", "incomplete": "begun"}
_PAYPAL: Final = {
    "ACTIVE": "runs",
    "SUSPENDED": "rests",
    "CANCELLED": "ended",
    "APPROVAL_PENDING": "begun",
}
_AUTHORIZE_NET: Final = {"active": "runs", "canceled": "ended"}
_OURS: Final = {
    SubscriptionStatus.ACTIVE: "runs",
    SubscriptionStatus.TRIALING: "runs",
    SubscriptionStatus.PAUSED: "rests",
    SubscriptionStatus.CANCELED: "ended",
    SubscriptionStatus.INCOMPLETE: "begun",
}
_UNPAID: Final = {
    PaymentStatus.PENDING,
    PaymentStatus.REQUIRES_CONFIRMATION,
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.CANCELED,
    PaymentStatus.FAILED,
}
"""What may be where nothing is taken, held or given up. A gateway cannot give up what nobody has paid."""


def _cents(amount: str | Decimal) -> int:
    return int(Decimal(amount) * 100)


# --- the audit ------------------------------------------------------------------------------------


def check(
    ledger: Ledger,
    databases: Iterable[Ours],
    endings: Mapping[str, Ending],
    *,
    or_else: Ending | None = None,
    may_be_open: bool = False,
) -> Audit:
    """
    Compare a gateway's books with all databases, and each order with the ending that it has to have.

    *or_else* is another ending that will do; with *may_be_open* an order may still wait for its end.
    """
    found = Audit()
    every = list(databases)
    orders = _by_order(every)
    for order, ending in endings.items():
        allowed = (ending,) if or_else is None else (ending, or_else)
        _check_ending(found, ledger, order, allowed, orders.get(order, _Order()), may_be_open=may_be_open)
    for stranger in orders.keys() - endings.keys():
        found.wrong.append(f"{stranger}: nobody ordered this")
    _check_all(found, ledger, every)
    return found


def check_books(ledger: Ledger, databases: Iterable[Ours]) -> Audit:
    """Compare a gateway's books with all databases, and states with sums, however the orders ended."""
    found = Audit()
    every = list(databases)
    for row in (row for ours in every for row in ours.payments):
        order = row.payment.reference_code or row.payment.id
        _check_sums(found, ledger, order, row)
        _check_status(found, ledger, order, row)
    _check_all(found, ledger, every)
    return found


def _check_all(found: Audit, ledger: Ledger, every: Sequence[Ours]) -> None:
    """What holds whatever was ordered."""
    _check_references(found, ledger, every)
    for key, bodies in ledger.bodies.items():
        if len(bodies) > 1:
            found.wrong.append(f"{key}: {len(bodies)} different requests under one key: {sorted(bodies)}")
    for ours in every:
        found.unknown.extend(
            f"{each.subject_id}: {each.verb} is {each.state} since {each.created_at} ({each.resolution})"
            for each in ours.open
        )
        if untold := set(ours.events) - set(ours.diary):
            found.lost.append(f"{len(untold)} of {len(ours.events)} events were told to nobody")
        for row in ours.payments:
            _check_row(found, row)


@dataclass(kw_only=True)
class _Order:
    payments: list[Row] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    subscriptions: list[tuple[str, SubscriptionStatus, int]] = field(default_factory=list)


def _by_order(databases: Iterable[Ours]) -> dict[str, _Order]:
    found: dict[str, _Order] = defaultdict(_Order)
    for ours in databases:
        names = {each.id: each.reference_code for each in ours.subscriptions}
        for row in ours.payments:
            order = row.payment.reference_code or names.get(row.payment.subscription_id or "")
            found[order or row.payment.id].payments.append(row)
        for customer in ours.customers:
            if customer.provider_customer_id is not None:
                owner = customer.user_id or (customer.guest_email or "").partition("@")[0]
                found[owner].customers.append(customer.provider_customer_id)
        for method in ours.methods:
            if method.provider_payment_method_id is not None and method.status == "active":
                found[method.user_id or method.id].methods.append(method.provider_payment_method_id)
        for each in ours.subscriptions:
            if each.provider_subscription_id is not None:
                seen = (each.provider_subscription_id, each.status, each.total_cents)
                found[each.reference_code or each.id].subscriptions.append(seen)
    return found


def _check_references(found: Audit, ledger: Ledger, databases: Sequence[Ours]) -> None:
    """Whatever the gateway has, one row of ours knows; and we know nothing that it has not."""
    subscriptions = [
        each for ours in databases for each in ours.subscriptions if each.provider_subscription_id
    ]
    pairs: list[tuple[str, Iterable[str], Iterable[str | None]]] = [
        (
            "customer",
            ledger.customers,
            (each.provider_customer_id for ours in databases for each in ours.customers),
        ),
        (
            "method",
            ledger.methods,
            (
                each.provider_payment_method_id
                for ours in databases
                for each in ours.methods
                if each.status == "active"
            ),
        ),
        ("subscription", ledger.subscriptions, (each.provider_subscription_id for each in subscriptions)),
    ]
    for noun, there, here in pairs:
        ours = Counter(name for name in here if name)
        theirs = set(there)
        found.lost.extend(f"no row knows the {noun} {name}" for name in sorted(theirs - ours.keys()))
        found.wrong.extend(f"the gateway has no {noun} {name}" for name in sorted(ours.keys() - theirs))
        found.doubled.extend(
            f"{count} rows have the {noun} {name}" for name, count in ours.items() if count > 1
        )
    # A create that was given up may leave a plan of which nobody is billed: no more than one for each.
    begun = sum(len(ours.subscriptions) for ours in databases)
    if len(ledger.plans) > begun:
        found.doubled.append(f"{len(ledger.plans)} plans for {begun} subscriptions")
    for each in subscriptions:
        there_is = ledger.subscriptions.get(each.provider_subscription_id or "")
        if there_is is not None and there_is != _OURS.get(each.status):
            found.wrong.append(f"{each.reference_code}: {there_is} there, {each.status} here")
    known = {row.payment.provider_intent_id for ours in databases for row in ours.payments}
    found.lost.extend(
        f"no row knows {name}, of which {sum(amounts)} was collected"
        for name, amounts in ledger.charged.items()
        if name not in known
    )


def _check_ending(
    found: Audit,
    ledger: Ledger,
    order: str,
    allowed: Sequence[Ending],
    mine: _Order,
    *,
    may_be_open: bool,
) -> None:
    ending = allowed[0]
    # What was proved never executed leaves a failed row, and its client's repeat made another.
    living = [row for row in mine.payments if not _never_was(row)]
    names = [row.payment.provider_intent_id or "" for row in living]
    charged = [amount for name in names for amount in ledger.charged.get(name, ())]
    refunded = [amount for name in names for amount in ledger.refunded.get(name, ())]
    for row in living:
        _check_sums(found, ledger, order, row, may_be_open=may_be_open)
    if len(charged) > len(ending.charged):
        found.doubled.append(f"{order}: charged {charged} instead of {list(ending.charged)}")
    if len(refunded) > len(ending.refunded):
        found.doubled.append(f"{order}: gave back {refunded} instead of {list(ending.refunded)}")
    for noun, names_, count in (
        ("customers", mine.customers, ending.customers),
        ("methods", mine.methods, ending.methods),
        ("subscriptions", mine.subscriptions, len(ending.subscriptions)),
    ):
        if len(names_) > count:
            found.doubled.append(f"{order}: {len(names_)} {noun} instead of {count}")
    if may_be_open:
        return
    seen = Ending(
        payments=tuple(sorted(row.payment.status for row in living)),
        charged=tuple(sorted(charged)),
        refunded=tuple(sorted(refunded)),
        customers=len(mine.customers),
        methods=len(mine.methods),
        subscriptions=tuple((status, price) for _, status, price in mine.subscriptions),
    )
    if seen not in allowed:
        found.wrong.append(f"{order}: ended as {seen} and not as {ending}")


def _check_sums(found: Audit, ledger: Ledger, order: str, row: Row, *, may_be_open: bool = False) -> None:
    payment = row.payment
    theirs = ledger.charged.get(payment.provider_intent_id or "", [])
    if sum(theirs) > payment.captured_cents and not may_be_open:
        found.lost.append(f"{order}: {sum(theirs)} taken, our row says {payment.captured_cents}")
    if sum(theirs) < payment.captured_cents:
        found.wrong.append(f"{order}: our row invented {payment.captured_cents}")
    given = sum(ledger.refunded.get(payment.provider_intent_id or "", ()))
    if given != payment.refunded_cents and not may_be_open:
        found.wrong.append(f"{order}: {given} given back, our row says {payment.refunded_cents}")
    if given > sum(theirs):
        found.doubled.append(f"{order}: {given} given back of {sum(theirs)}")
    if len(theirs) > 1:
        found.doubled.append(f"{order}: {len(theirs)} charges on one payment")


def _check_status(found: Audit, ledger: Ledger, order: str, row: Row) -> None:
    """Whether a payment is in a state in which one with these sums may be in the end."""
    payment, name = row.payment, row.payment.provider_intent_id or ""
    if name in ledger.held:
        allowed = {PaymentStatus.REQUIRES_CAPTURE}
    elif ledger.charged.get(name):
        allowed = {status_of_paid(sum(ledger.charged[name]), sum(ledger.refunded.get(name, ())))}
    elif name in ledger.released:
        allowed = {PaymentStatus.CANCELED}
    else:
        allowed = _UNPAID
    if payment.status not in allowed:
        found.wrong.append(f"{order}: {payment.status}, where only {sorted(allowed)} can be")


def _never_was(row: Row) -> bool:
    payment = row.payment
    return payment.status is PaymentStatus.FAILED and not payment.captured_cents


def _check_row(found: Audit, row: Row) -> None:
    payment = row.payment
    order = payment.reference_code or payment.id
    if payment.flag is not None:
        found.wrong.append(f"{order}: flagged {payment.flag}")
    promised = sum(refund.amount_cents for refund in row.refunds if refund.keeps_its_share)
    if promised != payment.refund_reserved_cents or promised > payment.captured_cents:
        found.wrong.append(
            f"{order}: {promised} promised, {payment.refund_reserved_cents} reserved"
            f" of {payment.captured_cents}"
        )
    if row.told.count("payment.created") > 1:
        found.wrong.append(f"{order}: it began twice")
    successes = row.told.count("payment.success")
    if successes != (1 if payment.paid_at else 0):
        found.wrong.append(f"{order}: {successes} times payment.success")
