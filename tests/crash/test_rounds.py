"""
Four processes do whatever they like with the same payments, and one of them is killed meanwhile.

Confirmed, declined, captured, canceled, given back, read, heard of and reconciled in an order that a seed
says, at each gateway, on each kind of database. After each round, with a worker that comes later, the
gateway's books and our rows have to say the same, and every payment is in a state in which it may be.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter

import pytest
from crashlab import racing
from crashlab.ledger import check_books, ledger_of
from crashlab.premises import until
from crashlab.sites import DATABASES, YOURS, Site
from crashlab.stories import KINDS
from crashlab.zygote import Child, Zygote

pytestmark = pytest.mark.slow

FULL = bool(os.environ.get("BRIDGE_FULL"))
"""Minutes instead of seconds: `nox -s crash -- --full` sets it."""
ROUNDS, STEPS, PROCESSES, PAYMENTS = (20, 30, 4, 16) if FULL else (1, 8, 4, 6)
SEED = int(os.environ.get("BRIDGE_SEED", "1"))
PATIENCE = 150


def grounds() -> list[object]:
    """Every gateway on every database; of a sample two gateways on each, each of them on two."""
    every = FULL or bool(YOURS)
    return [
        pytest.param(
            database, kind, id=f"{kind}-{database}",
            marks=[] if database == "sqlite" else [pytest.mark.needs(database)],
        )
        for turn, database in enumerate([YOURS] if YOURS else DATABASES)
        for number, kind in enumerate(KINDS)
        if every or number != turn
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
@pytest.mark.parametrize(("database", "kind"), grounds())
def test_whatever_four_processes_do_money_moves_once(
    site: Site, zygote: Zygote, walks: list[str], database: str, kind: str, seed: int
) -> None:
    address = site.address()
    payments = zygote.run(racing.begin, address, PAYMENTS)
    begun = site.arrived()

    def start(number: int) -> Child:
        return zygote.fork(racing.race, address, payments, seed=seed * 100 + number, steps=STEPS)

    children = [start(number) for number in range(PROCESSES)]
    # One is killed somewhere in the middle of its work, and another takes its place.
    last = random.Random(seed).randrange(5, 20)
    for _ in until("the gateway is asked"):
        if site.arrived() > begun + last:
            break
    children[0].signal(signal.SIGKILL)
    children.append(start(PROCESSES))
    assert children[0].ending() is None
    counted: Counter[str] = Counter()
    for child in children[1:]:
        counted += child.result(timeout=PATIENCE)

    ours = zygote.fork(racing.put_in_order, site.now(address)).result(timeout=PATIENCE)
    ledger = ledger_of(site.gateway)
    assert check_books(ledger, [ours]).findings == []
    assert len(ours.payments) == PAYMENTS
    assert counted["confirm"] + counted["PaymentDeclined"], counted
    walks.append(f"a round at {kind} on {database}: {dict(sorted(counted.items()))}")
