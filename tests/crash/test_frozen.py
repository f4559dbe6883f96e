"""A sender is stopped between its reserve and the first byte, for longer than its lease, and then goes on."""

from __future__ import annotations

import signal
import time

import pytest
from crashlab import jobs
from crashlab.flows import FLOWS
from crashlab.plugin import Premises
from crashlab.premises import Address, open_shop, until
from crashlab.zygote import Child, Zygote

from bridge_payments.engine.asking import LEASE_SECONDS
from bridge_payments.engine.outcome import Answer
from bridge_payments.models import OperationState, PaymentStatus
from bridge_payments.providers.base import Absent

LEASE, DEADLINE = 4.0, 1.0
FROZEN = ("create+confirm", "confirm", "capture", "cancel", "refund")


def test_a_sender_that_slept_through_its_lease_sends_nothing(premises: Premises, zygote: Zygote) -> None:
    """Meanwhile a worker finished the operation and the client came again: what it sent would be a second."""
    address = premises.address()
    ids, frozen, names = {}, {}, {}
    for flow in FROZEN:
        names[flow] = f"frozen {flow}"
        prepared, _ = zygote.run(jobs.prepare, flow, {names[flow]: premises.now(address)})
        ids[flow] = prepared
        frozen[flow] = zygote.fork(
            jobs.freeze, premises.now(address), flow, names[flow], prepared[names[flow]],
            at="send", lease=LEASE, deadline=DEADLINE,
        )  # fmt: skip
        assert frozen[flow].hear() == "frozen"
    lease_ends = time.monotonic() + LEASE

    rows = []
    for flow in FROZEN:
        rows = zygote.run(jobs.recover, flow, {names[flow]: premises.now(address)}, ids[flow])
    while time.monotonic() < lease_ends:
        time.sleep(0.05)  # the one thing that is waited for is the lease itself

    sent = len(posts(premises))
    for child in frozen.values():
        child.signal(signal.SIGCONT)
    heard = {flow: child.result() for flow, child in frozen.items()}
    assert len(posts(premises)) == sent, f"a request left after the lease: {posts(premises)[sent:]}"
    assert heard["create+confirm"] == heard["confirm"] == "Unavailable", (
        "it was given up, and may be repeated"
    )

    rows = zygote.run(jobs.look_later, premises.now(address), seconds=600)
    assert premises.audit(rows).findings == []
    for flow in FROZEN:
        orders = [row.payment for row in rows if row.payment.reference_code == names[flow]]
        assert [order.status for order in orders if order.provider_intent_id] == [FLOWS[flow].ends.status]


def posts(premises: Premises) -> list[str]:
    return [each.path for each in premises.gateway.requests() if each.method == "POST"]


@pytest.mark.parametrize("flow", ["create+confirm", "confirm"])
def test_what_the_gateway_sits_on_is_neither_given_up_nor_made_again(
    premises: Premises, zygote: Zygote, flow: str
) -> None:
    """The lease is over and the gateway shows nothing: no proof while the request may be under way."""
    address = premises.address()
    ids, _ = zygote.run(jobs.prepare, flow, {"held": address})
    first = held_by_gateway(premises, zygote, address, flow, ids["held"])
    first.signal(signal.SIGSTOP)
    again = (flow, "held", ids["held"])
    assert not zygote.run(jobs.come_again, premises.now(address), *again, seconds=LEASE_SECONDS + 1)
    premises.gateway.faults.clear()  # and the first is carried out
    first.signal(signal.SIGCONT)
    first.result()
    assert zygote.run(jobs.come_again, premises.now(address), *again, seconds=20)
    rows = zygote.run(jobs.look_later, premises.now(address), seconds=600)
    assert premises.audit(rows).findings == []
    assert len(premises.gateway.charges(paid=True)) == 1


@pytest.mark.parametrize("flow", ["refund", "capture", "cancel"])
def test_a_repeat_that_meets_its_first_at_the_gateway_changes_nothing(
    premises: Premises, zygote: Zygote, flow: str
) -> None:
    """The gateway sits on a request for longer than anybody should; whoever repeats it uses the same key."""
    address = premises.address()
    ids, _ = zygote.run(jobs.prepare, flow, {"held": address})
    before = len(premises.gateway.requests())
    first = held_by_gateway(premises, zygote, address, flow, ids["held"])
    zygote.run(jobs.look_later, address, seconds=600)
    repeats = [each for each in premises.gateway.requests()[before:] if each.method == "POST"]
    assert {each.status for each in repeats} == {409}, "the key is in use"
    premises.gateway.faults.clear()  # and the first is carried out
    first.result()
    rows = zygote.run(jobs.look_later, premises.now(address), seconds=600)
    assert premises.audit(rows).findings == []
    assert len({each.key for each in repeats}) == 1
    ends = FLOWS[flow].ends
    assert (rows[0].payment.status, rows[0].payment.refunded_cents) == (ends.status, ends.refunded)


def held_by_gateway(
    premises: Premises, zygote: Zygote, address: Address, flow: str, payment_id: str | None
) -> Child:
    """Send a request that the gateway keeps to itself; return its sender, waiting."""
    premises.gateway.faults.add("slow", seconds=300)
    sender = zygote.fork(jobs.act, address, flow, "held", payment_id)
    for _ in until("the gateway has the request"):
        if not premises.gateway.faults.describe():
            break
    return sender


@pytest.mark.anyio
async def test_an_answer_that_comes_after_its_payment_was_given_up_is_not_thrown_away(
    premises: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst second: stopped after the last look at the lease, and sent all the same."""
    async with open_shop(premises.address()) as shop:
        record = shop.engine.record

        async def late(reserved: object, answer: Answer) -> object:
            with monkeypatch.context() as blind:

                async def nothing_there(evidence: object) -> Absent:
                    return Absent("the look-up was too early")

                blind.setattr(shop.engine.provider("stripe"), "find_operation", nothing_there)
                await shop.move(minutes=5)
                await shop.engine.reconcile()
            (given_up,) = await shop.rows()
            assert given_up.operations[0].state is OperationState.ABANDONED
            assert given_up.payment.status is PaymentStatus.FAILED
            return await record(reserved, answer)

        monkeypatch.setattr(shop.engine, "record", late)
        await FLOWS["create+confirm"].attempt(shop, "late", None)
        (row,) = rows = await shop.rows()
        assert (row.payment.status, row.payment.captured_cents) == (PaymentStatus.SUCCEEDED, 2000)
        assert premises.audit(rows).findings == []
