"""bridge-payments new-provider: write a package outside of this one, which says what it is still missing."""

from __future__ import annotations

import keyword
import re
from argparse import ArgumentParser, Namespace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Final

from ..errors import ConfigurationError
from ..providers import registry
from .console import OK, execute

__all__ = ["HELP", "configure", "run", "write"]

HELP = "begin a provider of your own: a package that says what it is still missing"

_KIND: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
_SUFFIX: Final = ".txt"
"""What the templates end with, so that no tool takes them for code of ours."""


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("kind", help="what an application will write into ENABLED_PROVIDERS: acme")
    parser.add_argument(
        "--into", metavar="FOLDER", type=Path, default=Path(), help="where the package goes (default: here)"
    )


def run(arguments: Namespace) -> int:
    return execute(_run(arguments))


async def _run(arguments: Namespace) -> int:
    folder = write(arguments.kind, arguments.into)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(path)
    print(f"\ncd {folder}\npip install -e '.[test]'\npytest -ra        # says what is missing")
    return OK


def write(kind: str, into: Path) -> Path:
    """Write the package of *kind* into a new folder and return it. Raises ConfigurationError."""
    names = names_of(kind)
    folder = into / names["dist"]
    if folder.exists():
        raise ConfigurationError(f"{folder} is already there")
    root = files(__package__) / "templates" / "provider"
    for source, parts in _walk(root, ()):
        name = Template(parts[-1].removesuffix(_SUFFIX)).substitute(names)
        above = (names["package"] if part == "package" else part for part in parts[:-1])
        target = folder.joinpath(*above, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(source.read_text(encoding="utf-8")).substitute(names), encoding="utf-8")
    return folder


def names_of(kind: str) -> dict[str, str]:
    """Return the names in every spelling that the templates use. Raises ConfigurationError."""
    if not _KIND.fullmatch(kind) or keyword.iskeyword(kind):
        raise ConfigurationError(
            f"{kind!r} cannot be the name of a provider: small letters, digits and _, beginning with a letter"
        )
    if kind in registry.available():
        raise ConfigurationError(f"a provider called {kind} is already installed")
    words = [word for word in kind.split("_") if word]
    return {
        "kind": kind,
        "Kind": "".join(word.capitalize() for word in words),
        "KIND": kind.upper(),
        "package": f"{kind}_payments",
        "dist": "-".join([*words, "payments"]),
    }


def _walk(folder: Traversable, above: tuple[str, ...]) -> list[tuple[Traversable, tuple[str, ...]]]:
    found = []
    for each in folder.iterdir():
        if each.is_dir():
            found += _walk(each, (*above, each.name))
        else:
            found.append((each, (*above, each.name)))
    return found
