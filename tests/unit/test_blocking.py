"""Flask and scripts call an async engine from threads and after forks: nobody may hang or mix pools."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge_payments.blocking import Blocking
from bridge_payments.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    blocking = Blocking()
    yield blocking
    blocking.close()


async def where() -> tuple[int, int]:
    await asyncio.sleep(0)
    return id(asyncio.get_running_loop()), threading.get_ident()


def test_a_result_and_an_error_come_back(blocking: Blocking) -> None:
    async def divide(a: int, *, by: int) -> float:
        return a / by

    assert blocking.call(divide, 6, by=3) == 2
    with pytest.raises(ZeroDivisionError):
        blocking.call(divide, 6, by=0)


def test_many_threads_share_one_loop(blocking: Blocking) -> None:
    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(lambda _: blocking.call(where), range(64)))

    assert len(seen) == 1
    assert next(iter(seen))[1] != threading.get_ident()


def test_nothing_starts_before_the_first_call() -> None:
    before = threading.active_count()
    blocking = Blocking()

    assert threading.active_count() == before
    blocking.call(where)
    assert threading.active_count() == before + 1
    blocking.close()
    assert threading.active_count() == before


def test_a_call_after_close_starts_again(blocking: Blocking) -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    first = blocking.call(loop)
    blocking.close()
    blocking.close()

    assert first.is_closed()
    assert blocking.call(loop) is not first


def test_it_says_whether_it_has_a_loop(blocking: Blocking) -> None:
    assert not blocking.running
    blocking.call(where)
    assert blocking.running
    blocking.close()
    assert not blocking.running


def test_close_lets_what_still_runs_clean_up() -> None:
    blocking, cleaned = Blocking(), threading.Event()

    async def linger() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.set()

    tasks = []

    async def start() -> None:
        tasks.append(asyncio.create_task(linger()))
        await asyncio.sleep(0)

    blocking.call(start)
    blocking.close()

    assert cleaned.is_set()


def test_a_call_from_a_running_loop_is_an_error_and_not_a_deadlock(blocking: Blocking) -> None:
    async def view() -> None:
        blocking.call(where)

    with pytest.raises(RuntimeError, match="await"):
        asyncio.run(view())


def test_a_call_from_its_own_loop_is_an_error_and_not_a_deadlock(blocking: Blocking) -> None:
    async def nested() -> None:
        blocking.call(where)

    with pytest.raises(RuntimeError, match="await"):
        blocking.call(nested)


def test_a_worker_thread_of_the_loop_may_call_back(blocking: Blocking) -> None:
    async def outer() -> tuple[int, int]:
        return await asyncio.to_thread(blocking.call, where)

    assert blocking.call(outer) == blocking.call(where)


def test_an_interrupted_caller_cancels_its_call(blocking: Blocking) -> None:
    ended = threading.Event()
    caller = threading.get_ident()

    async def endless() -> None:
        try:
            while sys._current_frames()[caller].f_code.co_name != "wait":  # noqa: ASYNC110 - no event for that
                await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        blocking.call(endless)

    assert ended.wait(5)


def test_the_context_of_the_caller_does_not_leak_into_the_next_call(blocking: Blocking) -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")

    async def read_and_set() -> str:
        before = tenant.get()
        tenant.set("somebody")
        return before

    assert [blocking.call(read_and_set) for _ in range(2)] == ["nobody", "nobody"]


@pytest.mark.parametrize(
    ("module", "function"),
    [("gevent.monkey", "is_module_patched"), ("eventlet.patcher", "is_monkey_patched")],
)
def test_green_threads_are_refused_with_the_reason(
    module: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = types.ModuleType(module)
    setattr(fake, function, lambda name: name in ("thread", "threading"))
    monkeypatch.setitem(sys.modules, module, fake)

    with pytest.raises(ConfigurationError, match="greenlets"):
        Blocking().call(where)

    setattr(fake, function, lambda name: False)
    blocking = Blocking()
    blocking.call(where)
    blocking.close()


FORK = """
import asyncio, os, sys, threading
from bridge_payments.blocking import Blocking

async def pid():
    await asyncio.sleep(0)
    return os.getpid()

def child(blocking, told):
    assert blocking.call(pid) == os.getpid(), "the child has a loop of its own"
    assert told == [os.getpid()], told
    grandchild = os.fork()
    if grandchild == 0:
        assert blocking.call(pid) == os.getpid()
        assert len(told) == 2
        os._exit(0)
    assert os.waitpid(grandchild, 0)[1] == 0
    assert blocking.call(pid) == os.getpid()

blocking, told = Blocking(), []
blocking.on_fork(lambda: told.append(os.getpid()))
if sys.argv[1] == "busy":
    assert blocking.call(pid) == os.getpid()
    # Other threads are in the middle of calls, and hold the lock, when the fork happens.
    stop = threading.Event()
    def hammer():
        while not stop.is_set():
            blocking.call(pid)
    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(4)]
    for thread in threads: thread.start()
for _ in range(int(sys.argv[2])):
    forked = os.fork()
    if forked == 0:
        code = 1
        try:
            child(blocking, told)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitpid(forked, 0)[1] == 0
    assert blocking.call(pid) == os.getpid(), "the parent goes on"
assert told == []
if sys.argv[1] == "busy":
    stop.set()
    for thread in threads: thread.join()
print("ok")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(("when", "times"), [("fresh", 2), ("busy", 10)])
def test_parent_and_forked_children_each_go_on(when: str, times: int) -> None:
    """gunicorn --preload: the application was built, and perhaps used, before the workers were forked."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, when, str(times)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
