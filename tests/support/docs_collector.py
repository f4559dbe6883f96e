"""The code blocks of the pages: which there are, and what is done with each."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(page for page in ROOT.glob("docs/**/*.md") if not {"_pages", "_build"} & set(page.parts)),
        *ROOT.glob("examples/**/*.md"),
    ]
)
_FENCE = re.compile(
    r"^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    code: str

    @property
    def first(self) -> str:
        return self.code.strip().partition("\n")[0]

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page.relative_to(ROOT).as_posix(),
            text.count("\n", 0, found.start()) + 1,
            found["language"].strip(),
            found["code"],
        )
        for found in _FENCE.finditer(text)
    ]


# --- Python ---------------------------------------------------------------------------------------


async def execute(block: Block, names: dict[str, Any]) -> None:
    """Run a block as the page's reader would: after those before it. `await` is allowed at its top."""
    source = "\n" * block.line + block.code
    code = compile(source, str(ROOT / block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(code, names)
    if inspect.iscoroutine(waiting):
        await waiting


# --- a shell --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    words: list[str]
    """Without what stands before and after it."""
    settings: dict[str, str]
    """``NAME=value`` before it, or with `export` alone."""
    into: str | None = None
    """The file that takes its output."""
    piped: bool = False
    """Whether the next command reads its output."""


def commands(block: Block) -> list[Command]:
    """Return what a shell would run, in order."""
    code = re.sub(r"\\\n\s*", " ", block.code)
    code = re.sub(r"(^|\s)#[^\n]*", r"\1", code)
    code = re.sub(r"\$\(.*\)", "value", code)
    words = shlex.shlex(code, posix=True, punctuation_chars="&|;\n")
    words.whitespace, words.whitespace_split, words.commenters = " \t", True, ""
    found: list[Command] = []
    command: list[str] = []
    for word in [*words, "\n"]:
        if word.strip("&|;\n"):
            command.append(word)
        elif command:
            found.append(_command(command, piped=word == "|"))
            command = []
    return found


def _command(words: list[str], *, piped: bool) -> Command:
    into = None
    if ">" in words:
        into = words[words.index(">") + 1]
        words = words[: words.index(">")]
    if words[0] == "export":
        words = words[1:]
    settings = [word for word in words if re.match(r"^[A-Z][A-Z0-9_]*=", word)]
    left = [word for word in words if word not in settings]
    pairs = [word.partition("=") for word in settings]
    return Command(left, {name: value for name, _, value in pairs}, into, piped)


def check_shell(block: Block) -> list[str]:
    """Return what cannot be: commands, options, variables, extras and sessions that are not there."""
    return [wrong for command in commands(block) for wrong in check_command(command)]


def check_command(command: Command) -> list[str]:
    wrong = [f"no setting {name}" for name in command.settings if name not in known_variables()]
    words = command.words
    if not words:
        return wrong
    program = Path(words[0]).name or words[0]
    if program == "bridge-payments":
        wrong += check_ours(words[1:])
    elif program == "pip":
        wrong += check_pip(words[1:])
    elif program == "nox":
        wrong += [f"no session {name}" for name in named_sessions(words) if not has_session(name)]
    elif program not in KNOWN:
        wrong.append(f"{program}: who checks this?")
    return wrong


KNOWN = set(
    ". cd curl flask git gunicorn npm npx openapi-python-client pytest python python3 tee uvicorn".split()
)
"""Commands that are not ours. What they are asked for is not looked at."""


def check_ours(words: list[str]) -> list[str]:
    import argparse
    import importlib

    from bridge_payments.cli import COMMANDS

    if not words or words == ["--help"]:
        return []
    if words[0] not in COMMANDS:
        return [f"no command {words[0]}"]
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(f"bridge_payments.cli.{words[0].replace('-', '_')}").configure(parser)
    wanted = [word for word in words[1:] if not word.endswith(".sql")]
    try:
        _, left = parser.parse_known_args(wanted)
    except (argparse.ArgumentError, SystemExit) as error:
        return [f"bridge-payments {' '.join(words)}: {error}"]
    return [f"bridge-payments {words[0]}: what is {word}?" for word in left]


def check_pip(words: list[str]) -> list[str]:
    asked = re.findall(r"(?:bridge-payments|BRIDGE}|^\.)\[([\w,-]+)\]", "\n".join(words), re.MULTILINE)
    extras = {extra for each in asked for extra in each.split(",")}
    theirs = {"test"}  # of a provider's own package
    return [f"no extra {extra}" for extra in extras - theirs - PYPROJECT["optional-dependencies"].keys()]


def named_sessions(words: list[str]) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-s", "--session")]


def has_session(name: str) -> bool:
    return f"\ndef {name.partition('-3.')[0]}(" in ROOT.joinpath("noxfile.py").read_text()


def known_variables() -> set[str]:
    """Return every variable that is read anywhere: by the settings, by a provider, by a command or a test."""
    if not _VARIABLES:
        for file in [*ROOT.glob("bridge_payments/**/*.py"), *ROOT.glob("tests/**/*.py")]:
            _VARIABLES.update(re.findall(r"[\"`]([A-Z][A-Z0-9]*_[A-Z0-9_]+|PORT|HOST)\b", file.read_text()))
        _VARIABLES.update(f"WEBHOOK_1_{name}" for name in ("NAME", "URL", "EVENTS", "SECRET", "HEADERS"))
        _VARIABLES.update(f"{prefix}{name}" for prefix in ("EU_", "CA_") for name in tuple(_VARIABLES))
        _VARIABLES.add("ID")  # of the quickstart
    return _VARIABLES


_VARIABLES: set[str] = set()


# --- the rest -------------------------------------------------------------------------------------


def check_data(block: Block) -> None:
    if block.language == "json":
        json.loads(block.code)
    else:
        tomllib.loads(block.code)


def check_script(block: Block) -> bool:
    """Let Node.js read what a browser would; False where there is none."""
    node = shutil.which("node")
    if node is None:
        return False
    code = block.code
    if block.language == "html":
        code = "\n".join(re.findall(r"<script>(.*?)</script>", code, re.DOTALL))
    done = subprocess.run(
        [node, "--input-type=module", "--check"], input=code, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{block.where}\n{done.stderr}"
    return True
