"""How often somebody may ask, and how many cards may be tried."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.auth.limits import FailedConfirms, Limits, MemoryCounters
from bridge_payments.errors import RateLimited
from bridge_payments.models import SYSTEM, Principal

pytestmark = pytest.mark.anyio


class Time:
    def __init__(self) -> None:
        self.now = 1_768_478_400.0  # the beginning of a window of fifteen minutes

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def limits(time: Time, **more: Any) -> Limits:
    return Limits(MemoryCounters(now=time), now=time, **more)


ADA, EVE = Principal.anonymous(peer="192.0.2.7"), Principal.anonymous(peer="198.51.100.1")


@pytest.mark.parametrize(
    ("principal", "limit"),
    [
        (Principal.admin("root"), 1000),
        (Principal.user("ada"), 500),
        (Principal.guest("ada@example.com"), 100),
        (ADA, 50),
    ],
)
async def test_each_kind_of_caller_has_the_contracts_limit(
    time: Time, principal: Principal, limit: int
) -> None:
    one = limits(time)
    for number in range(limit):
        quota = await one.take(principal)
        assert quota is not None
        assert (quota.limit, quota.remaining, quota.exceeded) == (limit, limit - number - 1, False)
    over = await one.take(principal)
    assert over is not None
    assert over.exceeded
    assert over.remaining == 0
    assert over.resets_at == time.now + 900
    time.now += over.retry_after
    again = await one.take(principal)
    assert again is not None
    assert again.remaining == limit - 1


async def test_one_limit_for_everybody_is_a_setting(time: Time) -> None:
    one = limits(time, requests=2, window=60.0)
    for principal in (Principal.admin("root"), ADA):
        assert [(await one.take(principal)).exceeded for _ in range(3)] == [False, False, True]  # type: ignore[union-attr]


async def test_nobody_uses_up_what_is_another_callers(time: Time) -> None:
    one = limits(time, requests=1)
    callers = [
        Principal.user("ada"),
        Principal.user("bob"),
        Principal.admin("ada"),
        Principal.guest("ada@example.com"),
        ADA,
        EVE,
    ]
    for principal in callers:
        assert not (await one.take(principal)).exceeded  # type: ignore[union-attr]
    assert (await one.take(Principal.guest("ADA@example.com"))).exceeded  # type: ignore[union-attr]


async def test_an_ipv6_subscriber_is_one_caller_with_all_their_addresses(time: Time) -> None:
    one = limits(time, requests=1)
    await one.take(Principal.anonymous(peer="2001:db8:1:2::1"))
    assert (await one.take(Principal.anonymous(peer="2001:db8:1:2:ffff::9"))).exceeded  # type: ignore[union-attr]
    assert not (await one.take(Principal.anonymous(peer="2001:db8:1:3::1"))).exceeded  # type: ignore[union-attr]


async def test_own_code_and_a_switched_off_limit_count_nothing(time: Time) -> None:
    assert await limits(time).take(SYSTEM) is None
    assert await limits(time, enabled=False).take(ADA) is None


async def test_declines_are_counted_per_address_and_per_e_mail(time: Time) -> None:
    one = FailedConfirms(MemoryCounters(now=time), per_ip=3, per_email=2, now=time)
    for number in range(2):
        await one.check(peer=f"192.0.2.{number}", email="ada@example.com")
        await one.count(peer=f"192.0.2.{number}", email="ada@example.com")
    with pytest.raises(RateLimited) as refused:
        await one.check(peer="203.0.113.5", email="Ada@Example.com")
    assert refused.value.retry_after > 0
    await one.check(peer="203.0.113.5", email="eve@example.com")
    for number in range(3):
        await one.count(peer="203.0.113.5", email=f"eve{number}@example.com")
    with pytest.raises(RateLimited):
        await one.check(peer="203.0.113.5", email=None)
    time.now += 3600
    await one.check(peer="203.0.113.5", email="ada@example.com")
