"""Host applications of all three frameworks around one bridge, and what they answered, to be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette

from bridge_payments import Bridge, Principal, Request
from bridge_payments.errors import NotAuthenticated
from bridge_payments.mounts.fastapi import payments_router
from bridge_payments.mounts.flask import payments_blueprint
from bridge_payments.mounts.starlette import payments_mount
from bridge_payments.testing.mounts import Answer, Client, asgi_client, wsgi_client

__all__ = ["MOUNTS", "PREFIX", "Conversation", "Said", "differences", "numbered", "who"]

PREFIX = "/bridge-payment"


def who(request: Request) -> Principal | None:
    """Sign in whom a header names: `root` is the admin, and not every name is a session."""
    match request.header("x-session-id"):
        case None:
            return None
        case "root":
            return Principal.admin("root")
        case "grace-proved":
            return Principal.user("grace", email="grace@example.com", email_verified=True)
        case name if re.fullmatch(r"ada|eve|grace|customer-\d+", name):
            return Principal.user(name, email=f"{name}@example.com")
        case _:
            raise NotAuthenticated("This session has ended")


def by_starlette(bridge: Bridge) -> Client:
    return asgi_client(Starlette(routes=[payments_mount(bridge, PREFIX)]), bridge)


def by_fastapi(bridge: Bridge) -> Client:
    app = FastAPI()
    app.include_router(payments_router(bridge), prefix=PREFIX)
    return asgi_client(app, bridge)


def by_flask(bridge: Bridge) -> Client:
    app = Flask(__name__)
    app.register_blueprint(payments_blueprint(bridge), url_prefix=PREFIX)
    return wsgi_client(app)


MOUNTS: Mapping[str, Callable[[Bridge], Client]] = {
    "starlette": by_starlette,
    "fastapi": by_fastapi,
    "flask": by_flask,
}


class Said(NamedTuple):
    """One question and its answer."""

    asked: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Conversation:
    """A client that remembers every answer."""

    client: Client
    transcript: list[Said] = field(default_factory=list)

    def ask(self, method: str, path: str, body: object = b"", /, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "host": "shop.example",
            "content-type": "application/json",
            "x-request-id": f"step-{len(self.transcript)}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if method == "GET":
            sent.pop("content-type")
        answer = self.client(method, PREFIX + path, sent, content)
        self.transcript.append(Said(f"{method} {path}", answer.status, dict(answer.headers), answer.body))
        return answer


_DRAWN = re.compile(
    rb"""
      \b(?P<ours>pay|op|re|evt|in|rf|ref|cust|pm|addr|sub)_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b
    | \b(?P<stripes>pi|ch|re|pm|evt|acct)_[0-9A-Za-z]{14,}(?P<secret>_secret_[0-9A-Za-z]+)?\b
    | \b(?P<dummys>[a-z]+)_[a-z]{6}[0-9]{6}\b
    """,
    re.VERBOSE,
)
"""Ids of ours, Stripe's and the dummy's, and client secrets: all that is drawn at random and answered."""


def numbered(transcript: list[Said]) -> list[Said]:
    """Replace what is random by the order in which it first appeared; everything else stays as it is."""
    known: dict[bytes, bytes] = {}

    def number(found: re.Match[bytes]) -> bytes:
        kind = found["ours"] or found["dummys"] or found["stripes"] + (b"_secret" if found["secret"] else b"")
        return known.setdefault(found[0], b"%s_#%d" % (kind, len(known)))

    return [
        Said(_DRAWN.sub(number, said.asked.encode()).decode(), said.status, said.headers,
             _DRAWN.sub(number, said.body))
        for said in transcript
    ]  # fmt: skip


def differences(one: list[Said], other: list[Said]) -> list[str]:
    """Say where two transcripts part, for a person to read."""
    found = [f"{mine}\n  !=\n{theirs}" for mine, theirs in zip(one, other, strict=False) if mine != theirs]
    return found if len(one) == len(other) else [*found, f"{len(one)} answers, and {len(other)}"]
