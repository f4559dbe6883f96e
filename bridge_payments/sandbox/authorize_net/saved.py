"""The books as JSON values, for a gateway of the next run. No card's or account's number is among them."""

from __future__ import annotations

import copy
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from .books import Batch, Books, Customer, Json, Method, Subscription, Token, Transaction
from .cards import labelled, number_of

__all__ = ["dump", "load"]

_SHELVES: Final = {
    "transactions": Transaction,
    "batches": Batch,
    "sources": Token,
    "customers": Customer,
    "subscriptions": Subscription,
}
"""One-time tokens are not kept: a quarter of an hour is their life."""


def dump(books: Books) -> Json:
    shelves = {
        name: {key: _plain(asdict(each)) for key, each in getattr(books, name).items()} for name in _SHELVES
    }
    for paid in (*shelves["transactions"].values(), *shelves["sources"].values()):
        _hide(paid)
    for customer in shelves["customers"].values():
        for method in customer["methods"].values():
            _hide(method)
    return {
        **shelves,
        "submissions": _plain(books.submissions),
        "events": copy.deepcopy(books.events),
        "webhook_id": books.webhook_id,
        "counters": list(books.counters),
    }


def load(books: Books, saved: Json) -> None:
    for name, kind in _SHELVES.items():
        getattr(books, name).update({key: _made(kind, each) for key, each in saved[name].items()})
    for source in books.sources.values():
        source.number = number_of(source.number)
    for customer in books.customers.values():
        customer.methods = {key: _made(Method, each) for key, each in customer.methods.items()}  # type: ignore[arg-type]
        for method in customer.methods.values():
            method.number = number_of(method.number)
    books.submissions = [(_tuples(each), datetime.fromisoformat(at)) for each, at in saved["submissions"]]
    books.events = list(saved["events"])
    books.webhook_id = saved["webhook_id"]
    books.counters = tuple(saved["counters"])


def _hide(kept: Json) -> None:
    kept["number"] = labelled(kept["number"])
    if kept["bank"]:
        kept["bank"] |= {"accountNumber": labelled(kept["bank"]["accountNumber"])}


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case Decimal():
            return str(value)
        case date():
            return value.isoformat()
        case _:
            return value


def _made(kind: type[Any], saved: Json) -> Any:
    hints = get_type_hints(kind)
    return kind(**{name: _read(hints[name], value) for name, value in saved.items()})


def _read(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(hint, UnionType):
        [hint] = [each for each in get_args(hint) if each is not type(None)]
    if hint is Decimal:
        return Decimal(value)
    if hint in (datetime, date):
        return hint.fromisoformat(value)
    return _tuples(value) if get_origin(hint) is tuple else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
