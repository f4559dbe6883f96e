"""The sandbox as a process: what it answered it still knows after a kill, and what it refuses it says."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bridge_payments.errors import ConfigurationError
from bridge_payments.sandbox.notebook import Notebook
from bridge_payments.sandbox.stripe import FakeStripe

PROGRAM = "import sys; from bridge_payments.cli import main; sys.exit(main())"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sandbox", "--no-browser", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if "STRIPE" not in name},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(folder: Path, *arguments: str) -> str:
    """Return the one line that a start ends with."""
    process = command(folder, *arguments)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, ""), err
    [line] = err.splitlines()
    return line


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = free_port()
    process = command(folder, "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health/ready").status_code == 200:
                    break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url, process
    finally:
        process.kill()
        process.communicate(timeout=15)


def test_a_sandbox_that_is_killed_right_after_its_answer_still_knows_the_charge(tmp_path: Path) -> None:
    with running(tmp_path) as (url, process):
        busy = refused(tmp_path, "--port", str(free_port()))
        assert "another sandbox is running on this database" in busy
        wish = {"items": {"guji": 1}, "currency": "USD"}
        number = httpx.post(f"{url}/shop/orders", json=wish).json()["number"]
        time.sleep(2.2)  # whoever saves now and then has just done so
        answer = httpx.post(
            f"{url}/bridge-payment/payments/intents",
            json={
                "total_cents": 1998,
                "currency": "USD",
                "reference_code": number,
                "confirm": True,
                "payment_method_id": "pm_card_visa",
                "guest_data": {"email": "ada@example.com", "name": "Ada"},
            },
        )
        process.kill()
        assert answer.json()["data"]["status"] == "succeeded", answer.text
        process.wait(15)
    with running(tmp_path) as (url, _):
        state = httpx.get(f"{url}/live/state").json()
        [payment] = state["payments"]
        assert (payment["captured_cents"], payment["charged_cents"]) == (1998, 1998)
        assert httpx.get(f"{url}/shop/orders/{number}").status_code == 200


def test_the_four_figures_are_on_the_dashboard_and_in_prometheus_text_after_a_run(tmp_path: Path) -> None:
    with running(tmp_path) as (url, _), httpx.Client(base_url=url, timeout=60) as browser:
        for method, status in (("pm_card_visa", 201), ("pm_card_chargeDeclined", 400)):
            wish = {"total_cents": 1998, "currency": "USD", "confirm": True, "payment_method_id": method}
            wish["guest_data"] = {"email": "ada@example.com", "name": "Ada"}
            assert browser.post("/bridge-payment/payments/intents", json=wish).status_code == status
        assert browser.get("/dashboard").status_code == 303  # signs the merchant in
        assert browser.get("/bridge-payment/admin/stats/series").status_code == 200  # as its page asks

        deadline = time.monotonic() + 90
        while True:
            seen = browser.get("/bridge-payment/admin/vitals").json()["data"]
            text = browser.get("/health/metrics").text
            figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
            success = float(figures.get("bridge_payments_payment_success_ratio", "nan"))
            if seen["webhooks"]["delivered"] >= 2 and "webhook_delivery_ratio" in text and success < 1:
                break  # an attempt counts when its event is told, of which there are two
            assert time.monotonic() < deadline, (seen, text)
            time.sleep(0.1)

        assert seen["payments"]["success_rate"] == 1.0  # the declined one may still be paid
        assert seen["webhooks"]["delivery_rate"] == 1.0
        assert seen["responses"]["count"] >= 2
        assert 0 < seen["cache"]["hit_rate"] < 1
        assert success == 0.5  # of attempts
        assert 0 < float(figures["bridge_payments_cache_hit_ratio"]) < 1
        assert float(figures["bridge_payments_webhook_delivery_ratio"]) > 0
        paid = 'method="POST",route="/payments/intents"'
        assert float(figures[f"bridge_payments_http_request_duration_seconds_count{{{paid}}}"]) == 2


def test_the_gateway_writes_its_books_before_it_answers(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / "books.json")
    with FakeStripe() as gateway:
        gateway.keep = lambda: notebook.write(lambda: {"gateway": gateway.dump()})
        form = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
        form |= {"automatic_payment_methods[enabled]": "true"}
        form |= {"automatic_payment_methods[allow_redirects]": "never"}
        key = {"authorization": f"Bearer {gateway.secret_key}"}
        gateway.lose_next_answer("/v1/payment_intents")
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{gateway.url}/v1/payment_intents", data=form, headers=key)
        written = json.loads(notebook.path.read_text())
    with FakeStripe(saved=written["gateway"]) as again:
        assert [charge["amount"] for charge in again.charges(paid=True)] == [2000]


def test_a_notebook_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first, second = Notebook(tmp_path / "books.json"), Notebook(tmp_path / "books.json")
    first.claim()
    with pytest.raises(ConfigurationError, match="another sandbox"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"--port {port}: " in refused(tmp_path, "--port", port)


@pytest.mark.parametrize("port", ["99999", "0", "-1"])
def test_a_port_that_is_none_is_said_in_one_line(tmp_path: Path, port: str) -> None:
    assert "1 to 65535" in refused(tmp_path, f"--port={port}")


@pytest.mark.parametrize(
    "database", ["sqlite:////no-such-folder/x.db", "nonsense", "foo://x", "postgresql://u:p@127.0.0.1:1/x"]
)
def test_a_database_that_cannot_be_opened_is_said_in_one_line(tmp_path: Path, database: str) -> None:
    line = refused(tmp_path, "--port", str(free_port()), "--database", database)
    assert line.startswith("bridge-payments: configuration: ")
    assert ":p@" not in line
