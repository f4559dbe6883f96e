"""What strangers may not do to somebody else's money, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from crashlab.flows import CARD
from crashlab.plugin import Premises
from crashlab.premises import RETURN_URL, Shop, open_shop
from starlette.applications import Starlette
from starlette.routing import Mount

from bridge_payments.auth import AuthBridge
from bridge_payments.bridge import Bridge
from bridge_payments.engine import PaymentEngine
from bridge_payments.errors import AccessDenied, ConfigurationError, NotAuthenticated, NotFound
from bridge_payments.messages import Request
from bridge_payments.models import GuestData, Payment, PaymentStatus, Principal
from bridge_payments.mounts.starlette import payments_app
from bridge_payments.providers.dummy import DummyProvider
from bridge_payments.settings import Settings

pytestmark = [
    pytest.mark.anyio,
    # Who may is decided before anything is asked of a database: one kind of it is enough.
    pytest.mark.parametrize("premises", ["sqlite"], indirect=True),
]

PREFIX = "/bridge-payment"
GUEST = {"email": "ada@example.com", "name": "Ada"}
ORDER = {"total_cents": 2000, "currency": "USD", "guest_data": GUEST, "return_url": RETURN_URL}
WHO = {
    "anonymous": None,
    "guest": Principal.guest("ada@example.com"),
    "other guest": Principal.guest("eve@example.com"),
    "user": Principal.user("ada", email="ada@example.com"),
    "other user": Principal.user("eve", email="ada@example.com"),
    "admin": Principal.admin("root"),
}


def who(request: Request) -> Principal | None:
    return WHO[request.header("x-who") or "anonymous"]


@dataclass
class Web:
    """The shop behind its HTTP rim."""

    shop: Shop
    bridge: Bridge

    @asynccontextmanager
    async def visitor(
        self, peer: str = "192.0.2.7", name: str = "anonymous"
    ) -> AsyncIterator[httpx.AsyncClient]:
        app = Starlette(routes=[Mount(PREFIX, app=payments_app(self.bridge))])
        transport = httpx.ASGITransport(app, client=(peer, 40_000))
        headers = {"x-who": name}
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://shop.example{PREFIX}", headers=headers
        ) as client:
            yield client

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any], *, name: str = "anonymous", **more: str
    ) -> httpx.Response:
        headers = {key.replace("_", "-"): value for key, value in more.items()}
        async with self.visitor(name=name) as client:
            return await client.request(method, path, json=body, headers=headers)

    async def written(self) -> str:
        """Return everything that was ever written down about payments."""
        return repr(
            [(row.payment, row.operations, row.refunds, row.events) for row in await self.shop.rows()]
        )


@asynccontextmanager
async def open_web(premises: Premises) -> AsyncIterator[Web]:
    async with open_shop(premises.address(), inprocess_worker=False, guest_max_payments_per_email=5) as shop:
        yield Web(shop, Bridge(shop.engine, auth=AuthBridge(who)))


def secret_of(answer: httpx.Response) -> str | None:
    found: str | None = answer.json()["data"].get("client_secret")
    return found


# --- one Idempotency-Key, two people ------------------------------------------------------------------


async def test_two_strangers_with_one_key_and_one_body_never_share_a_secret(premises: Premises) -> None:
    async with open_web(premises) as web:
        answers = []
        for peer in ("192.0.2.7", "192.0.2.8"):
            async with web.visitor(peer) as client:
                answers.append(
                    await client.post("/payments/intents", json=ORDER, headers={"idempotency-key": "k"})
                )
        assert [answer.status_code for answer in answers] == [201, 201]
        ada, eve = answers
        assert secret_of(ada)
        assert secret_of(eve)
        assert secret_of(ada) != secret_of(eve)
        assert str(secret_of(ada)) not in eve.text
        assert len(premises.gateway.intents()) == 2


async def test_two_strangers_behind_one_address_share_a_payment_and_no_secret(premises: Premises) -> None:
    """The same e-mail, body, key and address: as far as anybody can tell a repeat, so it creates nothing."""
    async with open_web(premises) as web:
        first = await web.ask("POST", "/payments/intents", ORDER, idempotency_key="k")
        second = await web.ask("POST", "/payments/intents", ORDER, idempotency_key="k")
        assert first.is_success
        assert second.is_success
        assert first.json()["data"]["id"] == second.json()["data"]["id"]
        assert secret_of(first)
        assert secret_of(second) is None
        assert str(secret_of(first)) not in second.text
        assert len(premises.gateway.intents()) == 1


async def test_a_key_that_was_used_for_something_else_is_refused_without_a_word_of_it(
    premises: Premises,
) -> None:
    async with open_web(premises) as web:
        first = await web.ask("POST", "/payments/intents", ORDER, idempotency_key="k")
        other = await web.ask(
            "POST", "/payments/intents", {**ORDER, "total_cents": 9900}, idempotency_key="k"
        )
        assert other.status_code == 422
        for word in (first.json()["data"]["id"], secret_of(first), "2000", "ada@example.com"):
            assert str(word) not in other.text
        assert len(await web.shop.rows()) == 1


# --- refused: no row, no event, no request ------------------------------------------------------------

REFUSED: dict[str, tuple[str, dict[str, Any], int]] = {
    "anonymous records a payment by hand": ("anonymous", {"is_manual_payment": True}, 403),
    "guest records a payment by hand": ("guest", {"is_manual_payment": True}, 403),
    "user records a payment by hand": (
        "user",
        {"is_manual_payment": True, "manual_payment_method": "cash"},
        403,
    ),
    "a provider that is not enabled": ("user", {"provider_id": "dummy"}, 400),
    "nothing": ("user", {"total_cents": 0}, 400),
    "less than nothing": ("user", {"total_cents": -2000}, 400),
    "less than the provider takes": ("user", {"total_cents": 49}, 400),
    "a price that does not add up": ("user", {"subtotal_cents": 1000, "tax_cents": 1}, 400),
    "a part of a yen": ("user", {"total_cents": 2000.5, "currency": "JPY"}, 400),
    "somebody's customer": ("user", {"customer_id": "cus_1"}, 404),
    "anonymous without an address": ("anonymous", {"guest_data": None}, 400),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_may_not_begin_leaves_no_trace(premises: Premises, case: str) -> None:
    name, changes, status = REFUSED[case]
    body = {key: value for key, value in {**ORDER, **changes}.items() if value is not None}
    async with open_web(premises) as web:
        answer = await web.ask("POST", "/payments/intents", body, name=name, idempotency_key="k")
        assert answer.status_code == status, answer.text
        assert await web.shop.rows() == []
        assert premises.gateway.requests() == []
        # Nor does the key remember it: corrected, the same key begins a payment.
        corrected = await web.ask("POST", "/payments/intents", ORDER, name=name, idempotency_key="k")
        assert corrected.status_code == 201


async def test_a_provider_that_moves_no_money_is_not_built_by_accident(premises: Premises) -> None:
    async with open_shop(premises.address()) as shop:
        with pytest.raises(ConfigurationError, match="ALLOW_SANDBOX"):
            PaymentEngine(shop.store, {"dummy": DummyProvider()}, settings=Settings())


@pytest.mark.parametrize("by", ["anonymous", "guest", "other guest", "user", "other user"])
@pytest.mark.parametrize("of", ["guest's", "user's"])
@pytest.mark.parametrize("verb", ["refund", "capture"])
async def test_only_the_merchant_gives_back_and_collects(
    premises: Premises, of: str, by: str, verb: str
) -> None:
    async with open_web(premises) as web:
        payment = await owned(web, of, capture_method="manual" if verb == "capture" else "automatic")
        before, sent = await web.written(), len(premises.gateway.requests())
        answer = await web.ask("POST", f"/payments/{payment.id}/{verb}", {}, name=by, idempotency_key="r")
        # The same words to everybody: nobody learns by them which payments there are.
        assert answer.status_code == (401 if by == "anonymous" else 403), answer.text
        # And the engine does not rely on whoever stands before it.
        ask = web.shop.engine.refund_payment if verb == "refund" else web.shop.engine.capture_payment
        with pytest.raises((NotAuthenticated, AccessDenied, NotFound)):
            await ask(payment.id, principal=WHO[by] or Principal.anonymous(peer="192.0.2.7"))
        assert await web.written() == before
        assert len(premises.gateway.requests()) == sent
        done = await web.ask("POST", f"/payments/{payment.id}/{verb}", {}, name="admin", idempotency_key="r")
        assert done.is_success, done.text


@pytest.mark.parametrize(
    ("of", "by"),
    [
        ("user's", "anonymous"),
        ("user's", "guest"),
        ("user's", "other user"),
        ("guest's", "other guest"),
        ("guest's", "user"),
    ],
)
@pytest.mark.parametrize("verb", ["confirm", "sync", "cancel", "update", "read"])
async def test_somebody_elses_payment_stays_as_it_is(premises: Premises, of: str, by: str, verb: str) -> None:
    async with open_web(premises) as web:
        payment = await owned(web, of, confirm=False)
        before, sent = await web.written(), len(premises.gateway.requests())
        path = f"/payments/intents/{payment.id}"
        method, path, body = {
            "confirm": ("POST", f"{path}/confirm", {"payment_method_id": CARD}),
            "sync": ("POST", f"{path}/sync", {}),
            "cancel": ("POST", f"/payments/{payment.id}/cancel", {}),
            "update": ("PUT", path, {"total_cents": 100}),
            "read": ("GET", path, {}),
        }[verb]
        answer = await web.ask(method, path, body, name=by)
        assert answer.status_code in (401, 403, 404), answer.text
        assert "client_secret" not in json.dumps(answer.json().get("data"))
        assert await web.written() == before
        assert len(premises.gateway.requests()) == sent


@pytest.mark.parametrize("verb", ["cancel", "update"])
async def test_who_only_knows_the_id_needs_the_secret_too(premises: Premises, verb: str) -> None:
    async with open_web(premises) as web:
        payment = await owned(web, "guest's", confirm=False)
        secret = premises.gateway.intent(str(payment.provider_intent_id))["client_secret"]
        method, path, body = {
            "cancel": ("POST", f"/payments/{payment.id}/cancel", {}),
            "update": ("PUT", f"/payments/intents/{payment.id}", {"description": "new"}),
        }[verb]
        for given in (None, "", secret[:-1], secret + "x"):
            refused = await web.ask(
                method, path, {**body, **({} if given is None else {"client_secret": given})}
            )
            assert refused.status_code in (400, 403), refused.text
        assert (await web.shop.row(payment.id)).payment.status is PaymentStatus.PENDING
        done = await web.ask(method, path, {**body, "client_secret": secret})
        assert done.is_success, done.text


async def owned(web: Web, of: str, *, confirm: bool = True, **more: Any) -> Payment:
    principal, guest = (
        (Principal.anonymous(peer="198.51.100.1"), GuestData(**GUEST))
        if of == "guest's"
        else (WHO["user"], None)
    )
    assert principal
    return await web.shop.engine.create_payment_intent(
        total_cents=2000, currency="USD", return_url=RETURN_URL, guest=guest, principal=principal,
        confirm=confirm, payment_method=CARD if confirm else None, **more,
    )  # fmt: skip
