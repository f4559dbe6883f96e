"""The package as a user meets it: which names there are, and what importing it costs."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bridge_payments
from bridge_payments import errors

HEAVY = set("aiohttp alembic fastapi flask httpx pydantic pytest sqlalchemy starlette stripe".split())

PUBLIC = set(
    "AuthBridge Bridge Event Money Operation Payment PaymentEngine PaymentProvider Principal ProviderEvent"
    " Refund Request Response Settings Store WebhookDispatcher".split()
)

NAMES = "import json, sys; {}; print(json.dumps(list(sys.modules)))"
SECONDS = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def in_a_fresh_process(program: str) -> Any:
    """Run *program* in a new interpreter and return what it prints, read as JSON."""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_the_names_of_the_public_face_are_all_there() -> None:
    assert set(bridge_payments.__all__) >= PUBLIC
    assert set(bridge_payments.__all__) >= set(errors.__all__), (
        "an error that is raised can be caught by name"
    )


def test_the_list_of_names_is_sorted_and_holds_each_once() -> None:
    assert bridge_payments.__all__ == sorted(set(bridge_payments.__all__))


@pytest.mark.parametrize("name", bridge_payments.__all__)
def test_every_name_leads_to_the_thing_of_that_name(name: str) -> None:
    value = getattr(bridge_payments, name)

    assert getattr(value, "__name__", name) == name


def test_dir_shows_what_can_be_had() -> None:
    assert set(dir(bridge_payments)) >= set(bridge_payments.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error_and_not_a_surprise() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Charge'"):
        bridge_payments.Charge  # noqa: B018 - reading it is the test


def test_type_checkers_see_exactly_the_names_that_are_there_at_run_time() -> None:
    source = ast.parse(Path(bridge_payments.__file__).read_text())
    seen = {
        alias.asname or alias.name
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }

    assert seen == set(bridge_payments.__all__)


def test_importing_the_package_loads_the_errors_and_the_models_and_nothing_else_of_ours() -> None:
    loaded = in_a_fresh_process(NAMES.format("import bridge_payments"))

    ours = {name for name in loaded if name.partition(".")[0] == "bridge_payments"}
    assert {name for name in ours if not name.startswith("bridge_payments.models")} == {
        "bridge_payments",
        "bridge_payments.errors",
        "bridge_payments.seam",
    }


def test_importing_the_package_loads_no_third_party_code_at_all() -> None:
    before = set(in_a_fresh_process(NAMES.format("pass")))
    after = set(in_a_fresh_process(NAMES.format("import bridge_payments")))

    packages = {name.partition(".")[0] for name in after - before}
    assert not HEAVY & packages
    assert packages - sys.stdlib_module_names == {"bridge_payments"}


def test_importing_the_package_stays_a_small_program() -> None:
    # Modules are counted, because a count is the same on every machine; seconds are for the benchmarks.
    before = in_a_fresh_process(NAMES.format("pass"))
    after = in_a_fresh_process(NAMES.format("import bridge_payments"))

    assert len(after) - len(before) < 100


def test_the_engine_loads_no_framework_no_database_driver_and_no_vendor() -> None:
    # Whoever installs the library for one of them does not pay for the others.
    loaded = in_a_fresh_process(
        NAMES.format("from bridge_payments import Bridge, PaymentEngine, WebhookDispatcher")
    )

    assert not {"alembic", "fastapi", "flask", "pytest", "sqlalchemy", "starlette", "stripe"} & set(loaded)


def test_a_name_is_loaded_at_its_first_use_and_kept() -> None:
    before, after = in_a_fresh_process(
        "import json, bridge_payments; before = 'Request' in vars(bridge_payments);"
        "bridge_payments.Request; print(json.dumps([before, 'Request' in vars(bridge_payments)]))"
    )

    assert (before, after) == (False, True)


@pytest.mark.skipif(importlib.util.find_spec("stripe") is None, reason="compares with the extra 'stripe'")
def test_importing_the_package_is_cheaper_than_importing_one_vendor_sdk() -> None:
    # Taken in turns and by the median, so that a busy machine slows both down alike.
    ours, theirs = [], []
    for _ in range(5):
        ours.append(in_a_fresh_process(SECONDS.format("bridge_payments")))
        theirs.append(in_a_fresh_process(SECONDS.format("stripe")))

    assert statistics.median(ours) < statistics.median(theirs)


# The rooms whose packages an extra brings; what is outside them may import what `dependencies` lists.
ROOMS = ("cli", "mounts", "providers", "sandbox", "stores/sql/migrations", "testing")


def test_what_the_core_imports_is_a_dependency_and_not_a_lucky_guest_of_one() -> None:
    root = Path(bridge_payments.__file__).parent
    core = [path for path in root.rglob("*.py") if not path.relative_to(root).as_posix().startswith(ROOMS)]
    imported = {name for path in core for name in absolute_imports(path)} - sys.stdlib_module_names
    lines = importlib.metadata.requires("bridge-payments") or []
    declared = {re.split(r"[^\w-]", line)[0] for line in lines if "extra ==" not in line}

    declared |= {"pydantic_core"}  # pydantic's other half: it pins it
    declared |= {"alembic"}  # stores/sql/schema.py says which extra to install
    declared |= {"jwt", "cryptography", "redis"}  # so do auth/tokens.py and auth/limits.py
    declared |= {"opentelemetry", "prometheus_client"}  # and telemetry/otel.py and telemetry/prometheus.py
    assert imported <= declared


def absolute_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_the_type_marker_is_part_of_the_package() -> None:
    assert Path(bridge_payments.__file__).with_name("py.typed").exists()


def test_providers_are_found_through_their_entry_points() -> None:
    found = {
        point.name: point for point in importlib.metadata.entry_points(group="bridge_payments.providers")
    }

    assert found.keys() >= {"dummy", "stripe"}
    assert all(found[name].value.startswith("bridge_payments.providers.") for name in ("dummy", "stripe"))
