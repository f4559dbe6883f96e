"""
A worker is killed at every place at which it could be.

The places are not listed here: a first run is recorded, and each of its passes of the seam (`seam.py`)
becomes a place to die. Three more lie between the first byte and the answer. Whoever comes next, another
worker and the client with its Idempotency-Key, must bring the payment to its end: charged once, nothing lost,
nothing open. The judge is the gateway's own books.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from crashlab import jobs
from crashlab.flows import FLOWS, Flow
from crashlab.plugin import Premises
from crashlab.premises import Address, Row, until
from crashlab.zygote import Zygote

from bridge_payments.models import OperationState
from bridge_payments.sandbox.stripe import FakeStripe

SEED = int(os.environ.get("BRIDGE_CRASH_SEED", "1"))
FULL = os.environ.get("BRIDGE_CRASH", "") == "full"
SAMPLE = 6
"""How many places are tried per flow on other databases than SQLite, unless BRIDGE_CRASH=full."""

UNDER_WAY = ("hang_before", "hang_after", "slow")
"""The request has left: the gateway never executes it, has executed it, or does when the sender is dead."""


@dataclass(frozen=True)
class Combination:
    """One death, and what comes after it."""

    place: int | str
    """The number of a pass, or what the gateway does meanwhile."""
    impatient: bool
    """The client repeats its request at once, and not only when time has passed."""
    told: bool
    """The gateway's webhooks arrive."""

    def __str__(self) -> str:
        client = "impatient" if self.impatient else "patient"
        return f"{self.place}-{client}-{'told' if self.told else 'untold'}"


@pytest.mark.parametrize("name", [flow.name for flow in FLOWS.values() if flow.killed])
def test_whoever_dies_wherever_money_moves_once(
    premises: Premises, zygote: Zygote, tally: dict[str, Counter[str]], name: str
) -> None:
    flow = FLOWS[name]
    passes = record(premises, zygote, flow)
    chosen = combinations(premises.kind, flow, len(passes))
    rows = die_and_recover(premises, zygote, flow, chosen)

    found = premises.audit(rows)
    counted = tally[premises.kind]
    counted["points"] += len({each.place for each in chosen})
    counted["combinations"] += len(chosen)
    for verdict in ("lost", "doubled", "unknown"):
        counted[verdict] += len(getattr(found, verdict))
    assert not found.findings, explained(found.findings, passes)
    for each in chosen:
        check_end(flow, each, rows, premises.gateway)


@pytest.mark.parametrize("name", ["confirm", "create+confirm"])
def test_what_was_reserved_half_an_hour_ago_and_never_sent_is_not_charged_late(
    premises: Premises, zygote: Zygote, name: str
) -> None:
    """The payer has left: whoever finds the operation gives it up, and only the payer begins anew."""
    flow, order = FLOWS[name], "late"
    points = [point for point, _ in record(premises, zygote, flow)]
    ids, addresses = zygote.run(jobs.prepare, name, {order: premises.address()})
    address = addresses[order]
    child = zygote.fork(jobs.act, address, name, order, ids[order], die_at=points.index("send") + 1)
    assert child.ending() is None

    rows: list[Row] = zygote.run(jobs.look_later, address, seconds=1800)
    operation = rows[0].operations[-1]
    assert operation.state is OperationState.ABANDONED
    assert operation.resolution is not None
    assert operation.resolution.startswith("never executed")
    assert operation.id not in {request.key for request in premises.gateway.requests()}
    assert premises.gateway.charges() == []

    rows = zygote.run(jobs.recover, name, {order: premises.now(address)}, ids)
    assert premises.audit(rows).findings == []
    assert len(premises.gateway.charges(paid=True)) == 1


def record(premises: Premises, zygote: Zygote, flow: Flow) -> Sequence[jobs.Pass]:
    """Live through it once and return every pass of the seam."""
    name = "recorded"
    ids, addresses = zygote.run(jobs.prepare, flow.name, {name: premises.address()})
    passes: Sequence[jobs.Pass] = zygote.run(jobs.act, addresses[name], flow.name, name, ids[name])
    premises.gateway.reset()
    premises.gateway.webhooks.off = True
    return passes


def combinations(kind: str, flow: Flow, passes: int) -> list[Combination]:
    places: list[int | str] = [*range(1, passes + 1), *UNDER_WAY]
    both = (True, False)
    if FULL:
        return [
            Combination(place, impatient, told) for place in places for impatient in both for told in both
        ]
    if kind == "sqlite":
        # Alone, nobody waits for an answer: whether somebody comes early changes nothing.
        ways = ((False, True), (False, False)) if flow.alone else ((True, True), (False, False))
        return [
            Combination(place, impatient, told)
            for number, place in enumerate(places)
            for impatient, told in ((ways[number % 2],) if flow.alone else ways)
        ]
    dice = random.Random(f"{SEED} {flow.name}")
    return [
        Combination(place, dice.choice(both), dice.choice(both))
        for place in dice.sample(places, min(SAMPLE, len(places)))
    ]


def die_and_recover(
    premises: Premises, zygote: Zygote, flow: Flow, chosen: Sequence[Combination]
) -> list[Row]:
    shared = None if flow.alone else premises.address()
    ids, addresses = zygote.run(
        jobs.prepare, flow.name, {str(each): shared or premises.address() for each in chosen}
    )
    with ThreadPoolExecutor(3) as pool:

        def kill(each: Combination) -> None:
            kill_at(zygote, addresses[str(each)], flow, each, ids[str(each)])

        list(pool.map(kill, [each for each in chosen if isinstance(each.place, int)]))
    for each in chosen:
        if isinstance(each.place, str):
            kill_under_way(premises.gateway, zygote, addresses[str(each)], flow, each, ids[str(each)])
    rows: list[Row] = zygote.run(
        jobs.recover,
        flow.name,
        addresses,
        ids,
        impatient=frozenset(str(each) for each in chosen if each.impatient),
        told=frozenset(str(each) for each in chosen if each.told),
    )
    return rows


def kill_at(zygote: Zygote, address: Address, flow: Flow, each: Combination, payment_id: str | None) -> None:
    child = zygote.fork(jobs.act, address, flow.name, str(each), payment_id, die_at=each.place)
    assert child.ending() is None, f"{flow.name} was over before pass {each.place}"


def kill_under_way(
    gateway: FakeStripe,
    zygote: Zygote,
    address: Address,
    flow: Flow,
    each: Combination,
    payment_id: str | None,
) -> None:
    """Kill the sender when its request is at the gateway and the answer is not."""
    before = len(gateway.requests())
    gateway.faults.add(str(each.place), method="*", caller="server", seconds=60)
    child = zygote.fork(jobs.act, address, flow.name, str(each), payment_id)
    for _ in until(f"{each} of {flow.name} reached the gateway"):
        if not gateway.faults.describe():
            break
    child.signal(signal.SIGKILL)
    assert child.ending() is None
    if each.place == "slow":
        # The gateway hears that its client is gone, and carries the request out all the same.
        for _ in until("the gateway was done"):
            if len(gateway.requests()) > before:
                break
    gateway.faults.clear()


def check_end(flow: Flow, each: Combination, rows: Sequence[Row], gateway: FakeStripe) -> None:
    """The order ended as it should have without any accident."""
    order, ends = str(each), flow.ends
    intents = [intent for intent in gateway.intents() if intent["metadata"].get("reference_code") == order]
    ids = {intent["id"] for intent in intents}
    charges = [charge for charge in gateway.charges(paid=True) if charge["payment_intent"] in ids]
    assert len(charges) == ends.charges, f"{flow.name} {order}: {len(charges)} charges"
    mine = [row.payment for row in rows if row.payment.reference_code == order]
    # A create that was proved never executed leaves a failed row; its client's repeat made another.
    living = [payment for payment in mine if payment.provider_intent_id is not None]
    assert len(living) == 1, f"{flow.name} {order}: {[payment.status for payment in mine]}"
    (payment,) = living
    assert (payment.status, payment.captured_cents, payment.refunded_cents, payment.total_cents) == (
        ends.status,
        ends.captured,
        ends.refunded,
        ends.total,
    ), f"{flow.name} {order}"


def explained(findings: Sequence[str], passes: Sequence[jobs.Pass]) -> str:
    places = [f"{number}: {point} {what}" for number, (point, what) in enumerate(passes, 1)]
    return "\n".join([*findings, "the passes were", *places])
