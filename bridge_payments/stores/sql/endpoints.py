"""Endpoints that an operator stored, and the health of endpoints of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from ...models import EndpointHealth, StoredEndpoint, SwitchedOff
from .rows import endpoint_from, endpoint_row, health_from
from .session import Insertion, Repository
from .tables import endpoint_health, endpoints
from .types import moment

__all__ = ["Endpoints"]

_C: Final = endpoints.c
_H: Final = endpoint_health.c
_READ: Final = sa.select(endpoints)
_GET: Final = _READ.where(_C.id == sa.bindparam("id"))
_ALL: Final = _READ.order_by(_C.id)
_SAVE: Final = endpoints.update().where(
    _C.id == sa.bindparam("its_id"), _C.version == sa.bindparam("its_version")
)
_DELETE: Final = endpoints.delete().where(_C.id == sa.bindparam("its_id"))

_HEALTH: Final = sa.select(endpoint_health)
_ITS: Final = _H.endpoint == sa.bindparam("its_endpoint")
_ALL_HEALTH: Final = _HEALTH.order_by(_H.endpoint)
_ITS_HEALTH: Final = _HEALTH.where(_ITS)
_NOTED: Final = Insertion("endpoints.note", endpoint_health, "endpoint")
_FAILED: Final = (
    endpoint_health.update()
    .where(_ITS)
    .values(failures=_H.failures + 1, failing_since=sa.func.coalesce(_H.failing_since, moment("now")))
)
_RECOVERED: Final = (
    endpoint_health.update().where(_ITS, _H.failing_since.is_not(None)).values(failures=0, failing_since=None)
)
_OFF: Final = (
    endpoint_health.update()
    .where(_ITS, _H.disabled_at.is_(None))
    .values(disabled_at=moment("now"), disabled_reason=sa.bindparam("reason"))
)
_ON: Final = (
    endpoint_health.update()
    .where(_ITS, _H.disabled_at.is_not(None))
    .values(disabled_at=None, disabled_reason=None, failures=0, failing_since=None)
)
_FORGET: Final = endpoint_health.delete().where(_ITS)


class Endpoints(Repository):
    def add(self, endpoint: StoredEndpoint) -> None:
        self._session.write("endpoints.add", endpoints.insert(), endpoint_row(endpoint))

    def get(self, endpoint_id: str) -> StoredEndpoint | None:
        row = self._session.row("endpoints.get", _GET, id=endpoint_id)
        return endpoint_from(row) if row is not None else None

    def list(self) -> Sequence[StoredEndpoint]:
        return [endpoint_from(row) for row in self._session.rows("endpoints.list", _ALL)]

    def save(self, endpoint: StoredEndpoint, *, expected_version: int) -> bool:
        row = endpoint_row(endpoint) | {"version": expected_version + 1}
        values = row | {"its_id": row.pop("id"), "its_version": expected_version}
        return self._session.write("endpoints.save", _SAVE, values) == 1

    def delete(self, endpoint_id: str) -> bool:
        found = self._session.write("endpoints.delete", _DELETE, {"its_id": endpoint_id}) == 1
        if found:
            self._session.write("endpoints.forget", _FORGET, {"its_endpoint": endpoint_id})
        return found

    def health(self) -> Sequence[EndpointHealth]:
        return [health_from(row) for row in self._session.rows("endpoints.health", _ALL_HEALTH)]

    def failed(self, endpoint: str) -> EndpointHealth:
        values = {"its_endpoint": endpoint, **self._session.moment("now")}
        self._write("endpoints.failed", _FAILED, values)
        row = self._session.row("endpoints.health_of", _ITS_HEALTH, its_endpoint=endpoint)
        assert row is not None
        return health_from(row)

    def recovered(self, endpoint: str) -> None:
        self._session.write("endpoints.recovered", _RECOVERED, {"its_endpoint": endpoint})

    def switch_off(self, endpoint: str, reason: SwitchedOff) -> bool:
        values = {"its_endpoint": endpoint, "reason": reason.value, **self._session.moment("now")}
        return self._write("endpoints.switch_off", _OFF, values) == 1

    def switch_on(self, endpoint: str) -> bool:
        return self._session.write("endpoints.switch_on", _ON, {"its_endpoint": endpoint}) == 1

    def _write(self, name: str, statement: sa.Update, values: dict[str, Any]) -> int:
        """Change the row of an endpoint, which begins with the first thing that is noted of it."""
        touched = self._session.write(name, statement, values)
        if touched == 0:
            _NOTED.run(self._session, {"endpoint": values["its_endpoint"], "failures": 0})
            touched = self._session.write(name, statement, values)
        return touched
