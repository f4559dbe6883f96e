"""The floor: the same rows, the same JSON and the same call to the gateway, with nothing in between."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from bridge_payments.models import new_id, new_reference

PREFIX: Final = "/bridge-payment/payments"
LIMIT: Final = 20

SUMMARY: Final = """
    id status provider_id provider_intent_id currency total_cents updated_at subtotal_cents tax_cents
    discount_cents captured_cents refunded_cents description concept reference_code category tags metadata
    user_id organization_id project_id payment_method_id provider_payment_id is_guest_payment guest_email
    is_manual_payment livemode created_at completed_at
    """.split()
_MORE: Final = """
    client_secret next_action guest_data capture_method setup_future_usage authorized_cents disputed_cents
    decline_code review customer_id billing_address_id subscription_id order_id applied_coupons
    manual_payment_method manual_payment_reference manual_payment_date paid_at version
    """.split()
DETAIL: Final = [*SUMMARY, *_MORE]
_PRICING: Final = ("subtotal_cents", "tax_cents", "discount_cents", "total_cents")
_RENAMED: Final = {
    f"{name}_cents": f"{name}_amount_cents" for name in "captured refunded authorized disputed".split()
}
_MOMENTS: Final = frozenset(
    {"created_at", "updated_at", "completed_at", "paid_at", "manual_payment_date", "client_secret_expires_at"}
)
_STORED: Final = (
    *(name for name in DETAIL if name not in ("next_action", "guest_data", "applied_coupons")),
    *"reference refund_reserved_cents sync_count client_secret_expires_at".split(),
)


class Statements:
    """The SQL in one driver's spelling of placeholders."""

    def __init__(self, mark: str) -> None:
        self._mark, self._next = mark, 0
        get, page = ", ".join(DETAIL), ", ".join(SUMMARY)
        self.get = self._(f"SELECT {get} FROM provider_payments WHERE id = ?")
        self.page = self._(
            f"SELECT {page}, (SELECT count(*) FROM provider_payments WHERE user_id = ?) AS total"
            " FROM provider_payments WHERE user_id = ? ORDER BY id DESC LIMIT ? OFFSET ?"
        )
        marks = ", ".join("?" for _ in _STORED)
        self.add = self._(f"INSERT INTO provider_payments ({', '.join(_STORED)}) VALUES ({marks})")
        self.save = self._(
            "UPDATE provider_payments SET provider_intent_id = ?, client_secret = ?, livemode = ?,"
            " updated_at = ?, version = version + 1 WHERE id = ? AND version = 1"
        )

    def _(self, statement: str) -> str:
        first, *rest = statement.split("?")
        return first + "".join(
            (f"${number}" if self._mark == "$" else self._mark) + part for number, part in enumerate(rest, 1)
        )


def new_row(given: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Return a payment's columns before the gateway was asked."""
    total, now = given["total_cents"], datetime.now(UTC)
    if not isinstance(total, int) or total <= 0 or not isinstance(given["currency"], str):
        raise ValueError("a payment needs an amount and a currency")
    row: dict[str, Any] = dict.fromkeys(_STORED)
    row.update(
        id=new_id("pay"), status="pending", provider_id="stripe", user_id=user, reference=new_reference(),
        currency=given["currency"].upper(), total_cents=total, subtotal_cents=total, tax_cents=0,
        discount_cents=0, captured_cents=0, refunded_cents=0, authorized_cents=0, disputed_cents=0,
        refund_reserved_cents=0, sync_count=0, version=1, review=False, is_guest_payment=False,
        is_manual_payment=False, capture_method="automatic", description=given.get("description"),
        reference_code=given.get("reference_code"), metadata=json.dumps(given.get("metadata")),
        created_at=now, updated_at=now, client_secret_expires_at=now + timedelta(days=1),
    )  # fmt: skip
    return row


def added(row: Mapping[str, Any]) -> list[Any]:
    return [row[name] for name in _STORED]


def form_of(row: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the call to the gateway."""
    headers = {
        "Authorization": "Bearer sk_test_bench",
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": secrets.token_hex(16),
        "Stripe-Version": "2026-10-28.endive",
    }
    form = {
        "amount": row["total_cents"],
        "currency": row["currency"].lower(),
        "description": row["description"],
        **{f"metadata[{name}]": value for name, value in json.loads(row["metadata"]).items()},
        "metadata[bridge_payment_id]": row["id"],
        "metadata[bridge_reference]": row["reference"],
    }
    return headers, urlencode(form).encode()


def answered(row: dict[str, Any], intent: Mapping[str, Any]) -> list[Any]:
    """Take the gateway's answer over into the row; return the values of `save`."""
    if intent["amount"] != row["total_cents"]:
        raise ValueError("another amount")
    row.update(
        provider_intent_id=intent["id"],
        client_secret=intent["client_secret"],
        livemode=intent["livemode"],
        updated_at=datetime.now(UTC),
        version=2,
    )
    return [row["provider_intent_id"], row["client_secret"], row["livemode"], row["updated_at"], row["id"]]


# --- JSON -----------------------------------------------------------------------------------------


def one(row: Mapping[str, Any], user: str) -> bytes:
    """Return the answer about one payment."""
    context = _context(user) | {"access_method": "user_id_access", "is_owner": True, "is_admin": False}
    return _wrapped(_detail(row), meta=_meta(1, 1, 1), user_context=context)


def many(rows: Sequence[Mapping[str, Any]], user: str, page: int = 1) -> bytes:
    """Return a page of payments."""
    total = rows[0]["total"] if rows else 0
    meta = _meta(total, page, LIMIT) | {"orderBy": "created_at", "orderDir": "desc"}
    data = [_common(row, SUMMARY) for row in rows]
    return _wrapped(data, meta=meta, user_context=_context(user) | {"search_method": "user_id"})


def created(row: Mapping[str, Any]) -> bytes:
    """Return the answer to a create."""
    return _wrapped(_detail({**dict.fromkeys(DETAIL), **row}))


def _detail(row: Mapping[str, Any]) -> dict[str, Any]:
    payment = _common(row, DETAIL)
    payment.update(
        requires_action=row["status"] == "requires_action",
        next_action=None, guest_data=None, guest_name=None, guest_token=None, error_message=None,
        applied_coupons=None,
        pricing={name: row[name] for name in _PRICING},
    )  # fmt: skip
    return payment


def _common(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    payment = {
        _RENAMED.get(name, name): _moment(row[name]) if name in _MOMENTS else row[name] for name in names
    }
    metadata = row["metadata"]
    payment.update(
        metadata=json.loads(metadata) if metadata else {},
        amount_cents=row["total_cents"],
        payment_method=None,
        outcome=None,
        operation_id=None,
    )
    return payment


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _context(user: str) -> dict[str, Any]:
    return {"authenticated": True, "user_id": user, "user_type": "user", "user_email": None}


def _meta(total: int, page: int, size: int) -> dict[str, Any]:
    pages = -(-total // size)
    return {
        "query": "", "page": page, "limit": size, "total": total, "totalPages": pages,
        "hasMore": page < pages, "orderBy": None, "orderDir": None,
        "pagination": {"total": total, "page": page, "pageSize": size, "totalPages": pages},
    }  # fmt: skip


def _wrapped(data: Any, **more: Any) -> bytes:
    return json.dumps({"success": True, "data": data, **more}, separators=(",", ":")).encode()
