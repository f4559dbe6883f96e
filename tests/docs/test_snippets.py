"""Every code block of every page is executed, or checked, or has its reason here. No block is overlooked."""

from __future__ import annotations

import asyncio
import gc
import runpy
import warnings
from collections import Counter
from pathlib import Path

import pytest
from docs_collector import PAGES, ROOT, Block, blocks, check_data, check_script, check_shell, execute

pytestmark = pytest.mark.slow  # once is enough, on the oldest Python

SETUP = Path(__file__).parent / "setup"

ELSEWHERE = {
    "docs/guides/browser.md": "tests/docs/test_examples.py",
    "docs/guides/testing.md": "tests/unit/testing/test_plugin.py",
    "docs/guides/write-a-provider.md": "tests/unit/testing/test_provider_guide.py",
    "docs/quickstart.md": "tests/quickstart.py",
}
"""Whose Python or JavaScript a test or a script of its own runs. Shells: tests/docs/test_commands.py."""

REASONS = {
    ("CONTRIBUTING.md", '@pytest.mark.needs("chromium")'): "the shape of a test, its body is an ellipsis",
    (
        "CONTRIBUTING.md",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'",
    ): "pre-commit's own command",
    (
        "docs/databases.md",
        "from bridge_payments.stores.sql import include_name",
    ): "runs inside Alembic's env.py; tests/unit/test_sql_schema.py tries include_name",
    (
        "docs/databases.md",
        "from bridge_payments.stores.sql import include_name_beside",
    ): "the same",
}
"""(page, first line) of blocks that nothing runs, and why."""

TEXT = {"text", "", "mermaid", "http", "{toctree}"}
"""Languages of what is no code."""


def test_every_block_is_run_or_checked_or_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    found = Counter(fate(block) for page in PAGES for block in blocks(page))
    with capsys.disabled():
        print(f"\ncode blocks: {', '.join(f'{count} {what}' for what, count in sorted(found.items()))}")
        for (page, first), reason in REASONS.items():
            print(f"  not run: {page}, {first!r}: {reason}")
    assert not {what for what in found if what.startswith("?")}
    known = {(block.page, block.first) for page in PAGES for block in blocks(page)}
    assert REASONS.keys() <= known, "a reason for a block that is gone"


def fate(block: Block) -> str:
    if block.language in TEXT:
        return "no code"
    if (block.page, block.first) in REASONS:
        return "with a reason"
    if block.language in ("python", "js") and block.page in ELSEWHERE:
        return "run elsewhere"
    if block.language == "python":
        return "run"
    if block.language in ("sh", "json", "toml", "js", "html"):
        return "checked"
    return f"? {block.language} ({block.where})"


@pytest.mark.parametrize(("page", "other"), ELSEWHERE.items())
def test_who_is_said_to_run_a_page_does(page: str, other: str) -> None:
    assert Path(page).name in ROOT.joinpath(other).read_text()


def pages_with(*languages: str) -> list[object]:
    return [
        pytest.param(page, id=page.relative_to(ROOT).as_posix())
        for page in PAGES
        if any(block.language in languages and fate(block) in ("run", "checked") for block in blocks(page))
    ]


@pytest.mark.parametrize("page", pages_with("python"))
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/").replace("/", "_")
    setup = SETUP / f"{name}.py"
    monkeypatch.chdir(tmp_path)
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    names = runpy.run_path(str(setup)) if setup.exists() else {}
    names["__name__"] = "page"

    async def read() -> None:
        for block in blocks(page):
            if block.language == "python" and fate(block) == "run":
                await execute(block, names)
        if "after" in names:
            outcome = names["after"](names)
            if outcome is not None:
                await outcome

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a page does not close what it opens
        asyncio.run(read())
        names.clear()
        gc.collect()


ENVIRONMENT = {
    "DATABASE_URL": "sqlite:///shop.db",
    "ENABLED_PROVIDERS": "dummy",
    "DEFAULT_PAYMENT_PROVIDER": "dummy",
    "ALLOW_SANDBOX": "true",
    "INPROCESS_WORKER": "false",
}


@pytest.mark.parametrize("page", pages_with("sh"))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    wrong = {
        block.where: found
        for block in blocks(page)
        if block.language == "sh" and fate(block) == "checked" and (found := check_shell(block))
    }
    assert not wrong


@pytest.mark.parametrize("page", pages_with("json", "toml", "js", "html"))
def test_what_is_not_python_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("json", "toml"):
            check_data(block)
        elif block.language in ("js", "html"):
            check_script(block)
