from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from bridge_payments.models import DeliveryState
from bridge_payments.webhooks.outcomes import Outcome, answered, decide, failed

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCHEDULE = (0.0, 10.0, 100.0)


def decided(outcome: Outcome, attempts: int = 1) -> DeliveryState:
    return decide(outcome, attempts=attempts, schedule=SCHEDULE, random=Random(1))[0]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert decided(answered(status, {}, now=NOW)) is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599, 301, 302, 307, 308])
def test_what_may_go_better_later_is_tried_again(status: int) -> None:
    assert decided(answered(status, {}, now=NOW)) is DeliveryState.PENDING


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
def test_a_definite_refusal_is_final(status: int) -> None:
    assert decided(answered(status, {}, now=NOW)) is DeliveryState.DEAD
    assert answered(status, {}, now=NOW).gone is (status == 410)


def test_no_answer_is_tried_again_until_the_schedule_ends() -> None:
    assert decided(failed("no answer"), attempts=1) is DeliveryState.PENDING
    assert decided(failed("no answer"), attempts=2) is DeliveryState.PENDING
    assert decided(failed("no answer"), attempts=3) is DeliveryState.DEAD


def test_retry_after_makes_the_wait_longer() -> None:
    outcome = answered(503, {"retry-after": "900"}, now=NOW)
    assert decide(outcome, attempts=1, schedule=SCHEDULE, random=Random(1)) == (DeliveryState.PENDING, 900.0)


def test_a_failure_that_repeating_cannot_mend_ends_at_once() -> None:
    assert decide(Outcome(retry=False, error="x"), attempts=1, schedule=SCHEDULE, random=Random(1)) == (
        DeliveryState.DEAD,
        None,
    )
