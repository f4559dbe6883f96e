"""
Every mount against its own OpenAPI document: no answer that it does not announce, and never a 5xx.

Schemathesis asks in a process of its own: examples, edges of every schema, random and broken requests, and
chains of operations. The seed is fixed; BRIDGE_SEED chooses another one, and ``BRIDGE_SEED=random`` any.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from databases import migrate
from hosts import PREFIX
from serving import HERE, Server, serve

UVICORN = ("uvicorn", "--factory", "--port={port}", "--log-level=warning")
# Without its own limit of the request line, whose answer is its own, too, and in no document of ours.
GUNICORN = ("gunicorn", "--bind=127.0.0.1:{port}", "--threads=4", "--limit-request-line=0")
MOUNTS = {
    "starlette": ((*UVICORN, "shopfront:starlette_app"), f"{PREFIX}/openapi.json"),
    "fastapi": ((*UVICORN, "shopfront:fastapi_app"), "/openapi.json"),
    "flask": ((*GUNICORN, "shopfront:flask_app()"), f"{PREFIX}/openapi.json"),
}
EXAMPLES = 8

# A page that is none is the first page, and an order that is none the usual one: that is the contract, and no
# schema can say it. A request that fits its schema may still be refused: amounts have to add up.
RULES = """
[checks]
positive_data_acceptance.enabled = false

[[operations]]
include-method = "GET"
checks.negative_data_rejection.enabled = false
"""


def some_payments(server: Server) -> list[str]:
    """One of each kind and many that are open, for requests that want to get further than 404."""
    found = []
    for card, capture, canceled in [
        ("dummy_ok", "automatic", False),
        ("dummy_ok", "manual", False),
        ("dummy_challenge", "automatic", False),
        (None, "automatic", True),
        *[(None, "automatic", False)] * 8,
    ] * 2:
        order = {"total_cents": 5500, "currency": "usd", "capture_method": capture}
        payment = server.ask("POST", "/payments/intents", order, x_session_id="ada").json["data"]["id"]
        if card is not None:
            body = {"payment_method_id": card}
            server.ask("POST", f"/payments/intents/{payment}/confirm", body, x_session_id="ada")
        elif canceled:
            server.ask("POST", f"/payments/{payment}/cancel", {}, x_session_id="ada")
        found.append(payment)
    return found


def schemathesis(server: Server, document: str, *more: str) -> subprocess.CompletedProcess[str]:
    rules = server.folder / "schemathesis.toml"
    rules.write_text(RULES)
    seed = os.environ.get("BRIDGE_SEED", "1")
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(rules)),
            *("run", f"http://127.0.0.1:{server.port}{document}"),
            *(f"--max-examples={EXAMPLES}", "--no-color", "--generation-database=none"),
            *(() if seed == "random" else (f"--seed={seed}",)),
            *more,
        ],
        cwd=server.folder,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(server.folder),
            "PYTHONPATH": str(HERE),
            "SCHEMATHESIS_HOOKS": "documented",
            "SHOP_PAYMENTS": ",".join(some_payments(server)),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mount", "caller", "kind", "phases"),
    [
        *(
            (*who, phases)
            for who in (
                ("starlette", "root", "sqlite"),
                ("fastapi", "root", "postgresql"),  # which refuses texts and moments that SQLite takes
                ("flask", "root", "postgresql"),
            )
            for phases in ("examples,coverage", "fuzzing,stateful")
        ),
        ("starlette", None, "sqlite", "coverage"),
    ],
)
def test_a_mount_keeps_what_its_document_promises(
    tmp_path: Path, request: pytest.FixtureRequest, mount: str, caller: str | None, kind: str, phases: str
) -> None:
    url = (
        request.getfixturevalue("database")
        if kind == "postgresql"
        else f"sqlite:///{tmp_path / 'payments.db'}"
    )
    if kind == "sqlite":
        migrate(url)
    env = {
        "DATABASE_URL": url,
        "ENABLED_PROVIDERS": "dummy",
        "DEFAULT_PAYMENT_PROVIDER": "dummy",
        "ALLOW_SANDBOX": "true",
        "GUEST_MAX_PAYMENTS_PER_EMAIL": "0",
        "RATE_LIMIT_ENABLED": "false",
        "EXTERNAL_WEBHOOKS_ENABLED": "false",  # the endpoints that it makes up are nobody's
    }
    command, document = MOUNTS[mount]
    with serve(command, tmp_path, env) as server:
        who = (f"--header=X-Session-ID: {caller}",) if caller else ()
        ran = schemathesis(server, document, f"--phases={phases}", *who)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "Traceback" not in server.log()
        assert "ERROR" not in server.log()
