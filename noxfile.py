"""
Everything this project checks, one session per question; `nox` alone runs all that this machine can run.

It ends with one line: what was skipped here, and the command that would bring it.
`BRIDGE_REQUIRE=chromium,python3.13` turns those skips into failures.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = (
    True  # what is missing and not required is left out below, and told
)
nox.options.reuse_venv = "yes"

REQUIRED = set(filter(None, os.environ.get("BRIDGE_REQUIRE", "").split(",")))
PROJECT = nox.project.load_toml("pyproject.toml")["project"]
TOOLS = {re.split(r"[^\w-]", line)[0]: line for line in PROJECT["optional-dependencies"]["dev"]}
MINIMAL = (  # what needs nothing but the dependencies: the core, in memory
    "tests/conformance/test_stores.py::TestMemory",
    "tests/unit/auth",
    "tests/unit/engine",
    "tests/unit/http",
    "tests/unit/test_errors.py",
    "tests/unit/test_ids.py",
    "tests/unit/test_memory_store.py",
    "tests/unit/test_money.py",
    "tests/unit/test_package.py",
    "tests/unit/test_seam.py",
    "tests/unit/test_settings.py",
    "tests/unit/test_telemetry.py",
)

STORES = (  # each starts the servers anew: once is enough
    "tests/conformance/test_sql_doctor.py",
    "tests/conformance/test_sql_host_migrations.py",
    "tests/conformance/test_sql_libsql.py",
    "tests/conformance/test_sql_outages.py",
    "tests/conformance/test_sql_plans.py",
    "tests/conformance/test_sql_processes.py",
    "tests/conformance/test_sql_servers.py",
    "tests/conformance/test_sql_workers.py",
    "tests/conformance/test_stores.py",
)
SHARED = ("-n", "2", "--dist", "worksteal")
"""By two processes, each with servers of its own. The whole suite keeps two cores busy as it is."""
BROWSER = ("tests/acceptance/test_dashboard_browser.py", "tests/acceptance/test_sandbox_browser.py")

seconds: list[str] = []
room = tempfile.TemporaryDirectory(prefix="bridge-payments-")
skips = Path(room.name) / "skips"
ran = Path(room.name) / "ran"
proved = Path(room.name) / "proved"


# --- which Pythons there are ----------------------------------------------------------------------


def available(versions: tuple[str, ...]) -> list[str]:
    """Return those that this machine has. The others are told, or left to fail where they are required."""
    if pyenv := shutil.which("pyenv"):  # shows only the versions that are selected: select all
        installed = subprocess.run([pyenv, "versions", "--bare"], check=True, capture_output=True, text=True)
        ours = [line for line in installed.stdout.split() if re.fullmatch(r"3\.1\d+\.\d+", line)]
        os.environ["PYENV_VERSION"] = ":".join([*ours, "system"])
    found = []
    for version in versions:
        if runs(f"python{version}") or f"python{version}" in REQUIRED:
            found.append(version)
        else:
            told(f"python{version}", f"install Python {version}, for instance: pyenv install {version}")
    return found or [f"{sys.version_info.major}.{sys.version_info.minor}"]


def runs(command: str) -> bool:
    path = shutil.which(command)
    return (
        path is not None
        and subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode == 0
    )


def told(name: str, command: str) -> None:
    """Remember a skip for the last line. Tests write the same lines: see tests/conftest.py."""
    with skips.open("a") as lines:
        lines.write(f"{name}\t{command}\n")


PYTHONS = available(("3.11", "3.12", "3.13"))


# --- sessions -------------------------------------------------------------------------------------


def timed(check: Callable[[nox.Session], None]) -> Callable[[nox.Session], None]:
    @functools.wraps(check)
    def run(session: nox.Session) -> None:
        began = time.monotonic()
        try:
            check(session)
        finally:
            seconds.append(f"{session.name} {time.monotonic() - began:.0f}")
            session.log(f"{session.name} took {time.monotonic() - began:.0f} seconds")

    return run


def pytest(session: nox.Session, *arguments: str) -> None:
    env = {"BRIDGE_SKIPS": str(skips), "BRIDGE_RAN": str(ran)}
    session.run("python", "-m", "pytest", *arguments, env=env)


@nox.session
@timed
def lint(session: nox.Session) -> None:
    """Style, and the mistakes that a linter sees."""
    session.install(TOOLS["ruff"])
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=PYTHONS[0])
@timed
def types(session: nox.Session) -> None:
    """mypy --strict, with every optional package there to be checked against."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session(python=PYTHONS[0])
@timed
def public(session: nox.Session) -> None:
    """A user's type checker knows the type of every public name: pyright's verdict is 100 %."""
    session.install("-e", ".[all]", TOOLS["pyright"])
    session.chdir(session.create_tmp())  # away from the source tree: what is judged is what is installed
    session.run("pyright", "--verifytypes", "bridge_payments", "--ignoreexternal")


@nox.session(python=PYTHONS[0])
@timed
def imports(session: nox.Session) -> None:
    """Who may import whom."""
    session.install("-e", ".", TOOLS["import-linter"])
    session.run("lint-imports")


@nox.session(python=PYTHONS[0])
@timed
def minimal(session: nox.Session) -> None:
    """What must work without a single extra."""
    session.install(
        "-e", ".", TOOLS["hypothesis"], TOOLS["iso4217"], TOOLS["pytest"], TOOLS["standardwebhooks"]
    )
    pytest(session, *MINIMAL)


@nox.session(python=PYTHONS)
@timed
def tests(session: nox.Session) -> None:
    """All on the oldest Python; on the newest, what is about the language; between them, the unit tests."""
    session.install("-e", ".[dev]")
    elsewhere = [f"--ignore={path}" for path in (*BROWSER, *STORES)]
    if session.python != PYTHONS[0]:
        elsewhere += ["--ignore=tests/acceptance", "--ignore=tests/crash", "-m", "not slow"]
    if session.python not in (PYTHONS[0], PYTHONS[-1]):
        elsewhere = ["tests/unit", "-m", "not slow", *SHARED]
    pytest(session, *(session.posargs or elsewhere))


@nox.session(python=PYTHONS[0])
@timed
def stores(session: nox.Session) -> None:
    """The store on every database that can be had here, on servers of the run's own; `-- --big`: big counts.

    `BRIDGE_POSTGRES_URL`, `BRIDGE_MARIADB_URL`, `BRIDGE_MYSQL_URL` and `BRIDGE_LIBSQL_URL` name running ones.
    """
    session.install("-e", ".[dev]")
    pytest(session, *STORES, *session.posargs)


@nox.session(python=PYTHONS[0])
@timed
def browser(session: nox.Session) -> None:
    """The shop, in a headless Chromium."""
    session.install("-e", ".[dev]")
    pytest(session, *BROWSER)


@nox.session(python=PYTHONS[0])
@timed
def build(session: nox.Session) -> None:
    """The wheel holds every file of the package; it and the sdist work in an environment of their own."""
    session.install(TOOLS["build"])
    out = Path(session.create_tmp()).resolve()
    shutil.rmtree(out / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(out / "dist"))  # the wheel is built from the sdist
    [wheel] = (out / "dist").glob("*.whl")
    tracked = subprocess.run(
        ["git", "ls-files", "bridge_payments"], check=True, capture_output=True, text=True
    )
    if missing := set(tracked.stdout.split()) - set(zipfile.ZipFile(wheel).namelist()):
        session.error(f"not in the wheel: {sorted(missing)}")

    [sdist] = (out / "dist").glob("*.tar.gz")
    session.chdir(out)  # away from the source tree
    for archive in (wheel, sdist):
        session.run("python", "-m", "venv", "--clear", "clean")
        session.run("clean/bin/python", "-m", "pip", "install", "--quiet", str(archive), external=True)
        session.run("clean/bin/python", "-c", "from bridge_payments import *", external=True)
        session.run("clean/bin/bridge-payments", "--help", external=True, silent=True)


@nox.session(python=PYTHONS[0])
@timed
def docs(session: nox.Session) -> None:
    """The site, with the reference that is derived from the code. A broken link or anchor is an error."""
    session.install("-e", ".[all,docs]")
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-E", "-b", "html", "docs", "docs/_build/html")
    session.log("docs/_build/html/index.html")


@nox.session(python=PYTHONS[0])
@timed
def quickstart(session: nox.Session) -> None:
    """The quickstart as a new user would do it: its commands and its code, in an empty folder, timed."""
    session.run("python", "tests/quickstart.py")


@nox.session(python=PYTHONS[0])
@timed
def bench(session: nox.Session) -> None:
    """What it costs beside the bare SDK, raw handlers and a hand-written application. Figures, no verdict.

    `BRIDGE_BENCH=--quick`: with small numbers, where it only has to be seen that it runs.
    """
    session.install("-e", ".[dev]", "httptools")  # the parser that uvicorn[standard] brings
    asked = session.posargs or os.environ.get("BRIDGE_BENCH", "").split()
    session.run("python", "tests/benchmarks/bench.py", *asked)


@nox.session(python=PYTHONS[0], default=False)
@timed
def mutants(session: nox.Session) -> None:
    """Deliberate faults, one at a time: each has to be noticed by a test. Minutes; by name only."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/mutants/run.py", *session.posargs)


@nox.session(python=PYTHONS[0], default=False)
@timed
def crash(session: nox.Session) -> None:
    """Killed at every place; every reachable state. `-- --full` goes farther, `-- --database URL` elsewhere.

    A server's URL names no database: the run makes its own there (`bridge_…`), and drops them in the end. For
    SQLite it is the path of a file, in whose folder the run makes its own files.
    """
    session.install("-e", ".[dev]")
    asked = list(session.posargs)
    env = {"BRIDGE_SKIPS": str(skips), "BRIDGE_PROVED": str(proved), "BRIDGE_CRASH": "points"}
    if "--full" in asked:
        asked.remove("--full")
        env["BRIDGE_FULL"] = "1"
    if "--database" in asked:
        place = asked.index("--database")
        env |= database_named(asked[place + 1])
        del asked[place : place + 2]
    # A test is hundreds of deaths here: what is slow at the suite's limit is no hang yet.
    limit = ["-o", "faulthandler_timeout=1800"]
    if not any(Path(each.partition("::")[0]).exists() for each in asked):
        asked.insert(0, "tests/crash")  # `-- -k refund` is about these tests, too
    session.run("python", "-m", "pytest", *SHARED, *limit, *asked, env=env)


def database_named(url: str) -> dict[str, str]:
    """Say to the tests which database is meant."""
    scheme = url.partition(":")[0].partition("+")[0]
    rest = url.partition(":")[2]
    match scheme:
        case "postgresql" | "postgres":
            return {"BRIDGE_CRASH_DATABASE": "postgresql", "BRIDGE_POSTGRES_URL": f"postgresql:{rest}"}
        case "mariadb" | "mysql":
            return {"BRIDGE_CRASH_DATABASE": scheme, f"BRIDGE_{scheme.upper()}_URL": f"{scheme}:{rest}"}
        case "sqlite":
            folder = Path(rest.removeprefix("///")).parent
            return {"BRIDGE_CRASH_DATABASE": "sqlite", "BRIDGE_CRASH_FOLDER": str(folder.resolve())}
        case _:
            raise SystemExit(f"--database: {scheme!r} is not one of postgresql, mariadb, mysql, sqlite")


# --- the last line --------------------------------------------------------------------------------


def last_line() -> None:
    if not seconds:
        return
    print(f"seconds: {', '.join(seconds)}")
    if ran.exists():
        print(*dict.fromkeys(ran.read_text().splitlines()), sep="\n")
    lines = dict.fromkeys(skips.read_text().splitlines()) if skips.exists() else {}
    missing = [f"{name} ({command})" for name, command in (line.split("\t") for line in lines)]
    print(f"skipped on this machine: {'; '.join(missing) or 'nothing'}", flush=True)
    if proved.exists():
        print(proved.read_text(), flush=True)


atexit.register(last_line)
