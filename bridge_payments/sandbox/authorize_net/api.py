"""The one endpoint: who asks, which request, and the answer in the language of the question."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..faults import FaultKind
from ..wire import Answered, Call
from .books import Books, Transaction
from .charges import Charges
from .formats import Items, Unreadable, read, write
from .profiles import Profiles
from .recurring import Recurring
from .refusal import Refusal
from .reports import Reports

__all__ = ["PATH", "Api", "Exchange", "is_instruction"]

PATH: Final = "/xml/v1/request.api"

_BROKEN: Final = {
    FaultKind.ERROR_BEFORE: "An error occurred during processing. Please try again.",
    FaultKind.RATE_LIMITED: "Server too busy",
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = field(repr=False)
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that arrived, for whoever looks; without credentials."""

    operation: str
    transaction: str
    """The kind of transaction that was asked for, if one was."""
    reference: str
    fault: str | None
    body: str = field(default="", repr=False)
    """What was asked for, as JSON in one order."""


class Api:
    """Everything but the wire. `before` runs ahead of each request: time may have settled something."""

    def __init__(
        self, books: Books, *, login_id: str, transaction_key: str, client_key: str, currency: str
    ) -> None:
        self.books = books
        self.profiles: Profiles = Profiles(books)
        self.recurring: Recurring = Recurring(books, self.profiles)
        self.charges: Charges = Charges(books, self.profiles, currency=currency)
        self.reports: Reports = Reports(books)
        self.exchanges: list[Exchange] = []
        self.before: Callable[[], None] = lambda: None
        self._login_id, self._key, self._client_key = login_id, transaction_key, client_key

    @property
    def lock(self) -> threading.RLock:
        return self.books.lock

    # --- what the wire asks for -------------------------------------------------------------------

    def caller(self, call: Call) -> str | None:
        """Return what is asked: a type of transaction, or the name of another request."""
        try:
            name, wish = read(call.body, call.headers.get("content-type", ""))
        except Unreadable:
            return None
        transaction = wish.get("transactionRequest")
        return str(transaction.get("transactionType")) if isinstance(transaction, dict) else name

    def serve(self, call: Call, fault: FaultKind | None, status: int) -> Answered:
        as_json = "json" in call.headers.get("content-type", "")
        try:
            name, wish = read(call.body, call.headers.get("content-type", ""))
        except Unreadable:
            refusal = Refusal("E00003", "An error occurred while parsing the request.")
            return self._answer("ErrorResponse", _failed(refusal), as_json=as_json)
        # The schema has no other answer for a profile that is made of a transaction.
        answer_name = name.replace("FromTransaction", "").replace("Request", "Response")
        if fault is FaultKind.KEY_IN_USE:
            return Answer(status, b"<html>Bad gateway</html>", {"content-type": "text/html"})
        if fault in _BROKEN:
            assert fault is not None
            code = "E00001" if fault is FaultKind.ERROR_BEFORE else "E00053"
            return self._answer("ErrorResponse", _failed(Refusal(code, _BROKEN[fault])), as_json=as_json)
        if fault is FaultKind.ERROR_STORED:
            return Answer(500, b"Internal server error", {"content-type": "text/plain"})
        self.before()
        answered = self._execute(name, wish)
        if fault is FaultKind.ERROR_AFTER:
            return Answer(500, b"Internal server error", {"content-type": "text/plain"})
        if answered["messages"]["resultCode"] == "Error" and set(answered) <= {"refId", "messages"}:
            answer_name = "ErrorResponse"  # the schema wants more of the others
        return self._answer(answer_name, answered, as_json=as_json)

    def log(self, call: Call, answer: Any, fault: str | None) -> None:
        try:
            name, wish = read(call.body, call.headers.get("content-type", ""))
        except Unreadable:
            name, wish = "unreadable", {}
        transaction = wish.get("transactionRequest")
        kind = transaction.get("transactionType") if isinstance(transaction, dict) else None
        said = {key: value for key, value in wish.items() if key not in ("merchantAuthentication", "refId")}
        body = json.dumps(transaction if kind else said, sort_keys=True)
        self.exchanges.append(Exchange(name, str(kind or ""), str(wish.get("refId") or ""), fault, body))

    def occupy(self, call: Call) -> bool:
        return False

    def release(self, call: Call) -> None:
        """There are no keys."""

    # --- the requests -----------------------------------------------------------------------------

    def _execute(self, name: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        refused = self._refuse_stranger(name, wish)
        if refused is not None:
            return _failed(refused)
        verbs: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "authenticateTestRequest": lambda _: {},
            "getTransactionDetailsRequest": self.reports.details,
            "getUnsettledTransactionListRequest": self.reports.unsettled,
            "getSettledBatchListRequest": self.reports.batches,
            "getTransactionListRequest": self.reports.batch,
            "securePaymentContainerRequest": self._secure,
            "createCustomerProfileRequest": self.profiles.create,
            "getCustomerProfileRequest": self.profiles.read,
            "updateCustomerProfileRequest": self.profiles.update,
            "deleteCustomerProfileRequest": self.profiles.delete,
            "createCustomerPaymentProfileRequest": self.profiles.create_method,
            "getCustomerPaymentProfileRequest": self.profiles.read_method,
            "updateCustomerPaymentProfileRequest": self.profiles.update_method,
            "deleteCustomerPaymentProfileRequest": self.profiles.delete_method,
            "createCustomerProfileFromTransactionRequest": self.profiles.of_charge,
            "ARBCreateSubscriptionRequest": self.recurring.create,
            "ARBUpdateSubscriptionRequest": self.recurring.update,
            "ARBCancelSubscriptionRequest": self.recurring.cancel,
            "ARBGetSubscriptionRequest": self.recurring.read,
            "ARBGetSubscriptionListRequest": self.recurring.listed,
        }
        try:
            if name == "createTransactionRequest":
                return self._create(wish)
            if name not in verbs:
                raise Refusal("E00003", "The request is not known to this sandbox.")
            shown = verbs[name](wish)
        except Refusal as refusal:
            return {**_failed(refusal, reference=_reference(wish)), **refusal.shown}
        return {**_head("Ok", "I00001", "Successful.", _reference(wish)), **shown}

    def _refuse_stranger(self, name: str, wish: Mapping[str, Any]) -> Refusal | None:
        given = wish.get("merchantAuthentication")
        credentials = given if isinstance(given, dict) else {}
        browser = name == "securePaymentContainerRequest"
        presented = str(credentials.get("clientKey" if browser else "transactionKey") or "")
        wanted = self._client_key if browser else self._key
        if credentials.get("name") == self._login_id and hmac.compare_digest(
            presented.encode(), wanted.encode()
        ):
            return None
        return Refusal("E00007", "User authentication failed due to invalid authentication values.")

    def _create(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        reference = str(wish.get("refId") or "")
        asked = wish.get("transactionRequest") or {}
        try:
            made = self.charges.make(asked, reference=reference)
        except Refusal as refusal:
            if refusal.code.startswith("E"):
                return _failed(refusal, reference=reference, response={})
            shown = _response(refusal.about, asked, refused=refusal)
            return {**_head("Error", "E00027", "The transaction was unsuccessful.", reference), **shown}
        head = _head("Ok", "I00001", "Successful.", reference)
        if made.code == 2:
            # Recorded both ways; the newer answers call a decline an error of the request as well.
            head = _head("Error", "E00027", "The transaction was unsuccessful.", reference)
        return {**head, **_response(made, asked)}

    def _secure(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """What Accept.js asks for in the browser: a token for a card, or for a bank account."""
        data = wish.get("data") or {}
        card, bank = data.get("token") or {}, data.get("bankToken") or {}
        if bank:
            token = self.books.new_token(bank=dict(bank))
        else:
            number = "".join(each for each in str(card.get("cardNumber") or "") if each.isdigit())
            if not 13 <= len(number) <= 16:
                raise Refusal("E_WC_05", "Please provide valid credit card number.")
            token = self.books.new_token(number=number, expires=str(card.get("expirationDate") or ""))
        opaque = {"dataDescriptor": "COMMON.ACCEPT.INAPP.PAYMENT", "dataValue": token.value}
        return {"opaqueData": opaque}

    def _answer(self, name: str, values: Mapping[str, Any], *, as_json: bool) -> Answer:
        kind = "application/json; charset=utf-8" if as_json else "application/xml; charset=utf-8"
        return Answer(200, write(name, values, as_json=as_json), {"content-type": kind})


def is_instruction(asked: str) -> bool:
    """Whether a request of that name, or a transaction of that type, may change something."""
    return not asked.startswith(("get", "ARBGet", "authenticate", "secure"))


def _reference(wish: Mapping[str, Any]) -> str:
    return str(wish.get("refId") or "")


def _head(result: str, code: str, text: str, reference: str) -> dict[str, Any]:
    messages = {"resultCode": result, "message": [{"code": code, "text": text}]}
    return {"refId": reference, "messages": messages} if reference else {"messages": messages}


def _failed(refusal: Refusal, *, reference: str = "", response: Any = None) -> dict[str, Any]:
    head = _head("Error", refusal.code, refusal.sentence, reference)
    return head if response is None else {**head, "transactionResponse": response}


def _response(
    made: Transaction | None, asked: Mapping[str, Any], *, refused: Refusal | None = None
) -> dict[str, Any]:
    code = "3" if refused else str(made.code if made else 3)
    shown: dict[str, Any] = {
        "responseCode": code,
        "authCode": made.auth_code if made and not refused else "",
        "avsResultCode": "Y" if made and not refused else "P",
        "cvvResultCode": made.card_code if made and asked.get("payment") and not refused else "",
        "cavvResultCode": "",
        "transId": "0" if refused or made is None else made.id,
        "refTransID": str(asked.get("refTransId") or ""),
        "transHash": "",
        "testRequest": "1" if made and made.id == "0" else "0",
        "accountNumber": made.account if made else "",
        "accountType": made.brand if made else "",
    }
    if refused or (made and made.code == 2):
        reason, sentence = (
            (refused.code, refused.sentence)
            if refused
            else (str(made.reason), made.sentence)
            if made
            else ("", "")
        )
        shown["errors"] = Items("error", [{"errorCode": reason, "errorText": sentence}])
    elif made:
        shown["messages"] = Items("message", [{"code": str(made.reason), "description": made.sentence}])
    shown["transHashSha2"] = hashlib.sha512(shown["transId"].encode()).hexdigest().upper()
    if made is not None and made.profile is not None and not refused:
        customer, method = made.profile
        shown["profile"] = {"customerProfileId": customer, "customerPaymentProfileId": method}
    return {"transactionResponse": shown}
