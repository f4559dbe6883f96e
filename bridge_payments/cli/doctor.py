"""bridge-payments doctor: what is wrong with this installation, or will be on a bad day."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from ..bridge import Bridge
from ..errors import BridgeError, ConfigurationError
from ..models import DeliveryState, InboxState, utc_now
from ..providers import registry
from ..settings import Settings
from ..stores.base import Store, Unit
from ..transport import Transport
from ..webhooks import Endpoint, EndpointKind, endpoints_from_settings
from ..webhooks.signing import is_weak
from .application import add_app_option, load_bridge, open_store
from .console import FAILED, OK, add_json_option, execute, show
from .worker import refuse_skew

__all__ = ["HELP", "configure", "run"]

HELP = "look for what is wrong with this installation"

_OVERDUE = timedelta(minutes=30)
_MANY = 1000
_RECENT = 20


class Finding(NamedTuple):
    where: str
    verdict: str
    """ok, warning or wrong."""
    what: str


def configure(parser: ArgumentParser) -> None:
    add_app_option(parser)
    add_json_option(parser)


def run(arguments: Namespace) -> int:
    """Changes nothing and sends nothing; exits with 1 if something is wrong, warnings are not."""
    return execute(_examine(arguments))


async def _examine(arguments: Namespace) -> int:
    findings = [finding async for finding in _all(arguments)]
    show([finding._asdict() for finding in findings], as_json=arguments.json)
    return FAILED if any(finding.verdict == "wrong" for finding in findings) else OK


async def _all(arguments: Namespace) -> AsyncIterator[Finding]:
    bridge: Bridge | None = None
    try:
        if arguments.app:
            bridge = load_bridge(arguments)
            settings = bridge.settings
        else:
            settings = Settings.from_env(os.environ)
    except ConfigurationError as error:
        for problem in _problems(error):
            yield Finding("settings", "wrong", problem)
        return
    for finding in _of_settings(settings, approves=bridge is not None and bridge.engine.approve is not None):
        yield finding
    versions: dict[str, str] = {}
    for finding in _of_accounts(settings, bridge, versions):
        yield finding
    for finding in _of_endpoints(settings, bridge):
        yield finding
    try:
        async with open_store(arguments) as store:
            async for finding in _of_database(store, versions):
                yield finding
    except BridgeError as error:
        yield Finding("database", "wrong", str(error))


def _problems(error: ConfigurationError) -> list[str]:
    told = [f"{name} is missing" for name in error.missing]
    told += [f"{name} {why}" for name, why in sorted(error.invalid.items())]
    return told or [error.message]


def _of_settings(settings: Settings, *, approves: bool) -> Iterator[Finding]:
    yield Finding("settings", "ok", "readable")
    if not approves:
        yield Finding(
            "settings",
            "warning",
            "no approve hook: browsers choose the price of what they pay (--app examines your application's)",
        )
    if settings.environment == "production":
        if settings.allow_sandbox:
            yield Finding("settings", "wrong", "ALLOW_SANDBOX in production: payments that move no money")
        if settings.webhook_allow_hosts:
            yield Finding(
                "settings", "warning", "BRIDGE_WEBHOOK_ALLOW_HOSTS in production opens your network"
            )


def _of_accounts(settings: Settings, bridge: Bridge | None, versions: dict[str, str]) -> Iterator[Finding]:
    """Examine accounts; note in *versions* in which version of its API each one speaks."""
    modes: dict[str, bool | None] = {}
    if bridge is not None:
        modes = {name: bridge.engine.provider(name).livemode for name in bridge.engine.provider_ids}
        versions |= {
            name: provider.api_version
            for name, provider in bridge.engine.providers.items()
            if provider.api_version is not None
        }
    for account in () if bridge else settings.enabled_providers:
        try:
            built = registry.build([account], os.environ, transport=Transport())
        except ConfigurationError as error:
            for problem in _problems(error):
                yield Finding(f"account {account.id}", "wrong", problem)
            continue
        provider = built[account.id]
        if provider.sandbox_only and not settings.allow_sandbox:
            yield Finding(
                f"account {account.id}", "wrong", "moves no real money: it needs ALLOW_SANDBOX=true"
            )
        modes[account.id] = provider.livemode
        if provider.api_version is not None:
            versions[account.id] = provider.api_version
    words = {True: "live", False: "test mode", None: "mode not told by its credentials"}
    for account_id, mode in modes.items():
        yield Finding(f"account {account_id}", "ok", f"complete, {words[mode]}")
    if {True, False} <= set(modes.values()):
        yield Finding("accounts", "warning", "live and test accounts side by side in one installation")


def _of_endpoints(settings: Settings, bridge: Bridge | None) -> Iterator[Finding]:
    try:
        endpoints = bridge.webhooks.endpoints if bridge else endpoints_from_settings(settings)
    except ConfigurationError as error:
        yield Finding("webhooks", "wrong", str(error))
        return
    for endpoint in endpoints:
        weaknesses = list(_weaknesses(endpoint))
        for weakness in weaknesses:
            yield Finding(f"endpoint {endpoint.name}", "warning", weakness)
        if not weaknesses:
            yield Finding(
                f"endpoint {endpoint.name}", "ok", f"{endpoint.kind}, {len(endpoint.schedule)} tries"
            )


def _weaknesses(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.url is not None and urlsplit(endpoint.url).scheme != "https":
        yield "its address is not https: what is sent can be read and changed on the way"
    if endpoint.kind is EndpointKind.GENERIC and not endpoint.secrets:
        yield "it has no secret: nobody there can tell our events from anybody's"
    if any(is_weak(secret) for secret in endpoint.secrets):
        yield "its secret is shorter than 24 bytes"


def _drift(unit: Unit, versions: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the versions in which recent webhooks came, where they are not the one that an account reads."""
    found: dict[str, list[str]] = {}
    for account_id, ours in versions.items():
        entries = unit.inbox.list(provider_id=account_id, limit=_RECENT)
        seen = {entry.api_version for entry in entries if entry.api_version is not None}
        if others := sorted(seen - {ours}):
            found[account_id] = others
    return found


async def _of_database(store: Store, versions: Mapping[str, str]) -> AsyncIterator[Finding]:
    await store.check()
    yield Finding("database", "ok", "reachable, schema of this release, or a newer one that it can use")
    try:
        skew = await refuse_skew(store)
        yield Finding("database", "ok", f"clock differs by {skew:+.2f} s")
    except BridgeError as error:
        yield Finding("database", "wrong", str(error))
    for hint in await store.hints():
        yield Finding("database", "warning", hint)

    drifted = await store.run(lambda unit: _drift(unit, versions), write=False)
    for account_id, seen in drifted.items():
        yield Finding(
            f"account {account_id}",
            "warning",
            f"its webhooks come in version {', '.join(seen)}, we read {versions[account_id]}: objects are "
            "read again in ours; set the version of the endpoint at the provider to it",
        )
    for health in await store.run(lambda unit: unit.endpoints.health(), write=False):
        if health.disabled_at is not None:
            yield Finding(
                f"endpoint {health.endpoint}",
                "warning",
                f"switched off ({health.disabled_reason}): endpoints on {health.endpoint}",
            )
        elif health.failing_since is not None:
            since = health.failing_since.isoformat(timespec="minutes")
            yield Finding(
                f"endpoint {health.endpoint}", "warning", f"failing since {since}, {health.failures} times"
            )

    def look(unit: Unit) -> tuple[int, int, int]:
        open_operations = unit.operations.list_open(limit=_MANY)
        return (
            sum(operation.created_at < utc_now() - _OVERDUE for operation in open_operations),
            len(unit.inbox.list(state=InboxState.DEAD, limit=_MANY)),
            len(unit.deliveries.list(state=DeliveryState.DEAD, limit=_MANY)),
        )

    overdue, unread, untold = await store.run(look, write=False)
    if overdue:
        yield Finding("work", "warning", f"{overdue} operations open for over 30 minutes: unknown list")
    if unread:
        yield Finding("work", "warning", f"{unread} received webhooks given up: webhooks list --state dead")
    if untold:
        yield Finding("work", "warning", f"{untold} deliveries given up: webhooks deliveries --state dead")
