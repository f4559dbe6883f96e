"""Lists of payers that are remembered: theirs alone, never older than the last change made here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge_payments import AuthBridge, Bridge, PaymentEngine, Principal, Settings
from bridge_payments.http import Router
from bridge_payments.messages import Request
from bridge_payments.models import PaymentMethod
from bridge_payments.providers.dummy import DummyGateway, DummyProvider
from bridge_payments.recall import Recall
from bridge_payments.stores import MemoryStore
from bridge_payments.stores.base import CustomerQuery, PaymentMethodQuery
from bridge_payments.stores.sql import SQLStore

pytestmark = pytest.mark.anyio

ADA = Principal.user("ada", email="ada@example.com", email_verified=True)
BOB = Principal.user("bob", email="bob@example.com")
GUEST = Principal.guest("Ada@example.com")
MINE = PaymentMethodQuery()


class Timer:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class House:
    """An engine, and what is remembered of it; `reads` counts the units that only read."""

    def __init__(self, store: MemoryStore | SQLStore, **how: Any) -> None:
        self.store = store
        self.gateway = DummyGateway()
        settings = Settings(allow_sandbox=True, default_provider="dummy")
        self.engine = PaymentEngine(store, {"dummy": DummyProvider(self.gateway)}, settings=settings)
        self.recall = Recall(self.engine, **how)

    async def keep(self, principal: Principal = ADA, **more: Any) -> PaymentMethod:
        return await self.engine.create_payment_method(token="dummy_ok", principal=principal, **more)

    async def ids(self, principal: Principal = ADA, **how: Any) -> list[str]:
        found = await self.recall.list_payment_methods(MINE, principal=principal, **how)
        return [row.id for row in found.items]

    def calls(self, noun: str = "payment_methods") -> int:
        return self.recall.stats()[noun].misses


@pytest.fixture
def house() -> House:
    return House(MemoryStore())


async def test_a_list_is_read_once_and_anew_after_every_change(house: House) -> None:
    first = await house.keep()
    for _ in range(3):
        assert await house.ids() == [first.id]
    assert house.calls() == 1

    second = await house.keep()
    assert await house.ids() == [second.id, first.id]
    await house.engine.update_payment_method(first.id, alias="work", principal=ADA)
    found = await house.recall.list_payment_methods(MINE, principal=ADA)
    assert [row.alias for row in found.items] == [None, "work"]
    await house.engine.set_default_payment_method(second.id, principal=ADA)
    await house.engine.set_default_payment_method(first.id, principal=ADA)
    found = await house.recall.list_payment_methods(MINE, principal=ADA)
    assert [row.is_default for row in found.items] == [False, True]
    await house.engine.delete_payment_method(first.id, principal=ADA)
    assert await house.ids() == [second.id]


async def test_a_customer_is_read_once_and_anew_after_a_change(house: House) -> None:
    made = (await house.engine.create_customer(name="Ada", principal=ADA)).customer
    for given in (made.id, made.id, made.provider_customer_id or ""):
        assert (await house.recall.get_customer(given, principal=ADA)).name == "Ada"
    listed = await house.recall.list_customers(CustomerQuery(), principal=ADA)
    assert [row.name for row in listed.items] == ["Ada"]
    assert house.calls("customers") == 3

    await house.engine.update_customer(made.id, name="Ada L.", principal=ADA)
    assert (await house.recall.get_customer(made.id, principal=ADA)).name == "Ada L."
    listed = await house.recall.list_customers(CustomerQuery(), principal=ADA)
    assert [row.name for row in listed.items] == ["Ada L."]


async def test_a_change_of_somebody_else_costs_nobody_anything(house: House) -> None:
    await house.keep()
    await house.ids()
    await house.keep(BOB)
    await house.ids()
    assert house.calls() == 1


async def test_what_a_webhook_or_a_sweep_reads_at_the_provider_is_seen_at_once(house: House) -> None:
    method = await house.keep()
    assert await house.ids() == [method.id]
    house.gateway.methods.pop(method.provider_payment_method_id or "")
    await house.engine.refresh_method(method.id)
    assert await house.ids() == []


async def test_nobody_gets_what_was_remembered_for_another(house: House) -> None:
    """The same question from every kind of caller, asked in turn: each its own rows, admins everybody's."""
    hers, his = await house.keep(ADA), await house.keep(BOB)
    as_guest = await house.keep(GUEST)
    unproved = replace(GUEST, email_verified=False)
    expected = {ADA: [hers.id], BOB: [his.id], GUEST: [as_guest.id]}
    for _ in range(2):
        for principal, ids in expected.items():
            assert await house.ids(principal) == ids
        assert len(await house.ids(Principal.admin("root"))) == 3
        await house.ids(unproved)
    # Three callers, one question each; neither an admin's answer nor an unproved guest's is kept.
    assert house.calls() == 3
    # A user is not an admin, nor a guest, of the same name.
    assert await house.ids(Principal.user("Ada@example.com")) == []


async def test_a_customer_of_another_is_refused_whatever_is_remembered(house: House) -> None:
    made = (await house.engine.create_customer(name="Ada", principal=ADA)).customer
    await house.recall.get_customer(made.id, principal=ADA)
    for principal in (BOB, GUEST, Principal.anonymous()):
        with pytest.raises(Exception, match=r"denied|required"):
            await house.recall.get_customer(made.id, principal=principal)


async def test_converted_rows_change_both_lists(house: House) -> None:
    method = await house.keep(GUEST)
    assert (await house.ids(GUEST), await house.ids(ADA)) == ([method.id], [])
    await house.engine.convert_guest("ada@example.com", principal=ADA)
    assert (await house.ids(GUEST), await house.ids(ADA)) == ([], [method.id])


async def test_a_list_that_was_being_read_while_it_changed_is_not_kept(house: House) -> None:
    """The read began before the write, and ends after it: what it brings is true for nobody else."""
    method = await house.keep()
    is_read, slow, read = asyncio.Event(), asyncio.Event(), house.engine.list_payment_methods

    async def held(*args: Any, **kwargs: Any) -> Any:
        found = await read(*args, **kwargs)
        is_read.set()
        await slow.wait()
        return found

    house.engine.list_payment_methods = held  # type: ignore[method-assign]
    before = asyncio.ensure_future(house.ids())
    await is_read.wait()
    house.engine.list_payment_methods = read  # type: ignore[method-assign]
    await house.engine.delete_payment_method(method.id, principal=ADA)
    slow.set()
    await before
    assert await house.ids() == []


async def test_a_change_whose_caller_went_away_is_seen(tmp_path: Path) -> None:
    """Here the commit is another thread's, and nobody waits for it."""
    store = SQLStore(f"sqlite:///{tmp_path / 'shop.db'}")
    await store.upgrade()
    house = House(store)
    method = await house.keep()
    assert await house.ids() == [method.id]

    changing = house.engine.update_payment_method(method.id, alias="work", principal=ADA)
    going = asyncio.ensure_future(changing)
    await asyncio.sleep(0)  # as far as the store, which is at it in a task of its own
    assert store._running
    going.cancel()
    await asyncio.wait({going})
    assert going.cancelled()
    await asyncio.wait(set(store._running))

    found = await house.recall.list_payment_methods(MINE, principal=ADA)
    assert [row.alias for row in found.items] == ["work"]
    await store.aclose()


async def test_a_thousand_at_once_are_one_read(house: House) -> None:
    await house.keep()
    found = await asyncio.gather(*(house.ids() for _ in range(1000)))
    assert len({tuple(ids) for ids in found}) == 1
    assert house.calls() == 1


async def test_it_lasts_five_minutes_and_no_more_than_fits() -> None:
    timer = Timer()
    house = House(MemoryStore(), timer=timer, max_entries=3)
    await house.keep()
    for timer.now in (0.0, 299.9):
        await house.ids()
    assert house.calls() == 1
    timer.now = 300.0
    await house.ids()
    assert house.calls() == 2
    for page in range(10):
        await house.recall.list_payment_methods(replace(MINE, offset=page), principal=ADA)
    assert house.recall.stats()["payment_methods"].size == 3


async def test_who_wants_it_fresh_reads_what_another_process_wrote(house: House) -> None:
    method = await house.keep()
    assert await house.ids() == [method.id]
    house.store._listeners.clear()  # a store tells those who listen in its own process
    await house.engine.delete_payment_method(method.id, principal=ADA)
    assert await house.ids() == [method.id]
    assert await house.ids(fresh=True) == []
    assert await house.ids() == []


class Silent(MemoryStore):
    """A store of somebody's own, which tells nobody."""

    def tell_of_changes(self, listener: Any) -> bool:
        return False


@pytest.mark.parametrize("how", [{"ttl": 0.0}, {}], ids=["switched off", "a store that does not tell"])
async def test_nothing_is_remembered_where_it_could_not_be_true(how: dict[str, float]) -> None:
    house = House(MemoryStore() if how else Silent(), **how)
    await house.keep()
    for _ in range(2):
        assert len(await house.ids()) == 1
    stats = house.recall.stats()["payment_methods"]
    assert (stats.size, stats.misses, stats.hits) == (0, 0, 0)


# --- over HTTP ----------------------------------------------------------------------------------------


class Web:
    def __init__(self, env: dict[str, str]) -> None:
        def who(request: Request) -> Principal | None:
            name = request.header("x-session-id")
            return Principal.admin(name) if name == "root" else Principal.user(name) if name else None

        settings = Settings.from_env(
            {
                "ALLOW_SANDBOX": "true",
                "ENABLED_PROVIDERS": "dummy",
                "DEFAULT_PAYMENT_PROVIDER": "dummy",
                **env,
            }
        ).model_copy(update={"inprocess_worker": False})
        engine = PaymentEngine(MemoryStore(), {"dummy": DummyProvider()}, settings=settings)
        self.bridge = Bridge(engine, auth=AuthBridge(who))
        self.router = Router(self.bridge)

    async def ask(
        self, method: str, path: str, body: object = None, *, who: str = "ada", **headers: str
    ) -> Any:
        sent = {"content-type": "application/json", "x-session-id": who, **headers}
        content = json.dumps(body).encode() if body is not None else b""
        answer = await self.router.answer(Request(method=method, path=path, headers=sent, body=content))
        assert answer.status < 300, answer.body
        return json.loads(answer.body)["data"]

    async def keep(self, **more: str) -> str:
        made = await self.ask("POST", "/payment-methods", {"payment_method_token": "dummy_ok"}, **more)
        found: str = made["id"]
        return found

    async def figures(self, noun: str) -> Sequence[int]:
        stats = (await self.ask("GET", "/admin/cache/stats", who="root"))["cache_stats"][noun]
        return stats["hits"], stats["misses"], stats["size"]


@pytest.fixture
async def web() -> AsyncIterator[Callable[..., Web]]:
    made: list[Web] = []

    def make(**env: str) -> Web:
        made.append(Web(env))
        return made[-1]

    yield make
    for each in made:
        await each.bridge.aclose()


async def test_clients_read_what_is_remembered_and_their_own_changes(web: Callable[..., Web]) -> None:
    shop = web()
    method = await shop.keep()
    (customer,) = await shop.ask("GET", "/customers")
    for _ in range(3):
        assert [row["id"] for row in await shop.ask("GET", "/payment-methods")] == [method]
        assert await shop.ask("GET", f"/customers/{customer['id']}") == customer
        mine = await shop.ask("GET", f"/payment-methods/customer/{customer['id']}")
        assert [row["id"] for row in mine] == [method]
    assert await shop.ask("GET", "/payment-methods", who="bob") == []
    assert await shop.figures("payment_methods") == (4, 3, 3)
    assert await shop.figures("customers") == (2, 2, 2)

    await shop.ask("GET", "/payment-methods", **{"cache-control": "no-cache"})
    assert (await shop.figures("payment_methods"))[1] == 4, "it was read again"
    await shop.ask("PUT", f"/payment-methods/{method}", {"alias": "work"})
    assert (await shop.ask("GET", "/payment-methods"))[0]["alias"] == "work"
    await shop.ask("DELETE", f"/payment-methods/{method}")
    assert await shop.ask("GET", "/payment-methods") == []


async def test_an_admin_clears_it_and_the_figures_have_it(web: Callable[..., Web]) -> None:
    shop = web()
    await shop.ask("GET", "/payment-methods")
    assert (await shop.figures("payment_methods"))[2] == 1
    readings = {
        (sample.labels["cache"], sample.labels.get("outcome")): sample.value
        for sample in await shop.bridge.readings()
        if "cache" in sample.labels
    }
    assert readings["payment_methods", "miss"] == readings["payment_methods", None] == 1
    detailed = json.loads((await shop.router.answer(Request(method="GET", path="/health/detailed"))).body)
    assert detailed["cache_stats"]["payment_methods"]["misses"] == 1
    await shop.ask("POST", "/admin/cache/clear", who="root")
    assert (await shop.figures("payment_methods"))[2] == 0
    await shop.ask("GET", "/payment-methods")
    assert (await shop.figures("payment_methods"))[1] == 2


@pytest.mark.parametrize("env", [{"CACHE_ENABLED": "false"}, {"CACHE_TTL": "0"}, {"BRIDGE_CACHE_TTL": "0"}])
async def test_a_setting_switches_it_off(web: Callable[..., Web], env: dict[str, str]) -> None:
    shop = web(**env)
    for _ in range(2):
        await shop.ask("GET", "/payment-methods")
    assert await shop.figures("payment_methods") == (0, 0, 0)
