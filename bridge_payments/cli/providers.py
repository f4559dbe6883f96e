"""bridge-payments providers: which kinds are installed, which accounts are enabled, what each can do."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from ..errors import BridgeError
from ..models import Verb
from ..providers import registry
from ..providers.base import Capability, PaymentProvider
from ..settings import Settings
from .console import FAILED, OK, add_json_option, show

__all__ = ["HELP", "configure", "run"]

HELP = "installed kinds, enabled accounts, and what each can do"


def configure(parser: ArgumentParser) -> None:
    add_json_option(parser)


def run(arguments: Namespace) -> int:
    """Works without any credential; an account is only built by doctor."""
    rows, code = [], OK
    for kind in registry.available():
        try:
            rows.append(_row(kind, registry.load(kind)))
        except BridgeError as error:
            rows.append(_row(kind, None, problem=str(error)))
            code = FAILED if _accounts(kind) else code
    show(rows, as_json=arguments.json, empty="no provider is installed")
    return code


def _row(
    kind: str, provider: type[PaymentProvider] | None, *, problem: str | None = None
) -> dict[str, object]:
    every = (*Verb, *Capability)
    can = [ability.value for ability in every if provider is not None and provider.supports(ability)]
    return {
        "kind": kind,
        "accounts": _accounts(kind),
        "problem": problem,
        "cannot": [ability.value for ability in every if ability.value not in can] if provider else [],
        "can": can,
    }


def _accounts(kind: str) -> list[str]:
    """The ids of ENABLED_PROVIDERS that are of this kind; an environment that cannot be read has none."""
    try:
        settings = Settings.from_env(os.environ)
    except BridgeError:
        return []
    return [account.id for account in settings.enabled_providers if account.kind == kind]
