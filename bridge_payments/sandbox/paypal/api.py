"""The endpoints: one request in, one answer out, no I/O. Tokens, request ids, representations."""

from __future__ import annotations

import base64
import copy
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs

from ..faults import FaultKind
from ..wire import Call
from .billing import Billing
from .books import Books, Json
from .disputes import Disputes
from .keys import Keys, Saved
from .orders import Orders
from .payments import Payments
from .problems import Problem, invalid, missing_object, token_refused
from .signing import signer
from .vault import Vault
from .webhooks import Webhooks

__all__ = ["Answer", "Api", "Exchange"]

_TOKEN_LIFE: Final = timedelta(hours=9)
_WHOLE: Final = ("setups", "tokens")
"""What has no shorter answer."""
_MINIMAL: Final = ("id", "status", "links", "payment_source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes = field(repr=False)
    debug_id: str
    replayed: bool = False
    media_type: str = "application/json"

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.media_type, "paypal-debug-id": self.debug_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One line of the request log."""

    method: str
    path: str
    key: str | None
    body: str
    status: int
    replayed: bool
    fault: str | None = None


Handler = Callable[[str, Json], tuple[str, Json]]
"""Gets the identity in the path and the body; returns the shelf and the object."""


class Api:
    """Answers requests against the books. Hold `lock` around everything but `caller`."""

    def __init__(
        self, books: Books, keys: Keys, webhooks: Webhooks, *, client_id: str, client_secret: str
    ) -> None:
        self.books: Books = books
        self.keys: Keys = keys
        self.webhooks: Webhooks = webhooks
        self.payments: Payments = Payments(books)
        self.vault: Vault = Vault(books)
        self.orders: Orders = Orders(books, self.payments, self.vault)
        self.billing: Billing = Billing(books, self.payments)
        self.disputes: Disputes = Disputes(books, self.payments)
        self.exchanges: list[Exchange] = []
        self.tokens: dict[str, datetime] = {}
        self._credentials = (client_id, client_secret)
        self._writes = [(re.compile(pattern), handler) for pattern, handler in self._write_table()]
        self._changes = [
            (method, re.compile(pattern), handler) for method, pattern, handler in self._change_table()
        ]
        self._reads = [(re.compile(pattern), handler) for pattern, handler in self._read_table()]

    @property
    def lock(self) -> threading.RLock:
        return self.books.lock

    # --- one request ------------------------------------------------------------------------------

    def caller(self, call: Call) -> str | None:
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            until = self.tokens.get(value.strip())
            return "server" if until is not None and self.books.clock() < until else None
        if scheme.lower() == "basic":
            given = base64.b64decode(value + "==").decode("utf-8", "replace")
            return "server" if given == ":".join(self._credentials) else None
        return None

    def serve(self, call: Call, fault: FaultKind | None, status: int) -> Answer:
        match fault:
            case FaultKind.ERROR_BEFORE | FaultKind.ERROR_STORED:
                return self._problem(Problem(status, "INTERNAL_SERVER_ERROR"))
            case FaultKind.RATE_LIMITED:
                return self._problem(Problem(429, "RATE_LIMIT_REACHED"))
            case FaultKind.KEY_IN_USE:
                return self._problem(Problem(409, "RESOURCE_CONFLICT", "PREVIOUS_REQUEST_IN_PROGRESS"))
            case FaultKind.ERROR_AFTER:
                self._answer(call)
                return self._problem(Problem(500, "INTERNAL_SERVER_ERROR"))
            case _:
                return self._answer(call)

    def occupy(self, call: Call) -> bool:
        key = call.headers.get("paypal-request-id")
        if call.method != "POST" or not key:
            return False
        try:
            return self.keys.begin(key, call.path) is None
        except Problem:
            return False

    def release(self, call: Call) -> None:
        self.keys.forget(call.headers["paypal-request-id"], call.path)

    def log(self, call: Call, answer: Answer | None, fault: str | None) -> None:
        self.exchanges.append(
            Exchange(
                method=call.method,
                path=call.path,
                key=call.headers.get("paypal-request-id"),
                body=call.body.decode("utf-8", "replace"),
                status=answer.status if answer else 0,
                replayed=bool(answer and answer.replayed),
                fault=fault,
            )
        )

    def _answer(self, call: Call) -> Answer:
        if call.path.startswith("/v1/notifications/certs/"):
            return self._plain(200, signer().chain, media_type="text/plain")
        if call.path == "/v1/oauth2/token":
            return self._token(call)
        if self.caller(call) is None:
            return self._problem(Problem(401, "AUTHENTICATION_FAILURE"))
        self.billing.run_due()
        try:
            if call.path == "/v1/notifications/verify-webhook-signature":
                return self._plain(200, _json(self.webhooks.verification(call.body)))
            if call.method == "GET":
                return self._plain(200, _json(self._look_up(call)))
            return self._change(call) or self._write(call)
        except Problem as problem:
            return self._problem(problem)

    def _token(self, call: Call) -> Answer:
        if self.caller(call) is None:
            said = token_refused("invalid_client", "Client Authentication failed")
            return self._plain(401, _json(said))
        if parse_qs(call.body.decode()).get("grant_type") != ["client_credentials"]:
            return self._plain(400, _json(token_refused("unsupported_grant_type", "Grant Type is NULL")))
        token = f"A21AA{secrets.token_urlsafe(40)}"
        self.tokens[token] = self.books.clock() + _TOKEN_LIFE
        said = {
            "scope": "https://uri.paypal.com/services/payments/payment",
            "access_token": token,
            "token_type": "Bearer",
            "app_id": "APP-80W284485P519543T",
            "nonce": "sandbox",
        }
        return self._plain(200, _json({**said, "expires_in": int(_TOKEN_LIFE.total_seconds())}))

    # --- reading and writing ------------------------------------------------------------------------

    def _look_up(self, call: Call) -> Json:
        query = {name: values[0] for name, values in parse_qs(call.query).items()}
        for pattern, handler in self._reads:
            if match := pattern.fullmatch(call.path):
                return handler("".join(match.groups()), query)
        raise Problem(404, "RESOURCE_NOT_FOUND")

    def _read_table(self) -> list[tuple[str, Callable[[str, Mapping[str, str]], Json]]]:
        one = "([^/]+)"
        return [
            (f"/v2/checkout/orders/{one}", lambda id_, _: self.shown("orders", self.orders.get(id_))),
            (f"/v2/payments/captures/{one}", lambda id_, _: self.payments.capture(id_)),
            (f"/v2/payments/authorizations/{one}", lambda id_, _: self.payments.authorization(id_)),
            (f"/v2/payments/refunds/{one}", lambda id_, _: self.payments.refund_of(id_)),
            (f"/v3/vault/setup-tokens/{one}", lambda id_, _: self.vault.setup(id_)),
            (f"/v3/vault/payment-tokens/{one}", lambda id_, _: self.vault.token(id_)),
            ("/v3/vault/payment-tokens", lambda _, query: self.vault.listed(query.get("customer_id", ""))),
            (
                "/v1/billing/subscriptions",
                lambda _, query: self.billing.listed(query.get("plan_ids", "")),
            ),
            (f"/v1/billing/subscriptions/{one}", self._subscription),
            (
                f"/v1/billing/subscriptions/{one}/transactions",
                lambda id_, query: self.billing.transactions(
                    id_, query.get("start_time", ""), query.get("end_time", "")
                ),
            ),
            (
                "/v1/customer/disputes",
                lambda _, query: self.disputes.about(query.get("disputed_transaction_id", "")),
            ),
            (f"/v1/customer/disputes/{one}", lambda id_, _: self.disputes.one(id_)),
        ]

    def _subscription(self, identity: str, query: Mapping[str, str]) -> Json:
        found = copy.deepcopy(self.billing.get(identity))
        if "plan" in query.get("fields", "").split(","):
            found["plan"] = copy.deepcopy(self.billing.plan_of(found))
        return found

    def shown(self, shelf: str, thing: Json) -> Json:
        """Return a copy as it goes out: an order's payments say nothing of the order they are in."""
        seen = copy.deepcopy(thing)
        if shelf == "orders":
            for made in seen["purchase_units"][0].get("payments", {}).values():
                for each in made:
                    each.pop("supplementary_data", None)
        return seen

    def _change(self, call: Call) -> Answer | None:
        """Make a change that has no request id and no answer; None for what is none."""
        for method, pattern, handler in self._changes:
            if call.method == method and (match := pattern.fullmatch(call.path)):
                handler("".join(match.groups()), self._read(call, listed=method == "PATCH"))
                return self._plain(204, b"")
        return None

    def _change_table(self) -> list[tuple[str, str, Callable[[str, Any], object]]]:
        one, billing = "([^/]+)", self.billing
        subscription = f"/v1/billing/subscriptions/{one}"
        return [
            ("DELETE", f"/v3/vault/payment-tokens/{one}", lambda id_, _: self.vault.delete(id_)),
            ("PATCH", subscription, billing.patch),
            ("POST", f"{subscription}/suspend", billing.suspend),
            ("POST", f"{subscription}/activate", billing.activate),
            ("POST", f"{subscription}/cancel", billing.cancel),
        ]

    def _write(self, call: Call) -> Answer:
        key = call.headers.get("paypal-request-id")
        wish = self._read(call)
        for pattern, handler in self._writes:
            if call.method == "POST" and (match := pattern.fullmatch(call.path)):
                if not key and call.path == "/v2/checkout/orders" and wish.get("payment_source"):
                    raise invalid("PAYPAL_REQUEST_ID_REQUIRED", "A PayPal-Request-Id is required.")
                saved = self.keys.begin(key, call.path) if key else None
                if saved is not None:
                    return self._again(call, saved)
                return self._first(call, key, lambda: handler("".join(match.groups()), wish))  # noqa: B023 - called at once
        raise Problem(404, "RESOURCE_NOT_FOUND")

    def _first(self, call: Call, key: str | None, deed: Callable[[], tuple[str, Json]]) -> Answer:
        try:
            shelf, made = deed()
        except Problem as problem:
            if key:
                if problem.remembered:
                    self.keys.saved[call.path, key].refused = problem
                else:
                    self.keys.forget(key, call.path)
            raise
        if key:
            self.keys.saved[call.path, key].made = (shelf, made["id"])
        # Asking changes an order; making one, or a capture or a refund, creates.
        return self._made(call, shelf, made, status=200 if call.path.endswith("/void") else 201)

    def _again(self, call: Call, saved: Saved) -> Answer:
        if saved.refused is not None:
            raise saved.refused
        assert saved.made is not None  # `begin` refuses an id in flight
        shelf, identity = saved.made
        made = getattr(self.books, shelf).get(identity)
        if made is None:
            raise missing_object()
        return self._made(call, shelf, made, status=200, replayed=True)

    def _made(self, call: Call, shelf: str, made: Json, *, status: int, replayed: bool = False) -> Answer:
        seen = self.shown(shelf, made)
        whole = call.headers.get("prefer") == "return=representation" or shelf in _WHOLE
        if not whole and call.path.endswith("/void"):
            return self._plain(204, b"", replayed=replayed)
        if not whole:
            paid = seen["purchase_units"] if shelf == "orders" and seen["status"] == "COMPLETED" else []
            seen = {name: seen[name] for name in _MINIMAL if name in seen}
            if paid:
                seen["purchase_units"] = [{name: paid[0][name] for name in ("reference_id", "payments")}]
        return self._plain(status, _json(seen), replayed=replayed)

    def _read(self, call: Call, *, listed: bool = False) -> Any:
        if not call.body:
            return {}
        try:
            wish = json.loads(call.body)
        except ValueError:
            raise invalid("MALFORMED_REQUEST_JSON", "The request JSON is not well formed.") from None
        if not isinstance(wish, list if listed else dict):
            raise invalid("INVALID_PARAMETER_SYNTAX", "The value of a field does not conform to the format.")
        return wish

    def _write_table(self) -> list[tuple[str, Handler]]:
        orders, payments = self.orders, self.payments
        one = "([^/]+)"
        return [
            ("/v2/checkout/orders", lambda _, wish: ("orders", orders.create(wish))),
            (f"/v2/checkout/orders/{one}/capture", lambda id_, wish: ("orders", orders.capture(id_, wish))),
            (
                f"/v2/checkout/orders/{one}/authorize",
                lambda id_, wish: ("orders", orders.authorize(id_, wish)),
            ),
            (
                f"/v2/payments/authorizations/{one}/capture",
                lambda id_, wish: ("captures", payments.capture_authorization(id_, wish)),
            ),
            (
                f"/v2/payments/authorizations/{one}/void",
                lambda id_, _: ("authorizations", payments.void(id_)),
            ),
            (
                f"/v2/payments/captures/{one}/refund",
                lambda id_, wish: ("refunds", payments.refund(id_, wish)),
            ),
            ("/v3/vault/setup-tokens", lambda _, wish: ("setups", self.vault.create_setup(wish))),
            ("/v3/vault/payment-tokens", lambda _, wish: ("tokens", self.vault.create_token(wish))),
            ("/v1/catalogs/products", lambda _, wish: ("products", self.billing.create_product(wish))),
            ("/v1/billing/plans", lambda _, wish: ("plans", self.billing.create_plan(wish))),
            ("/v1/billing/subscriptions", lambda _, wish: ("subscriptions", self.billing.create(wish))),
        ]

    def _problem(self, problem: Problem) -> Answer:
        debug_id = secrets.token_hex(7)
        return self._plain(problem.status, _json(problem.body(debug_id)), debug_id=debug_id)

    def _plain(self, status: int, body: bytes, *, debug_id: str | None = None, **more: Any) -> Answer:
        return Answer(status=status, body=body, debug_id=debug_id or secrets.token_hex(7), **more)


def _json(body: Json | dict[str, str]) -> bytes:
    return json.dumps(body).encode()
