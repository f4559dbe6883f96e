"""
Every command of ours on a page is run as it stands there, against an installation that has had a bad day.

Only what a page cannot know is put in: the database, and ids where the page has an ellipsis.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docs_collector import PAGES, ROOT, Command, blocks, commands

from bridge_payments.cli import main
from bridge_payments.models import DeliveryState, InboxState, OperationState, new_id, utc_now
from bridge_payments.stores.base import Unit
from bridge_payments.stores.sql import SQLStore
from bridge_payments.testing.stores.samples import a_delivery, a_payment, an_entry, an_event, an_operation

pytestmark = pytest.mark.slow

ELSEWHERE = {
    "docs/quickstart.md": "tests/quickstart.py",
    "examples/custom_provider/README.md": "tests/acceptance/test_custom_provider.py",
}
"""Pages whose commands something else runs in their order."""

NOT_RUN = {
    ("bridge-payments", "sandbox"): "tests/unit/sandbox/test_process.py",
    ("python", "examples/"): "tests/docs/test_examples.py",
    ("openapi-python-client",): "tests/acceptance/test_generated_clients.py",
    ("npx",): "tests/acceptance/test_generated_clients.py",
    ("nox",): "the run that this is a part of",
    ("pip",): "an index: nox -s quickstart and nox -s build install this package",
    ("python3", "-m", "venv"): "the same",
    ("bridge-payments", "db", "partitions"): "tests/unit/cli/test_commands.py; SQLite has none",
    ("pre-commit",): "writes into the clone",
    ("curl",): "asks a shop that is on no network",
}
"""The beginning of a command that is not run here, and who runs it or why nobody does."""

SHOP = """
from bridge_payments import Bridge
from bridge_payments.errors import InvalidRequest

def approve(draft, principal):
    raise InvalidRequest("sold out")

def bridge():
    return Bridge.from_env(approve=approve)
"""


def why_not(command: Command) -> str | None:
    words = [Path(command.words[0]).name, *command.words[1:]]
    for beginning, reason in NOT_RUN.items():
        if all(word.startswith(part) for word, part in zip(words, beginning, strict=False)):
            return reason
    return None


def on(page: Path) -> list[Command]:
    found = (block for block in blocks(page) if block.language == "sh")
    return [command for block in found for command in commands(block)]


@pytest.fixture
def subscriber() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


class Installation:
    """A database with something of everything that an operator has to look at."""

    def __init__(self, url: str, capture: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self._capture = capture

    def has(self, work: Callable[[Unit], None]) -> None:
        import asyncio

        async def write() -> None:
            store = SQLStore(self.url)
            await store.run(work)
            await store.aclose()

        asyncio.run(write())

    def run(self, command: Command, fed: str = "") -> tuple[int, str, str]:
        """Return the code, the output and the errors of one command."""
        program, *words = command.words
        if Path(program).name.startswith("python"):
            done = subprocess.run(
                [sys.executable, *words], input=fed, capture_output=True, text=True, check=False
            )
            return done.returncode, done.stdout, done.stderr
        assert Path(program).name == "bridge-payments", f"{program}: run it, or say in NOT_RUN why not"
        words = [self._known(word) for word in words]
        if words[0] == "worker" and "--once" not in words:
            threading.Thread(target=stop_when_it_listens, daemon=True).start()
        code = main(words)
        out, err = self._capture.readouterr()
        if command.into:
            Path(command.into).write_text(out)
            assert out
        return code, out, err

    def _known(self, word: str) -> str:
        """Put in what the page leaves out."""
        if word == "NAME":
            return "subscriber"
        if not re.fullmatch(r"(op|wh|dlv)_(0193)?(…|\.\.\.)", word):
            return word
        return {"op": self.lost_operation, "wh": self.dead_webhook, "dlv": self.dead_delivery}[
            word.partition("_")[0]
        ]()

    def lost_operation(self) -> str:
        """A confirm two hours ago, by a process that is gone, at a gateway that knows nothing of it."""
        then, gone = utc_now() - timedelta(hours=2), new_id("di")
        payment = a_payment(created_at=then, updated_at=then, provider_intent_id=gone)
        amount = {"minor_units": payment.total_cents, "currency": payment.currency}
        baseline = {"captured_cents": 0, "decline_reference": None}
        operation = an_operation(
            payment.id,
            state=OperationState.UNKNOWN,
            inputs={"payment": gone, "amount": amount, "baseline": baseline},
            created_at=then,
            updated_at=then,
        )

        def lost(unit: Unit) -> None:
            unit.payments.add(payment)
            unit.operations.reserve(operation, lease_seconds=0)

        self.has(lost)
        return operation.id

    def dead_webhook(self) -> str:
        entry = an_entry(event_type="payment.updated", created_at=utc_now(), payload="{}", headers={})

        def fail(unit: Unit) -> None:
            unit.inbox.add(entry)
            for claimed in unit.inbox.claim_due(limit=10, lease_seconds=30, token="t"):
                unit.inbox.finish(claimed, token="t", state=InboxState.DEAD)

        self.has(fail)
        return entry.id

    def dead_delivery(self) -> str:
        event = an_event(type="payment.success", created_at=utc_now())
        delivery = a_delivery(
            event.id, event_type=event.type, endpoint="subscriber", created_at=event.created_at
        )

        def die(unit: Unit) -> None:
            unit.events.add(event)
            unit.deliveries.add(delivery)
            for claimed in unit.deliveries.claim_due(limit=10, lease_seconds=30, token="t"):
                unit.deliveries.finish(claimed, token="t", state=DeliveryState.DEAD)

        self.has(die)
        return delivery.id


def stop_when_it_listens() -> None:
    """Do what a service manager does, as soon as the worker can hear it, and never before."""
    pause = threading.Event()
    deaf = signal.getsignal(signal.SIGTERM)
    for _ in range(6000):
        if signal.getsignal(signal.SIGTERM) is not deaf:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        pause.wait(0.01)


@pytest.fixture
def installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], subscriber: str
) -> Iterator[Installation]:
    for name in list(os.environ):
        if re.match(r"(STRIPE|PAYPAL|WEBHOOK|BRIDGE|AUTHORIZE_NET)_", name):
            monkeypatch.delenv(name)
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    environment = {
        "DATABASE_URL": url,
        "ENABLED_PROVIDERS": "dummy",
        "DEFAULT_PAYMENT_PROVIDER": "dummy",
        "ALLOW_SANDBOX": "true",
        "BRIDGE_WEBHOOK_ALLOW_HOSTS": "127.0.0.1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text(SHOP)
    (package / "main.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["db", "upgrade"]) == 0
    assert main(["endpoints", "add", "subscriber", subscriber, "*"]) == 0
    capsys.readouterr()
    yield Installation(url, capsys)
    for name in ("shop", "shop.main"):
        sys.modules.pop(name, None)


MADE_UP = "does not show that it was executed"
"""Nobody's word is taken for a charge that the gateway does not show; that of the page is made up."""

OURS = [
    pytest.param(page, id=page.relative_to(ROOT).as_posix())
    for page in PAGES
    if page.relative_to(ROOT).as_posix() not in ELSEWHERE
    and any(command.words and why_not(command) is None for command in on(page))
]


@pytest.mark.parametrize("page", OURS)
def test_the_commands_of_a_page_do_what_they_are_there_for(page: Path, installation: Installation) -> None:
    fed = ""
    for command in on(page):
        if not command.words or why_not(command):
            continue
        code, out, err = installation.run(command, fed)
        fed = out if command.piped else ""
        wrong = (command.words, code, out, err)
        if "--executed" in command.words:
            assert code == 1, wrong
            assert MADE_UP in err, wrong
        elif command.words[0] == "python3":  # the check that the page has for a monitor: something is old
            assert code == 1, wrong
        else:
            assert code == 0, wrong


def test_no_command_is_overlooked(capsys: pytest.CaptureFixture[str]) -> None:
    found: Counter[str] = Counter()
    used: set[tuple[str, ...]] = set()
    for page in PAGES:
        elsewhere = ELSEWHERE.get(page.relative_to(ROOT).as_posix())
        for command in on(page):
            reason = why_not(command) if command.words else "an environment"
            found[f"by {elsewhere}" if elsewhere else reason or "run here"] += 1
            words = [Path(word).name if not at else word for at, word in enumerate(command.words)]
            used |= {
                beginning
                for beginning in NOT_RUN
                if words and all(w.startswith(part) for w, part in zip(words, beginning, strict=False))
            }
    with capsys.disabled():
        print(f"\ncommands: {'; '.join(f'{count} {what}' for what, count in found.most_common())}")
    assert used == NOT_RUN.keys(), "a reason for a command that is gone"
