"""
A guest pays, signs in and converts, while a payment, a webhook and a method that is kept are under way.

Two processes on one database: one takes payments, the other converts, and thieves try meanwhile. Each round
has its seed; BRIDGE_ROUNDS chooses how many, BRIDGE_SEED the first.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from databases import migrate
from serving import Answered, Server, serve, until

from bridge_payments.providers.dummy.inbox import SIGNATURE, sign
from bridge_payments.sandbox.flowless import FakeFlowless

ROUNDS = int(os.environ.get("BRIDGE_ROUNDS", "4"))
FIRST = int(os.environ.get("BRIDGE_SEED", "1"))
COMMAND = ("uvicorn", "--factory", "--port={port}", "--log-level=warning", "shopfront:starlette_app")
LISTS = ("/payments", "/payment-methods", "/customers", "/addresses")


@dataclass
class Shop:
    """One process takes payments, another converts."""

    till: Server
    desk: Server
    flowless: FakeFlowless


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    if request.param == "postgresql":
        url = request.getfixturevalue("database")
    else:
        url = f"sqlite:///{tmp_path / 'payments.db'}"
        migrate(url)
    for name in ("till", "desk"):
        (tmp_path / name).mkdir()
    with FakeFlowless() as flowless:
        env = {
            "DATABASE_URL": url,
            "ENABLED_PROVIDERS": "dummy",
            "DEFAULT_PAYMENT_PROVIDER": "dummy",
            "ALLOW_SANDBOX": "true",
            "GUEST_MAX_PAYMENTS_PER_EMAIL": "0",
            "RATE_LIMIT_ENABLED": "false",
            "FLOWLESS_API_URL": flowless.url,
            "BRIDGE_VALIDATION_SECRET": flowless.secret,
        }
        with (
            serve(COMMAND, tmp_path / "till", env) as till,
            # The dummy gateway lives in its process: only the till can ask it anything.
            serve(COMMAND, tmp_path / "desk", {**env, "INPROCESS_WORKER": "false"}) as desk,
        ):
            yield Shop(till, desk, flowless)
            assert "Traceback" not in till.log() + desk.log()


class Round:
    """One guest, who is one user, and everybody who wants to be."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, self.random = shop, random.Random(seed)
        self.email = f"guest-{seed}@example.com"
        self.user = f"user-{seed}"
        sign_in, guest = shop.flowless.sign_in, shop.flowless.guest
        self.session = {"x_session_id": sign_in(self.user, email=self.email)}
        self.token = {"x_guest_token": guest(self.email)}
        self.thieves = [
            {"x_session_id": sign_in(f"thief-{seed}", email="thief@example.com")},
            {"x_session_id": sign_in(f"namesake-{seed}", email=self.email, verified=False)},
        ]

    def begin(self, **more: Any) -> dict[str, Any]:
        body = {"total_cents": 1000, "currency": "USD", "guest_data": {"email": self.email}, **more}
        made = self.shop.till.ask("POST", "/payments/intents", body)
        assert made.status == 201, made.body
        found: dict[str, Any] = made.json["data"]
        return found

    def confirm(self, payment: str, *, keep: bool = False) -> Answered:
        body = {"payment_method_id": "dummy_ok", "save_payment_method": keep}
        who = self.token if keep else {}
        return self.shop.till.ask("POST", f"/payments/intents/{payment}/confirm", body, **who)

    def webhook(self, payment: dict[str, Any]) -> Answered:
        intent = {"id": payment["provider_intent_id"], "secret": "x", "metadata": {}, "created": 0}
        body = {"id": f"de_{payment['id']}", "type": "intent.paid", "intent": intent}
        raw = json.dumps(body).encode()  # as `ask` sends it
        return self.shop.till.ask(
            "POST", "/webhooks/dummy", body, **{SIGNATURE: sign(raw, "dummy-webhook-secret")}
        )

    def convert(self, who: dict[str, str]) -> Answered:
        return self.shop.desk.ask("POST", "/convert-guest", {"guest_email": self.email}, **who)

    def rows(self, path: str, who: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.shop.desk.ask("GET", path, **who).json["data"]
        return found

    def race(self, *turns: Callable[[], Answered]) -> list[Answered]:
        """Do everything at once; the seed says who comes first to the start."""
        order = list(enumerate(turns))
        self.random.shuffle(order)
        start = threading.Barrier(len(order))

        def run(turn: Callable[[], Answered]) -> Answered:
            start.wait()
            return turn()

        with ThreadPoolExecutor(len(order)) as pool:
            running = {number: pool.submit(run, turn) for number, turn in order}
        return [running[number].result() for number in range(len(turns))]


def play(shop: Shop, seed: int) -> None:
    game = Round(shop, seed)
    paid, plain, keeping = (game.begin() for _ in range(3))
    assert game.confirm(paid["id"]).status == 200
    game.shop.till.ask("POST", "/addresses", {
        "line1": "1 Way", "city": "Town", "postal_code": "1", "country": "US", "is_default": True,
    }, **game.token)  # fmt: skip
    token = {"payment_method_token": "dummy_ok"}
    answers = game.race(
        lambda: game.convert(game.session),
        lambda: game.convert(game.session),
        lambda: game.convert(game.thieves[0]),
        lambda: game.convert(game.thieves[1]),
        lambda: game.confirm(plain["id"]),
        lambda: game.confirm(keeping["id"], keep=True),
        lambda: game.webhook(paid),
        lambda: shop.till.ask("POST", "/payment-methods", token, **game.token),
        lambda: game.shop.till.ask(
            "POST", "/payments/intents", {"total_cents": 1000, "currency": "USD"}, **game.token
        ),
    )
    first, second, *stolen = answers[:4]
    others = answers[4:]
    assert (first.status, second.status) == (200, 200)
    assert [answer.status for answer in stolen] == [403, 403]
    # Refused is who came when the row was a user's already: then nothing was done. Nothing breaks.
    assert all(answer.status in (200, 201, 401, 403, 404, 409) for answer in others), others

    # Whoever was refused comes again, as who they are now; what was busy is converted by the next call.
    for payment in (plain, keeping):
        body = {"payment_method_id": "dummy_ok"}
        shop.till.ask("POST", f"/payments/intents/{payment['id']}/confirm", body, **game.session)
    moved = [first.json["data"], second.json["data"]]

    def nothing_is_left() -> bool:
        done = game.convert(game.session)
        assert done.status == 200, done.body
        moved.append(done.json["data"])
        return not any(game.rows(path, game.token) for path in LISTS)

    assert until(nothing_is_left), [game.rows(path, game.token) for path in LISTS]
    mine = {path: game.rows(path, game.session) for path in LISTS}
    assert all(row["user_id"] == game.user for rows in mine.values() for row in rows)
    asked = {
        paid["id"],
        plain["id"],
        keeping["id"],
        *([others[4].json["data"]["id"]] if others[4].status == 201 else []),
    }
    payments = {row["id"]: row for row in mine["/payments"]}
    assert payments.keys() == asked, "a payment is lost, or there is one that nobody began"
    for one in (paid, plain, keeping):
        row = payments[one["id"]]
        assert (row["status"], row["captured_amount_cents"], row["guest_email"]) == (
            "succeeded",
            1000,
            game.email,
        )
    assert len(mine["/addresses"]) == 1
    customers = {row["id"] for row in mine["/customers"]}
    assert {row["customer_id"] for row in mine["/payment-methods"]} <= {None, *customers}
    # Each row changed hands once.
    assert sum(each["payments_count"] for each in moved) == len(payments)
    assert sum(each["addresses_count"] for each in moved) == 1
    for thief in game.thieves:
        assert not any(game.rows(path, thief) for path in LISTS)


@pytest.mark.slow
def test_a_conversion_loses_nothing_and_gives_nothing_to_two(shop: Shop) -> None:
    for seed in range(FIRST, FIRST + ROUNDS):
        try:
            play(shop, seed)
        except AssertionError as error:
            raise AssertionError(f"BRIDGE_SEED={seed} BRIDGE_ROUNDS=1: {error}") from error
