"""What the command's log lets through: LOG_LEVEL says, and LOG_MODE hides what is no trouble."""

from __future__ import annotations

import logging

import pytest

from bridge_payments import Settings
from bridge_payments.cli.application import start_logging


@pytest.mark.parametrize(
    ("env", "heard"),
    [
        ({}, ["info", "warning", "error"]),
        ({"LOG_LEVEL": "debug"}, ["debug", "info", "warning", "error"]),
        ({"LOG_LEVEL": "debug", "LOG_MODE": "true"}, ["warning", "error"]),
        ({"LOG_MODE": "true"}, ["warning", "error"]),
        ({"LOG_LEVEL": "error", "LOG_MODE": "true"}, ["error"]),
        ({"LOG_LEVEL": "error", "LOG_MODE": "false"}, ["error"]),
    ],
)
def test_a_quiet_log_keeps_warnings_and_errors(
    env: dict[str, str],
    heard: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = logging.getLogger("bridge_payments")
    for logger in (logging.getLogger(), ours):  # as in a process in which nobody has configured a log
        monkeypatch.setattr(logger, "handlers", [])
    start_logging(Settings.from_env({"LOG_FORMAT": "text", **env}))
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("bridge_payments.engine"), level)("this is said at %s", level)
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == heard
