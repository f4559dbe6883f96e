"""Which addresses are public: by an explicit list, because `ipaddress.is_global` differs between Pythons."""

from __future__ import annotations

import ipaddress
from typing import Final

__all__ = ["not_public", "refusal"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_PUBLIC_V4: Final = tuple(
    (ipaddress.IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "the Azure host"),
        ("169.254.0.0/16", "link-local, cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved, broadcast"),
    )
)

_GLOBAL_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
"""All that is assigned for the public Internet. Loopback, link-local, unique-local, multicast, IPv4-mapped
and NAT64 addresses lie outside, and so will whatever is invented next."""

_NOT_PUBLIC_V6: Final = tuple(
    (ipaddress.IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "protocol assignments, Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
    )
)


def not_public(address: str) -> str | None:
    """Return why *address* may not be called by an outgoing webhook, or None if it is public."""
    try:
        parsed: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "not an address"
    if isinstance(parsed, ipaddress.IPv4Address):
        return next((why for network, why in _NOT_PUBLIC_V4 if parsed in network), None)
    if parsed not in _GLOBAL_UNICAST_V6:
        return "outside the public Internet"
    return next((why for network, why in _NOT_PUBLIC_V6 if parsed in network), None)


def refusal(host: str, addresses: list[str]) -> str | None:
    """Return why *host* is refused, or None. One address that is not public refuses them all."""
    for address in addresses:
        if why := not_public(address):
            return f"{host} is at an address that is not public ({why})"
    return None if addresses else f"{host} has no address"
