"""The command as an operator uses it: the environment in, lines and an exit code out."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge_payments.cli import COMMANDS, _present, main
from bridge_payments.cli.worker import refuse_skew
from bridge_payments.errors import StoreError
from bridge_payments.models import (
    Claim,
    DeliveryState,
    Event,
    InboxEntry,
    InboxState,
    Operation,
    OperationState,
    Statement,
    Verb,
    new_id,
    new_reference,
    utc_now,
)
from bridge_payments.stores.base import Store
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.stores.sql import HEAD, VERSION_TABLE, SQLStore
from bridge_payments.testing.stores.samples import a_delivery, a_payment, an_entry, an_event

SECRET = "sk_test_NOBODYSEESTHIS"


@dataclass
class Console:
    """Runs a command in this process, in an environment of its own."""

    url: str
    capture: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    def __call__(self, *argv: str) -> int:
        try:
            code = main(argv)
        except SystemExit as stopped:  # argparse
            code = int(stopped.code or 0)
        self.out, self.err = self.capture.readouterr()
        return code

    def json(self, *argv: str) -> Any:
        assert self(*argv, "--json") == 0, self.err
        return json.loads(self.out)

    def store(self, work: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            store = SQLStore(self.url)
            try:
                return await store.run(work)
            finally:
                await store.aclose()

        return asyncio.run(run())


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """An installation whose database has no tables yet."""
    for name in list(os.environ):
        if re.match(r"(STRIPE|PAYPAL|WEBHOOK|BRIDGE|AUTHORIZE_NET)_", name):
            monkeypatch.delenv(name)
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    environment = {
        "DATABASE_URL": url,
        "ENABLED_PROVIDERS": "dummy",
        "DEFAULT_PAYMENT_PROVIDER": "dummy",
        "ALLOW_SANDBOX": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Console(url, capsys)


@pytest.fixture
def console(empty: Console) -> Console:
    assert empty("db", "upgrade") == 0
    return empty


def test_every_command_that_help_names_is_there() -> None:
    for name in _present():
        assert name in COMMANDS
        module = f"bridge_payments.cli.{name.replace('-', '_')}"
        code = f"import {module} as m; m.HELP, m.configure, m.run"
        subprocess.run([sys.executable, "-c", code], check=True)


# --- db -------------------------------------------------------------------------------------------


def test_an_empty_database_is_brought_up_and_then_found_right(empty: Console) -> None:
    assert empty("db", "current") == 1
    assert empty("db", "check") == 1
    assert "db upgrade" in empty.err
    assert empty("db", "upgrade") == 0
    assert empty("db", "upgrade") == 0
    assert empty("db", "current") == 0
    assert empty("db", "check") == 0
    assert empty.out == "as it should be\n"


@pytest.mark.parametrize(("usable_from", "code"), [(HEAD, 0), ("bp_9999", 1)])
def test_a_newer_schema_is_no_failure_where_this_release_can_use_it(
    console: Console, usable_from: str, code: int
) -> None:
    engine = sa.create_engine(console.url)
    with engine.begin() as connection:
        statement = f"UPDATE {VERSION_TABLE} SET version_num = 'bp_9999', usable_from = :oldest"
        connection.execute(sa.text(statement), {"oldest": usable_from})
    engine.dispose()
    for action in ("current", "upgrade", "check"):
        assert console("db", action) == code, console.err


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "mariadb", "sqlite", "libsql"])
def test_the_statements_can_be_printed_without_any_database(
    dialect: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert console("db", "sql", "--dialect", dialect) == 0
    assert "CREATE TABLE provider_payments" in console.out
    assert console("db", "sql", "--dialect", dialect, "--from", "bp_0004", "--to", "bp_0005") == 0
    assert console.out.count("CREATE") == 1
    assert console("db", "sql", "--dialect", dialect, "--from", "bp_0005", "--to", "bp_0004") == 2
    assert "there is no step between bp_0005 and bp_0004" in console.err


def test_partitions_are_asked_of_the_database_or_of_nobody(console: Console) -> None:
    assert console("db", "partitions", "--months", "2") == 2
    assert "sqlite has no partitions" in console.err
    assert console("db", "partitions", "--months", "2", "--dialect", "postgresql") == 0
    assert "CREATE TABLE outbox_later PARTITION OF outbox" in console.out


# --- errors ---------------------------------------------------------------------------------------


def test_a_wrong_configuration_is_one_line_that_names_what_is_wrong_and_no_value(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENABLED_PROVIDERS", "stripe")
    monkeypatch.delenv("DEFAULT_PAYMENT_PROVIDER")
    monkeypatch.setenv("STRIPE_SECRET_KEY", SECRET)
    assert console("worker", "--once") == 2
    assert console.err.startswith("bridge-payments: configuration: ")
    assert "STRIPE_WEBHOOK_SECRET" in console.err
    assert len(console.err.splitlines()) == 1
    assert SECRET not in console.err + console.out


def test_without_a_database_the_variable_is_named(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert console("unknown", "list") == 2
    assert console.err == "bridge-payments: configuration: missing: DATABASE_URL\n"


def test_an_unreachable_database_is_one_line_without_its_password(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://bridge:{SECRET}@127.0.0.1:1/payments")
    assert console("unknown", "list") == 1
    assert len(console.err.splitlines()) == 1
    assert SECRET not in console.err


def test_an_application_that_is_not_there_is_told_in_one_line(console: Console) -> None:
    for wrong in ("nowhere:bridge", "json:nothing", "json", "json:dumps.__name__"):
        assert console("worker", "--once", "--app", wrong) == 2
        assert len(console.err.splitlines()) == 1


# --- unknown --------------------------------------------------------------------------------------


def open_operation(**changes: Any) -> Operation:
    now = utc_now() - timedelta(hours=2)
    given: dict[str, Any] = {
        "id": new_id("op"),
        "subject_id": new_id("pay"),
        "provider_id": "dummy",
        "verb": Verb.CONFIRM,
        "state": OperationState.UNKNOWN,
        "reference": new_reference(),
        "created_at": now,
        "updated_at": now,
        "inputs": {"payment_method": SECRET},
        "steps": {"create": {"client_secret": SECRET}},
        "request_id": "req_1",
        "error_code": "timeout",
    }
    return Operation(**(given | changes))


def test_an_operator_sees_what_is_open_and_nothing_secret(console: Console) -> None:
    assert console.json("unknown", "list") == []
    operation = open_operation()
    console.store(lambda unit: unit.operations.reserve(operation, lease_seconds=30))
    (line,) = console.json("unknown", "list")
    assert (line["id"], line["payment"], line["verb"]) == (
        operation.id,
        operation.subject_id,
        "confirm_payment",
    )
    assert line["minutes"] >= 119
    assert console("unknown", "list") == 0
    assert operation.id in console.out
    whole = console.json("unknown", "show", operation.id)
    assert whole["request id"] == "req_1"
    assert whole["steps done"] == ["create"]
    assert SECRET not in console.out
    said = Statement(
        at=utc_now(), by="admin:ada", outcome=Claim.NOT_EXECUTED, evidence="case 42", came_of="believed"
    )
    console.store(lambda unit: unit.operations.save(operation.with_statement(said), token=None))
    whole = console.json("unknown", "show", operation.id)
    assert whole["steps done"] == ["create"]
    assert [(each["by"], each["evidence"]) for each in whole["statements"]] == [("admin:ada", "case 42")]
    assert console("unknown", "show", "op_nothing") == 1
    assert console.err == "bridge-payments: there is no operation op_nothing\n"


def test_an_operator_ends_what_nobody_can_tell_and_says_how_they_know(console: Console) -> None:
    payment_id, operation_id = new_id("pay"), new_id("op")
    now = utc_now() - timedelta(hours=2)
    payment = a_payment(
        id=payment_id, created_at=now, updated_at=now, provider_intent_id="di_of_another_process"
    )
    inputs = {
        "payment": "di_of_another_process",
        "amount": {"minor_units": 2000, "currency": "USD"},
        "baseline": {"captured_cents": 0, "decline_reference": None},
    }
    operation = open_operation(id=operation_id, subject_id=payment_id, inputs=inputs)

    def lost(unit: Any) -> None:
        unit.payments.add(payment)
        unit.operations.reserve(operation, lease_seconds=0)

    console.store(lost)
    assert console("unknown", "resolve", operation_id, "--not-executed") == 2
    assert "--evidence" in console.err
    assert console("unknown", "resolve", operation_id, "--evidence", "x") == 2
    both = ("--not-executed", "--executed", "di_1")
    assert console("unknown", "resolve", operation_id, *both, "--evidence", "x") == 2
    told = ("--evidence", "the dashboard shows nothing, ticket 4711", "--by", "ada")
    assert console("unknown", "resolve", operation_id, "--executed", "di_1", *told) == 1
    assert "does not show that it was executed" in console.err
    whole = console.json("unknown", "resolve", operation_id, "--not-executed", *told)
    assert whole["state"] == "abandoned"
    assert [(each["by"], each["came of"].split(":")[0]) for each in whole["statements"]] == [
        ("admin:ada", "not believed"),
        ("admin:ada", "believed"),
    ]
    assert console.json("unknown", "list") == []
    assert console("unknown", "resolve", operation_id, "--not-executed", *told) == 1
    assert "abandoned already" in console.err


# --- webhooks -------------------------------------------------------------------------------------


def test_a_received_webhook_that_failed_is_found_read_and_replayed(console: Console) -> None:
    entry = an_entry(created_at=utc_now(), payload='{"name": "Ada"}', headers={"x-signature": SECRET})

    def fail(unit: Any) -> None:
        unit.inbox.add(entry)
        (claimed,) = unit.inbox.claim_due(limit=1, lease_seconds=30, token="t")
        unit.inbox.finish(claimed, token="t", state=InboxState.DEAD)

    console.store(fail)
    (line,) = console.json("webhooks", "list", "--state", "dead")
    assert line["id"] == entry.id
    shown = console.json("webhooks", "show", entry.id)
    assert shown["headers"] == ["x-signature"]
    assert SECRET not in console.out
    assert "Ada" not in console.out
    assert console.json("webhooks", "show", entry.id, "--payload")["payload"] == '{"name": "Ada"}'
    assert console("webhooks", "replay", entry.id) == 0
    assert console.json("webhooks", "list", "--state", "dead") == []
    assert console("webhooks", "replay", "wh_nothing") == 1


def test_a_dead_delivery_is_found_and_sent_again(console: Console) -> None:
    event = an_event(created_at=utc_now())
    delivery = a_delivery(event.id, created_at=event.created_at)

    def die(unit: Any) -> None:
        unit.events.add(event)
        unit.deliveries.add(delivery)
        (claimed,) = unit.deliveries.claim_due(limit=1, lease_seconds=30, token="t")
        unit.deliveries.finish(claimed, token="t", state=DeliveryState.DEAD)

    console.store(die)
    (line,) = console.json("webhooks", "deliveries", "--state", "dead")
    assert (line["id"], line["endpoint"]) == (delivery.id, "shop")
    assert console.json("webhooks", "redeliver", delivery.id) == [{"id": delivery.id, "now": "due"}]
    assert console.json("webhooks", "redeliver", delivery.id)[0]["now"] == "was due anyway"
    (line,) = console.json("webhooks", "deliveries", "--event", event.id)
    assert (line["state"], line["tries"]) == ("pending", 0)
    assert console("webhooks", "redeliver", "dlv_nothing") == 1


# --- worker, reconcile, sweep ---------------------------------------------------------------------


def test_one_round_of_work_ends_by_itself(console: Console) -> None:
    assert console("worker", "--once") == 0
    assert console.json("reconcile") == {"looked at": 0, "still open": 0}
    assert console.json("sweep") == {"synced": 0}


def test_a_worker_refuses_a_database_it_does_not_fit(empty: Console) -> None:
    assert empty("worker", "--once") == 1
    assert "db upgrade" in empty.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_in_order_when_it_is_told_to(console: Console, number: signal.Signals) -> None:
    code = "import sys; from bridge_payments.cli import main; sys.exit(main(['worker']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("working; accounts: dummy")
        worker.send_signal(number)
        assert worker.stdout.readline().startswith("stopping")
        assert worker.wait(timeout=30) == 0


def test_a_worker_shows_its_figures_where_it_is_told_to(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRICS_PORT", "0")  # any that is free
    monkeypatch.setenv("HOST", "127.0.0.1")
    code = "import sys; from bridge_payments.cli import main; sys.exit(main(['worker']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("working")
        found = re.search(r":(\d+)/metrics$", worker.stdout.readline())
        assert found is not None
        try:
            status, text = fetched(int(found[1]), "/metrics")
            assert status == 200
            assert "bridge_payments_oldest_unknown_operation_seconds 0.0" in text
            assert fetched(int(found[1]), "/payments")[0] == 404
        finally:
            worker.send_signal(signal.SIGTERM)
        assert worker.stdout.readline().startswith("stopping")
        assert worker.wait(timeout=30) == 0


def fetched(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_port_that_is_taken_is_said_by_the_name_of_its_variable(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("METRICS_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("HOST", "127.0.0.1")

        assert console("worker", "--once") != 0

    assert "METRICS_PORT: cannot be listened on" in console.err


def test_what_goes_wrong_in_a_worker_is_in_its_log(console: Console, tmp_path: Path) -> None:
    source = """
    from bridge_payments import Bridge

    bridge = Bridge.from_env()

    @bridge.webhooks.on("webhook.test")
    def ship(event):
        raise RuntimeError("the shelf is empty")
    """
    (tmp_path / "shop_that_fails.py").write_text(textwrap.dedent(source))
    event = Event(id=new_id("evt"), type="webhook.test", created_at=utc_now())
    console.store(lambda unit: unit.events.add(event))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "BRIDGE_APP": "shop_that_fails:bridge"}
    code = "import sys; from bridge_payments.cli import main; sys.exit(main(['worker', '--once']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "webhook handler ship failed" in done.stderr
    assert "the shelf is empty" in done.stderr


def test_a_worker_runs_the_handlers_of_the_application_it_is_given(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_of_this_test.py").write_text(
        "from bridge_payments import Bridge, Event\n"
        "def make():\n"
        "    bridge = Bridge.from_env()\n"
        "    @bridge.webhooks.on('*')\n"
        "    def ship(event: Event) -> None:\n"
        "        print('shipped', event.id)\n"
        "    return bridge\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    event = Event(id=new_id("evt"), type="payment.success", created_at=utc_now())
    console.store(lambda unit: unit.events.add(event))
    assert console("worker", "--once", "--app", "shop_of_this_test:make") == 0
    assert f"shipped {event.id}" in console.out


class Skewed(MemoryStore):
    seconds = 0.0

    async def clock_skew(self) -> float:
        return self.seconds


@pytest.mark.anyio
async def test_a_worker_refuses_clocks_that_disagree_by_more_than_five_seconds() -> None:
    store = Skewed()
    for store.seconds in (0.0, 4.9, -4.9):
        assert await refuse_skew(store) == store.seconds
    for store.seconds in (5.1, -5.1):
        with pytest.raises(StoreError, match="NTP"):
            await refuse_skew(store)


@pytest.mark.anyio
async def test_stores_without_a_clock_of_their_own_have_no_skew() -> None:
    store: Store = MemoryStore()
    assert await store.clock_skew() == 0
    assert list(await store.hints()) == []


# --- doctor and providers -------------------------------------------------------------------------


def verdicts(console: Console) -> dict[str, list[str]]:
    console("doctor", "--json")
    found: dict[str, list[str]] = {}
    for finding in json.loads(console.out):
        found.setdefault(finding["verdict"], []).append(f"{finding['where']}: {finding['what']}")
    return found


def test_a_healthy_installation_is_called_healthy(console: Console) -> None:
    assert console("doctor") == 0
    found = verdicts(console)
    assert "wrong" not in found
    assert any("schema of this release" in line for line in found["ok"])
    assert any("account dummy" in line for line in found["ok"])


def test_doctor_says_that_browsers_choose_the_price(console: Console) -> None:
    assert any("approve" in line for line in verdicts(console)["warning"])


def test_doctor_names_everything_that_is_wrong_at_once(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "BRIDGE_ENV": "production",
        "ENABLED_PROVIDERS": "dummy,stripe",
        "STRIPE_SECRET_KEY": SECRET,
        "WEBHOOK_1_NAME": "weak",
        "WEBHOOK_1_URL": "http://shop.example/SECRETPATH",
        "WEBHOOK_1_EVENTS": "*",
        "WEBHOOK_1_SECRET": "hunter2",
        "WEBHOOK_2_NAME": "unsigned",
        "WEBHOOK_2_URL": "https://shop.example/",
        "WEBHOOK_2_EVENTS": "*",
    }.items():
        monkeypatch.setenv(name, value)
    assert console("doctor") == 1
    found = verdicts(console)
    assert any("ALLOW_SANDBOX" in line for line in found["wrong"])
    assert any("STRIPE_WEBHOOK_SECRET" in line for line in found["wrong"])
    assert any(line.startswith("endpoint weak") and "24 bytes" in line for line in found["warning"])
    assert any(line.startswith("endpoint weak") and "https" in line for line in found["warning"])
    assert any(line.startswith("endpoint unsigned") and "no secret" in line for line in found["warning"])
    for secret in (SECRET, "hunter2", "SECRETPATH"):
        assert secret not in console.out


def test_doctor_reports_a_missing_schema_and_unreadable_settings(
    empty: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert empty("doctor") == 1
    assert "db upgrade" in empty.out
    monkeypatch.setenv("PORT", "many")
    assert empty("doctor") == 1
    assert "PORT" in empty.out


def test_doctor_points_at_work_that_somebody_has_to_look_at(console: Console) -> None:
    console.store(lambda unit: unit.operations.reserve(open_operation(), lease_seconds=30))
    assert any("1 operations open" in line for line in verdicts(console)["warning"])


def test_doctor_warns_of_a_database_that_forgets(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bridge_payments.stores.sql.engines._prepare_sqlite",
        lambda connection, record: connection.execute("PRAGMA synchronous=NORMAL"),
    )
    assert any("FULL" in line for line in verdicts(console)["warning"])


def test_what_each_kind_can_do_is_read_from_its_code(console: Console) -> None:
    kinds = {row["kind"]: row for row in console.json("providers")}
    assert kinds["dummy"]["accounts"] == ["dummy"]
    assert "refund_payment" in kinds["dummy"]["can"]
    assert "multi_capture" in kinds["dummy"]["cannot"]


def test_endpoints_are_kept_changed_switched_and_deleted_from_the_console(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_1_NAME", "till")
    monkeypatch.setenv("WEBHOOK_1_URL", "https://till.example/")
    monkeypatch.setenv("WEBHOOK_1_EVENTS", "*")
    made = console.json(
        *("endpoints", "add", "shop", "https://shop.example/hooks", "payment.*", "refund.succeeded"),
        *("--header", "X-Shop=7", "--organization", "org-1", "--tries", "3"),
    )
    assert made["secret"].startswith("whsec_")
    assert console.json("endpoints", "update", made["id"], "--name", "crm")["name"] == "crm"
    assert console.json("endpoints", "off", made["id"])["now"] == "off"
    assert console.json("endpoints", "off", "till")["now"] == "off"
    rows = {row["name"]: row for row in console.json("endpoints", "list")}
    assert (rows["crm"]["on"], rows["crm"]["off because"]) == (False, "by_hand")
    assert (rows["till"]["from"], rows["till"]["on"]) == ("configured", False)
    assert made["secret"] not in console.out
    assert console.json("endpoints", "on", made["id"])["now"] == "on"
    assert console.json("endpoints", "on", made["id"])["now"] == "was on"
    assert console.json("endpoints", "rotate", made["id"])["secret"] != made["secret"]
    tried = console.json("endpoints", "test", made["id"])["delivery"]
    assert console.json("webhooks", "deliveries", "--endpoint", made["id"])[0]["id"] == tried
    assert console.json("endpoints", "redeliver", made["id"])["due again"] == 0
    assert console("doctor") in (0, 1)
    assert "endpoints on till" in console.out
    assert console.json("endpoints", "delete", made["id"])["now"] == "deleted"
    for wrong in (("delete", made["id"]), ("delete", "till"), ("test", "whe_none")):
        assert console("endpoints", *wrong) == 1
    assert console("endpoints", "add", "shop", "ftp://x", "payment.*") == 1
    assert "url" in console.err


def test_a_stored_endpoint_is_found_by_its_name_and_nobody_is_told_of_none(console: Console) -> None:
    """`redeliver` with a name that nothing has said "due again 0", as if all were well."""
    made = console.json("endpoints", "add", "shop", "https://shop.example/hooks", "payment.*")
    assert console.json("endpoints", "off", "shop") == {"id": made["id"], "now": "off"}
    assert console.json("endpoints", "redeliver", "shop") == {"id": made["id"], "due again": 0}
    assert console("endpoints", "redeliver", "shopp") == 1
    assert console.err == "bridge-payments: there is no endpoint shopp\n"

    assert console("endpoints", "add", "shop", "https://shop.example/other", "payment.*") == 0
    assert console("endpoints", "delete", "shop") == 1
    assert "2 endpoints are called shop; name one by its id: " in console.err


def test_doctor_says_that_webhooks_come_in_another_version_than_we_read(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge_payments.providers.dummy import DummyProvider

    monkeypatch.setattr(DummyProvider, "api_version", "2026-01-01", raising=False)
    for number, version in enumerate(("2026-01-01", "2019-03-14")):
        entry = InboxEntry(
            id=new_id("wh"),
            provider_id="dummy",
            provider_event_id=f"evt_{number}",
            event_type="x",
            state=InboxState.PROCESSED,
            created_at=utc_now(),
            api_version=version,
        )
        console.store(lambda unit, entry=entry: unit.inbox.add(entry))
    console("doctor")
    assert "come in version 2019-03-14, we read 2026-01-01" in console.out
