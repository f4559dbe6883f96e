"""Fifty callers in four processes want the same thing at the same moment."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence

import pytest
from crashlab import jobs
from crashlab.flows import FLOWS
from crashlab.plugin import Premises
from crashlab.premises import Row
from crashlab.zygote import Child, Zygote

PROCESSES = 4
CALLERS = [f"caller-{number}" for number in range(50)]
SHARES = [CALLERS[number::PROCESSES] for number in range(PROCESSES)]


def released(children: Sequence[Child]) -> list[str]:
    """Let everybody go at once when everybody is ready; return what each caller heard."""
    for child in children:
        assert child.hear() == "ready"
    for child in children:
        child.say("go")
    return [heard for child in children for heard in child.result()]


def keys_sent(premises: Premises, path: str) -> set[str | None]:
    return {
        each.key for each in premises.gateway.requests() if each.method == "POST" and each.path.endswith(path)
    }


@pytest.mark.parametrize("charge_every_request", [False, True])
def test_fifty_confirms_are_one_request(
    premises: Premises, zygote: Zygote, charge_every_request: bool
) -> None:
    """One key reaches the gateway, so that a gateway without keys charges once, too."""
    address = premises.address()
    ids, _ = zygote.run(jobs.prepare, "confirm", {"raced": address})
    premises.gateway.charge_every_request = charge_every_request
    heard = released(
        [zygote.fork(jobs.all_at_once, address, "confirm", names, ids["raced"]) for names in SHARES]
    )
    assert Counter(heard).keys() <= {"answered", "OperationInProgress"}
    assert "answered" in heard
    confirms = [each for each in premises.gateway.requests() if each.path.endswith("/confirm")]
    assert len({each.key for each in confirms}) == len(confirms) == 1
    assert len(premises.gateway.charges()) == 1
    check_rows(premises, zygote.run(jobs.look_later, address, seconds=0))


@pytest.mark.parametrize("charge_every_request", [False, True])
@pytest.mark.parametrize("same", ["Idempotency-Key", "reference"])
def test_fifty_orders_are_one_charge(
    premises: Premises, zygote: Zygote, same: str, charge_every_request: bool
) -> None:
    address = premises.address()
    premises.gateway.charge_every_request = charge_every_request
    flow = "create+confirm" if same == "Idempotency-Key" else "order"
    shares = [["the same"] * len(names) if flow == "create+confirm" else names for names in SHARES]
    heard = released([zygote.fork(jobs.all_at_once, address, flow, names, None) for names in shares])
    expected = "OperationInProgress" if flow == "create+confirm" else "DuplicateReference"
    assert Counter(heard).keys() <= {"answered", expected}
    assert "answered" in heard
    assert len(premises.gateway.requests("/v1/payment_intents")) == 1
    assert len(premises.gateway.charges()) == 1
    check_rows(premises, zygote.run(jobs.look_later, address, seconds=0))


def test_fifty_refunds_of_thirty_percent_are_three(premises: Premises, zygote: Zygote) -> None:
    address = premises.address()
    ids, _ = zygote.run(jobs.prepare, "refund", {"raced": address})
    payment_id = ids["raced"]
    watcher = zygote.fork(jobs.watch_refunds, address, payment_id)
    assert watcher.hear() == "ready"
    heard = released(
        [zygote.fork(jobs.refund_until_settled, address, payment_id, 600, names) for names in SHARES]
    )
    watcher.say("enough")
    samples = watcher.result()

    assert Counter(heard) == {"answered": 3, "InvalidRequest": 47}
    assert [refund["amount"] for refund in premises.gateway.refunds()] == [600, 600, 600]
    assert [charge["amount_refunded"] for charge in premises.gateway.charges()] == [1800]
    assert len(keys_sent(premises, "/refunds")) == 3
    assert samples
    for refunded, reserved, captured in samples:
        assert refunded <= reserved <= 1800 <= captured
    (row,) = rows = zygote.run(jobs.look_later, address, seconds=0)
    check_rows(premises, rows)
    assert row.payment.refund_reserved_cents == 1800


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("premises", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("flow", "answer"), [("confirm", "answered"), ("capture", "IllegalState"), ("cancel", "IllegalState")]
)
def test_who_read_the_payment_before_it_was_paid_does_not_pay_it_again(
    premises: Premises, zygote: Zygote, flow: str, answer: str
) -> None:
    """The other one began and ended between our reading and our taking of the slot, which was free again.

    SQLite has one writer at a time, and no such moment.
    """
    address = premises.address()
    ids, _ = zygote.run(jobs.prepare, flow, {"raced": address})
    before = len(premises.gateway.requests())
    slow = zygote.fork(jobs.freeze, address, flow, "slow", ids["raced"], at="operations.take_slot")
    assert slow.hear() == "frozen"
    zygote.run(jobs.act, address, flow, "quick", ids["raced"])
    slow.signal(signal.SIGCONT)
    assert slow.result() == answer
    assert [each.method for each in premises.gateway.requests()[before:]] == ["POST"]
    rows = zygote.run(jobs.look_later, address, seconds=0)
    assert premises.audit(rows).findings == []
    assert rows[0].payment.status is FLOWS[flow].ends.status


def check_rows(premises: Premises, rows: Sequence[Row]) -> None:
    assert len(rows) == 1
    assert premises.audit(rows).findings == []
    assert rows[0].payment.status in {FLOWS[name].ends.status for name in ("confirm", "refund")}
