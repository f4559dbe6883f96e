"""A lost call is judged by what was read: executed, never executed, or nobody can say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge_payments.models import Money, Verb
from bridge_payments.providers.base import Absent, CannotSay, Evidence, Found
from bridge_payments.providers.stripe.lookup import judge
from bridge_payments.providers.stripe.mapping import payment_from

Make = Callable[..., dict[str, Any]]

STARTED = datetime.fromtimestamp(1_790_000_005, UTC)  # five seconds before the charge of `charge()`


def verdict(seen: dict[str, Any], verb: Verb, amount: int | None = None, **baseline: Any) -> type:
    evidence = Evidence(
        verb=verb,
        reference="ref00000000000000009",
        key="op_1",
        payment_id="pay_1",
        payment="pi_1",
        amount=None if amount is None else Money(amount, "USD"),
        started_at=STARTED,
        baseline=baseline,
    )
    return type(judge(payment_from(seen), evidence))


def refused(charge: str, **more: Any) -> dict[str, Any]:
    return {"code": "card_declined", "charge": charge, "message": "No.", **more}


@pytest.mark.parametrize("verb", [Verb.UPDATE, Verb.CONFIRM, Verb.CAPTURE, Verb.CANCEL])
def test_a_state_that_this_version_does_not_know_proves_nothing(intent: Make, verb: Verb) -> None:
    assert verdict(intent(status="requires_blood_test"), verb) is CannotSay


@pytest.mark.parametrize("status", ["succeeded", "processing", "requires_action", "requires_capture"])
def test_a_confirm_that_moved_the_intent_was_executed(intent: Make, status: str) -> None:
    assert verdict(intent(status=status), Verb.CONFIRM) is Found


@pytest.mark.parametrize("status", ["requires_payment_method", "requires_confirmation", "canceled"])
def test_a_confirm_without_a_trace_was_never_executed(intent: Make, status: str) -> None:
    assert verdict(intent(status=status), Verb.CONFIRM) is Absent


def test_a_confirm_that_was_declined_was_executed(intent: Make) -> None:
    assert verdict(intent(last_payment_error=refused("ch_1")), Verb.CONFIRM) is Found


def test_the_decline_of_an_earlier_attempt_is_not_taken_for_an_answer_to_this_one(
    intent: Make, charge: Make
) -> None:
    """Otherwise a confirm that never arrived would be told to the payer as a second refusal."""
    earlier = charge(id="ch_0", status="failed", captured=False, created=1_789_999_000)
    seen = intent(last_payment_error=refused("ch_0"), latest_charge=earlier)
    assert verdict(seen, Verb.CONFIRM, decline_reference="ch_0") is Absent


def test_the_decline_of_an_earlier_attempt_is_known_by_its_charge_in_whichever_second_it_was_made(
    intent: Make, charge: Make
) -> None:
    """Stripe tells whole seconds: the next card may be tried within the second of the refusal."""
    earlier = charge(status="failed", captured=False, created=int(STARTED.timestamp()))
    seen = intent(last_payment_error=refused("ch_1"), latest_charge=earlier)
    assert verdict(seen, Verb.CONFIRM, decline_reference="ch_1") is Absent


def test_an_attempt_without_a_charge_in_its_error_is_told_by_the_time(intent: Make, charge: Make) -> None:
    """Its reference is the method and the code, which a second try of the same method repeats."""
    error = {"code": "card_declined", "message": "No.", "payment_method": {"id": "pm_1"}}
    seen = intent(last_payment_error=error, latest_charge=charge(status="failed", captured=False))
    assert verdict(seen, Verb.CONFIRM, decline_reference="pm_1:card_declined") is Found
    before = charge(status="failed", captured=False, created=int(STARTED.timestamp()) - 9)
    seen = intent(last_payment_error=error, latest_charge=before)
    assert verdict(seen, Verb.CONFIRM, decline_reference="pm_1:card_declined") is Absent


def test_a_capture_that_closed_the_intent_was_executed(intent: Make) -> None:
    assert verdict(intent(status="succeeded", amount_received=2000), Verb.CAPTURE, 2000) is Found
    assert (
        verdict(intent(status="succeeded", amount_received=700), Verb.CAPTURE, 700, captured_cents=700)
        is Found
    )


def test_a_capture_of_less_by_somebody_else_is_not_ours(intent: Make) -> None:
    assert verdict(intent(status="succeeded", amount_received=500), Verb.CAPTURE, 2000) is Absent


@pytest.mark.parametrize("status", ["requires_capture", "canceled", "requires_payment_method"])
def test_a_capture_on_an_intent_with_nothing_collected_was_never_executed(intent: Make, status: str) -> None:
    assert verdict(intent(status=status), Verb.CAPTURE, 2000) is Absent


def test_one_of_several_captures_is_told_from_the_others_by_its_stamp(intent: Make) -> None:
    """Two captures of the same amount look alike in the sums."""
    held = {"status": "requires_capture", "amount_received": 700, "amount_capturable": 1300}
    ours = intent(**held, metadata={"bridge_capture": "ref00000000000000009"})
    assert verdict(ours, Verb.CAPTURE, 700, captured_cents=700) is Found
    assert verdict(intent(**held, metadata={"bridge_capture": "another"}), Verb.CAPTURE, 700) is Absent


def test_a_cancel_shows_as_canceled_and_as_nothing_else(intent: Make) -> None:
    assert verdict(intent(status="canceled"), Verb.CANCEL) is Found
    for status in ("requires_payment_method", "requires_capture", "processing"):
        assert verdict(intent(status=status), Verb.CANCEL) is Absent
    assert verdict(intent(status="succeeded", amount_received=2000), Verb.CANCEL) is Absent


def test_a_cancel_after_a_partial_capture_leaves_a_success_with_nothing_held(intent: Make) -> None:
    rest_released = intent(status="succeeded", amount_received=700)
    assert verdict(rest_released, Verb.CANCEL, captured_cents=700) is Found


def test_an_update_is_recognised_by_its_stamp(intent: Make) -> None:
    assert verdict(intent(metadata={"bridge_update": "ref00000000000000009"}), Verb.UPDATE) is Found
    assert verdict(intent(metadata={"bridge_update": "an earlier one"}), Verb.UPDATE) is Absent
    assert verdict(intent(), Verb.UPDATE) is Absent
