"""Who is asking: the host application's own answer, and what is made of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bridge_payments.auth import AuthBridge
from bridge_payments.errors import NotAuthenticated, Unavailable
from bridge_payments.messages import Request
from bridge_payments.models import SYSTEM, Principal

pytestmark = pytest.mark.anyio

REQUEST = Request(method="GET", path="/", peer="192.0.2.7")
ADA = Principal.user("ada")


class Source:
    """One more source of identity, as a later authenticator would be."""

    def __init__(self, answer: Principal | Exception | None) -> None:
        self.answer, self.asked = answer, 0

    async def identify(self, request: Request, *, max_age: float | None = None) -> Principal | None:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_without_a_source_everybody_is_anonymous() -> None:
    assert await AuthBridge().identify(REQUEST) == Principal.anonymous(peer="192.0.2.7")


async def test_a_plain_function_runs_in_a_thread_of_its_own() -> None:
    """The host's login may block on its database: it must not stop everybody else's payments."""
    seen: list[int] = []

    def who(request: Request) -> Principal:
        seen.append(threading.get_ident())
        return ADA

    principal = await AuthBridge(who).identify(REQUEST)
    assert (principal.id, principal.peer) == ("ada", "192.0.2.7")
    assert seen != [threading.get_ident()]


async def test_a_coroutine_function_is_awaited_where_it_is() -> None:
    seen: list[int] = []

    async def who(request: Request) -> Principal:
        seen.append(threading.get_ident())
        return ADA

    assert (await AuthBridge(who).identify(REQUEST)).id == "ada"
    assert seen == [threading.get_ident()]


async def test_an_object_may_be_the_function() -> None:
    class Login:
        async def __call__(self, request: Request) -> Principal:
            return ADA

    assert (await AuthBridge(Login()).identify(REQUEST)).id == "ada"


async def test_a_lambda_may_return_something_to_await() -> None:
    async def later() -> Principal:
        return ADA

    assert (await AuthBridge(lambda request: later()).identify(REQUEST)).id == "ada"


@pytest.mark.parametrize("answer", [None, Principal.anonymous(), Principal.anonymous(peer="198.51.100.1")])
async def test_nobody_is_anonymous(answer: Principal | None) -> None:
    principal = await AuthBridge(lambda request: answer).identify(REQUEST)
    assert principal.is_anonymous
    assert principal.peer


@pytest.mark.parametrize("answer", [True, "ada", 7, {"id": "ada"}, SYSTEM])
async def test_only_a_principal_is_believed_and_nobody_is_the_system(answer: Any) -> None:
    """Whoever comes over HTTP is never this process itself."""
    with pytest.raises(TypeError, match="who"):
        await AuthBridge(lambda request: answer).identify(REQUEST)


async def test_an_unreachable_login_is_not_an_anonymous_caller() -> None:
    def who(request: Request) -> Principal:
        raise TimeoutError

    with pytest.raises(Unavailable, match="Authentication service unavailable"):
        await AuthBridge(who).identify(REQUEST)


async def test_the_hosts_own_refusal_goes_through() -> None:
    def who(request: Request) -> Principal:
        raise NotAuthenticated("session expired")

    with pytest.raises(NotAuthenticated, match="session expired"):
        await AuthBridge(who).identify(REQUEST)


async def test_what_was_heard_before_the_hop_is_not_asked_again() -> None:
    calls: list[int] = []

    def who(request: Request) -> Principal:
        calls.append(threading.get_ident())
        return ADA

    bridge = AuthBridge(who)
    heard = bridge.ask_here(REQUEST)
    assert (await bridge.identify(REQUEST, heard=heard)).id == "ada"
    assert calls == [threading.get_ident()]


async def test_an_error_before_the_hop_is_raised_after_it() -> None:
    def who(request: Request) -> Principal:
        raise ConnectionError

    bridge = AuthBridge(who)
    heard = bridge.ask_here(REQUEST)
    with pytest.raises(Unavailable):
        await bridge.identify(REQUEST, heard=heard)


async def test_a_coroutine_function_has_nothing_to_say_before_the_hop() -> None:
    async def who(request: Request) -> Principal:
        return ADA

    assert AuthBridge(who).ask_here(REQUEST) is None
    assert AuthBridge().ask_here(REQUEST) is None


async def test_the_first_source_that_knows_the_caller_is_believed() -> None:
    first, second, third = Source(None), Source(ADA), Source(Principal.admin("root"))
    principal = await AuthBridge(chain=[first, second, third]).identify(REQUEST)
    assert principal.id == "ada"
    assert (first.asked, second.asked, third.asked) == (1, 1, 0)


async def test_the_host_comes_first() -> None:
    other = Source(Principal.admin("root"))
    assert (await AuthBridge(lambda request: ADA, chain=[other]).identify(REQUEST)).id == "ada"
    assert not other.asked
    assert (await AuthBridge(lambda request: None, chain=[other]).identify(REQUEST)).id == "root"


async def test_an_invalid_credential_does_not_become_another_one() -> None:
    """ "Only the first method found is used": no way from a stale session to somebody else's token."""
    bad, good = Source(NotAuthenticated("stale")), Source(ADA)
    with pytest.raises(NotAuthenticated):
        await AuthBridge(chain=[bad, good]).identify(REQUEST)
    assert not good.asked
