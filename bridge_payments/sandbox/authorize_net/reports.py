"""What the gateway shows of its books: one transaction, the unsettled ones, batches and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from .books import Books, Transaction
from .formats import Items
from .refusal import Refusal

__all__ = ["Reports"]

_MOST: Final = 1000
_LONGEST: Final = timedelta(days=31)
_NOT_FOUND: Final = "The record cannot be found."


class Reports:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.lag: timedelta = timedelta()
        """How far the lists are behind the transactions."""

    def details(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        found = self._books.transactions.get(str(wish.get("transId") or ""))
        if found is None:
            raise Refusal("E00040", _NOT_FOUND)
        shown: dict[str, Any] = {"transaction": self._details(found)}
        return {**shown, "transrefId": found.reference} if found.reference else shown

    def unsettled(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        seen = [each for each in self._visible() if not each.batch]
        return self._page(seen, wish)

    def batches(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        since, until = _moment(wish.get("firstSettlementDate")), _moment(wish.get("lastSettlementDate"))
        if since and until and until - since > _LONGEST:
            raise Refusal("E00080", "The request cannot span more than 31 days.")
        shown = [
            {
                "batchId": batch.id,
                "settlementTimeUTC": _utc(batch.settled),
                "settlementTimeLocal": _local(batch.settled),
                "settlementState": batch.state,
                "paymentMethod": "creditCard",
            }
            for batch in self._books.batches.values()
            if (since is None or batch.settled >= since) and (until is None or batch.settled <= until)
        ]
        return {"batchList": Items("batch", shown)} if shown else {}

    def batch(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        name = str(wish.get("batchId") or "")
        if name not in self._books.batches:
            raise Refusal("E00040", _NOT_FOUND)
        return self._page([each for each in self._visible() if each.batch == name], wish)

    def _visible(self) -> list[Transaction]:
        horizon = self._books.clock() - self.lag
        return [each for each in self._books.transactions.values() if each.submitted <= horizon]

    def _page(self, found: Iterable[Transaction], wish: Mapping[str, Any]) -> dict[str, Any]:
        """Sorted and paged as asked; the offset counts pages from 1."""
        sorting, paging = wish.get("sorting") or {}, wish.get("paging") or {}
        by_time = sorting.get("orderBy") == "submitTimeUTC"
        ordered = sorted(
            found, key=lambda each: (each.submitted, int(each.id)) if by_time else (int(each.id),),
            reverse=str(sorting.get("orderDescending")).lower() == "true",
        )  # fmt: skip
        limit, page = int(paging.get("limit") or _MOST), int(paging.get("offset") or 1)
        shown = [_summary(each) for each in ordered[(page - 1) * limit : page * limit]]
        if not shown:
            return {}
        return {"transactions": Items("transaction", shown), "totalNumInResultSet": len(shown)}

    def _details(self, made: Transaction) -> dict[str, Any]:
        shown: dict[str, Any] = {"transId": made.id}
        if made.original:
            shown["refTransId"] = made.original
        shown |= {
            "submitTimeUTC": _utc(made.submitted, fraction=True),
            "submitTimeLocal": _local(made.submitted),
            "transactionType": made.type,
            "transactionStatus": made.status,
            "responseCode": made.code,
            "responseReasonCode": made.reason,
        }
        if made.subscription:
            shown["subscription"] = _subscription(made)
        shown |= {
            "responseReasonDescription": made.sentence,
            "authCode": made.auth_code,
            "AVSResponse": "Y",
            "cardCodeResponse": made.card_code,
        }
        if made.batch:
            settled = self._books.batches[made.batch].settled
            shown["batch"] = {
                "batchId": made.batch,
                "settlementTimeUTC": _utc(settled),
                "settlementTimeLocal": _local(settled),
                "settlementState": "settledSuccessfully",
            }
        if made.invoice or made.description:
            named = {"invoiceNumber": made.invoice, "description": made.description}
            shown["order"] = {name: value for name, value in named.items() if value}
        shown |= {"authAmount": made.amount, "settleAmount": made.settles, "taxExempt": False}
        shown["payment"] = _payment(made)
        shown |= {"product": "Card Not Present", "marketType": "eCommerce"}
        return {**shown, "profile": _profile(made)} if made.profile else shown


def _summary(made: Transaction) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "transId": made.id,
        "submitTimeUTC": _utc(made.submitted),
        "submitTimeLocal": _local(made.submitted),
        "transactionStatus": made.status,
    }
    if made.invoice:
        shown["invoiceNumber"] = made.invoice
    shown |= {
        "accountType": made.brand,
        "accountNumber": made.account,
        "settleAmount": made.settles,
        "marketType": "eCommerce",
        "product": "Card Not Present",
    }
    if made.subscription:
        shown["subscription"] = _subscription(made)
    return {**shown, "profile": _profile(made)} if made.profile else shown


def _subscription(made: Transaction) -> dict[str, Any]:
    assert made.subscription is not None
    return {"id": int(made.subscription[0]), "payNum": made.subscription[1]}


def _profile(made: Transaction) -> dict[str, Any]:
    assert made.profile is not None
    return {"customerProfileId": made.profile[0], "customerPaymentProfileId": made.profile[1]}


def _payment(made: Transaction) -> dict[str, Any]:
    if made.bank is None:
        card = {"cardNumber": made.account, "expirationDate": "XXXX", "cardType": made.brand}
        return {"creditCard": {**card, "isPaymentToken": True} if made.wallet else card}
    return {
        "bankAccount": {
            "routingNumber": "XXXX" + str(made.bank["routingNumber"])[-4:],
            "accountNumber": made.account,
            "nameOnAccount": str(made.bank["nameOnAccount"])[:22],
            "echeckType": "WEB",
        }
    }


def _utc(moment: datetime, *, fraction: bool = False) -> str:
    """In lists without, in details with fractions of a second, as recorded."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment.microsecond // 1000:03}Z" if fraction else f"{text}Z"


def _local(moment: datetime) -> str:
    return (moment - timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S")


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(str(value)) if value else None
