"""
What applications and plugin authors import in their own tests.

    with bridge() as shop: ...                 a whole bridge, without a network, a database or an extra
    class TestAcme(ProviderConformance): ...   does a provider hold what the engine relies on?
    class TestMyStore(StoreConformance): ...   does a store?
    class TestMyMount(MountConformance): ...   does a mount for another framework?

Each is loaded at the first use of its name. The fixtures `practice_bridge` and `make_practice_bridge` of
`bridge_payments.testing.plugin` are there for every test of an environment that has this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .mounts import MountConformance
    from .practice import PracticeBridge, bridge
    from .providers import (
        GatewayControl,
        HttpGateway,
        Instruction,
        Moved,
        NotChecked,
        ProviderConformance,
    )
    from .stores import StoreConformance

__all__ = [
    "GatewayControl",
    "HttpGateway",
    "Instruction",
    "MountConformance",
    "Moved",
    "NotChecked",
    "PracticeBridge",
    "ProviderConformance",
    "StoreConformance",
    "bridge",
]

_FROM: Final = {
    "MountConformance": ".mounts",
    "PracticeBridge": ".practice",
    "StoreConformance": ".stores",
    "bridge": ".practice",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM.get(name, ".providers"), __name__), name)
