"""The part of the dummy gateway that bills again and again, on a clock that tests move."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .vault import DECLINED, SUCCEEDS, Refused, Vault

__all__ = ["Billing", "moment"]

_DAYS: Final = {"daily": 1, "weekly": 7, "monthly": 30, "yearly": 365}


class Billing(Vault):
    """Subscriptions. Each collects at the beginning of a period, through an intent of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions: dict[str, dict[str, Any]] = {}

    def collect(self, subscription: Mapping[str, Any], token: str | None) -> dict[str, Any]:
        """Charge for one period; return the intent."""
        raise NotImplementedError

    def now(self) -> datetime:
        raise NotImplementedError

    def subscription(self, reference: str) -> dict[str, Any]:
        """Return a subscription's own record. Raises Refused(no_such_object)."""
        if reference not in self.subscriptions:
            raise Refused("no_such_object", "there is no such subscription")
        return self.subscriptions[reference]

    def bill(self) -> int:
        """Collect what is due by the clock; return how many periods began or ended."""
        moved = 0
        for subscription in self.subscriptions.values():
            while self._is_due(subscription):
                self._turn(subscription)
                moved += 1
        return moved

    def _is_due(self, subscription: Mapping[str, Any]) -> bool:
        return (
            subscription["state"] in ("active", "trialing", "past_due")
            and subscription["end"] <= self.now().timestamp()
        )

    def _turn(self, subscription: dict[str, Any]) -> None:
        if subscription["cancel_at_end"]:
            subscription.update(state="canceled", ended=subscription["end"])
            self.tell("subscription.canceled", "subscription", subscription)
            return
        subscription["start"] = subscription["end"]
        subscription["end"] += self._length(subscription)
        method = self.methods.get(subscription["method"])
        intent = self.collect(subscription, method["token"] if method else None)
        subscription["charges"].append(intent["id"])
        paid = intent["state"] == "paid"
        subscription["state"] = "active" if paid else "past_due"
        self.tell("subscription.billed" if paid else "subscription.unpaid", "subscription", subscription)

    @staticmethod
    def _length(subscription: Mapping[str, Any]) -> float:
        days = _DAYS[subscription["interval"]] * subscription["count"]
        return timedelta(days=days).total_seconds()

    # --- instructions -------------------------------------------------------------------------------

    def create_subscription(self, body: Mapping[str, Any]) -> dict[str, Any]:
        token = self.manners(body.get("method"), body.get("customer"))
        if body.get("method") not in self.methods:
            raise Refused("no_method", "a stored method is needed")
        start = self.now()
        trial = timedelta(days=body.get("trial_days", 0))
        subscription = {
            "id": self.new_id("ds"),
            "customer": body.get("customer"),
            "method": body["method"],
            "amount": body["amount"],
            "currency": body["currency"],
            "interval": body["interval"],
            "count": body["count"],
            "state": "trialing" if trial else "active",
            "start": start.timestamp(),
            "end": (start + trial).timestamp(),
            "trial_end": (start + trial).timestamp() if trial else None,
            "cancel_at_end": False,
            "ended": None,
            "charges": [],
            "metadata": dict(body.get("metadata", {})),
            "created": start.timestamp(),
        }
        if not trial:
            subscription["end"] += self._length(subscription)
            if token in DECLINED:
                raise Refused(DECLINED[token], "The dummy gateway declined the method")
            intent = self.collect(subscription, token)
            subscription["charges"].append(intent["id"])
            subscription["state"] = "active" if token == SUCCEEDS else "incomplete"
        self.subscriptions[subscription["id"]] = subscription
        self.tell("subscription.created", "subscription", subscription)
        return self.get_subscription(subscription["id"])

    def update_subscription(self, body: Mapping[str, Any]) -> dict[str, Any]:
        subscription = self._living(body)
        if body.get("method") is not None:
            self.manners(body["method"], subscription["customer"])
        subscription.update({name: body[name] for name in ("amount", "currency", "method") if name in body})
        subscription["metadata"].update(body.get("metadata", {}))
        return self._changed(subscription)

    def cancel_subscription(self, body: Mapping[str, Any]) -> dict[str, Any]:
        subscription = self._living(body)
        if body["at_end"]:
            subscription["cancel_at_end"] = True
        else:
            subscription.update(state="canceled", ended=self.now().timestamp())
        return self._changed(subscription)

    def pause_subscription(self, body: Mapping[str, Any]) -> dict[str, Any]:
        subscription = self._living(body)
        subscription["state"] = "paused"
        return self._changed(subscription)

    def resume_subscription(self, body: Mapping[str, Any]) -> dict[str, Any]:
        subscription = self._living(body)
        subscription["cancel_at_end"] = False
        if subscription["state"] == "paused":
            subscription["state"] = "active"
        return self._changed(subscription)

    def get_subscription(self, reference: str) -> dict[str, Any]:
        """Read one subscription with the intents of its charges, newest first."""
        subscription = self.subscription(reference)
        return deepcopy({**subscription, "intents": list(map(self.get, reversed(subscription["charges"])))})

    def get(self, reference: str) -> dict[str, Any]:
        raise NotImplementedError

    def _living(self, body: Mapping[str, Any]) -> dict[str, Any]:
        subscription = self.subscription(body["subscription"])
        if subscription["state"] == "canceled":
            raise Refused("wrong_state", "the subscription is canceled")
        return subscription

    def _changed(self, subscription: dict[str, Any]) -> dict[str, Any]:
        self.tell(f"subscription.{subscription['state']}", "subscription", subscription)
        return self.get_subscription(subscription["id"])


def moment(seconds: float | None) -> datetime | None:
    """Return the gateway's seconds as a moment."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
