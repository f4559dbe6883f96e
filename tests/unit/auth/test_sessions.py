"""What is remembered of Flowless's answers, for how long, and when it is asked again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge_payments.auth import AuthBridge, Binding, FlowlessLogin
from bridge_payments.auth.credentials import Credential, Surroundings
from bridge_payments.auth.flowless import Identity
from bridge_payments.errors import NotAuthenticated, Unavailable
from bridge_payments.messages import Request
from bridge_payments.models import Principal, PrincipalKind

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)


class Script:
    """A Flowless that answers what it is told to, and counts."""

    def __init__(self) -> None:
        self.answer: Identity | Exception | None = Identity(
            id="u1", email="ada@example.com", is_verified=True
        )
        self.asked: list[Surroundings] = []
        self.gate: asyncio.Event | None = None
        self.now = 0.0

    async def ask(self, credential: Credential, seen: Surroundings) -> Identity | None:
        self.asked.append(seen)
        answer = self.answer
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.now)


def asked(session: str = "sess_0123456789", *, peer: str = "192.0.2.7", **headers: str) -> Request:
    return Request(method="GET", path="/", headers={"x-session-id": session, **headers}, peer=peer)


def guest(token: str = "guest_0123456789") -> Request:
    return Request(method="GET", path="/", headers={"x-guest-token": token}, peer="192.0.2.7")


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def build(script: Script) -> Callable[..., FlowlessLogin]:
    def make(**more: Any) -> FlowlessLogin:
        options = {"timer": lambda: script.now, "clock": script.clock, "patience": 30.0, **more}
        return FlowlessLogin(script, **options)  # type: ignore[arg-type]

    return make


async def test_a_session_is_asked_about_once_in_five_minutes(script: Script, build: Any) -> None:
    login = build(refresh_after=1000)
    for script.now in (0.0, 1.0, 299.0):
        principal = await login.identify(asked())
        assert (principal.kind, principal.id, principal.email_verified) == (PrincipalKind.USER, "u1", True)
    assert len(script.asked) == 1
    script.now = 301.0
    await login.identify(asked())
    assert len(script.asked) == 2


async def test_a_guest_token_is_remembered_for_an_hour_and_is_an_address(script: Script, build: Any) -> None:
    login = build()
    for script.now in (0.0, 3599.0):
        principal = await login.identify(guest())
        assert (principal.kind, principal.email, principal.id) == (
            PrincipalKind.GUEST,
            "ada@example.com",
            None,
        )
    assert len(script.asked) == 1
    script.now = 3601.0
    await login.identify(guest())
    assert len(script.asked) == 2


@pytest.mark.parametrize("request_of", [asked, guest])
async def test_nothing_is_remembered_longer_than_it_lasts(
    script: Script, build: Any, request_of: Callable[[], Request]
) -> None:
    login = build()
    script.answer = Identity(id="u1", email="ada@example.com", expires_at=START + timedelta(seconds=20))
    await login.identify(request_of())
    script.now = 21.0
    script.answer = None
    with pytest.raises(NotAuthenticated):
        await login.identify(request_of())


async def test_a_thousand_requests_with_one_new_session_make_one_call(script: Script, build: Any) -> None:
    login = build()
    script.gate = asyncio.Event()
    crowd = [asyncio.create_task(login.identify(asked())) for _ in range(1000)]
    await asyncio.sleep(0)
    script.gate.set()
    assert {principal.id for principal in await asyncio.gather(*crowd)} == {"u1"}
    assert len(script.asked) == 1
    assert login.stats()["sessions"].joined == 999


async def test_a_session_that_is_not_good_is_not_asked_about_again_at_once(
    script: Script, build: Any
) -> None:
    login = build()
    script.answer = None
    for _ in range(3):
        with pytest.raises(NotAuthenticated, match="Invalid or expired session"):
            await login.identify(asked())
    assert len(script.asked) == 1
    script.now = 11.0
    script.answer = Identity(id="u1")
    assert (await login.identify(asked())).id == "u1"


async def test_a_revoked_session_is_refused_after_the_refresh_threshold(script: Script, build: Any) -> None:
    login = build()
    await login.identify(asked())
    script.answer = None
    script.now = 179.0
    await login.identify(asked())
    script.now = 180.0
    with pytest.raises(NotAuthenticated):
        await login.identify(asked())


async def test_a_good_session_lives_on_by_being_asked_about_in_time(script: Script, build: Any) -> None:
    login = build()
    for script.now in (0.0, 200.0, 400.0, 600.0):
        await login.identify(asked())
    assert len(script.asked) == 4
    assert login.stats()["sessions"].hits == 3


async def test_with_flowless_down_known_sessions_live_until_their_time_and_new_ones_hear_so(
    script: Script, build: Any
) -> None:
    login = build()
    await login.identify(asked())
    script.answer = Unavailable("Authentication service unavailable")
    for script.now in (10.0, 190.0, 191.0, 299.0):
        assert (await login.identify(asked())).id == "u1"
    with pytest.raises(Unavailable):
        await login.identify(asked("sess_another_one"))
    assert len(script.asked) < 5, "an outage is not asked about at every request"
    script.now = 301.0
    with pytest.raises(Unavailable):
        await login.identify(asked())


async def test_a_slow_refresh_holds_nobody_up(script: Script, build: Any) -> None:
    login = build(patience=0.01)
    await login.identify(asked())
    script.now, script.gate = 181.0, asyncio.Event()
    assert (await login.identify(asked())).id == "u1"
    script.answer = None
    script.gate.set()  # the answer that was given before: good
    await asyncio.sleep(0.01)
    assert (await login.identify(asked())).id == "u1"


async def test_money_believes_nothing_older_than_its_limit(script: Script, build: Any) -> None:
    """A revoked admin's refund is refused when the admin was last seen more than 30 seconds ago."""
    script.answer = Identity(id="root", user_type="admin")
    login = build()
    assert (await login.identify(asked())).kind is PrincipalKind.ADMIN
    script.now = 29.0
    await login.identify(asked(), max_age=30)
    assert len(script.asked) == 1
    script.answer = None
    script.now = 31.0
    with pytest.raises(NotAuthenticated):
        await login.identify(asked(), max_age=30)
    with pytest.raises(NotAuthenticated):
        await login.identify(asked())


async def test_money_waits_for_flowless_and_does_not_go_on_without(script: Script, build: Any) -> None:
    login = build()
    await login.identify(asked())
    script.now = 31.0
    script.answer = Unavailable("Authentication service unavailable")
    with pytest.raises(Unavailable):
        await login.identify(asked(), max_age=30)
    assert (await login.identify(asked())).id == "u1", "everything else goes on"


async def test_a_call_that_began_too_long_ago_is_not_a_fresh_one(script: Script, build: Any) -> None:
    login = build()
    await login.identify(asked())
    script.now, script.gate = 100.0, asyncio.Event()
    first = asyncio.create_task(login.identify(asked(), max_age=30))
    while len(script.asked) < 2:  # noqa: ASYNC110 - ticks are counted, not time
        await asyncio.sleep(0)
    script.now = 140.0  # it hangs for forty seconds
    second = asyncio.create_task(login.identify(asked(), max_age=30))
    await asyncio.sleep(0)
    script.gate.set()
    await asyncio.gather(first, second)
    assert len(script.asked) == 3


async def test_the_answer_says_when_it_was_asked_for(script: Script, build: Any) -> None:
    login = build()
    script.now = 5.0
    principal = await login.identify(asked())
    assert principal.validated_at == START + timedelta(seconds=5)
    script.now = 50.0
    assert (await login.identify(asked())).validated_at == START + timedelta(seconds=5)


async def test_everybody_is_seen_where_they_are_now(script: Script, build: Any) -> None:
    login = build()
    await login.identify(asked())
    assert (await login.identify(asked(peer="198.51.100.1"))).peer == "198.51.100.1"
    assert (await login.identify(asked())).peer == "192.0.2.7"


async def test_a_session_that_moved_is_logged_without_itself(
    script: Script, build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    login = build()
    await login.identify(asked())
    with caplog.at_level(logging.WARNING):
        await login.identify(asked(peer="198.51.100.1"))
    assert "IP_MISMATCH" in caplog.text
    assert "sess_0123456789" not in caplog.text


async def test_strict_denies_a_session_that_moved_and_the_owner_goes_on(script: Script, build: Any) -> None:
    login = build(binding=Binding(mode="STRICT"))
    await login.identify(asked(**{"user-agent": "Firefox"}))
    with pytest.raises(NotAuthenticated, match="Session validation failed: IP_MISMATCH, USER_AGENT_MISMATCH"):
        await login.identify(asked(peer="198.51.100.1", **{"user-agent": "curl"}))
    assert (await login.identify(asked(**{"user-agent": "Firefox"}))).id == "u1"
    script.now = 200.0  # being asked about again does not bind it to somewhere else
    await login.identify(asked(**{"user-agent": "Firefox"}))
    with pytest.raises(NotAuthenticated):
        await login.identify(asked(peer="198.51.100.1", **{"user-agent": "Firefox"}))


async def test_auto_invalidation_forgets_the_session_so_that_flowless_decides(
    script: Script, build: Any
) -> None:
    login = build(binding=Binding(auto_invalidate=True))
    await login.identify(asked())
    with pytest.raises(NotAuthenticated, match="IP_MISMATCH"):
        await login.identify(asked(peer="198.51.100.1"))
    assert (await login.identify(asked(peer="198.51.100.1"))).id == "u1"
    assert [seen.ip for seen in script.asked] == ["192.0.2.7", "198.51.100.1"]


async def test_strangers_cannot_push_real_sessions_out(script: Script, build: Any) -> None:
    login = build(max_entries=10)
    await login.identify(asked())
    script.answer = None
    for number in range(50):
        with pytest.raises(NotAuthenticated):
            await login.identify(asked(f"sess_made_up_{number}"))
    script.answer = Unavailable()
    assert (await login.identify(asked())).id == "u1"


async def test_signing_out_is_heard_at_once_when_it_is_told(script: Script, build: Any) -> None:
    bridge = AuthBridge(chain=[build()])
    await bridge.identify(asked())
    script.answer = None
    bridge.forget_credential("sess_0123456789")
    with pytest.raises(NotAuthenticated):
        await bridge.identify(asked())


async def test_an_admin_can_see_and_empty_what_is_remembered(script: Script, build: Any) -> None:
    bridge = AuthBridge(chain=[build()])
    for _ in range(4):
        await bridge.identify(asked())
    stats = bridge.stats()["sessions"]
    assert (stats.hits, stats.misses, stats.size) == (3, 1, 1)
    bridge.clear()
    assert bridge.stats()["sessions"].size == 0


async def test_without_a_cache_every_request_asks(script: Script, build: Any) -> None:
    login = build(session_ttl=0, guest_ttl=0)
    for _ in range(3):
        await login.identify(asked())
    assert len(script.asked) == 3


async def test_a_type_that_is_configured_is_an_admin(script: Script, build: Any) -> None:
    login = build(admin_types=("admin", "super_admin"))
    script.answer = Identity(id="r", user_type="super_admin")
    assert (await login.identify(asked())).kind is PrincipalKind.ADMIN
    script.answer = Identity(id="x", user_type="administrator")
    assert (await login.identify(asked("sess_another_one"))).kind is PrincipalKind.USER


async def test_a_guest_is_never_an_admin(script: Script, build: Any) -> None:
    script.answer = Identity(id="root", email="root@example.com", user_type="admin")
    assert (await build().identify(guest())).kind is PrincipalKind.GUEST


async def test_the_hosts_own_stale_answer_does_not_move_money(script: Script) -> None:
    old = Principal(kind=PrincipalKind.USER, id="u1", validated_at=START - timedelta(seconds=31))
    bridge = AuthBridge(lambda request: old, clock=script.clock)
    assert (await bridge.identify(asked())).id == "u1"
    with pytest.raises(NotAuthenticated):
        await bridge.identify(asked(), max_age=30)
    with pytest.raises(NotAuthenticated):
        await bridge.recheck(asked(), old, 30)


async def test_the_host_is_not_asked_twice_about_one_request(script: Script) -> None:
    calls: list[int] = []

    def who(request: Request) -> Principal:
        calls.append(1)
        return Principal.user("u1")

    bridge = AuthBridge(who, clock=script.clock)
    principal = await bridge.identify(asked())
    assert (await bridge.recheck(asked(), principal, 30)).id == "u1"
    assert calls == [1]


async def test_a_recheck_asks_the_issuer_once_it_is_due(script: Script, build: Any) -> None:
    bridge = AuthBridge(chain=[build()], clock=script.clock)
    principal = await bridge.identify(asked())
    script.now = 31.0
    again = await bridge.recheck(asked(), principal, 30)
    assert again.validated_at == START + timedelta(seconds=31)
    assert len(script.asked) == 2
