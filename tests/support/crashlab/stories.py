"""What may be interrupted: each operation of the engine, as a merchant's code asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bridge_payments.errors import (
    ConcurrentUpdate,
    DuplicateReference,
    InvalidRequest,
    NotFound,
    OperationInProgress,
    PaymentDeclined,
    ProviderRejected,
    Unavailable,
)
from bridge_payments.models import (
    GuestData,
    Money,
    Payment,
    PaymentMethodStatus,
    PaymentStatus,
    Principal,
    Refund,
    RefundStatus,
    Subscription,
    SubscriptionStatus,
)
from bridge_payments.stores.base import CustomerQuery, PaymentMethodQuery, PaymentQuery, SubscriptionQuery

from .premises import RETURN_URL, Shop

__all__ = ["KINDS", "STORIES", "Client", "Ending", "Story", "Way", "mail_of"]

KINDS: Final = ("stripe", "paypal", "authorize_net")
CARDS: Final = ("stripe", "authorize_net")
AMOUNT: Final = 2000
PRICE: Final = 900


class Way(StrEnum):
    """How a client that heard nothing finds out whether it has to ask again."""

    KEY = "key"
    """It does not: it repeats with the same Idempotency-Key."""
    REFERENCE = "reference"
    """It asks with a new key; that the order is taken, or is in no state to be asked, tells it."""
    READING = "reading"
    """It reads what there is, and asks with a new key where there is nothing."""


@dataclass(kw_only=True)
class Client:
    """Whoever asks, and asks again."""

    name: str
    """The order's, and the payer's."""
    way: Way = Way.KEY
    subject: str | None = None
    """Our id of what it is about."""
    method: str | None = None
    """What the payer brings to pay with."""
    asked: int = 0
    brought: int = 0
    """How many methods were used up."""

    @property
    def key(self) -> str:
        if self.way is Way.KEY:
            return f"{self.name}-{self.brought}"
        return f"{self.name}-{self.brought}-{self.asked}"

    @property
    def payer(self) -> Principal:
        return Principal.user(self.name, email=mail_of(self.name), email_verified=True)

    @property
    def about(self) -> str:
        assert self.subject is not None
        return self.subject


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What there is in the end, in the gateway's books as in ours. Amounts in cents."""

    payments: tuple[PaymentStatus, ...] = ()
    charged: tuple[int, ...] = ()
    """What was collected, a number for each collection."""
    refunded: tuple[int, ...] = ()
    customers: int = 0
    methods: int = 0
    subscriptions: tuple[tuple[SubscriptionStatus, int], ...] = ()


Act = Callable[[Shop, Client], Awaitable[Any]]
Look = Callable[[Shop, Client], Awaitable[bool | None]]


@dataclass(frozen=True, kw_only=True)
class Story:
    name: str
    act: Act
    """What is killed, and what the client repeats."""
    look: Look
    """What a client reads: it is done, there is nothing (False), or it is under way (None)."""
    ends: Ending | Mapping[str, Ending]
    """One for all gateways, or one for each."""
    prepare: Act | None = None
    """What happened before: it names the client's subject, and what it brings."""
    lapse: float = 0.0
    """Seconds between that and what is killed."""
    later: Act | None = None
    """What happens at the gateway when they have passed."""
    kinds: Sequence[str] = KINDS
    ways: Sequence[Way] = tuple(Way)
    alone: bool = False
    """Whether it works on whatever is due: then each death has a database of its own."""
    declines: bool = False
    or_else: Mapping[str, Ending] = field(default_factory=dict)
    """What a death may leave at a gateway where the ending cannot be had; docs/proof.md says why."""
    rests: tuple[float, ...] = ()
    """Seconds between more rounds of the worker, until all is over."""

    @property
    def asked(self) -> Sequence[Way]:
        """In which ways a client comes again; where nobody waits for an answer, there is one."""
        return (Way.KEY,) if self.alone else self.ways

    def ending(self, kind: str) -> Ending:
        return self.ends if isinstance(self.ends, Ending) else self.ends[kind]

    async def attempt(self, shop: Shop, client: Client) -> bool:
        """Let the client ask; return whether it has its answer, or has to come again."""
        if client.way is Way.READING and client.asked:
            found = await self.look(shop, client)
            if found is not False:
                return bool(found)
        client.asked += 1
        try:
            answer = await self.act(shop, client)
        except (OperationInProgress, Unavailable, ConcurrentUpdate):
            return False
        except (DuplicateReference, InvalidRequest, NotFound):
            # Somebody was here before, or what is brought is taken: what there is now is the answer.
            return await self.look(shop, client) is True
        except PaymentDeclined:
            assert self.declines, "a good card was declined"
            return True
        except ProviderRejected:
            if not shop.account.one_time or client.method is None:
                raise
            # The first attempt used the payer's token up: they bring another one.
            client.method = await shop.account.card(shop, declined=self.declines)
            client.brought += 1
            return False
        match answer:
            case Refund():
                return answer.status is not RefundStatus.PENDING
            case Payment() | Subscription():
                return answer.unknown_operation_id is None
            case _:
                return True


def mail_of(name: str) -> str:
    return f"{name}@example.com"


# --- what was before ------------------------------------------------------------------------------


def _order(client: Client, **more: Any) -> dict[str, Any]:
    return {
        "total_cents": AMOUNT, "currency": "USD", "reference_code": client.name,
        "description": f"order {client.name}", "return_url": RETURN_URL, **more,
    }  # fmt: skip


async def _begin(shop: Shop, client: Client, **more: Any) -> Payment:
    return await shop.engine.create_payment_intent(**_order(client, **more))


async def _pay(shop: Shop, client: Client, **more: Any) -> Payment:
    payment = await _begin(shop, client, **more)
    await shop.account.agree(shop, payment)
    token = await shop.account.card(shop)
    return await shop.engine.confirm_payment(payment.id, payment_method=token)


async def card(shop: Shop, client: Client) -> None:
    client.method = await shop.account.card(shop)


async def begun(shop: Shop, client: Client) -> None:
    client.subject = (await _begin(shop, client)).id


async def agreed(shop: Shop, client: Client, **more: Any) -> None:
    payment = await _begin(shop, client, **more)
    await shop.account.agree(shop, payment)
    client.subject, client.method = payment.id, await shop.account.card(shop)


async def agreed_to_keep(shop: Shop, client: Client) -> None:
    await agreed(shop, client, save_payment_method=True, principal=client.payer)


async def with_bad_card(shop: Shop, client: Client) -> None:
    await begun(shop, client)
    client.method = await shop.account.card(shop, declined=True)


async def held(shop: Shop, client: Client) -> None:
    client.subject = (await _pay(shop, client, capture_method="manual")).id


async def paid(shop: Shop, client: Client) -> None:
    client.subject = (await _pay(shop, client)).id


async def settled(shop: Shop, client: Client) -> None:
    await paid(shop, client)
    await shop.account.settle(shop)


async def paid_unheard(shop: Shop, client: Client) -> None:
    await begun(shop, client)
    await shop.account.pay_unheard(shop, client.about)


async def guest(shop: Shop, client: Client) -> None:
    somebody = GuestData(email=mail_of(client.name), name="Grace")
    client.subject = (await _begin(shop, client, guest=somebody)).id
    if shop.address.kind in CARDS:
        await shop.engine.create_customer(guest=somebody)


async def customer(shop: Shop, client: Client) -> None:
    client.subject = (await make_customer(shop, client)).customer.id


async def method(shop: Shop, client: Client) -> None:
    client.method = await shop.account.card(shop)
    kept = await make_method(shop, client)
    if kept.status is PaymentMethodStatus.REQUIRES_ACTION:
        await _agree_to_keep(shop, kept.id)
        kept = await shop.engine.confirm_payment_method(kept.id)
    assert kept.status is PaymentMethodStatus.ACTIVE, kept
    client.subject, client.method = kept.id, None


async def set_up(shop: Shop, client: Client) -> None:
    kept = await make_method(shop, client)
    await _agree_to_keep(shop, kept.id)
    client.subject = kept.id


async def _agree_to_keep(shop: Shop, method_id: str) -> None:
    row = await shop.store.run(lambda unit: unit.payment_methods.get(method_id), write=False)
    assert row is not None
    await shop.account.agree_to_keep(shop, row.provider_setup_id or row.provider_payment_method_id or "")


async def payer(shop: Shop, client: Client) -> None:
    """Somebody who can be billed: by a stored method, or by agreeing at the gateway."""
    if shop.address.kind in CARDS:
        await method(shop, client)


async def subscribed(shop: Shop, client: Client) -> None:
    await payer(shop, client)
    made = await subscribe(shop, client)
    if made.status is SubscriptionStatus.INCOMPLETE:
        await shop.account.agree_to_subscription(shop, made.provider_subscription_id or "")
        made = await shop.engine.sync_subscription(made.id)
    client.subject = made.id


async def paused(shop: Shop, client: Client) -> None:
    await subscribed(shop, client)
    await shop.engine.pause_subscription(client.about)


# --- what was lost on the way ---------------------------------------------------------------------

_PATHS: Final = {
    "confirm": {"stripe": "*/confirm", "paypal": "*/capture", "authorize_net": "*/*Transaction"},
    "refund": {"stripe": "/v1/refunds", "paypal": "*/refund", "authorize_net": "*/refundTransaction"},
    "subscribe": {
        "stripe": "/v1/subscriptions",
        "paypal": "/v1/billing/subscriptions",
        "authorize_net": "*/ARBCreateSubscriptionRequest",
    },
}


async def confirmed_without_answer(shop: Shop, client: Client) -> None:
    """The gateway charged, its answer was lost, and what became of it is due to be looked up."""
    await agreed(shop, client)
    await _lose(shop, client, "confirm", "drop_after", confirm)


async def refund_without_request(shop: Shop, client: Client) -> None:
    """A refund was reserved and never reached the gateway."""
    await settled(shop, client)
    await _lose(shop, client, "refund", "drop_before", refund)


async def subscribed_without_answer(shop: Shop, client: Client) -> None:
    await payer(shop, client)
    await _lose(shop, client, "subscribe", "drop_after", subscribe)


async def _lose(shop: Shop, client: Client, what: str, how: str, act: Act) -> None:
    await shop.control("faults", kind=how, path=_PATHS[what][shop.address.kind])
    client.asked += 1
    await act(shop, client)
    left = await shop.desk.get("/_control/faults")
    assert left.json() == {"faults": []}, f"{what} sent something else"


# --- what the client asks -------------------------------------------------------------------------


async def create(shop: Shop, client: Client) -> Payment:
    return await _begin(shop, client, unique_reference=True, idempotency_key=client.key)


async def create_and_confirm(shop: Shop, client: Client) -> Payment:
    return await _begin(
        shop, client, confirm=True, payment_method=client.method, unique_reference=True,
        idempotency_key=client.key,
    )  # fmt: skip


async def order_by_key(shop: Shop, client: Client) -> Payment:
    """Two orders may have the same number here: nothing but the Idempotency-Key says that this is one."""
    return await _begin(shop, client, confirm=True, payment_method=client.method, idempotency_key=client.key)


async def charge(shop: Shop, client: Client) -> Payment:
    return await shop.engine.charge_saved_method(
        Money(AMOUNT, "USD"), payment_method=client.about, reference_code=client.name,
        description=f"order {client.name}", unique_reference=True, idempotency_key=client.key,
    )  # fmt: skip


async def update(shop: Shop, client: Client) -> Payment:
    return await shop.engine.update_payment_intent(client.about, total_cents=2500, idempotency_key=client.key)


async def confirm(shop: Shop, client: Client) -> Payment:
    return await shop.engine.confirm_payment(
        client.about, payment_method=client.method, idempotency_key=client.key
    )


async def confirm_and_keep(shop: Shop, client: Client) -> Payment:
    return await shop.engine.confirm_payment(
        client.about, payment_method=client.method, idempotency_key=client.key, principal=client.payer
    )


async def capture(shop: Shop, client: Client) -> Payment:
    return await shop.engine.capture_payment(client.about, amount_cents=1500, idempotency_key=client.key)


async def cancel(shop: Shop, client: Client) -> Payment:
    return await shop.engine.cancel_payment(client.about, idempotency_key=client.key)


async def refund(shop: Shop, client: Client) -> Refund:
    return await shop.engine.refund_payment(client.about, amount_cents=600, idempotency_key=client.key)


async def refund_all(shop: Shop, client: Client) -> Refund:
    return await shop.engine.refund_payment(client.about, idempotency_key=client.key)


async def make_customer(shop: Shop, client: Client) -> Any:
    return await shop.engine.create_customer(
        user_id=client.name, email=mail_of(client.name), name="Ada Lovelace", idempotency_key=client.key
    )


async def delete_customer(shop: Shop, client: Client) -> Any:
    return await shop.engine.delete_customer(client.about, idempotency_key=client.key)


async def make_method(shop: Shop, client: Client) -> Any:
    return await shop.engine.create_payment_method(
        token=client.method, idempotency_key=client.key, return_url=RETURN_URL, principal=client.payer,
        payment_type="credit_card" if client.method else "paypal",
    )  # fmt: skip


async def finish_method(shop: Shop, client: Client) -> Any:
    return await shop.engine.confirm_payment_method(client.about, idempotency_key=client.key)


async def delete_method(shop: Shop, client: Client) -> Any:
    return await shop.engine.delete_payment_method(client.about, idempotency_key=client.key)


async def subscribe(shop: Shop, client: Client) -> Subscription:
    return await shop.engine.create_subscription(
        Money(PRICE, "USD"), payment_method=client.subject, reference_code=client.name,
        concept=f"tea for {client.name}", description=f"order {client.name}", return_url=RETURN_URL,
        idempotency_key=client.key, principal=client.payer,
    )  # fmt: skip


async def reprice(shop: Shop, client: Client) -> Subscription:
    return await shop.engine.update_subscription(client.about, total_cents=1200, idempotency_key=client.key)


async def end(shop: Shop, client: Client) -> Subscription:
    return await shop.engine.cancel_subscription(
        client.about, at_period_end=False, idempotency_key=client.key
    )


async def pause(shop: Shop, client: Client) -> Subscription:
    return await shop.engine.pause_subscription(client.about, idempotency_key=client.key)


async def resume(shop: Shop, client: Client) -> Subscription:
    return await shop.engine.resume_subscription(client.about, idempotency_key=client.key)


async def convert(shop: Shop, client: Client) -> Any:
    return await shop.engine.convert_guest(mail_of(client.name), user_id=client.name)


# --- what runs in the background ------------------------------------------------------------------


async def hear_of_it(shop: Shop, client: Client) -> None:
    row = await shop.payment(client.about)
    names = {row.provider_intent_id, row.provider_payment_id} - {None}
    for event in (await shop.books())["events"]:
        if any(f'"{name}"' in str(event).replace("'", '"') for name in names):
            await shop.engine.receive_webhook(shop.address.kind, shop.signed(event))
    await shop.engine.process_inbox()


async def sweep(shop: Shop, _: Client) -> None:
    await shop.engine.sweep()


async def reconcile(shop: Shop, _: Client) -> None:
    await shop.engine.reconcile()


async def tell(shop: Shop, _: Client) -> None:
    await shop.tell()


async def bill(shop: Shop, _: Client) -> None:
    await shop.account.renew(shop)


# --- what the client reads ------------------------------------------------------------------------


async def is_ordered(shop: Shop, client: Client) -> bool | None:
    query = PaymentQuery(search=f"order {client.name}", limit=100)
    page = await shop.engine.list_payments(query)
    rows = [row for row in page.items if row.reference_code == client.name]
    living = [row for row in rows if row.status is not PaymentStatus.FAILED]
    if any(row.provider_intent_id for row in living):
        return True
    return None if living else False


async def is_paid_for(shop: Shop, client: Client) -> bool | None:
    """What was ordered and paid in one call."""
    query = PaymentQuery(search=f"order {client.name}", limit=100)
    page = await shop.engine.list_payments(query)
    rows = [row for row in page.items if row.reference_code == client.name]
    if any(row.is_paid for row in rows):
        return True
    return None if any(row.is_open for row in rows) else False


def payment_is(*done: PaymentStatus) -> Look:
    async def look(shop: Shop, client: Client) -> bool | None:
        row = await shop.engine.get_payment(client.about)
        if row.status in done:
            return True
        return None if row.status is PaymentStatus.PROCESSING else False

    return look


async def is_updated(shop: Shop, client: Client) -> bool | None:
    return (await shop.engine.get_payment(client.about)).total_cents == 2500


async def is_declined(shop: Shop, client: Client) -> bool | None:
    return (await shop.engine.get_payment(client.about)).decline_code is not None


async def is_refunded(shop: Shop, client: Client) -> bool | None:
    refunds = await shop.engine.list_refunds(client.about)
    living = [each for each in refunds if each.status not in (RefundStatus.FAILED, RefundStatus.CANCELED)]
    if any(each.status in (RefundStatus.SUCCEEDED, RefundStatus.WAITING) for each in living):
        return True  # that it waits is an answer, too
    return None if living else False


async def is_customer(shop: Shop, client: Client) -> bool | None:
    listing = await shop.engine.list_customers(CustomerQuery(user_id=client.name))
    if any(row.provider_customer_id for row in listing.items):
        return True
    return None if listing.items else False


async def no_customer(shop: Shop, client: Client) -> bool | None:
    row = await shop.store.run(lambda unit: unit.customers.get(client.about), write=False)
    return row is None or row.deleted_at is not None


async def is_kept(shop: Shop, client: Client) -> bool | None:
    listing = await shop.engine.list_payment_methods(PaymentMethodQuery(user_id=client.name))
    return bool(listing.items)


async def is_set_up(shop: Shop, client: Client) -> bool | None:
    row = await shop.store.run(lambda unit: unit.payment_methods.get(client.about), write=False)
    return row is not None and row.status is PaymentMethodStatus.ACTIVE


async def not_kept(shop: Shop, client: Client) -> bool | None:
    row = await shop.store.run(lambda unit: unit.payment_methods.get(client.about), write=False)
    return row is None or row.status is PaymentMethodStatus.DELETED


async def is_subscribed(shop: Shop, client: Client) -> bool | None:
    listing = await shop.engine.list_subscriptions(SubscriptionQuery(user_id=client.name))
    rows = [row for row in listing.items if not row.has_ended]
    if any(row.provider_subscription_id for row in rows):
        return True
    return None if rows else False


def subscription_is(status: SubscriptionStatus) -> Look:
    async def look(shop: Shop, client: Client) -> bool | None:
        return (await shop.engine.get_subscription(client.about)).status is status

    return look


async def is_repriced(shop: Shop, client: Client) -> bool | None:
    return (await shop.engine.get_subscription(client.about)).total_cents == 1200


async def is_converted(shop: Shop, client: Client) -> bool | None:
    return (await shop.engine.get_payment(client.about)).user_id == client.name


async def always(shop: Shop, client: Client) -> bool | None:
    """Nobody waits for an answer."""
    return True


# --- the stories ----------------------------------------------------------------------------------

_PAID: Final = PaymentStatus.SUCCEEDED
_ACTIVE: Final = SubscriptionStatus.ACTIVE
_DAY: Final = 86400.0
_SAVED: Final = {"stripe": 1, "paypal": 0, "authorize_net": 1}
"""Customers that a stored method has: PayPal knows none."""


def _each(make: Callable[[str], Ending]) -> Mapping[str, Ending]:
    return {kind: make(kind) for kind in KINDS}


def _with_method(**more: Any) -> Mapping[str, Ending]:
    return _each(lambda kind: Ending(customers=_SAVED[kind], methods=1, **more))


def _subscribed(
    status: SubscriptionStatus = _ACTIVE,
    price: int = PRICE,
    *,
    charged: Mapping[str, tuple[int, ...]],
) -> Mapping[str, Ending]:
    def make(kind: str) -> Ending:
        taken = charged[kind]
        return Ending(
            payments=(_PAID,) * len(taken), charged=taken, customers=_SAVED[kind], methods=_SAVED[kind],
            subscriptions=((status, price),),
        )  # fmt: skip

    return _each(make)


_FIRST: Final = {"stripe": (PRICE,), "paypal": (PRICE,), "authorize_net": ()}
"""What a subscription collects at once: Authorize.net comes in the night."""
_RENEWED: Final = {"stripe": (PRICE, PRICE), "paypal": (PRICE, PRICE), "authorize_net": (PRICE, PRICE)}

CREATED: Final = Ending(payments=(PaymentStatus.PENDING,))
SUCCEEDED: Final = Ending(payments=(_PAID,), charged=(AMOUNT,))
REFUNDED: Final = Ending(payments=(PaymentStatus.PARTIALLY_REFUNDED,), charged=(AMOUNT,), refunded=(600,))


def _by_name(*stories: Story) -> Mapping[str, Story]:
    return {story.name: story for story in stories}


STORIES: Final = _by_name(
    Story(
        name="create", act=create, look=is_ordered,
        ends={**_each(lambda _: CREATED), "paypal": Ending(payments=(PaymentStatus.REQUIRES_ACTION,))},
    ),
    Story(
        name="create+confirm", act=create_and_confirm, look=is_paid_for, prepare=card, kinds=CARDS,
        ends=SUCCEEDED,
    ),
    Story(name="update", act=update, look=is_updated, prepare=begun, kinds=CARDS, ends=CREATED),
    Story(
        name="confirm", act=confirm, look=payment_is(PaymentStatus.SUCCEEDED), prepare=agreed,
        ends=SUCCEEDED,
    ),
    Story(
        name="decline", act=confirm, look=is_declined, prepare=with_bad_card, kinds=CARDS, declines=True,
        ways=(Way.KEY, Way.READING), ends=CREATED,
    ),
    Story(
        name="save-on-confirm", act=confirm_and_keep, look=payment_is(PaymentStatus.SUCCEEDED),
        prepare=agreed_to_keep, ends=_with_method(payments=(_PAID,), charged=(AMOUNT,)),
        or_else={"authorize_net": Ending(payments=(_PAID,), charged=(AMOUNT,), customers=1)},
    ),
    Story(
        name="off-session", act=charge, look=is_paid_for, prepare=method,
        ends=_with_method(payments=(_PAID,), charged=(AMOUNT,)),
    ),
    Story(
        name="capture", act=capture, look=payment_is(PaymentStatus.SUCCEEDED), prepare=held,
        ends=Ending(payments=(_PAID,), charged=(1500,)),
    ),
    Story(
        name="cancel", act=cancel, look=payment_is(PaymentStatus.CANCELED), prepare=held,
        ends=Ending(payments=(PaymentStatus.CANCELED,)),
    ),
    Story(
        name="refund", act=refund, look=is_refunded, prepare=settled, ways=(Way.KEY, Way.READING),
        ends=REFUNDED,
    ),
    Story(
        name="refund-all", act=refund_all, look=is_refunded, prepare=paid,
        ends=Ending(payments=(PaymentStatus.REFUNDED,), charged=(AMOUNT,), refunded=(AMOUNT,)),
    ),
    Story(
        name="refund-waiting", act=refund, look=is_refunded, prepare=paid, kinds=("authorize_net",),
        ways=(Way.KEY, Way.READING), rests=(_DAY, _DAY, _DAY), ends=REFUNDED,
    ),
    Story(
        name="customer", act=make_customer, look=is_customer, kinds=CARDS, ends=Ending(customers=1),
    ),
    Story(
        name="customer-delete", act=delete_customer, look=no_customer, prepare=customer, kinds=CARDS,
        ends=Ending(),
    ),
    Story(
        name="method", act=make_method, look=is_kept, prepare=card, kinds=CARDS,
        ends=Ending(customers=1, methods=1),
    ),
    Story(
        name="method-begin", act=make_method, look=is_kept, kinds=("paypal",), ways=(Way.KEY,),
        ends=Ending(),
    ),
    Story(
        name="method-confirm", act=finish_method, look=is_set_up, prepare=set_up, kinds=("paypal",),
        ends=Ending(methods=1),
    ),
    Story(
        name="method-delete", act=delete_method, look=not_kept, prepare=method,
        ends=_each(lambda kind: Ending(customers=_SAVED[kind])),
    ),
    Story(
        name="subscribe", act=subscribe, look=is_subscribed, prepare=payer, ways=(Way.KEY, Way.READING),
        ends={
            **_subscribed(charged=_FIRST),
            "paypal": Ending(subscriptions=((SubscriptionStatus.INCOMPLETE, PRICE),)),
        },
    ),
    Story(
        name="subscription-update", act=reprice, look=is_repriced, prepare=subscribed,
        ends=_subscribed(price=1200, charged=_FIRST),
    ),
    Story(
        name="subscription-cancel", act=end, look=subscription_is(SubscriptionStatus.CANCELED),
        prepare=subscribed, ends=_subscribed(SubscriptionStatus.CANCELED, charged=_FIRST),
    ),
    Story(
        name="subscription-pause", act=pause, look=subscription_is(SubscriptionStatus.PAUSED),
        prepare=subscribed, kinds=("stripe", "paypal"),
        ends=_subscribed(SubscriptionStatus.PAUSED, charged=_FIRST),
    ),
    Story(
        name="subscription-resume", act=resume, look=subscription_is(_ACTIVE), prepare=paused,
        kinds=("stripe", "paypal"), ends=_subscribed(charged=_FIRST),
    ),
    Story(
        name="conversion", act=convert, look=is_converted, prepare=guest,
        ends={
            **_each(lambda kind: Ending(payments=(PaymentStatus.PENDING,), customers=_SAVED[kind])),
            "paypal": Ending(payments=(PaymentStatus.REQUIRES_ACTION,)),
        },
    ),
    Story(name="webhook", act=hear_of_it, look=always, prepare=paid_unheard, alone=True, ends=SUCCEEDED),
    Story(name="delivery", act=tell, look=always, prepare=paid, alone=True, ends=SUCCEEDED),
    Story(
        name="sweep", act=sweep, look=always, prepare=paid_unheard, lapse=150, alone=True, ends=SUCCEEDED
    ),
    Story(
        name="sweep-renewal", act=sweep, look=always, prepare=subscribed, lapse=33 * _DAY, later=bill,
        alone=True, ends=_subscribed(charged=_RENEWED),
    ),
    Story(
        name="lookup", act=reconcile, look=always, prepare=confirmed_without_answer, lapse=3, alone=True,
        ends=SUCCEEDED,
    ),
    Story(
        name="lookup-subscription", act=reconcile, look=always, prepare=subscribed_without_answer, lapse=3,
        alone=True,
        ends={
            **_subscribed(charged=_FIRST),
            "paypal": Ending(subscriptions=((SubscriptionStatus.INCOMPLETE, PRICE),)),
        },
    ),
    Story(
        name="repeat", act=reconcile, look=always, prepare=refund_without_request, lapse=600, alone=True,
        kinds=("stripe", "paypal"), ends=REFUNDED,
    ),
    Story(
        name="order-by-key", act=order_by_key, look=is_paid_for, prepare=card, kinds=CARDS, ways=(Way.KEY,),
        ends=SUCCEEDED,
    ),
)  # fmt: skip
