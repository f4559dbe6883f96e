"""Who is asking: from a request to a Principal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import AuthBridge, Authenticator, Heard, Who

if TYPE_CHECKING:
    from .binding import Binding
    from .credentials import Carriers
    from .flowless import Flowless
    from .sessions import FlowlessLogin
    from .tokens import TokenLogin

__all__ = [
    "AuthBridge",
    "Authenticator",
    "Binding",
    "Carriers",
    "Flowless",
    "FlowlessLogin",
    "Heard",
    "TokenLogin",
    "Who",
]

_WHERE = {
    "Binding": "binding",
    "Carriers": "credentials",
    "Flowless": "flowless",
    "FlowlessLogin": "sessions",
    "TokenLogin": "tokens",
}


def __getattr__(name: str) -> Any:
    # An application with a login of its own pays for none of the others.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
