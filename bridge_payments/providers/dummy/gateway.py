"""
The other side of the dummy provider: a payment service in this process, with books of its own.

It behaves like a careful gateway. A key that was used is answered with the
stored answer and moves nothing; a refund over what was captured is refused; a
decline leaves the intent open for another method. And it can be told to
misbehave: lose an answer after the work, refuse to be reached, break down.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from string import ascii_lowercase
from typing import Any, Final, Literal

from ...errors import ProviderNeverSent, ProviderUnknown
from ...models import Clock, utc_now
from .billing import Billing
from .vault import DECLINED, NEEDS_ACTION, SUCCEEDS, Refused

__all__ = ["DECLINED", "NEEDS_ACTION", "SUCCEEDS", "DummyGateway", "Refused"]

Fault = Literal["lost_answer", "never_sent", "broken_before", "broken_after"]
_WINDOW: Final = timedelta(hours=24)


class DummyGateway(Billing):
    """Intents, charges and refunds in dictionaries of plain JSON values; payers and subscriptions, too."""

    def __init__(self, *, clock: Clock = utc_now) -> None:
        super().__init__()
        self.clock = clock
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.disputes: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.charges: list[dict[str, Any]] = []
        """Every charge that was ever made: what the payer's bank saw."""
        self.requests: list[tuple[str, str | None]] = []
        """Every call that arrived, with its key."""
        self.charge_every_request = False
        """Ignore keys: for showing that one instruction is one request."""
        self._answers: dict[str, tuple[datetime, str, str]] = {}
        self._faults: deque[Fault] = deque()
        self._count = 0
        self._series = "".join(secrets.choice(ascii_lowercase) for _ in range(6))

    # --- switches -----------------------------------------------------------------------------------

    def lose_next_answer(self) -> None:
        """Do the work of the next call and lose its answer."""
        self._faults.append("lost_answer")

    def fail_next(self, fault: Fault) -> None:
        self._faults.append(fault)

    def keys(self) -> list[str]:
        """Return every distinct key that arrived, in order."""
        return list(dict.fromkeys(key for _, key in self.requests if key is not None))

    # --- what a provider may call -------------------------------------------------------------------

    def post(self, path: str, body: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Execute one instruction under one key. Raises Refused, ProviderNeverSent, ProviderUnknown."""
        fault = self._faults.popleft() if self._faults else None
        if fault == "never_sent":
            raise ProviderNeverSent("the dummy gateway cannot be reached")
        self.requests.append((path, key))
        if fault == "broken_before":
            raise ProviderUnknown("the dummy gateway broke down", http_status=500)
        answer = self._once(path, body, key)
        if fault in ("lost_answer", "broken_after"):
            raise ProviderUnknown("the dummy gateway's answer was lost")
        if "refused" in answer:
            raise Refused(**answer["refused"])
        return answer

    def get(self, reference: str) -> dict[str, Any]:
        """Read one intent with its refunds. Raises Refused(no_such_intent)."""
        intent = self._intent(reference)
        parts = {
            "refunds": [each for each in self.refunds.values() if each["intent"] == reference],
            "disputes": [each for each in self.disputes.values() if each["intent"] == reference],
        }
        return deepcopy({**intent, **parts})

    def answer_to(self, key: str) -> dict[str, Any] | None:
        """Read what was answered under *key*; None if nothing was asked under it."""
        known = self._answers.get(key)
        answer: dict[str, Any] | None = json.loads(known[2]) if known is not None else None
        return answer

    def list_since(self, moment: datetime) -> list[dict[str, Any]]:
        """Read every intent that began at *moment* or later. Does not lag."""
        return [
            self.get(intent["id"])
            for intent in self.intents.values()
            if intent["created"] >= moment.timestamp()
        ]

    def challenge(self, reference: str, *, passed: bool) -> dict[str, Any]:
        """The payer answers the challenge in the browser; we hear of it by webhook, or not."""
        intent = self._intent(reference)
        if passed:
            self._charge(intent)
        else:
            self._decline(intent, "challenge_failed")
        return self.get(reference)

    def dispute(self, reference: str, *, amount: int | None = None) -> str:
        """The payer's bank takes the money of an intent back; return the dispute's id."""
        intent = self._intent(reference)
        dispute = {
            "id": self.new_id("dd"),
            "intent": reference,
            "amount": intent["captured"] if amount is None else amount,
            "currency": intent["currency"],
            "state": "open",
        }
        self.disputes[dispute["id"]] = dispute
        self._tell("dispute.opened", intent)
        return str(dispute["id"])

    def decide(self, dispute: str, *, won: bool) -> None:
        """The bank decides a dispute."""
        self.disputes[dispute]["state"] = "won" if won else "lost"
        self._tell("dispute.decided", self._intent(self.disputes[dispute]["intent"]))

    # --- the service itself -------------------------------------------------------------------------

    def _once(self, path: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        print_of_body = json.dumps([path, body], sort_keys=True, default=str)
        known = self._answers.get(key)
        if known is not None and not self.charge_every_request and self.clock() < known[0] + _WINDOW:
            if known[1] != print_of_body:
                raise Refused("key_reused", "this key came with another body before")
            answer: dict[str, Any] = json.loads(known[2])
            return answer
        verbs: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "intents": self._create,
            "update": self._update,
            "confirm": self._confirm,
            "capture": self._capture,
            "cancel": self._cancel,
            "refunds": self._refund,
            "customers": self.create_customer,
            "customers/update": self.update_customer,
            "customers/delete": self.delete_customer,
            "methods": self.create_method,
            "methods/confirm": self.confirm_method,
            "methods/update": self.update_method,
            "methods/delete": self.delete_method,
            "subscriptions": self.create_subscription,
            "subscriptions/update": self.update_subscription,
            "subscriptions/cancel": self.cancel_subscription,
            "subscriptions/pause": self.pause_subscription,
            "subscriptions/resume": self.resume_subscription,
        }
        try:
            answer = verbs[path](body)
        except Refused as refused:
            answer = {"refused": {"code": refused.code, "message": refused.message, **refused.details}}
        self._answers[key] = (self.clock(), print_of_body, json.dumps(answer))
        return deepcopy(answer)

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = {
            "id": self.new_id("di"),
            "secret": f"{self.new_id('dummysecret')}",
            "state": "open",
            "amount": body["amount"],
            "currency": body["currency"],
            "manual": body.get("manual", False),
            "authorized": 0,
            "captured": 0,
            "metadata": dict(body.get("metadata", {})),
            "last_decline": None,
            "attempts": 0,
            "customer": body.get("customer"),
            "subscription": body.get("subscription"),
            "kept": None,
            "created": self.clock().timestamp(),
        }
        self.intents[intent["id"]] = intent
        self._tell("intent.created", intent)
        return (
            self._confirm({"intent": intent["id"], **body}) if body.get("confirm") else self.get(intent["id"])
        )

    def _update(self, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = self._open_intent(body["intent"])
        intent.update({name: body[name] for name in ("amount", "currency") if name in body})
        intent["metadata"].update(body.get("metadata", {}))
        return self.get(intent["id"])

    def _confirm(self, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = self._open_intent(body["intent"])
        intent["customer"] = body.get("customer") or intent["customer"]
        method = self.manners(body.get("method"), intent["customer"])
        intent["attempts"] += 1
        why = DECLINED.get(method or "")
        if method == NEEDS_ACTION and body.get("off_session"):
            why = "payer_needed"
        if why is not None:
            self._decline(intent, why)
            raise Refused(
                why, "The dummy gateway declined the method",
                intent=intent["id"], attempt=f"{intent['id']}.{intent['attempts']}",
            )  # fmt: skip
        if body.get("keep") and body.get("method") not in self.methods:
            intent["keep_token"] = method
        if method == NEEDS_ACTION:
            intent["state"] = "challenge"
            self._tell("intent.challenge", intent)
        elif method == SUCCEEDS:
            self._charge(intent)
        else:
            raise Refused("no_method", "a payment method is needed")
        return self.get(intent["id"])

    def _capture(self, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = self._intent(body["intent"])
        if intent["state"] != "held":
            raise Refused("wrong_state", f"the intent is {intent['state']}")
        if not 0 < body["amount"] <= intent["authorized"]:
            raise Refused("too_much", "more than is authorised")
        intent.update(state="paid", captured=body["amount"])
        self.charges.append(
            {"intent": intent["id"], "amount": body["amount"], "currency": intent["currency"]}
        )
        self._tell("intent.paid", intent)
        return self.get(intent["id"])

    def _cancel(self, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = self._intent(body["intent"])
        if intent["state"] not in ("open", "challenge", "held"):
            raise Refused("wrong_state", f"the intent is {intent['state']}")
        intent["state"] = "canceled"
        self._tell("intent.canceled", intent)
        return self.get(intent["id"])

    def _refund(self, body: Mapping[str, Any]) -> dict[str, Any]:
        intent = self._intent(body["intent"])
        given = sum(refund["amount"] for refund in self.refunds.values() if refund["intent"] == intent["id"])
        if intent["state"] != "paid" or given + body["amount"] > intent["captured"]:
            raise Refused("too_much", "more than was captured")
        refund = {
            "id": self.new_id("dr"),
            "intent": intent["id"],
            "amount": body["amount"],
            "currency": intent["currency"],
            "state": "done",
            "metadata": dict(body.get("metadata", {})),
        }
        self.refunds[refund["id"]] = refund
        self._tell("refund.done", intent)
        return deepcopy(refund)

    def _charge(self, intent: dict[str, Any]) -> None:
        if intent["manual"]:
            intent.update(state="held", authorized=intent["amount"])
            self._keep_with(intent)
            self._tell("intent.held", intent)
            return
        intent.update(state="paid", authorized=intent["amount"], captured=intent["amount"], last_decline=None)
        self._keep_with(intent)
        subscription = self.subscriptions.get(intent["subscription"] or "")
        if subscription is not None and subscription["state"] in ("incomplete", "past_due"):
            subscription["state"] = "active"
            self.tell("subscription.active", "subscription", subscription)
        self.charges.append(
            {"intent": intent["id"], "amount": intent["amount"], "currency": intent["currency"]}
        )
        self._tell("intent.paid", intent)

    def _keep_with(self, intent: dict[str, Any]) -> None:
        token = intent.pop("keep_token", None)
        if token is not None:
            token = SUCCEEDS if token == NEEDS_ACTION else token
            intent["kept"] = deepcopy(self.keep(token, intent["customer"], {}))

    def collect(self, subscription: Mapping[str, Any], token: str | None) -> dict[str, Any]:
        """Charge for one period of a subscription; a decline leaves the intent open."""
        asked = {name: subscription[name] for name in ("amount", "currency", "customer")}
        intent = self.intents[self._create({**asked, "subscription": subscription["id"]})["id"]]
        with contextlib.suppress(Refused):
            self._confirm({"intent": intent["id"], "method": token, "customer": subscription["customer"]})
        return intent

    def now(self) -> datetime:
        return self.clock()

    def _decline(self, intent: dict[str, Any], code: str) -> None:
        intent.update(
            state="open", last_decline={"code": code, "attempt": f"{intent['id']}.{intent['attempts']}"}
        )
        self._tell("intent.declined", intent)

    def _tell(self, type_: str, intent: Mapping[str, Any]) -> None:
        self.events.append({"id": self.new_id("de"), "type": type_, "intent": deepcopy(dict(intent))})

    def tell(self, type_: str, noun: str, row: Mapping[str, Any]) -> None:
        event = {"id": self.new_id("de"), "type": type_, "noun": noun, "object": deepcopy(dict(row))}
        self.events.append(event)

    def _intent(self, reference: str) -> dict[str, Any]:
        try:
            return self.intents[reference]
        except KeyError:
            raise Refused("no_such_intent", "there is no such intent") from None

    def _open_intent(self, reference: str) -> dict[str, Any]:
        intent = self._intent(reference)
        if intent["state"] not in ("open", "challenge"):
            raise Refused("wrong_state", f"the intent is {intent['state']}")
        return intent

    def new_id(self, prefix: str) -> str:
        """Return an id that no gateway gave before: a database outlives the process that this one ends with.

        The series is of letters, so that no id is ever taken for the number of a card.
        """
        self._count += 1
        return f"{prefix}_{self._series}{self._count:06d}"
