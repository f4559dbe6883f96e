"""Webhooks: only what the gateway signed for this account is read, and any order ends in the same row."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final

import pytest

from ...engine import PaymentEngine
from ...errors import BridgeError, InvalidRequest, InvalidSignature
from ...models import Payment, ProviderEvent, Verb
from .desk import ACCOUNT, Desk, a_delivery, new_engine, reference_of
from .gateway import NotChecked
from .promises import Promises, on_a_desk

__all__ = ["HookPromises"]

MOST_EVENTS: Final = 5
"""Of which every order is tried, each event delivered twice: 120 orders."""


class HookPromises(Promises):
    each_event_suffices: ClassVar[bool] = True
    """Whether any one event leads to all there is; not so where a refund shows in its own event alone."""

    @on_a_desk
    async def test_a_webhook_names_its_payment(self, desk: Desk) -> None:
        payment = await desk.paid()
        body = await _an_event_of(desk, payment)
        event = await desk.provider.read_webhook(desk.delivery(body))
        again = await desk.provider.read_webhook(desk.delivery(body))
        assert await _names(desk, event, payment)
        assert event.id, "an event without an id cannot be told from its copy"
        assert event.type
        assert event.id == again.id, "a copy of an event has another id"
        # A gateway may carry the reference of the call alone.
        ours = [operation.reference for operation in await desk.operations(payment.id)]
        assert event.our_reference in (None, payment.reference, *ours)

    @on_a_desk
    async def test_two_events_have_two_ids(self, desk: Desk) -> None:
        payment = await desk.paid()
        bodies = [*await _events_of(desk, payment), *await _events_of(desk, await desk.paid())]
        ids = [(await desk.provider.read_webhook(desk.delivery(body))).id for body in bodies]
        assert len(ids) == len(set(ids)), "two events have one id: the second one would be dropped as a copy"

    # --- what nobody signed ------------------------------------------------------------------------

    @on_a_desk
    async def test_a_webhook_without_a_signature_is_refused_as_unsigned(self, desk: Desk) -> None:
        body = await _an_event_of(desk, await desk.paid())
        unsigned = a_delivery(body, {"content-type": "application/json"})
        with pytest.raises(InvalidSignature) as refused:
            await desk.provider.read_webhook(unsigned)
        assert refused.value.missing, "say missing=True: the caller is told that there was no signature"

    @pytest.mark.parametrize("how", ["forged", "truncated", "extended", "emptied"])
    @on_a_desk
    async def test_a_changed_body_is_refused(self, desk: Desk, how: str) -> None:
        body = await _an_event_of(desk, await desk.paid())
        middle = len(body) // 2
        changed = {
            "forged": body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :],
            "truncated": body[:-1],
            "extended": body + b" ",
            "emptied": b"",
        }[how]
        headers = desk.gateway.signed_webhook(body, at=desk.clock())
        # Where a service is asked whether it signed this, what is no JSON need not be asked about.
        with pytest.raises((InvalidSignature, InvalidRequest)):
            await desk.provider.read_webhook(a_delivery(changed, headers))

    @on_a_desk
    async def test_a_changed_signature_is_refused(self, desk: Desk) -> None:
        body = await _an_event_of(desk, await desk.paid())
        headers = dict(desk.gateway.signed_webhook(body, at=desk.clock()))
        other = dict(desk.gateway.signed_webhook(body + b" ", at=desk.clock()))
        for name in (name for name in headers if headers[name] != other[name]):
            for forged in (other[name], headers[name][:-1], headers[name] + "0", "", "é"):
                await _refused(desk, body, {**headers, name: forged})

    @on_a_desk
    async def test_another_accounts_webhook_is_refused(self, desk: Desk) -> None:
        body = await _an_event_of(desk, await desk.paid())
        headers = desk.gateway.signed_webhook(body, at=desk.clock(), other_account=True)
        await _refused(desk, body, headers)

    @pytest.mark.parametrize("minutes", [-60, 60], ids=["an_hour_ago", "in_an_hour"])
    @on_a_desk
    async def test_a_webhook_of_another_time_is_refused(self, desk: Desk, minutes: int) -> None:
        if not desk.gateway.signs_time:
            raise NotChecked(f"{desk.kind} signs no time; a replay is told by the id of its event")
        body = await _an_event_of(desk, await desk.paid())
        moment = desk.clock() + timedelta(minutes=minutes)
        await _refused(desk, body, desk.gateway.signed_webhook(body, at=moment))
        just_now = desk.clock() + timedelta(seconds=minutes)
        assert (await desk.provider.read_webhook(desk.delivery(body, at=just_now))).id

    @on_a_desk
    async def test_a_replayed_webhook_is_one_entry_and_changes_nothing(self, desk: Desk) -> None:
        payment = await desk.paid()
        delivery = desk.delivery(await _an_event_of(desk, payment))
        first = await desk.engine.receive_webhook(ACCOUNT, delivery)
        await desk.engine.process_inbox()
        before, told = await desk.row(payment.id), len(await desk.events(payment.id))
        second = await desk.engine.receive_webhook(ACCOUNT, delivery)
        await desk.engine.process_inbox()
        assert (first.duplicate, second.duplicate) == (False, True)
        assert first.entry_id == second.entry_id
        assert await desk.row(payment.id) == before
        assert len(await desk.events(payment.id)) == told

    @on_a_desk
    async def test_what_proves_a_webhook_is_kept_with_it(self, desk: Desk) -> None:
        """Somebody may have to show, a year from now, that this was signed."""
        delivery = desk.delivery(await _an_event_of(desk, await desk.paid()))
        await desk.engine.receive_webhook(ACCOUNT, delivery)
        [entry] = await desk.engine.list_inbox()
        other = a_delivery(b"", desk.gateway.signed_webhook(delivery.body + b" ", at=desk.clock()))
        proofs = {name for name, value in delivery.headers.items() if other.headers.get(name) != value}
        assert proofs <= entry.headers.keys(), "declare what the header is called: signature_headers"

    # --- bytes -------------------------------------------------------------------------------------

    @on_a_desk
    async def test_the_bytes_are_what_is_signed(self, desk: Desk) -> None:
        """Odd blanks, another order of the fields, letters that are not ASCII: nothing is written anew."""
        payment = await desk.paid()
        event = json.loads(await _an_event_of(desk, payment))
        fields = {**dict(reversed(list(event.items()))), self.free_text: "Ünïcode ✓ 支付"}
        plain = json.dumps(fields, ensure_ascii=False, indent=3, separators=(" ,", "  : "))
        escaped = json.dumps(fields, ensure_ascii=True)
        for text in (plain, f"\r\n\t{plain}\n", escaped.replace("/", "\\/")):
            read = await desk.provider.read_webhook(desk.delivery(text.encode()))
            assert await _names(desk, read, payment)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'"text"', b"{nope", b'{"id": "\xff"}'])
    @on_a_desk
    async def test_signed_nonsense_is_refused_in_our_words(self, desk: Desk, body: bytes) -> None:
        with pytest.raises(BridgeError) as refused:
            await desk.provider.read_webhook(desk.delivery(body))
        assert isinstance(refused.value, InvalidRequest | InvalidSignature)

    # --- order -------------------------------------------------------------------------------------

    @on_a_desk
    async def test_any_order_and_any_number_of_copies_end_in_the_same_row(self, desk: Desk) -> None:
        """A shop that heard nothing but webhooks ends with the rows of the one that asked."""
        begun = await desk.paid() if desk.at_once else await desk.begin()
        payment = begun if desk.at_once else await desk.pay(begun)
        if desk.can(Verb.REFUND):
            if desk.gateway.settles_later:
                desk.gateway.settle()
            await desk.engine.refund_payment(payment.id, amount_cents=desk.share.minor_units)
        expected = await _substance(desk.engine, payment.id)
        bodies = (await _events_of(desk, payment))[:MOST_EVENTS]
        alone = [(body,) for body in bodies] if self.each_event_suffices else []
        orders = [*itertools.permutations(bodies), *alone]
        for number, order in enumerate(orders):
            found = await _heard(desk, begun, order, pause=number % len(order))
            assert found == expected, f"after {[bodies.index(body) for body in order]}"


async def _events_of(desk: Desk, payment: Payment) -> list[bytes]:
    """The webhooks of one payment; the others that a gateway sends are nobody's business here."""
    bodies = []
    for body in desk.gateway.events():
        event = await desk.provider.read_webhook(desk.delivery(body))
        if await _names(desk, event, payment):
            bodies.append(body)
    assert bodies, "the gateway announced nothing of this payment"
    return bodies


async def _names(desk: Desk, event: ProviderEvent, payment: Payment) -> bool:
    """Whether an event names the payment, or an object of which the provider can say that it is its own."""
    if event.reference is None:
        return False
    return reference_of(payment) in (event.reference, await desk.provider.owner_of(event.reference))


async def _an_event_of(desk: Desk, payment: Payment) -> bytes:
    return (await _events_of(desk, payment))[-1]


async def _refused(desk: Desk, body: bytes, headers: Mapping[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        await desk.provider.read_webhook(a_delivery(body, headers))


async def _heard(desk: Desk, begun: Payment, order: Sequence[bytes], *, pause: int) -> tuple[object, ...]:
    """What a shop ends with that knows the payment as it was begun, and hears each event twice.

    It works off what it has after *pause* deliveries, and the rest at the end.
    """
    engine = new_engine(desk.provider, desk.clock, desk.wire)
    await engine.store.run(lambda unit: unit.payments.add(begun))
    for number, body in enumerate((*order, *order)):
        await engine.receive_webhook(ACCOUNT, desk.delivery(body))
        if number == pause:
            await engine.process_inbox()
    await engine.process_inbox()
    return await _substance(engine, begun.id)


async def _substance(engine: PaymentEngine, payment_id: str) -> tuple[object, ...]:
    """What money means in the rows: the moments and the ids of our own are each shop's."""
    row = await engine.get_payment(payment_id)
    refunds = await engine.list_refunds(payment_id)
    told = [event.type for event in await engine.list_events(payment_id)]
    return (
        row.status, row.captured_cents, row.authorized_cents, row.refunded_cents, row.refund_reserved_cents,
        row.disputed_cents, row.flag, row.decline_code, row.provider_intent_id, row.provider_payment_id,
        sorted((each.amount_cents, each.status, each.provider_refund_id or "") for each in refunds),
        told.count("payment.success"), told.count("refund.succeeded"),
    )  # fmt: skip
