"""Endpoints that an operator keeps in the store: made, changed, rotated, switched, tried, deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from ..errors import ConcurrentUpdate, ConfigurationError, InvalidRequest, NotFound
from ..models import (
    EVENT_TYPES,
    Clock,
    Delivery,
    DeliveryState,
    EndpointHealth,
    Event,
    SigningSecret,
    StoredEndpoint,
    SwitchedOff,
    new_id,
)
from ..stores.base import Store, Unit
from .endpoints import EndpointKind, endpoint_from
from .patterns import matches
from .signing import new_signing_secret

__all__ = ["EndpointView", "StoredEndpoints"]

OVERLAP: Final = timedelta(hours=24)
"""How long the old secret signs beside the new one."""
_MOST: Final = 1000
_TRIES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """A stored endpoint and how it is doing."""

    endpoint: StoredEndpoint
    health: EndpointHealth

    @property
    def enabled(self) -> bool:
        """Whether it is told anything."""
        return self.health.disabled_at is None

    @property
    def kind(self) -> EndpointKind:
        """In which shape it is told."""
        return endpoint_from(self.endpoint, now=self.endpoint.updated_at).kind or EndpointKind.GENERIC


class StoredEndpoints:
    """What an operator may do with endpoints. Every process hears of a change at its next look."""

    def __init__(self, store: Store, *, clock: Clock, on_change: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_change = on_change

    async def create(
        self, *, name: str, url: str, events: Sequence[str], secret: str | None = None, **more: Any
    ) -> EndpointView:
        """Keep a new endpoint. Without a *secret* one is made, where what is sent there is signed.

        *more*: `headers`, `timeout_seconds`, `tries`, `concurrency`, `format`, `user_ids`,
        `organization_ids`, `metadata`, `description`.

        Raises: InvalidRequest.
        """
        now = self._clock()
        bare = StoredEndpoint(
            id=new_id("whe"), name=name, url=url, events=tuple(events), created_at=now, updated_at=now, **more
        )
        view = EndpointView(endpoint=self._checked(bare), health=EndpointHealth(endpoint=bare.id))
        if secret is not None or view.kind is EndpointKind.GENERIC:
            signed = replace(bare, secrets=(SigningSecret(value=secret or new_signing_secret()),))
            view = replace(view, endpoint=self._checked(signed))

        def work(unit: Unit) -> None:
            if len(unit.endpoints.list()) >= _MOST:
                raise InvalidRequest(f"there are {_MOST} endpoints already")
            unit.endpoints.add(view.endpoint)

        await self._store.run(work)
        return view

    async def get(self, endpoint_id: str) -> EndpointView:
        """Raises: NotFound."""
        return await self._store.run(lambda unit: _view(unit, endpoint_id), write=False)

    async def list(self) -> Sequence[EndpointView]:
        """Return all of them, oldest first."""

        def work(unit: Unit) -> list[EndpointView]:
            health = {each.endpoint: each for each in unit.endpoints.health()}
            return [
                EndpointView(endpoint=each, health=health.get(each.id) or EndpointHealth(endpoint=each.id))
                for each in unit.endpoints.list()
            ]

        return await self._store.run(work, write=False)

    async def update(self, endpoint_id: str, **changes: Any) -> EndpointView:
        """Change what is named in *changes*. Raises: NotFound, InvalidRequest, ConcurrentUpdate."""
        if "events" in changes:
            changes["events"] = tuple(changes["events"])

        def change(endpoint: StoredEndpoint) -> StoredEndpoint:
            return replace(endpoint, **changes)

        return await self._change(endpoint_id, change)

    async def rotate_secret(
        self, endpoint_id: str, *, overlap: timedelta = OVERLAP
    ) -> tuple[EndpointView, str]:
        """Sign with a new secret, and with the old one too for *overlap*; return the new one, once.

        Raises: NotFound, ConcurrentUpdate.
        """
        fresh = new_signing_secret()
        until = self._clock() + overlap

        def change(endpoint: StoredEndpoint) -> StoredEndpoint:
            current = [secret for secret in endpoint.secrets if secret.expires_at is None]
            old = tuple(replace(secret, expires_at=until) for secret in current) if overlap else ()
            return replace(endpoint, secrets=(SigningSecret(value=fresh), *old))

        return await self._change(endpoint_id, change), fresh

    async def delete(self, endpoint_id: str) -> None:
        """Tell it nothing more; what is on its way there is given up. Raises: NotFound."""

        def work(unit: Unit) -> bool:
            return unit.endpoints.delete(endpoint_id)

        if not await self._store.run(work):
            raise NotFound(f"there is no endpoint {endpoint_id}")
        self._on_change()

    async def switch(self, name: str, *, on: bool) -> bool:
        """Switch an endpoint on or off by hand, a configured one too; return whether anything changed."""

        def work(unit: Unit) -> bool:
            if on:
                return unit.endpoints.switch_on(name)
            return unit.endpoints.switch_off(name, SwitchedOff.BY_HAND)

        changed = await self._store.run(work)
        self._on_change()
        return changed

    async def health(self) -> Mapping[str, EndpointHealth]:
        """Return how every endpoint is doing of which anything was ever noted, configured ones too."""
        found = await self._store.run(lambda unit: unit.endpoints.health(), write=False)
        return {each.endpoint: each for each in found}

    async def send_test(self, name: str) -> Delivery:
        """Let one endpoint hear a `webhook.test`, whatever it asks for; return its delivery."""
        now = self._clock()
        event = Event(
            id=new_id("evt"), type="webhook.test", created_at=now, data={"message": "It works.", "test": True}
        )
        delivery = Delivery(
            id=new_id("dlv"),
            event_id=event.id,
            event_type=event.type,
            endpoint=name,
            state=DeliveryState.PENDING,
            created_at=now,
        )

        def work(unit: Unit) -> None:
            unit.events.add(event)
            unit.events.mark_told(event.id)
            unit.deliveries.add(delivery)

        await self._store.run(work)
        self._on_change()
        return delivery

    async def _change(
        self, endpoint_id: str, change: Callable[[StoredEndpoint], StoredEndpoint]
    ) -> EndpointView:
        def work(unit: Unit) -> EndpointView:
            found = _view(unit, endpoint_id)
            changed = self._checked(replace(change(found.endpoint), updated_at=self._clock()))
            if not unit.endpoints.save(changed, expected_version=found.endpoint.version):
                raise ConcurrentUpdate("The endpoint was changed meanwhile; try again")
            return replace(found, endpoint=replace(changed, version=found.endpoint.version + 1))

        view = await self._store.run(work)
        self._on_change()
        return view

    def _checked(self, stored: StoredEndpoint) -> StoredEndpoint:
        """Return *stored* if a dispatcher can use it. Raises InvalidRequest, without any value in it."""
        try:
            endpoint_from(stored, now=self._clock())
        except ConfigurationError as error:
            field, why = next(iter(sorted(error.invalid.items())))
            raise InvalidRequest(
                f"{_FIELDS.get(field, field)}: {why}", field=_FIELDS.get(field, field)
            ) from None
        if stored.tries is not None and not 1 <= stored.tries <= _TRIES:
            raise InvalidRequest(f"tries: between 1 and {_TRIES}", field="tries")
        if stored.concurrency > _TRIES:
            raise InvalidRequest(f"concurrency: between 1 and {_TRIES}", field="concurrency")
        for pattern in stored.events:
            if not any(matches([pattern.strip()], known) for known in EVENT_TYPES):
                raise InvalidRequest("events: a pattern matches no event that there is", field="events")
        return stored


_FIELDS: Final = {"secrets": "secret", "kind": "format"}


def _view(unit: Unit, endpoint_id: str) -> EndpointView:
    found = unit.endpoints.get(endpoint_id)
    if found is None:
        raise NotFound(f"there is no endpoint {endpoint_id}")
    health = next((each for each in unit.endpoints.health() if each.endpoint == endpoint_id), None)
    return EndpointView(endpoint=found, health=health or EndpointHealth(endpoint=endpoint_id))
