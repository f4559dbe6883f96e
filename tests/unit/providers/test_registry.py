"""Which provider is meant, and what an operator reads when it cannot be had."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bridge_payments.errors import ConfigurationError, MissingExtra
from bridge_payments.providers import registry
from bridge_payments.providers.base import PaymentProvider
from bridge_payments.providers.stripe import StripeProvider
from bridge_payments.telemetry import quiet_vendor_loggers
from bridge_payments.transport import Transport

Install = Callable[..., None]

PLUGIN = """
from bridge_payments.providers.base import KeyRules, PaymentProvider

class Acme(PaymentProvider):
    kind = "acme"
    keys = KeyRules(max_length=0, window_hours=0)
    async def create_payment_intent(self, request, *, step): ...
    async def sync_payment_status(self, reference): ...
    async def read_webhook(self, request): ...

class Renamed(Acme):
    kind = "other"

class Plain: ...
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with entry points on the path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)

    def package(name: str, module: str, source: str, **points: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{name.replace('-', '_')}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        lines = [f"{kind} = {value}" for kind, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[bridge_payments.providers]", *lines, ""]))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return package


def test_a_package_with_an_entry_point_is_all_that_a_new_provider_needs(install: Install) -> None:
    install("acme-payments", "acme_one", PLUGIN, acme="acme_one:Acme")
    assert "acme" in registry.available()
    assert registry.load("acme").kind == "acme"


def test_listing_imports_no_provider_and_loading_imports_one() -> None:
    script = """
import sys
from bridge_payments.providers import registry
def loaded():
    ours = {m.split(".")[2] for m in sys.modules if m.startswith("bridge_payments.providers.")}
    return sorted(ours | ({"stripe"} & sys.modules.keys()))
registry.available()
print(loaded())
registry.load("stripe")
print(any("dummy" in m for m in loaded()), "stripe" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    listed, loaded = told.splitlines()
    assert listed == "['base', 'contract', 'registry']"
    assert loaded == "False False", "the SDK is imported when an account is built, not before"


def test_a_kind_that_nobody_brings_is_told_with_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match=r"'strpe' \(installed: .*stripe.*ENABLED_PROVIDERS"):
        registry.load("strpe")


def test_two_packages_with_one_kind_are_refused_and_both_are_named(install: Install) -> None:
    """The last one installed must not win silently: it would be handed the other one's secrets."""
    install("acme-payments", "acme_two", PLUGIN, acme="acme_two:Acme")
    install("evil-payments", "evil_two", PLUGIN, acme="evil_two:Acme")
    with pytest.raises(
        ConfigurationError, match=r"2 packages .*acme-payments.*evil-payments|pip uninstall"
    ) as told:
        registry.load("acme")
    assert "acme-payments" in str(told.value)
    assert "evil-payments" in str(told.value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("acme_three:Plain", "derive its class"),
        ("acme_three:Renamed", "set kind = 'acme'"),
        ("acme_three:Gone", "which is not there"),
        ("acme_gone:Acme", "which is not there"),
    ],
)
def test_an_entry_point_that_is_no_provider_says_what_to_correct(
    install: Install, value: str, says: str
) -> None:
    install("acme-payments", "acme_three", PLUGIN, acme=value)
    with pytest.raises(ConfigurationError, match=says):
        registry.load("acme")


def test_a_plugin_whose_own_dependency_is_missing_names_it(install: Install) -> None:
    install("acme-payments", "acme_four", "import acme_sdk_that_nobody_has", acme="acme_four:Acme")
    with pytest.raises(ConfigurationError, match="acme_sdk_that_nobody_has"):
        registry.load("acme")


def test_without_the_sdk_the_operator_reads_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "stripe" or name.startswith("stripe.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "bridge_payments.providers.stripe.client", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Without("stripe"), *sys.meta_path])
    with pytest.raises(MissingExtra, match=r"pip install 'bridge-payments\[stripe\]'"):
        StripeProvider(secret_key="sk_test_1", transport=Transport())


class _Without:
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


# --- accounts -------------------------------------------------------------------------------------

ENV = {
    "STRIPE_SECRET_KEY": "sk_test_us",
    "STRIPE_WEBHOOK_SECRET": "whsec_us",
    "EU_STRIPE_SECRET_KEY": "sk_live_eu",
    "EU_STRIPE_WEBHOOK_SECRET": "whsec_eu",
}


def build(text: str, env: dict[str, str]) -> dict[str, PaymentProvider]:
    return registry.build(registry.parse_accounts(text), env, transport=Transport())


def test_two_accounts_of_one_kind_are_built_from_their_own_variables() -> None:
    built = build("stripe,stripe_eu=stripe:EU_", ENV)
    assert {name: provider.livemode for name, provider in built.items()} == {
        "stripe": False,
        "stripe_eu": True,
    }


def test_an_account_with_a_prefix_never_reads_the_variables_of_another() -> None:
    """A missing EU key must not silently be the US key: its payments would land in the wrong account."""
    with pytest.raises(ConfigurationError) as told:
        build(
            "stripe,stripe_eu=stripe:EU_", {name: value for name, value in ENV.items() if "EU_" not in name}
        )
    assert told.value.missing == ["EU_STRIPE_SECRET_KEY", "EU_STRIPE_WEBHOOK_SECRET"]


def test_everything_wrong_is_told_at_once_by_name_and_never_by_value() -> None:
    env: dict[str, Any] = {
        "STRIPE_SECRET_KEY": "pk_live_not_a_secret_key",
        "STRIPE_WEBHOOK_SECRET": "whsec_1",
        "STRIPE_API_BASE": "http://stripe.example.com",
        "STRIPE_API_VERSION": "2019-01-01",
    }
    with pytest.raises(ConfigurationError) as told:
        build("stripe,stripe_eu=stripe:EU_", env)
    assert set(told.value.invalid) == {"STRIPE_SECRET_KEY", "STRIPE_API_BASE", "STRIPE_API_VERSION"}
    assert told.value.missing == ["EU_STRIPE_SECRET_KEY", "EU_STRIPE_WEBHOOK_SECRET"]
    assert "pk_live" not in str(told.value)


def test_a_provider_that_is_built_in_python_says_so(install: Install) -> None:
    install("acme-payments", "acme_five", PLUGIN, acme="acme_five:Acme")
    with pytest.raises(ConfigurationError, match="built in Python"):
        build("acme", {})


def test_a_providers_sdk_is_quiet_from_the_moment_its_class_is_there() -> None:
    name = "acme_sdk.wire"
    assert logging.getLogger(name).isEnabledFor(logging.WARNING)

    class Acme(PaymentProvider):
        loggers: ClassVar[tuple[str, ...]] = (name,)

    assert logging.getLogger(name).level == logging.WARNING
    logging.getLogger(name).setLevel(logging.DEBUG)  # as an SDK does when it is imported
    quiet_vendor_loggers()  # as the transport does before it sends
    assert logging.getLogger(name).level == logging.WARNING
