"""
Every place that logs, found in the source: whatever stands in a line's holes, no secret leaves.

A new place is found by itself. One that does not log into the library's own tree, where the redacting
handler is, fails here.
"""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bridge_payments
from bridge_payments import Event, Principal, Request
from bridge_payments.auth import AuthBridge
from bridge_payments.http import Router
from bridge_payments.telemetry import configure_logging
from bridge_payments.testing import bridge
from bridge_payments.testing.practice import _delivery

ROOT = Path(bridge_payments.__file__).parent
METHODS = {"debug", "info", "warning", "error", "critical", "exception", "log"}

SECRETS = {
    "a card number": "4242424242424242",
    "a card number in groups": "5555-5555-5555-4444",
    "a provider's key": "sk_live_51HxTopSecretKey",
    "a restricted key": "rk_live_51HxTopSecretKey",
    "a webhook secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "a client secret": "pi_3Nx_secret_AbCdEf123456",
    "a client secret of ours": "pay_0193f00d_secret_c2VjcmV0c2VjcmV0",
    "a bearer token": "Bearer dG9rZW4tb2YtYWRhLTEyMw==",
    "a signed token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWFkYQ",
    "a session": "X-Session-ID: 7f3a9c1e5d7b4a60",
    "a guest token": "guest_token=gt_5b1d8a77c0e94b2f",
    "a password in an address": "postgresql://shop:hunter2hunter2@db.internal/shop",
    "a named secret": '{"client_secret": "topsecretvalue123"}',
    "an e-mail address": "ada.lovelace@example.com",
}
VISIBLE = re.compile(
    r"4242424242424242|5555-5555-5555-4444|TopSecretKey|MfKQ9r8GKYq|AbCdEf123456|c2VjcmV0c2VjcmV0"
    r"|dG9rZW4tb2Yt|c2lnbmF0dXJl|7f3a9c1e5d7b|5b1d8a77c0e9|hunter2hunter2|topsecretvalue|lovelace"
)
HOSTILE = " ".join(SECRETS.values())


@dataclass(frozen=True)
class Site:
    """One call of a logger."""

    module: str
    line: int
    logger: str
    template: str | None
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.module}:{self.line}"


def sites() -> Iterator[Site]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(("bridge_payments", *parts)).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        loggers = dict(_loggers(tree, module))
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=method)):
                    if owner in loggers and method in METHODS:
                        yield _site(node, method, module, loggers[owner])


def _loggers(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """Names in this module that are loggers, and the names of those loggers."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                text = ast.unparse(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                text = ast.unparse(value)
            case _:
                continue
        if text.startswith("_LOGGERS["):
            yield name, "bridge_payments.request"
        elif "getLogger(" in text:
            literal = re.fullmatch(r"logging\.getLogger\('([^']+)'\)", text)
            yield name, literal[1] if literal else module


def _site(node: ast.Call, method: str, module: str, logger: str) -> Site:
    first = next(iter(node.args[1:] if method == "log" else node.args), None)
    template = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
    extra = next((word.value for word in node.keywords if word.arg == "extra"), None)
    keys = extra.keys if isinstance(extra, ast.Dict) else []
    fields = tuple(str(key.value) for key in keys if isinstance(key, ast.Constant))
    return Site(module, node.lineno, logger, template, fields)


SITES = list(sites())


@pytest.fixture(params=["json", "text"])
def stream(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    logger = logging.getLogger("bridge_payments")
    before = logger.handlers[:], logger.level, logger.propagate
    written = io.StringIO()
    configure_logging("debug", request.param, stream=written)
    yield written
    logger.handlers[:], logger.level, logger.propagate = before


def test_the_places_are_found() -> None:
    assert len(SITES) > 60
    assert {site.module for site in SITES} >= {
        "bridge_payments.engine.asking",
        "bridge_payments.http.router",
        "bridge_payments.telemetry.observing",
        "bridge_payments.webhooks.dispatcher",
    }


def test_every_place_logs_into_the_tree_that_is_redacted() -> None:
    assert [str(site) for site in SITES if not site.logger.startswith("bridge_payments")] == []
    called = re.compile(r"\blogging\.(debug|info|warning|error|critical|exception|log)\(")
    assert [path.name for path in ROOT.rglob("*.py") if called.search(path.read_text())] == []


def test_whatever_stands_in_the_holes_of_a_line_no_secret_leaves(stream: io.StringIO) -> None:
    for site in SITES:
        stream.seek(0)
        stream.truncate()
        template = HOSTILE if site.template is None else site.template
        holes = re.findall(r"%[-+ 0-9.]*([a-z])", template) if site.template is not None else []
        values = [7 if kind in "dfg" else HOSTILE for kind in holes]
        extra: dict[str, Any] = {"nested": {"guest": [HOSTILE]}, "session_id": "7f3a9c1e5d7b4a60"}
        extra |= dict.fromkeys(site.fields, HOSTILE)
        try:
            raise RuntimeError(HOSTILE)
        except RuntimeError:
            logging.getLogger(site.logger).exception(template, *values, extra=extra)

        text = stream.getvalue()

        assert "RuntimeError" in text, site
        assert VISIBLE.findall(text) == [], site


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_each_secret_would_be_seen_if_it_left(secret: str) -> None:
    assert VISIBLE.search(secret)


@pytest.mark.anyio
async def test_a_busy_day_with_hostile_input_leaves_lines_and_no_secret(stream: io.StringIO) -> None:
    def who(request: Request) -> Principal:
        if request.header("x-session-id") == "broken":
            raise RuntimeError(HOSTILE)
        return Principal.user("u1", email="ada.lovelace@example.com")

    async with bridge(auth=AuthBridge(who)) as shop:

        @shop.webhooks.on("payment.*")
        def ship(event: Event) -> None:
            raise RuntimeError(HOSTILE)

        router = Router(shop)

        async def ask(method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
            given = {"content-type": "application/json", "x-session-id": "7f3a9c1e5d7b4a60"}
            given["authorization"] = SECRETS["a bearer token"]
            answer = await router.answer(
                Request(
                    method=method,
                    path=path,
                    headers=given | (headers or {}),
                    query={"token": "gt_5b1d8a77c0e94b2f"},
                    body=json.dumps(body).encode() if body else b"",
                )
            )
            return answer.status, json.loads(answer.body)

        whole = {"total_cents": 2000, "currency": "USD", "provider_id": "dummy"}
        mail = SECRETS["an e-mail address"]
        status, body = await ask("POST", "/payments/intents", **whole, description=mail)
        assert status == 201
        secret, payment = body["data"]["client_secret"], body["data"]["id"]
        await ask("POST", "/payments/intents", **whole, metadata={"card": "4242424242424242"})
        await ask("POST", "/payments/intents", {"x-session-id": "broken"}, **whole)
        await ask("POST", "/payments/intents", {"x-request-id": "4242424242424242"}, **whole)
        await ask("GET", "/payments/guest/ada.lovelace@example.com")
        await ask("GET", "/payments/4242424242424242")
        confirm = f"/payments/intents/{payment}/confirm"
        await ask("POST", confirm, payment_method_id="dummy_declined")
        shop.gateway.lose_next_answer()
        await ask("POST", confirm, payment_method_id="dummy_ok", client_secret=secret)
        for event in shop.gateway.events:
            await router.answer(_delivery(event))
        await router.answer(Request(method="POST", path="/webhooks/dummy", body=HOSTILE.encode()))
        await shop.work()
        shop.move(minutes=10)
        await shop.work()

    text = stream.getvalue()

    assert secret
    assert secret not in text
    assert VISIBLE.findall(text) == []
    for line in ("POST /payments/intents 201", "confirm_payment declined", "confirm_payment unknown"):
        assert line in text
    assert "payment.created failed" in text
