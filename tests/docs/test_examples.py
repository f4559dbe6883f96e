"""Each example runs with its one command, and does what its README says."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from docs_web import ORDER, PAYMENTS

from bridge_payments import AuthBridge
from bridge_payments.testing import bridge

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"
CLIENTS = Path(__file__).parents[1] / "support" / "clients"
PATIENCE = 90


def free_port() -> int:
    """Return a port with some free ones above it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(program: str, folder: Path, **env: str) -> Iterator[str]:
    """Run one example as its README says, and stop it as Ctrl+C does."""
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / program)],
            cwd=folder,
            env={**os.environ, "SHOP_PORT": str(port), **env},
            stdout=log,
            stderr=log,
            # In the background of a shell Ctrl+C is ignored, by the children of its programs, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: ask(f"{url}/health/live"), folder, process)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def until(found: Any, folder: Path, process: subprocess.Popen[bytes] | None = None) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if answer := found():
                return answer
        except (OSError, ValueError, KeyError):
            pass
        assert process is None or process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.1)


def ask(url: str, body: Any = None) -> Any:
    request = urllib.request.Request(url, headers={"content-type": "application/json"})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def test_the_fastapi_shop_takes_a_card_at_its_own_price_and_sends_the_payer_to_paypal(tmp_path: Path) -> None:
    with running("fastapi_app/shop.py", tmp_path) as url:
        order = {**ORDER, "reference_code": "cup-1", "return_url": url}
        begun = ask(url + PAYMENTS, {**order, "provider_id": "stripe"})["data"]
        assert begun["total_cents"] == 2000
        paid = ask(f"{url}{PAYMENTS}/{begun['id']}/confirm", {"payment_method_id": "pm_card_visa"})
        assert paid["data"]["status"] == "succeeded"

        at_paypal = ask(url + PAYMENTS, {**order, "reference_code": "pot-2", "provider_id": "paypal"})["data"]
        assert at_paypal["total_cents"] == 5400
        assert at_paypal["status"] == "requires_action"

        unknown = ask(url + PAYMENTS, {**order, "reference_code": "moon-1", "provider_id": "stripe"})
        assert unknown["success"] is False

        end = time.monotonic() + PATIENCE
        while ask(f"{url}/shipped") != {"cup-1": "stripe"}:
            assert time.monotonic() < end
            time.sleep(0.1)
        providers = {each["id"] for each in ask(f"{url}/bridge-payment/providers")["data"]}
        assert providers == {"stripe", "paypal", "authorize_net"}


@pytest.fixture
def flask_shop() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / "flask_app" / "shop.py"))


def test_the_flask_shop_lists_the_payments_of_who_signed_in(flask_shop: dict[str, Any]) -> None:
    shop = bridge(approve=flask_shop["approve"], auth=AuthBridge(flask_shop["who"]))
    app = flask_shop["create_app"](shop)
    browser = app.test_client()
    try:
        assert browser.post("/login", data={"name": "ada"}).status_code == 204
        order = {name: value for name, value in ORDER.items() if name != "guest_data"}
        origin = {"origin": "http://localhost"}
        begun = browser.post(PAYMENTS, json=order, headers=origin).json["data"]
        assert begun["total_cents"] == 2000
        paid = browser.post(
            f"{PAYMENTS}/{begun['id']}/confirm", json={"payment_method_id": "dummy_ok"}, headers=origin
        )
        assert paid.json["data"]["status"] == "succeeded"
        shop.call(shop.work)
        assert app.shipped == ["order-1"]
        assert browser.get("/mine").json == {"payments": [begun["id"]]}
    finally:
        shop.close()


@pytest.mark.parametrize("program", ["flask_app", "starlette_app"])
def test_a_shop_starts_with_one_command(program: str, tmp_path: Path) -> None:
    with running(f"{program}/shop.py", tmp_path) as url:
        begun = ask(url + PAYMENTS, ORDER)["data"]
        paid = ask(f"{url}{PAYMENTS}/{begun['id']}/confirm", {"payment_method_id": "dummy_ok"})
        assert paid["data"]["status"] == "succeeded"


def test_the_script_finds_a_lost_answer() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "script" / "charge.py")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "the answer was lost: processing, nobody was charged again",
        "looked up: succeeded, 1 charge",
        "half of it back: succeeded, 1000 cents",
    ]


@pytest.mark.needs("node", "react")
def test_the_client_of_the_front_end_is_made_of_the_shops_document_and_pays(tmp_path: Path) -> None:
    """Its page is checked by the compiler, too; Next.js itself is not here."""
    for name in ("fastapi_app", "nextjs"):
        mine = shutil.ignore_patterns("node_modules", "build", ".next", "schema.d.ts", "*.tsbuildinfo")
        shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=mine)
    program = tmp_path / "nextjs" / "run.py"
    (program.parent / "node_modules").symlink_to(CLIENTS / "node_modules")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "SHOP_PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = EXAMPLES.joinpath("nextjs", "README.md").read_text().partition("```text\n")[2].partition("```")[0]
    assert said in done.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="a page's script runs in Node.js")
def test_the_scripts_for_the_browser_pay_at_all_three_gateways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of the page as they stand there, before the shop of the FastAPI example."""
    port = free_port()
    monkeypatch.setenv("SHOP_PORT", str(port))
    monkeypatch.chdir(tmp_path)
    shop = runpy.run_path(str(EXAMPLES / "fastapi_app" / "shop.py"))
    fakes = {name: till.fake for name, till in shop["tills"].items()}

    @shop["app"].post("/approved/{number}")
    def approved(number: str) -> dict[str, str]:
        fakes["paypal"].approve(number)
        return {}

    config = uvicorn.Config(shop["app"], host="127.0.0.1", port=port, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, tmp_path)
        told = {
            "page": str(EXAMPLES.parent / "docs" / "guides" / "browser.md"),
            "shop": f"http://127.0.0.1:{port}",
            "gateways": {name: fake.url for name, fake in fakes.items()},
        }
        done = subprocess.run(
            ["node", str(CLIENTS.parent / "browser_page.mjs"), json.dumps(told)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.should_exit = True
        thread.join(60)
    assert done.returncode == 0, done.stdout + done.stderr
    paid = ["succeeded", 2000]
    assert json.loads(done.stdout) == {"stripe": paid, "paypal": paid, "authorize_net": paid}


@pytest.mark.needs("postgresql")
def test_an_instance_and_a_worker_may_be_killed_and_every_order_is_shipped(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    with running("worker/run.py", tmp_path, SHIPPED=str(shipped)) as url:
        paid: set[str] = set()

        def buy(number: int) -> None:
            begun = ask(url + PAYMENTS, {**ORDER, "reference_code": f"order-{number}"})["data"]
            confirm = {"payment_method_id": "pm_card_visa", "return_url": url}
            done = ask(f"{url}{PAYMENTS}/{begun['id']}/confirm", confirm)
            assert done["data"]["status"] == "succeeded", done
            paid.add(begun["id"])

        def lines() -> list[list[str]]:
            return [line.split() for line in shipped.read_text().splitlines()]

        def answering() -> set[int]:
            return {ask(f"{url}/instance") for _ in range(2)}

        until(lambda: len(answering()) == 2, tmp_path)
        instances = answering()
        for number in range(3):
            buy(number)
        until(lambda: {payment for payment, _ in lines()} == paid, tmp_path)

        instance, worker = instances.pop(), int(lines()[0][1])
        for process in (instance, worker):
            os.kill(process, signal.SIGKILL)
        until(lambda: answering() == instances, tmp_path)
        for number in range(3, 6):
            buy(number)
        until(lambda: {payment for payment, _ in lines()} == paid, tmp_path)
        assert {int(process) for _, process in lines()}.isdisjoint({instance, *instances})
