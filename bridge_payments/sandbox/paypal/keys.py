"""PayPal-Request-Ids as PayPal keeps them.

From the documentation (2026-11, https://developer.paypal.com/api/rest/reference/idempotency):

* a request with an id that was used before answers with the latest status of what the first one made,
  200 instead of 201, and makes nothing; the body is not compared;
* of two at the same time the second one may fail (409 PREVIOUS_REQUEST_IN_PROGRESS);
* calls that fail with a time-out or a 5xx may be repeated with the same id: a failure is not kept;
* orders keep an id for 6 hours, payments for 45 days, the vault for 3 hours, products, plans and
  subscriptions for 72 hours (the header's description in checkout_orders_v2 2.13, payments_payment_v2 2.5,
  vault_payment_tokens_v3 3.1, catalogs_products_v1 and billing_subscriptions_v1 1.6); an id has at most 108
  characters.

What is not documented, and assumed here: a refusal of the deed (422) is kept, a refusal of the input is not;
an id counts per endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ...models import Clock
from .books import Json
from .problems import Problem, invalid

__all__ = ["Keys", "Saved"]

_WINDOWS: Final = {
    "/v2/checkout/orders": timedelta(hours=6),
    "/v2/payments": timedelta(days=45),
    "/v3/vault": timedelta(hours=3),
    "/v1/catalogs": timedelta(hours=72),
    "/v1/billing": timedelta(hours=72),
}
_LONGEST: Final = 108


@dataclass(slots=True)
class Saved:
    """What one id made; while both are None its request is being executed."""

    path: str
    created_at: datetime
    made: tuple[str, str] | None = None
    """Shelf and identity of the object: its latest state is the answer to a repeat."""
    refused: Problem | None = None
    replays: int = 0


class Keys:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.saved: dict[tuple[str, str], Saved] = {}
        self.ignored = False
        """A gateway that executes every request: shows who relies on ids and who sends two."""

    def begin(self, key: str, path: str) -> Saved | None:
        """Return what the id made before, or None: then this request is the first."""
        if not 0 < len(key) <= _LONGEST:
            raise invalid("INVALID_STRING_LENGTH", "The value of a field is either too short or too long.")
        self.prune()
        before = self.saved.get((path, key))
        if before is None or self.ignored:
            self.saved[path, key] = Saved(path, self._clock())
            return None
        if before.made is None and before.refused is None:
            raise Problem(
                409,
                "RESOURCE_CONFLICT",
                "PREVIOUS_REQUEST_IN_PROGRESS",
                "A previous request on this resource is currently in progress.",
            )
        before.replays += 1
        return before

    def forget(self, key: str, path: str) -> None:
        self.saved.pop((path, key), None)

    def prune(self) -> None:
        now = self._clock()
        self.saved = {
            pair: saved for pair, saved in self.saved.items() if now - saved.created_at < _window(saved.path)
        }

    def dump(self) -> list[Json]:
        """Return what made something as JSON values; one in flight ends with its process."""
        return [
            {"key": key, "path": path, "created_at": saved.created_at.isoformat(), "made": list(saved.made)}
            for (path, key), saved in self.saved.items()
            if saved.made is not None
        ]

    def load(self, dumped: list[Json]) -> None:
        for each in dumped:
            shelf, identity = each["made"]
            moment = datetime.fromisoformat(each["created_at"])
            self.saved[each["path"], each["key"]] = Saved(each["path"], moment, (shelf, identity))


def _window(path: str) -> timedelta:
    return next(window for prefix, window in _WINDOWS.items() if path.startswith(prefix))
