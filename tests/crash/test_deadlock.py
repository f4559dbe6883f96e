"""
The database undoes a transaction of ours in favour of somebody else's, while money moves.

Somebody else takes the same rows in the other order, and the database ends ours: once, or as often as it is
tried. The provider has been asked once, whatever it is; what nobody could write down is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from crashlab.sites import Lender
from house import FLOWS, check, insist, open_house
from rivals import RECORD, RESERVE, Crossing, rivaled

from bridge_payments.errors import Unavailable
from bridge_payments.models import Payment, Refund, RefundStatus
from bridge_payments.stores.sql.store import ATTEMPTS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WHERE = [
    *(pytest.param(RECORD, flow, id=f"record-{flow}") for flow in FLOWS),
    pytest.param(RESERVE, "refund", id="reserve-refund"),
]
OFTEN = [where for where in WHERE if where.id in ("record-confirm", "record-refund", "reserve-refund")]


@pytest.fixture(
    params=[pytest.param(kind, marks=pytest.mark.needs(kind)) for kind in ("postgresql", "mariadb")]
)
def url(request: pytest.FixtureRequest, lenders: Callable[[str], Lender]) -> Iterator[str]:
    with lenders(request.param)() as lend:
        yield lend()


@pytest.mark.parametrize(("crossing", "flow"), WHERE)
async def test_what_a_deadlock_undid_is_done_again(url: str, crossing: Crossing, flow: str) -> None:
    act, before, *ends = FLOWS[flow]
    async with open_house(url) as house:
        if before is not None:
            await house.begin(**before)
        asked = len(house.gateway.requests)
        with rivaled(url, crossing, times=1) as rival:
            await act(house)
        assert rival.won == 1, "there was no deadlock to survive"
        assert len(house.gateway.requests) == asked + 1
        check(house, await house.rows(), 1, *ends)


@pytest.mark.parametrize(("crossing", "flow"), OFTEN)
async def test_what_deadlocks_always_undo_is_said_and_costs_nobody_anything(
    url: str, crossing: Crossing, flow: str
) -> None:
    act, before, *ends = FLOWS[flow]
    async with open_house(url) as house:
        assert before is not None
        await house.begin(**before)
        asked = len(house.gateway.requests)
        with rivaled(url, crossing, times=ATTEMPTS) as rival:
            if crossing is RESERVE:
                with pytest.raises(Unavailable, match="nothing was sent"):
                    await act(house)
            else:
                match await act(house):
                    case Payment(unknown_operation_id=str()) | Refund(status=RefundStatus.PENDING):
                        pass
                    case answer:
                        pytest.fail(f"nothing of it is written down, and it is answered: {answer}")
        assert rival.won == ATTEMPTS
        assert len(house.gateway.requests) == asked + (crossing is RECORD)
        await insist(house, act)
        assert len(house.gateway.requests) == asked + 1
        check(house, await house.rows(), 1, *ends)
