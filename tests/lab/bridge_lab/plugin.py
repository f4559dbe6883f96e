"""The laboratory in every test session: a test that sends a provider what it does not take, fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .gateway import ScriptedGateway, serving
from .recorder import Recorder

_RECORDER = pytest.StashKey[Recorder]()
_LEFT = pytest.StashKey[list[str]]()


def specs_folder() -> Path | None:
    given = os.environ.get("BRIDGE_SPECS")
    folder = Path(given) if given else Path(__file__).parents[4] / "shared" / "specs"
    return folder if (folder / "stripe").is_dir() else None


def pytest_configure(config: pytest.Config) -> None:
    recorder = config.stash[_RECORDER] = Recorder(specs_folder())
    recorder.install()
    config.add_cleanup(recorder.uninstall)


@pytest.fixture(autouse=True)
def _lab_judges_every_exchange(request: pytest.FixtureRequest) -> Iterator[None]:
    recorder = request.config.stash[_RECORDER]
    yield
    if problems := recorder.judge():
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def stripe_lab(request: pytest.FixtureRequest) -> Recorder:
    """The recorder itself: what was sent, in order."""
    return request.config.stash[_RECORDER]


@pytest.fixture
def lab(stripe_lab: Recorder) -> Recorder:
    """The same recorder, for a test that is not about Stripe."""
    return stripe_lab


@pytest.fixture
def scripted() -> Iterator[ScriptedGateway]:
    """A real HTTP server on loopback that answers what the test tells it to, and remembers what it got."""
    with serving() as gateway:
        yield gateway


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """What a fixture sent after its test was over is judged here."""
    left = session.config.stash[_LEFT] = session.config.stash[_RECORDER].judge()
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    recorder = config.stash[_RECORDER]
    for problem in config.stash.get(_LEFT, []):
        terminalreporter.write_line(problem, red=True)
    for service, judges in (("Stripe", "the SDK's types and by OpenAPI"), ("PayPal", "OpenAPI")):
        count = len(recorder.of(service))
        if count and specs_folder() is None:
            terminalreporter.write_line(
                f"lab: {count} exchanges with {service} NOT judged (BRIDGE_SPECS is not set)"
            )
        elif count:
            terminalreporter.write_line(
                f"lab: {count} requests to {service} judged by {judges},"
                f" {recorder.answers_judged[service]} answers by OpenAPI"
            )
