"""
Clients that are generated from the served document, typed in Python and in TypeScript, spend a day here.

Nothing of theirs is written by hand but the day itself (tests/support/clients/tour.py and tour.ts), which is
type-checked against them before it runs: a field that the document forgets or calls another type fails here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from databases import migrate
from hosts import PREFIX
from serving import HERE, Server, serve

from bridge_payments.sandbox.flowless import FakeFlowless

CLIENTS = HERE / "clients"
SERVE = ("uvicorn", "--factory", "--port={port}", "--log-level=warning", "shopfront:starlette_app")

DAY = [
    ["begun", "pending", 5500, 5500, True],
    ["declined", 400, 400, "Payment failed"],
    ["paid", "succeeded", False, None],
    ["too late to read", 401, 401, "Authentication Required"],
    ["the guest reads", "ada@example.com"],
    ["a stranger reads", 403, 403, "Access Denied"],
    ["to convert", 1],
    ["a stranger converts", 403, 403, "Access Denied"],
    ["converted", True, 1, 1],
    ["the user reads", "ada", False, True],
    ["begun once", True, "EUR"],
    ["changed", 2500, False],
    ["canceled", "canceled", "Payment intent canceled successfully"],
    ["listed", [2500], 2, True],
    ["too late to list", 401, 401, "Authentication Required"],
    ["the payer refunds", 403, 403, "Access Denied"],
    ["refunded", 1500, "USD", "succeeded"],
    ["partly", "partially_refunded"],
    ["customer", False, "Ada", "Lovelace"],
    ["existed", True],
    ["phone", "+34 600", "+34 600"],
    ["customers", 1],
    ["method", "active", "credit_card", True, True],
    ["renamed", "work"],
    ["default", True],
    ["methods", ["work"], 1],
    ["address", "billing", "ES"],
    ["moved", "Bilbao", 1],
    ["subscribed", "active", "monthly", 900],
    ["subscription", True, "active"],
    ["ended", True, "Subscription will be canceled at the end of the period"],
    ["subscriptions", 1],
    ["removed", "Address deleted successfully"],
    ["detached", "Payment method deleted successfully"],
    ["admin", 1, "present"],
    ["admin refused", 403, 403, "Access Denied"],
    ["figures", 1, ["USD"], 0],
    ["overview", ["dummy"]],
    ["caches", True, True],
    ["accounts", ["dummy"]],
    ["health", True],
]


class Shop(NamedTuple):
    """A served shop with Flowless in front."""

    server: Server
    flowless: FakeFlowless

    def asked_by(self) -> str:
        """Return what a tour is told: where the shop is, and fresh credentials."""
        sign_in = self.flowless.sign_in
        who = {
            "ada": sign_in("ada", email="Ada@example.com"),
            "eve": sign_in("eve", email="ada@example.com", verified=False),
            "root": sign_in("root", user_type="admin"),
            "guest": self.flowless.guest("ada@example.com"),
        }
        return json.dumps({"base": f"http://127.0.0.1:{self.server.port}{PREFIX}", "who": who})


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    migrate(url)
    with FakeFlowless() as flowless:
        env = {
            "DATABASE_URL": url,
            "ENABLED_PROVIDERS": "dummy",
            "DEFAULT_PAYMENT_PROVIDER": "dummy",
            "ALLOW_SANDBOX": "true",
            "FLOWLESS_API_URL": flowless.url,
            "BRIDGE_VALIDATION_SECRET": flowless.secret,
        }
        with serve(SERVE, tmp_path, env) as server:
            yield Shop(server, flowless)
            assert "Traceback" not in server.log()


@pytest.fixture
def document(shop: Shop, tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_bytes(shop.server.ask("GET", "/openapi.json").body)
    return path


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def day_of(*command: str | Path, folder: Path, shop: Shop) -> list[Any]:
    told: list[Any] = json.loads(run(*command, shop.asked_by(), folder=folder))
    return told


@pytest.mark.slow
def test_a_python_client(shop: Shop, document: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("post_hooks: []\n")  # no formatter: nobody reads it
    made = run(
        *(Path(sys.executable).with_name("openapi-python-client"), "generate", "--meta=none"),
        *(f"--path={document}", "--output-path=generated", "--config=rules.yml", "--fail-on-warning"),
        folder=tmp_path,
    )
    assert "Warning" not in made, "something is in the document that the generator leaves out"
    shutil.copy(CLIENTS / "tour.py", tmp_path)
    run(
        *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", "tour.py"),
        folder=tmp_path,
    )
    assert day_of(sys.executable, "tour.py", folder=tmp_path, shop=shop) == DAY


@pytest.mark.slow
@pytest.mark.needs("node")
def test_a_typescript_client(shop: Shop, document: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(CLIENTS / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for name in ("tour.ts", "tsconfig.json"):
        shutil.copy(CLIENTS / name, tmp_path)
    tools = CLIENTS / "node_modules"
    run("node", tools / "openapi-typescript/bin/cli.js", document, "--output", "schema.d.ts", folder=tmp_path)
    run("node", tools / "typescript/bin/tsc", "--project", ".", "--outDir", ".", folder=tmp_path)
    assert day_of("node", "tour.js", folder=tmp_path, shop=shop) == DAY
