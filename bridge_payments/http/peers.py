"""Who is at the other end of the connection, when proxies of ours stand in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Proxies"]

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
