"""Who is at the other end of the connection, when proxies of ours stand in between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

__all__ = ["Proxies"]

_PREFIX: Final = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~%@:+-]+){1,16}")
"""Segments of a path; ``//host`` would name somebody else's."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies that are believed. Without any, the connection's own address is the caller."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, names: Iterable[str]) -> Proxies:
        """Read addresses and networks: ``10.0.0.0/8``, ``::1``."""
        return cls(tuple(ip_network(name.strip(), strict=False) for name in names if name.strip()))

    def seen(self, peer: str | None, scheme: str, headers: Mapping[str, str]) -> tuple[str | None, str]:
        """Return the caller's address and scheme.

        X-Forwarded-For is read from its end, the part that our own proxies wrote: the first address that is
        not one of them is the caller. What stands before it, anybody may have made up.
        """
        if not self.networks or peer is None or not self._trusts(peer):
            return peer, scheme
        forwarded = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        scheme = forwarded if forwarded in ("http", "https") else scheme
        for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
            if (address := _address(hop)) is None:
                break
            peer = str(address)
            if not self._trusts(peer):
                break
        return peer, scheme

    def prefix(self, peer: str | None, headers: Mapping[str, str], inside: str) -> str:
        """Return where callers see the mount, which the application knows as *inside*.

        A proxy that takes a prefix off each path says which in X-Forwarded-Prefix. A server that was told of
        it, too, has it in *inside* already: it is not there twice.
        """
        if not self.networks or peer is None or not self._trusts(peer):
            return inside
        outer = headers.get("x-forwarded-prefix", "").rpartition(",")[2].strip().rstrip("/")
        if not _PREFIX.fullmatch(outer) or f"{inside}/".startswith(f"{outer}/"):
            return inside
        return outer + inside

    def _trusts(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in network for network in self.networks)


def _address(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
