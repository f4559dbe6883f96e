"""The endpoints: one request in, one answer out, no I/O. Keys, permissions, expansion, idempotency."""

from __future__ import annotations

import base64
import copy
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..faults import FaultKind
from ..wire import Call
from . import billing_shapes, shapes
from .books import API_VERSION, Books, Json
from .disputes import Disputes
from .forms import Params, decode
from .idempotency import Keys
from .intents import Intents
from .invoices import Invoices
from .listings import found, page
from .methods import Methods
from .problems import Problem, invalid, missing_object
from .refunds import Refunds
from .setups import Setups
from .subscriptions import Products, Subscriptions

__all__ = ["Answer", "Api", "Exchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes = field(repr=False)
    request_id: str
    replayed: bool = False
    version: str = API_VERSION

    @property
    def headers(self) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "request-id": self.request_id,
            "stripe-version": self.version,
        }
        if self.replayed:
            headers["idempotent-replayed"] = "true"
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One line of the request log: everything but card numbers and secrets."""

    method: str
    path: str
    caller: str
    key: str | None
    params: Mapping[str, Any]
    api_version: str | None
    status: int
    request_id: str
    replayed: bool
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a handler gets to see of a request."""

    path: str
    params: Params
    id: str = ""
    """The identity in the path."""
    caller: str = "server"


Handler = Callable[[Ask], Json]

_BROWSER_MAY: Final = re.compile(
    r"POST /v1/payment_methods|GET /v1/(payment|setup)_intents/[^/]+"
    r"|POST /v1/(payment|setup)_intents/[^/]+/confirm"
)


class Api:
    """Answers requests against the books. Hold `books.lock` around `answer`."""

    def __init__(self, books: Books, keys: Keys, *, secret_key: str, publishable_key: str, url: str) -> None:
        self.books = books
        self.keys = keys
        self.exchanges: list[Exchange] = []
        self.secret_key: str = secret_key
        self.publishable_key: str = publishable_key
        self.methods: Methods = Methods(books)
        self.intents: Intents = Intents(books, self.methods, url=url)
        self.refunds: Refunds = Refunds(books, self.methods)
        self.setups: Setups = Setups(books, self.methods, url=url)
        self.disputes: Disputes = self.intents.attempts.disputes
        self.products: Products = Products(books)
        self.invoices: Invoices = Invoices(books, self.intents.attempts)
        self.subscriptions: Subscriptions = Subscriptions(
            books, self.methods, self.products, self.setups, self.invoices
        )
        self._routes = [(verb, re.compile(pattern), handler) for verb, pattern, handler in self._table()]

    # --- one request ------------------------------------------------------------------------------

    def caller(self, call: Call) -> str | None:
        """Return ``server`` or ``browser`` by the kind of key that the request carries."""
        key = self._api_key(call)
        if key == self.secret_key:
            return "server"
        return "browser" if key == self.publishable_key else None

    @property
    def lock(self) -> threading.RLock:
        return self.books.lock

    def serve(self, call: Call, fault: FaultKind | None, status: int) -> Answer:
        broken = "An unknown error occurred."
        match fault:
            case FaultKind.ERROR_BEFORE:
                return self.turn_away(Problem(status, "api_error", broken, remembered=False))
            case FaultKind.RATE_LIMITED:
                message = "Request rate limit exceeded."
                return self.turn_away(
                    Problem(429, "invalid_request_error", message, code="rate_limit", remembered=False)
                )
            case FaultKind.KEY_IN_USE:
                message = "There is currently another in-progress request using this Idempotent Key."
                return self.turn_away(
                    Problem(
                        409, "idempotency_error", message, code="idempotency_key_in_use", remembered=False
                    )
                )
            case FaultKind.ERROR_STORED:
                return self.answer(call, refuse=Problem(500, "api_error", broken, remembered=True))
            case FaultKind.ERROR_AFTER:
                return self.answer(call, spoil=Problem(500, "api_error", broken, remembered=True))
            case _:
                return self.answer(call)

    def answer(self, call: Call, *, refuse: Problem | None = None, spoil: Problem | None = None) -> Answer:
        """Execute one request, or repeat the saved answer of its key.

        *refuse* is answered instead of executing, *spoil* instead of the result after executing;
        both after execution began, hence remembered.
        """
        request_id = self.books.new_short_id("req")
        key = call.headers.get("idempotency-key") if call.method == "POST" else None
        version = call.headers.get("stripe-version", API_VERSION)
        try:
            self._permit(call)
            saved = key and self.keys.begin(
                key, path=call.path, body=call.query.encode() + call.body, request_id=request_id
            )
        except Problem as problem:
            return self._plain(problem, request_id, version)
        if saved:
            assert saved.status is not None  # `begin` refuses a key in flight
            return Answer(
                status=saved.status, body=saved.body, request_id=request_id, replayed=True, version=version
            )
        return self._execute(
            call, key=key, request_id=request_id, version=version, refuse=refuse, spoil=spoil
        )

    def turn_away(self, problem: Problem) -> Answer:
        """Answer from the edge: the endpoint never heard of it."""
        return self._plain(problem, self.books.new_short_id("req"), API_VERSION)

    def do(self, path: str, wish: Mapping[str, str]) -> Json:
        """Execute a POST for the account's owner: no key, no log, problems raised."""
        for verb, pattern, handler in self._routes:
            if verb == "POST" and (match := pattern.fullmatch(path)):
                return handler(Ask(path=path, params=Params(wish), id="".join(match.groups())))
        raise KeyError(path)

    def occupy(self, call: Call) -> bool:
        """Put the request's key in use without executing; return whether it was free."""
        key = call.headers.get("idempotency-key")
        if call.method != "POST" or not key:
            return False
        try:
            before = self.keys.begin(
                key, path=call.path, body=call.query.encode() + call.body, request_id="req_occupied"
            )
        except Problem:
            return False
        return before is None

    def release(self, call: Call) -> None:
        self.keys.forget(call.headers["idempotency-key"])

    def _execute(
        self,
        call: Call,
        *,
        key: str | None,
        request_id: str,
        version: str,
        refuse: Problem | None,
        spoil: Problem | None,
    ) -> Answer:
        self.books.request = (request_id, key)
        problem: Problem | None = None
        found: Json = {}
        try:
            if refuse is not None:
                raise refuse
            found = self._handle(call)
            problem = spoil
        except Problem as raised:
            problem = spoil if spoil is not None and raised.remembered else raised
        finally:
            self.books.request = (None, None)
        if problem is None:
            answer = Answer(status=200, body=_json(found), request_id=request_id, version=version)
        else:
            answer = self._plain(problem, request_id, version)
        if key and (problem is None or problem.remembered):
            self.keys.keep(key, status=answer.status, body=answer.body)
        elif key:
            self.keys.forget(key)
        return answer

    def log(self, call: Call, answer: Answer | None, fault: str | None) -> None:
        try:
            params = _scrubbed(decode(call.body.decode("utf-8", "replace")) | decode(call.query))
        except Problem:
            params = {}
        self.exchanges.append(
            Exchange(
                method=call.method,
                path=call.path,
                caller=self.caller(call) or "nobody",
                key=call.headers.get("idempotency-key"),
                params=params,
                api_version=call.headers.get("stripe-version"),
                status=answer.status if answer else 0,
                request_id=answer.request_id if answer else "",
                replayed=bool(answer and answer.replayed),
                fault=fault,
            )
        )

    def _plain(self, problem: Problem, request_id: str, version: str) -> Answer:
        body = problem.body()
        body["error"]["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return Answer(status=problem.status, body=_json(body), request_id=request_id, version=version)

    # --- who may ----------------------------------------------------------------------------------

    def _api_key(self, call: Call) -> str:
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return value.strip()
        if scheme.lower() == "basic":
            return base64.b64decode(value + "==").decode("utf-8", "replace").partition(":")[0]
        sent = decode(call.body.decode("utf-8", "replace")) if call.body else decode(call.query)
        key = sent.get("key")
        return key if isinstance(key, str) else ""

    def _permit(self, call: Call) -> None:
        caller = self.caller(call)
        if caller is None:
            key = self._api_key(call)
            raise invalid(
                f"Invalid API Key provided: {key[:8]}{'*' * 12}"
                if key
                else "You did not provide an API key.",
                status=401,
            )
        if caller == "browser" and not _BROWSER_MAY.fullmatch(f"{call.method} {call.path}"):
            raise invalid(
                "This API call cannot be made with a publishable API key. Please use a secret API key.",
                code="secret_key_required",
                status=403,
            )

    def _browser_knows(self, ask: Ask) -> None:
        """With a publishable key an intent exists only for whoever holds its client secret."""
        intents = self.setups if ask.path.startswith("/v1/setup_intents/") else self.intents
        if ask.params.text("client_secret") != intents.get(ask.id)["client_secret"]:
            raise missing_object("payment_intent", ask.id, param="intent")

    # --- what is where ----------------------------------------------------------------------------

    def _handle(self, call: Call) -> Json:
        caller = self.caller(call) or "nobody"
        try:
            text = call.body.decode() if call.method == "POST" else call.query
        except UnicodeDecodeError:
            raise invalid("The request body is not valid UTF-8") from None
        params = Params(decode(text))
        self.invoices.run()
        for verb, pattern, handler in self._routes:
            if verb == call.method and (match := pattern.fullmatch(call.path)):
                ask = Ask(path=call.path, params=params, id="".join(match.groups()), caller=caller)
                found = copy.deepcopy(handler(ask))
                if caller == "browser" and found["object"] in ("payment_intent", "setup_intent"):
                    return shapes.for_browser(found)
                return shapes.expand(found, params.strings("expand"), self._look_up)
        raise invalid(f"Unrecognized request URL ({call.method}: {call.path}).", status=404)

    def _look_up(self, identity: str) -> Json | None:
        if identity.endswith("/refunds"):
            charge_id = identity.removesuffix("/refunds")
            refunds = self.books.refunds_of(charge_id)[::-1]
            return copy.deepcopy(shapes.listing(f"/v1/charges/{charge_id}/refunds", refunds, has_more=False))
        books = self.books
        owner, _, part = identity.partition("/")
        if owner in books.invoices and part:
            return copy.deepcopy(self._part_of_invoice(books.invoices[owner], part))
        for shelf in (
            books.intents, books.charges, books.refunds, books.methods, books.customers, books.invoices,
            books.setups, books.subscriptions, books.products,
        ):  # fmt: skip
            if identity in shelf:
                return copy.deepcopy(shelf[identity])
        return None

    def _part_of_invoice(self, made: Json, part: str) -> Json | None:
        intents = self.books.intents_of(made["id"])
        if part == "confirmation_secret":
            return billing_shapes.confirmation_secret(intents[0]) if intents else None
        paid = [billing_shapes.invoice_payment(made, intent) for intent in intents]
        return shapes.listing(f"/v1/invoice_payments?invoice={made['id']}", paid, has_more=False)

    def _invoices_of(self, ask: Ask) -> Json:
        wanted = ask.params.text("subscription")
        shelf = {
            identity: made
            for identity, made in self.books.invoices.items()
            if wanted in (None, made["parent"]["subscription_details"]["subscription"])
        }
        return page(ask.path, shelf, ask.params)

    def _subscriptions(self, ask: Ask) -> Json:
        return page(ask.path, self.subscriptions.listed(ask.params), ask.params)

    def _delete_customer(self, ask: Ask) -> Json:
        deleted = self.methods.delete_customer(ask.id)
        self.subscriptions.forget_customer(ask.id)
        return deleted

    def _retrieve_setup(self, ask: Ask) -> Json:
        if ask.caller == "browser":
            self._browser_knows(ask)
        return self.setups.get(ask.id)

    def _confirm_setup(self, ask: Ask) -> Json:
        if ask.caller == "browser":
            self._browser_knows(ask)
        return self.setups.confirm(ask.id, ask.params, from_browser=ask.caller == "browser")

    def _confirm(self, ask: Ask) -> Json:
        if ask.caller == "browser":
            self._browser_knows(ask)
        return self.intents.confirm(ask.id, ask.params, from_browser=ask.caller == "browser")

    def _retrieve_intent(self, ask: Ask) -> Json:
        if ask.caller == "browser":
            self._browser_knows(ask)
        return self.intents.get(ask.id)

    def _create_method(self, ask: Ask) -> Json:
        return self.methods.create(ask.params, by_browser=ask.caller == "browser")

    def _table(self) -> list[tuple[str, str, Handler]]:
        intents, methods, refunds, books = self.intents, self.methods, self.refunds, self.books
        setups, subscriptions = self.setups, self.subscriptions
        one = "([^/]+)"
        return [
            ("POST", "/v1/payment_intents", lambda ask: intents.create(ask.params)),
            ("GET", "/v1/payment_intents", lambda ask: _page(ask, books.intents)),
            ("GET", f"/v1/payment_intents/{one}", self._retrieve_intent),
            ("POST", f"/v1/payment_intents/{one}", lambda ask: intents.update(ask.id, ask.params)),
            ("POST", f"/v1/payment_intents/{one}/confirm", self._confirm),
            ("POST", f"/v1/payment_intents/{one}/capture", lambda ask: intents.capture(ask.id, ask.params)),
            ("POST", f"/v1/payment_intents/{one}/cancel", lambda ask: intents.cancel(ask.id, ask.params)),
            ("POST", "/v1/refunds", lambda ask: refunds.create(ask.params)),
            ("GET", "/v1/refunds", lambda ask: _page(ask, books.refunds)),
            ("GET", f"/v1/refunds/{one}", lambda ask: refunds.get(ask.id)),
            ("POST", f"/v1/refunds/{one}", lambda ask: refunds.update(ask.id, ask.params)),
            ("GET", "/v1/charges", lambda ask: _page(ask, books.charges)),
            ("GET", f"/v1/charges/{one}", lambda ask: found(books.charges, "charge", ask.id)),
            ("GET", f"/v1/charges/{one}/refunds", lambda ask: _page(ask, books.refunds, charge=ask.id)),
            ("POST", "/v1/payment_methods", self._create_method),
            ("GET", "/v1/payment_methods", lambda ask: _page(ask, books.methods)),
            ("GET", f"/v1/payment_methods/{one}", lambda ask: methods.get(ask.id)),
            ("POST", f"/v1/payment_methods/{one}/attach", lambda ask: methods.attach(ask.id, ask.params)),
            ("POST", f"/v1/payment_methods/{one}/detach", lambda ask: methods.detach(ask.id, ask.params)),
            ("POST", "/v1/customers", lambda ask: methods.create_customer(ask.params)),
            ("GET", "/v1/customers", lambda ask: _page(ask, books.customers)),
            ("GET", f"/v1/customers/{one}", lambda ask: methods.customer(ask.id)),
            ("POST", f"/v1/customers/{one}", lambda ask: methods.update_customer(ask.id, ask.params)),
            ("DELETE", f"/v1/customers/{one}", self._delete_customer),
            (
                "GET",
                f"/v1/customers/{one}/payment_methods",
                lambda ask: _page(ask, books.methods, customer=ask.id),
            ),
            ("POST", f"/v1/payment_methods/{one}", lambda ask: methods.update(ask.id, ask.params)),
            ("GET", f"/v1/confirmation_tokens/{one}", lambda ask: methods.token(ask.id)),
            ("POST", "/v1/setup_intents", lambda ask: setups.create(ask.params)),
            ("GET", "/v1/setup_intents", lambda ask: _page(ask, books.setups)),
            ("GET", f"/v1/setup_intents/{one}", self._retrieve_setup),
            ("POST", f"/v1/setup_intents/{one}/confirm", self._confirm_setup),
            ("POST", f"/v1/setup_intents/{one}/cancel", lambda ask: setups.cancel(ask.id, ask.params)),
            ("GET", "/v1/disputes", lambda ask: _page(ask, books.disputes)),
            ("GET", f"/v1/disputes/{one}", lambda ask: found(books.disputes, "dispute", ask.id)),
            ("POST", "/v1/products", lambda ask: self.products.create(ask.params)),
            ("GET", "/v1/products", lambda ask: _page(ask, books.products)),
            ("GET", f"/v1/products/{one}", lambda ask: self.products.get(ask.id)),
            ("POST", "/v1/subscriptions", lambda ask: subscriptions.create(ask.params)),
            ("GET", "/v1/subscriptions", self._subscriptions),
            ("GET", f"/v1/subscriptions/{one}", lambda ask: subscriptions.get(ask.id)),
            ("POST", f"/v1/subscriptions/{one}", lambda ask: subscriptions.update(ask.id, ask.params)),
            ("DELETE", f"/v1/subscriptions/{one}", lambda ask: subscriptions.cancel(ask.id, ask.params)),
            ("POST", f"/v1/subscriptions/{one}/resume", lambda ask: subscriptions.resume(ask.id, ask.params)),
            ("GET", "/v1/invoices", self._invoices_of),
            ("GET", f"/v1/invoices/{one}", lambda ask: found(books.invoices, "invoice", ask.id)),
            ("GET", "/v1/events", lambda ask: _page(ask, books.events)),
            ("GET", f"/v1/events/{one}", lambda ask: found(books.events, "event", ask.id)),
            ("GET", "/v1/account", lambda _: _account(books)),
        ]


def _page(ask: Ask, shelf: Mapping[str, Json], **belonging: str) -> Json:
    return page(ask.path, shelf, Params({**ask.params.data, **belonging}))


def _account(books: Books) -> Json:
    return {
        "id": books.account,
        "object": "account",
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "payouts_enabled": True,
        "type": "standard",
    }


def _scrubbed(params: Json) -> Json:
    """Drop what no log may hold."""
    hidden = {"number", "cvc", "key", "client_secret"}
    return {
        name: _scrubbed(value) if isinstance(value, dict) else value
        for name, value in params.items()
        if name not in hidden
    }


def _json(body: Json) -> bytes:
    return json.dumps(body, indent=2).encode()
