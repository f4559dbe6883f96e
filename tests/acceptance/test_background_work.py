"""What starts the background work in each framework, and what ends it: seen from outside a real server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import migrate
from serving import Server, serve, until

from bridge_payments.sandbox.stripe import FakeStripe

UVICORN = ("uvicorn", "--factory", "--port={port}", "--no-access-log")
GUNICORN = ("gunicorn", "--bind=127.0.0.1:{port}", "--threads=4")


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeStripe]:
    with FakeStripe() as gateway:
        yield gateway


@pytest.fixture
def env(tmp_path: Path, gateway: FakeStripe) -> dict[str, str]:
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    migrate(url)
    return {
        "DATABASE_URL": url,
        "STRIPE_SECRET_KEY": gateway.secret_key,
        "STRIPE_WEBHOOK_SECRET": "whsec_served",
        "STRIPE_API_BASE": gateway.url,
        "ENABLED_PROVIDERS": "stripe",
    }


def workers(server: Server) -> int:
    found: int = server.ask("GET", "/work", root=True).json["workers"]
    return found


def told_of_a_payment(server: Server) -> bool:
    """Make a payment, and see whether the shop's own handler hears of it without being asked again."""
    body = {"total_cents": 5500, "currency": "usd", "guest_data": {"email": "ada@example.com", "name": "Ada"}}
    assert server.ask("POST", "/payments/intents", body).status == 201
    return until(lambda: [line["type"] for line in server.diary()] == ["payment.created"])


@pytest.mark.parametrize("app", ["starlette_app", "fastapi_app"])
def test_a_lifespan_starts_it_before_anybody_asks(tmp_path: Path, env: dict[str, str], app: str) -> None:
    """Starlette by ``lifespan=bridge.lifespan``, FastAPI by the router's own."""
    with serve((*UVICORN, f"shopfront:{app}"), tmp_path, env) as server:
        assert workers(server) == 1
        assert told_of_a_payment(server)
        assert workers(server) == 1
        assert server.stop() in (0, -signal.SIGTERM)
        assert "was not started" not in server.log()
        assert "Application shutdown complete" in server.log()
        assert "Traceback" not in server.log()


def test_starlette_without_a_lifespan_says_so_once_and_starts_it(tmp_path: Path, env: dict[str, str]) -> None:
    with serve(
        (*UVICORN, "shopfront:starlette_app"), tmp_path, {**env, "SHOP_STARTS": "by request"}
    ) as server:
        assert workers(server) == 0
        assert told_of_a_payment(server)
        assert server.ask("GET", "/providers").status == 200
        assert server.ask("GET", "/health", root=True).status == 200
        assert workers(server) == 1
        server.stop()
        assert server.log().count("the bridge was not started: give bridge.lifespan to the application") == 1
        assert "Traceback" not in server.log()


def test_flask_starts_it_at_the_first_request(tmp_path: Path, env: dict[str, str]) -> None:
    with serve((*GUNICORN, "shopfront:flask_app()"), tmp_path, env) as server:
        assert workers(server) == 0
        assert told_of_a_payment(server)
        assert workers(server) == 1
        assert server.stop() == 0
        assert "was not started" not in server.log()
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    "command",
    [
        (*UVICORN, "shopfront:fastapi_app"),
        (*GUNICORN, "shopfront:flask_app()"),
    ],
    ids=["uvicorn", "gunicorn"],
)
def test_an_installation_may_leave_the_work_to_a_process_of_its_own(
    tmp_path: Path, env: dict[str, str], command: tuple[str, ...]
) -> None:
    with serve(command, tmp_path, {**env, "INPROCESS_WORKER": "false"}) as server:
        assert server.ask("GET", "/providers").status == 200
        assert workers(server) == 0
