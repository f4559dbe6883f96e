"""What absence means, and when: the arithmetic behind "nothing is executed late"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from crashlab.flows import FLOWS
from crashlab.plugin import Premises
from crashlab.premises import open_shop

from bridge_payments.engine.asking import CALL_DEADLINE, LEASE_SECONDS
from bridge_payments.engine.reconcile import verdict
from bridge_payments.models import Operation, OperationState, Verb
from bridge_payments.providers.base import Absent, Evidence
from bridge_payments.providers.stripe import StripeProvider

BEGAN = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
UNDER_WAY = timedelta(seconds=LEASE_SECONDS + CALL_DEADLINE + StripeProvider.absence_margin_seconds)
LAST_REPEAT = timedelta(hours=StripeProvider.keys.window_hours - 1)
INSTANT = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("verb", "confirm", "after", "expected"),
    [
        # Whoever sent it may still be waiting for the answer.
        (Verb.CONFIRM, False, UNDER_WAY - INSTANT, "wait"),
        (Verb.REFUND, False, UNDER_WAY - INSTANT, "wait"),
        # The payer is gone.
        (Verb.CONFIRM, False, UNDER_WAY, "abandon"),
        (Verb.CREATE, True, UNDER_WAY, "abandon"),
        (Verb.UPDATE, False, UNDER_WAY, "abandon"),
        # The merchant is not, and the key is good for a while.
        (Verb.CREATE, False, UNDER_WAY, "repeat"),
        (Verb.REFUND, False, LAST_REPEAT - INSTANT, "repeat"),
        (Verb.CAPTURE, False, LAST_REPEAT - INSTANT, "repeat"),
        (Verb.CANCEL, False, LAST_REPEAT - INSTANT, "repeat"),
        # The repeat of a moment ago may be under way: given up now, a refund would be made a second time.
        (Verb.REFUND, False, LAST_REPEAT, "wait"),
        (Verb.REFUND, False, LAST_REPEAT + UNDER_WAY - INSTANT, "wait"),
        (Verb.REFUND, False, LAST_REPEAT + UNDER_WAY, "abandon"),
    ],
)
def test_absence_is_waited_for_repeated_or_believed(
    verb: Verb, confirm: bool, after: timedelta, expected: str
) -> None:
    operation = Operation(
        id="op_1",
        subject_id="pay_1",
        provider_id="stripe",
        verb=verb,
        state=OperationState.UNKNOWN,
        reference="r" * 20,
        inputs={"confirm": confirm},
        created_at=BEGAN,
        updated_at=BEGAN,
    )
    provider = StripeProvider.__new__(StripeProvider)
    assert verdict(operation, provider, BEGAN + after) == expected


@pytest.mark.anyio
async def test_absence_is_as_old_as_the_question(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that took its time saw the gateway as it was when a call could still be under way."""
    async with open_shop(premises.address()) as shop:
        prepare = FLOWS["confirm"].prepare
        assert prepare is not None
        payment_id = await prepare(shop, "slow")
        premises.gateway.faults.add("drop_before")
        await FLOWS["confirm"].attempt(shop, "slow", payment_id)
        await shop.move(seconds=UNDER_WAY.total_seconds() - 10)

        async def slowly(evidence: Evidence) -> Absent:
            shop.clock.move(timedelta(seconds=20))
            return Absent("seen twenty seconds ago")

        monkeypatch.setattr(shop.engine.provider("stripe"), "find_operation", slowly)
        await shop.engine.reconcile()
        (row,) = await shop.rows()
        assert row.operations[-1].is_open
