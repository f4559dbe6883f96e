"""Acme's other side, as far as the tests need it: a service with books of its own, over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from acme_payments.inbox import HEADER, sign

from bridge_payments import Money
from bridge_payments.testing import HttpGateway, Moved
from bridge_payments.testing.providers.http import Asked, Refusal

REFUSED = {"card_empty": "no_funds", "card_old": "expired"}


class FakeAcme(HttpGateway):
    """`HttpGateway` listens, keeps keys and misbehaves on demand; what Acme does is written here."""

    succeeds, declines = "card_good", "card_empty"
    api_key, webhook_secret = "test_acme_key_0001", "acme_webhook_secret_0001"

    def __init__(self) -> None:
        self.charged: list[Moved] = []
        self.books: dict[str, dict[str, Any]] = {}
        self.announced: list[bytes] = []
        super().__init__()

    def turn_away(self, asked: Asked) -> None:
        if asked.headers.get("authorization") != f"Bearer {self.api_key}":
            raise Refusal(401, {"code": "wrong_key"})

    def answer(self, asked: Asked) -> Mapping[str, Any]:
        match asked.method, asked.path.removeprefix("/v1").split("/")[1:]:
            case "POST", ["charges"]:
                return self._create(asked.json)
            case "GET", ["charges"]:
                return {
                    "charges": [each for each in self.books.values() if each["ref"] == asked.query["ref"]]
                }
            case "GET", ["charges", reference]:
                return self._charge(reference)
            case "POST", ["charges", reference, "pay"]:
                return self._pay(self._charge(reference, "new"), asked.json["method"])
            case "POST", ["charges", reference, "capture"]:
                return self._collect(self._charge(reference, "held"), asked.json["amount"])
            case "POST", ["charges", reference, "void"]:
                return self._change(self._charge(reference, "new", "held"), state="void", held="0")
            case "POST", ["refunds"]:
                return self._refund(self._charge(asked.json["charge"], "paid"), asked.json)
        raise Refusal(404, {"code": "no_such_page"})

    # --- what Acme does -----------------------------------------------------------------------------

    def _create(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        charge = {
            "id": f"ch_{len(self.books) + 1:06}", "state": "new", "amount": wish["amount"],
            "currency": wish["currency"], "hold": wish["hold"], "held": "0", "collected": "0", "refunds": [],
            "last_refusal": None, "ref": wish["ref"], "payment_id": wish["payment_id"], "test": True,
        }  # fmt: skip
        self.books[charge["id"]] = charge
        self._change(charge)
        return self._pay(charge, wish["method"]) if "method" in wish else charge

    def _pay(self, charge: dict[str, Any], method: str | None) -> dict[str, Any]:
        if method in REFUSED:
            refusal = {"code": REFUSED[method], "attempt": f"{charge['id']}.{len(self.announced)}"}
            self._change(charge, last_refusal=refusal)
            raise Refusal(402, {**refusal, "charge": charge["id"]})
        if method != self.succeeds:
            raise Refusal(400, {"code": "no_such_method"})
        self._change(charge, state="held", held=charge["amount"])
        return charge if charge["hold"] else self._collect(charge, charge["amount"])

    def _collect(self, charge: dict[str, Any], amount: str) -> dict[str, Any]:
        if not 0 < Decimal(amount) <= Decimal(charge["held"]):
            raise Refusal(400, {"code": "amount_too_large"})
        self.charged.append(_moved(charge, amount))
        return self._change(charge, state="paid", held="0", collected=amount)

    def _refund(self, charge: dict[str, Any], wish: Mapping[str, Any]) -> dict[str, Any]:
        given = sum(Decimal(refund["amount"]) for refund in charge["refunds"])
        if not 0 < Decimal(wish["amount"]) <= Decimal(charge["collected"]) - given:
            raise Refusal(400, {"code": "amount_too_large"})
        refund = {
            "id": f"{charge['id']}-r{len(charge['refunds']) + 1}", "state": "done", "amount": wish["amount"],
            "ref": wish["ref"], "refund_id": wish["refund_id"],
        }  # fmt: skip
        self._change(charge, refunds=[*charge["refunds"], refund])
        return {"refund": refund, "charge": charge}

    def _change(self, charge: dict[str, Any], **changes: Any) -> dict[str, Any]:
        charge.update(changes)
        event = {
            "id": f"ev_{len(self.announced) + 1:06}",
            "type": f"charge.{charge['state']}",
            "charge": charge,
        }
        self.announced.append(json.dumps(event).encode())
        return charge

    def _charge(self, reference: str, *states: str) -> dict[str, Any]:
        charge = self.books.get(reference)
        if charge is None:
            raise Refusal(404, {"code": "no_such_charge"})
        if states and charge["state"] not in states:
            raise Refusal(422, {"code": "wrong_state"})
        return charge

    # --- what the suite asks ------------------------------------------------------------------------

    def charges(self) -> Sequence[Moved]:
        return self.charged

    def refunds(self) -> Sequence[Moved]:
        return [
            _moved(charge, each["amount"]) for charge in self.books.values() for each in charge["refunds"]
        ]

    def events(self) -> Sequence[bytes]:
        return self.announced

    def signed_webhook(self, body: bytes, *, at: datetime, other_account: bool = False) -> Mapping[str, str]:
        secret = "acme_webhook_secret_0002" if other_account else self.webhook_secret
        moment = int(at.timestamp())
        return {HEADER: f"t={moment},v1={sign(body, secret, moment)}"}

    def invent_status(self, reference: str) -> None:
        self.books[reference]["state"] = "sparkling"

    def secrets(self) -> Sequence[str]:
        return [self.api_key, self.webhook_secret]


def _moved(charge: Mapping[str, Any], amount: str) -> Moved:
    """Counted by hand and not by the code under test: the digits before and behind the point."""
    whole, _, rest = amount.partition(".")
    decimals = {"JPY": 0, "KWD": 3}.get(charge["currency"], 2)
    assert re.fullmatch(rf"[0-9]{{{decimals}}}", rest), f"{amount} {charge['currency']}"
    return Moved(payment=charge["id"], amount=Money(int(whole + rest), charge["currency"]))
