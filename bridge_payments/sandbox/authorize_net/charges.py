"""What `createTransactionRequest` does to the books. Every rule names where it was read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from .books import CAPTURED, WALLETS, Books, Token, Transaction
from .cards import card_of
from .profiles import Profiles
from .refusal import Refusal

__all__ = ["Charges"]

_DEFAULT_WINDOW: Final = 120
_HELD: Final = frozenset({"authorizedPendingCapture", "FDSPendingReview", "FDSAuthorizedPendingReview"})
_REFUND_DAYS: Final = 180


class Charges:
    def __init__(self, books: Books, profiles: Profiles, *, currency: str) -> None:
        self._books, self._profiles, self._currency = books, profiles, currency
        self.held: int = 0
        """How many of the next charges are held for review, whatever the card."""
        self.test_mode = False

    def make(self, wish: Mapping[str, Any], *, reference: str) -> Transaction:
        """Execute one transaction request and return the transaction that it is about."""
        verbs = {
            "authCaptureTransaction": self._charge,
            "authOnlyTransaction": self._charge,
            "priorAuthCaptureTransaction": self._capture,
            "voidTransaction": self._void,
            "refundTransaction": self._refund,
        }
        verb = verbs.get(str(wish.get("transactionType")))
        if verb is None:
            raise Refusal("E00003", "The transaction type is invalid.")
        return verb(wish, reference)

    # --- charging ---------------------------------------------------------------------------------

    def _charge(self, wish: Mapping[str, Any], reference: str) -> Transaction:
        amount = _amount(wish)
        if (wish.get("currencyCode") or self._currency) != self._currency:
            raise Refusal("39", "The supplied currency code is not supported for this merchant.")
        token, wallet = self._token(wish)
        order = wish.get("order") or {}
        self._refuse_duplicate(wish, token, amount, order)
        token.used = True  # by a decline as well; what a profile keeps is a copy
        card = card_of(token.number)
        only = wish["transactionType"] == "authOnlyTransaction"
        made = Transaction(
            id=self._books.new_id(),
            type=str(wish["transactionType"]),
            status="authorizedPendingCapture" if only else "capturedPendingSettlement",
            amount=amount,
            settles=amount,
            submitted=self._books.clock(),
            invoice=str(order.get("invoiceNumber") or ""),
            description=str(order.get("description") or ""),
            purchase_order=str(wish.get("poNumber") or ""),
            reference=reference,
            code=card.code,
            reason=card.reason,
            sentence=card.sentence,
            number=str(token.bank["accountNumber"])[-4:] if token.bank else token.number[-4:],
            brand="eCheck" if token.bank else card.brand,
            bank=token.bank,
            wallet=wallet,
            auth_code="" if token.bank else "A1B2C3",
            card_code=card.card_code,
            profile=_pair(wish),
        )
        self._books.sources[made.id] = token
        return self._decide(made, only=only)

    def _decide(self, made: Transaction, *, only: bool) -> Transaction:
        if self.held and made.code == 1:
            self.held -= 1
            made.code, made.reason = 4, 252
            made.sentence = "Your order has been received. Thank you for your business!"
        if self.test_mode:
            # Approves everything under the number 0 and keeps nothing
            # (2026-11, https://support.authorize.net/knowledgebase/Knowledgearticle/?code=000001246).
            made.id, made.code = "0", 1
            return made
        if made.code == 3:
            # No transaction comes of it (recorded: transId 0).
            raise Refusal(str(made.reason), made.sentence, about=made)
        self._books.transactions[made.id] = made
        if made.code == 2:
            made.status, made.settles = "declined", Decimal(0)
        elif made.code == 4:
            made.status = "FDSAuthorizedPendingReview"
            self._books.emit("fraud.held", made)
        else:
            self._books.emit("authorization.created" if only else "authcapture.created", made)
        return made

    def _token(self, wish: Mapping[str, Any]) -> tuple[Token, str]:
        """Return what is charged: one-time data, or what a payment profile keeps."""
        if "profile" in wish:
            if wish.get("payment") or wish.get("billTo"):
                raise Refusal("E00090", "PaymentProfile cannot be sent with payment data.")
            _, method = self._profiles.of_pair(wish["profile"])
            now = self._books.clock()
            kept = Token(
                value="", made_at=now, number=method.number, expires=method.expires, bank=method.bank
            )
            return kept, ""
        opaque = (wish.get("payment") or {}).get("opaqueData") or {}
        return self._books.look_at(opaque), WALLETS.get(str(opaque.get("dataDescriptor")), "")

    def _refuse_duplicate(
        self, wish: Mapping[str, Any], token: Token, amount: Decimal, order: Mapping[str, Any]
    ) -> None:
        """Refuse what is alike in every compared field within the window of the request
        (2026-11, https://support.authorize.net/s/article/Error-11-A-duplicate-transaction-has-been-submitted).
        Whatever was submitted counts, declines included."""
        settings = (wish.get("transactionSettings") or {}).get("setting") or []
        settings = settings if isinstance(settings, list) else [settings]
        given = next((s["settingValue"] for s in settings if s.get("settingName") == "duplicateWindow"), None)
        window = int(given) if given is not None else _DEFAULT_WINDOW
        bill, customer = wish.get("billTo") or {}, wish.get("customer") or {}
        compared = (
            token.identity, token.expires, str(wish["transactionType"]), str(amount),
            str(order.get("invoiceNumber") or ""), str(wish.get("poNumber") or ""),
            str(customer.get("id") or ""),
            *(str(bill.get(name) or "") for name in ("firstName", "lastName", "address", "zip")), str(window),
        )  # fmt: skip
        now = self._books.clock()
        if any(
            earlier == compared and now < at + timedelta(seconds=window)
            for earlier, at in self._books.submissions
        ):
            raise Refusal("11", "A duplicate transaction has been submitted.")
        self._books.submissions.append((compared, now))

    # --- afterwards -------------------------------------------------------------------------------

    def _original(self, wish: Mapping[str, Any]) -> Transaction:
        found = self._books.transactions.get(str(wish.get("refTransId") or ""))
        if found is None:
            raise Refusal("16", "The transaction cannot be found.")
        return found

    def _capture(self, wish: Mapping[str, Any], reference: str) -> Transaction:
        original, amount = self._original(wish), _amount(wish)
        if original.status in CAPTURED:
            raise Refusal("311", "This transaction has already been captured.", about=original)
        if original.status != "authorizedPendingCapture":
            raise Refusal("16", "The transaction cannot be found.", about=original)
        if amount > original.amount:
            raise Refusal(
                "47",
                "The amount requested for settlement cannot be greater than the original amount authorized.",
                about=original,
            )
        original.status, original.settles = "capturedPendingSettlement", amount
        original.submitted = self._books.clock()
        self._books.emit("priorAuthCapture.created", original)
        return original

    def _void(self, wish: Mapping[str, Any], reference: str) -> Transaction:
        """Only what has not settled is voided, and under its own number (recorded: transId = refTransID)."""
        original = self._original(wish)
        if original.status == "voided":
            raise Refusal("310", "This transaction has already been voided.", about=original)
        if original.status not in _HELD | {"capturedPendingSettlement", "refundPendingSettlement"}:
            raise Refusal("16", "The transaction cannot be found.", about=original)
        original.status = "voided"
        self._books.emit("void.created", original)
        return original

    def _refund(self, wish: Mapping[str, Any], reference: str) -> Transaction:
        """A settled charge, its own card, never more than it: 50, 54, 55 of the response codes."""
        original, amount = self._original(wish), _amount(wish)
        if original.status == "capturedPendingSettlement":
            raise Refusal(
                "54",
                "The referenced transaction does not meet the criteria for issuing a credit.",
                about=original,
            )
        too_old = self._books.clock() - original.submitted > timedelta(days=_REFUND_DAYS)
        if original.status != "settledSuccessfully" or too_old or not _same_account(wish, original):
            raise Refusal(
                "54",
                "The referenced transaction does not meet the criteria for issuing a credit.",
                about=original,
            )
        if self._books.refunded(original.id) + amount > original.settles:
            raise Refusal(
                "55",
                "The sum of credits against the referenced transaction would exceed original debit amount.",
                about=original,
            )
        order = wish.get("order") or {}
        made = Transaction(
            id=self._books.new_id(),
            type="refundTransaction",
            status="refundPendingSettlement",
            amount=amount,
            settles=amount,
            submitted=self._books.clock(),
            invoice=str(order.get("invoiceNumber") or ""),
            reference=reference,
            number=original.number,
            brand=original.brand,
            bank=original.bank,
            original=original.id,
        )
        self._books.transactions[made.id] = made
        self._books.emit("refund.created", made)
        return made


def _pair(wish: Mapping[str, Any]) -> tuple[str, str] | None:
    profile = wish.get("profile")
    if profile is None:
        return None
    return str(profile["customerProfileId"]), str(profile["paymentProfile"]["paymentProfileId"])


def _amount(wish: Mapping[str, Any]) -> Decimal:
    try:
        amount = Decimal(str(wish.get("amount") or "")).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise Refusal("5", "A valid amount is required.") from None
    if amount <= 0:
        raise Refusal("5", "A valid amount is required.")
    return amount


def _same_account(wish: Mapping[str, Any], original: Transaction) -> bool:
    payment = wish.get("payment") or {}
    shown = (payment.get("creditCard") or {}).get("cardNumber") or (payment.get("bankAccount") or {}).get(
        "accountNumber"
    )
    return str(shown or "")[-4:] == original.number
