"""Many callers, one commit: what arrives while a transaction is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from .base import Store, Unit

__all__ = ["Grouped"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Queue(Generic[T, R]):
    waiting: list[tuple[T, asyncio.Future[R]]] = field(default_factory=list)
    worker: asyncio.Task[None] | None = None


class Grouped(Generic[T, R]):
    """Runs *work* over several items in one unit of work; each caller gets the result of its own.

    The first item goes at once, or after *linger* seconds, and what comes meanwhile goes together. An item
    that makes the transaction fail fails alone. Every event loop has a queue of its own.
    """

    def __init__(
        self,
        store: Store,
        work: Callable[[Unit, Sequence[T]], Sequence[R]],
        *,
        at_most: int = 100,
        linger: float = 0.0,
    ) -> None:
        self._store = store
        self._work = work
        self._at_most = at_most
        self._linger = linger
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[T, R]] = WeakKeyDictionary()

    async def add(self, item: T) -> R:
        """Return what *work* made of *item*, when that is committed. Raises what its transaction raised."""
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = _Queue()
        result: asyncio.Future[R] = loop.create_future()
        queue.waiting.append((item, result))
        if queue.worker is None or queue.worker.done():
            queue.worker = loop.create_task(self._work_off(queue))
        return await result

    async def _work_off(self, queue: _Queue[T, R]) -> None:
        while queue.waiting:
            group: list[tuple[T, asyncio.Future[R]]] = []
            try:
                if self._linger and len(queue.waiting) < self._at_most:
                    await asyncio.sleep(self._linger)
                group = queue.waiting[: self._at_most]
                del queue.waiting[: self._at_most]
                error = await self._commit(group)
                if error is not None and len(group) > 1:
                    for one in group:
                        _refuse(one, await self._commit([one]))
                elif error is not None:
                    _refuse(group[0], error)
            except asyncio.CancelledError:
                for _, result in (*group, *queue.waiting):
                    result.cancel()
                queue.waiting.clear()
                raise

    async def _commit(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> BaseException | None:
        items = [item for item, _ in group]

        def work(unit: Unit) -> Sequence[R]:
            return self._work(unit, items)

        work.__name__ = getattr(self._work, "__name__", "group")
        try:
            results = await self._store.run(work)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait have to hear it
            return error
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():  # its caller has gone meanwhile
                future.set_result(result)
        return None


def _refuse(one: tuple[Any, asyncio.Future[Any]], error: BaseException | None) -> None:
    if error is not None and not one[1].done():
        one[1].set_exception(error)
