"""The crash proof itself: a statement is a point, a point left out is noticed, and the judge judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from crashlab import proof
from crashlab.books import audit
from crashlab.ledger import Ledger, check, check_books
from crashlab.lives import Ours, Pass
from crashlab.premises import Row
from crashlab.proof import UNDER_WAY, Proof, chosen, deaths, places
from crashlab.stories import KINDS, STORIES, Ending

from bridge_payments.models import Payment, PaymentStatus, utc_now

RUN: list[Pass] = [("statement", "payments.add"), ("commit", "work"), ("send", "POST"), ("receive", "POST")]


def test_a_new_statement_is_a_new_point_and_a_new_request_is_four() -> None:
    found = places(RUN)
    assert len(found) == len(RUN) + len(UNDER_WAY)
    assert len(places([*RUN, ("statement", "events.add")])) == len(found) + 1
    assert len(places([*RUN, ("send", "GET")])) == len(found) + 1 + len(UNDER_WAY)


@pytest.mark.parametrize("name", STORIES)
def test_full_tries_each_place_in_each_way_and_points_tries_each_place_once(name: str) -> None:
    story, found = STORIES[name], places(RUN)
    every = deaths(story, found, salt=name)
    assert {(each.place, each.way) for each in every} == {
        (place, way) for place in found for way in story.asked
    }
    assert len({str(each) for each in every}) == len(every)
    assert chosen("full", story, "sqlite", every, salt=name) == every
    tried = {}
    for database in ("sqlite", "postgresql", "mariadb"):
        once = chosen("points", story, database, every, salt=name)
        tried[database] = [each.place for each in once]
        sample = chosen("sample", story, database, every, salt=name)
        assert sample
        assert set(sample) <= set(every)
        assert sample == chosen("sample", story, database, every, salt=name), "the same ones on every run"
    assert tried["sqlite"] == found
    assert tried["postgresql"] == found[0::4]
    assert tried["mariadb"] == found[2::4]


def test_on_one_database_each_place_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "ONE_DATABASE", True)
    story, found = STORIES["create"], places(RUN)
    every = deaths(story, found, salt="create")
    for database in ("sqlite", "postgresql", "mariadb"):
        assert [each.place for each in chosen("points", story, database, every, salt="create")] == found


def test_a_place_at_which_nobody_died_is_named() -> None:
    proof = Proof(mode="points", points={"a: pass-1", "a: pass-2"}, covered={"a: pass-1"})
    assert proof.missing == ["a: pass-2"]
    *_, named, last = proof.lines()
    assert named == "not covered: a: pass-2"
    assert last == "points 1 of 2 covered, combinations 0, lost 0, doubled 0, unknown 0 (listed)"


def test_what_two_processes_counted_is_added_up() -> None:
    one = Proof(mode="points", points={"a", "b"}, covered={"a"}, possible=5, doubled=["order 1"])
    other = Proof(mode="points", points={"b", "c"}, covered={"b", "c"}, possible=4, lost=["order 2"])
    one.combinations.update(sqlite=3)
    other.combinations.update(sqlite=1, mariadb=2)
    both = one + other
    killed, last = both.lines()
    assert killed.startswith("killed 6 of 9 times")
    assert killed.endswith("4 on sqlite, 2 on mariadb")
    assert last == ("points 3 of 3 covered, combinations 6, lost 1, doubled 1, unknown 0 (listed)")


def test_every_story_has_an_ending_at_every_gateway_at_which_it_is_told() -> None:
    for story in STORIES.values():
        assert set(story.kinds) <= set(KINDS)
        for kind in story.kinds:
            assert isinstance(story.ending(kind), Ending)


def _charged(ledger: Ledger) -> None:
    ledger.charged["pi_unknown"].append(2000)


def _customer(ledger: Ledger) -> None:
    ledger.customers.append("cus_unknown")


def _subscription(ledger: Ledger) -> None:
    ledger.subscriptions["sub_unknown"] = "runs"


@pytest.mark.parametrize("happen", [_charged, _customer, _subscription])
def test_what_no_row_of_ours_knows_is_lost(happen: Callable[[Ledger], None]) -> None:
    ledger = Ledger()
    happen(ledger)
    assert len(check(ledger, [ours()], {}).lost) == 1


def test_an_event_that_was_told_to_nobody_is_lost() -> None:
    assert len(check(Ledger(), [ours(events=["evt_1", "evt_2"], diary=["evt_2"])], {}).lost) == 1
    assert check(Ledger(), [ours(events=["evt_1"], diary=["evt_1", "evt_1"])], {}).findings == []


def test_a_plan_too_many_is_doubled_and_two_requests_under_one_key_are_wrong() -> None:
    assert len(check(Ledger(plans=["P-1"]), [ours()], {}).doubled) == 1
    ledger = Ledger()
    ledger.bodies["op_1"] |= {"POST /a", "POST /b"}
    assert len(check(ledger, [ours()], {}).wrong) == 1


def test_an_order_that_ended_otherwise_is_wrong() -> None:
    ending = Ending(customers=1)
    assert len(check(Ledger(), [ours()], {"order": ending}).wrong) == 1
    assert check(Ledger(), [ours()], {"order": ending}, or_else=Ending()).findings == []


@pytest.mark.parametrize(
    ("status", "captured", "refunded", "books", "findings"),
    [
        (
            "succeeded",
            700,
            0,
            Ledger(charged={"pi": [700]}, released={"pi"}),
            0,
        ),  # a cancel released the rest
        ("canceled", 700, 0, Ledger(charged={"pi": [700]}, released={"pi"}), 1),
        ("partially_refunded", 700, 300, Ledger(charged={"pi": [700]}, refunded={"pi": [300]}), 0),
        ("succeeded", 700, 300, Ledger(charged={"pi": [700]}, refunded={"pi": [300]}), 1),
        ("requires_capture", 0, 0, Ledger(held={"pi"}), 0),
        ("requires_capture", 0, 0, Ledger(), 1),
        ("canceled", 0, 0, Ledger(held={"pi"}), 1),
        ("pending", 0, 0, Ledger(), 0),
        ("pending", 0, 0, Ledger(released={"pi"}), 1),
        ("processing", 0, 0, Ledger(), 1),
        ("succeeded", 700, 0, Ledger(charged={"pi": [700, 700]}), 2),  # doubled, and half of it lost
        ("refunded", 700, 800, Ledger(charged={"pi": [700]}, refunded={"pi": [800]}), 1),
    ],
)
def test_a_payment_has_the_state_that_its_sums_say(
    status: str, captured: int, refunded: int, books: Ledger, findings: int
) -> None:
    row = row_of(status, captured=captured, refunded=refunded)
    assert len(check_books(books, [ours(payments=[row])]).findings) == findings


@pytest.mark.parametrize(("status", "findings"), [("succeeded", 0), ("canceled", 2)])
def test_an_intent_that_was_canceled_after_a_part_was_taken_is_paid(status: str, findings: int) -> None:
    intent = {"id": "pi", "status": "canceled", "amount": 2000, "amount_received": 700, "currency": "usd"}
    charge = {"payment_intent": "pi", "paid": True}
    row = row_of(status, captured=700)
    assert len(audit([{**intent, "metadata": {}}], [charge], [], [row]).findings) == findings


def row_of(status: str, *, captured: int, refunded: int = 0) -> Row:
    """A payment whose events and refunds are not what is judged."""
    now = utc_now()
    row = Payment(
        id="pay_1", provider_id="stripe", status=PaymentStatus(status), currency="USD", subtotal_cents=2000,
        tax_cents=0, discount_cents=0, total_cents=2000, created_at=now, updated_at=now,
        provider_intent_id="pi", captured_cents=captured, refunded_cents=refunded,
    )  # fmt: skip
    return Row(payment=row)


def ours(**more: Any) -> Ours:
    nothing: dict[str, Any] = {
        name: [] for name in ("payments", "customers", "methods", "subscriptions", "open", "events", "diary")
    }
    return Ours(**{**nothing, **more})
