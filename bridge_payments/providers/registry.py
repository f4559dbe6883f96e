"""Which kinds of provider are installed, and the accounts of this application built from its environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from ..errors import ConfigurationError, MissingExtra
from ..settings import ProviderAccount, parse_accounts
from ..transport import Transport
from .base import PaymentProvider

__all__ = ["GROUP", "ProviderAccount", "available", "build", "load", "parse_accounts"]

GROUP: Final = "bridge_payments.providers"
_OURS: Final = "bridge-payments"


def available() -> tuple[str, ...]:
    """Return the kinds that are installed, in order. Imports none of them."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def load(kind: str) -> type[PaymentProvider]:
    """Import one kind of provider, and nothing of the others.

    Raises: ConfigurationError (unknown, claimed twice, not a provider), MissingExtra.
    """
    points = _distinct(entry_points(group=GROUP, name=kind))
    if not points:
        known = ", ".join(available()) or "none"
        raise ConfigurationError(
            f"No provider is called {kind!r} (installed: {known}). Install the package that brings it,"
            " or correct ENABLED_PROVIDERS"
        )
    if len(points) > 1:
        raise ConfigurationError(
            f"{len(points)} packages bring a provider called {kind!r}: {', '.join(map(_origin, points))}."
            " Uninstall all but one: pip uninstall <package>"
        )
    return _checked(kind, points[0], _import(kind, points[0]))


def build(
    accounts: Iterable[ProviderAccount], env: Mapping[str, str], *, transport: Transport
) -> dict[str, PaymentProvider]:
    """Build every account; each sees the environment with its own prefix taken off.

    Everything that is missing or wrong is told at once, under the names that the environment uses.

    Raises: ConfigurationError, MissingExtra.
    """
    built: dict[str, PaymentProvider] = {}
    missing: list[str] = []
    invalid: dict[str, str] = {}
    for account in accounts:
        if account.id in built:
            raise ConfigurationError(invalid={"ENABLED_PROVIDERS": f"names {account.id} twice"})
        provider = load(account.kind)
        try:
            built[account.id] = provider.from_env(_unprefixed(env, account.prefix), transport=transport)
        except MissingExtra:
            raise
        except ConfigurationError as error:
            if not error.missing and not error.invalid:
                raise
            missing += [account.prefix + name for name in error.missing]
            invalid |= {account.prefix + name: why for name, why in error.invalid.items()}
        except NotImplementedError:
            invalid["ENABLED_PROVIDERS"] = f"{account.kind} is built in Python, not from the environment"
    if missing or invalid:
        raise ConfigurationError(missing=missing, invalid=invalid)
    return built


def _unprefixed(env: Mapping[str, str], prefix: str) -> Mapping[str, str]:
    """Return what the account may read: with a prefix, only its own variables."""
    if not prefix:
        return env
    return {name.removeprefix(prefix): value for name, value in env.items() if name.startswith(prefix)}


def _import(kind: str, point: EntryPoint) -> object:
    absent = ConfigurationError(f"The provider {kind!r} is announced as {point.value}, which is not there")
    try:
        return point.load()
    except AttributeError:
        raise absent from None
    except ModuleNotFoundError as error:
        module = error.name or ""
    if f"{point.module}.".startswith(f"{module}."):
        raise absent
    if _origin(point) == _OURS:
        raise MissingExtra(point.extras[0] if point.extras else kind, needed_for=f"the provider {kind}")
    raise ConfigurationError(
        f"The provider {kind!r} of {_origin(point)} needs the module {module!r}:"
        " install the package that has it"
    )


def _checked(kind: str, point: EntryPoint, found: object) -> type[PaymentProvider]:
    if not (isinstance(found, type) and issubclass(found, PaymentProvider)):
        raise ConfigurationError(
            f"{point.value} ({_origin(point)}) is no PaymentProvider: derive its class from"
            " bridge_payments.providers.base.PaymentProvider"
        )
    if getattr(found, "kind", None) != kind:
        raise ConfigurationError(
            f"{point.value} ({_origin(point)}) is announced as {kind!r} and says that it is"
            f" {getattr(found, 'kind', None)!r}: set kind = {kind!r}, or rename the entry point"
        )
    return found


def _distinct(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Drop copies: one package that is seen twice, as an editable install and on the path, is one."""
    return list({(point.value, _origin(point)): point for point in points}.values())


def _origin(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown package"
