"""Answers of the services that were kept, as the adapters come to see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge_payments.providers.authorize_net.encoders.json import JsonEncoder
from bridge_payments.providers.paypal.mapping import merged

__all__ = ["authorize_net_transactions", "paypal_answer", "paypal_order", "paypal_orders"]

_ABOUT_TRANSACTIONS = (None, "createTransactionResponse", "ErrorResponse", "authenticateTestResponse")


def paypal_answer(specs: Path, name: str) -> Any:
    return json.loads((specs / "paypal" / "recorded" / "srmklive" / f"{name}.json").read_text())


def paypal_order(specs: Path, name: str, intent: str) -> Any:
    """Return an order as the adapter has it: what is kept are short answers, and it was read before each."""
    before = {
        "id": "5O190127TN364715T",
        "intent": intent,
        "status": "CREATED",
        "purchase_units": [
            {"reference_id": "default", "amount": {"currency_code": "USD", "value": "100.00"}}
        ],
    }
    return merged(before, paypal_answer(specs, name))


def paypal_orders(specs: Path) -> Iterator[tuple[str, Any]]:
    """Yield every order that was kept, from answers and from webhooks."""
    for file in sorted((specs / "paypal" / "recorded" / "srmklive").glob("Orders__*.json")):
        yield (
            file.stem,
            paypal_order(specs, file.stem, "AUTHORIZE" if "Authorized" in file.stem else "CAPTURE"),
        )
    for file in sorted((specs / "paypal" / "events").glob("*/CHECKOUT.ORDER.*.json")):
        yield f"{file.parent.name}/{file.name}", json.loads(file.read_text())["resource"]


def authorize_net_transactions(specs: Path, xml: Any = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every answer about a transaction, by the name of its file; those in XML if *xml* reads them."""
    for file in sorted((specs / "authorizenet" / "recorded").glob("*/*")):
        if file.parent.name == "authnetjson_webhook_api":
            continue  # another API, which is not asked
        if file.suffix == ".xml" and xml is None:
            continue
        content = file.read_bytes()
        name, answer = xml.decode(content.strip()) if file.suffix == ".xml" else JsonEncoder().decode(content)
        if name in _ABOUT_TRANSACTIONS and ("transactionResponse" in answer or name is not None):
            yield f"{file.parent.name}/{file.name}", answer
