"""A webhook endpoint is a URL that somebody typed: it must not lead into the operator's own network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from bridge_payments.transport import AddressRefused, Transport, never_sent, wire
from bridge_payments.transport.addresses import not_public, refusal

PUBLIC = (
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "2606:4700::1111",
)
NOT_PUBLIC = (
    "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 100.100.100.200 127.0.0.1 127.255.255.254 "
    "168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.192 192.0.2.1 192.88.99.1 "
    "192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 "
    "255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 "
    "64:ff9b:1::1 100::1 2001::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1 "
    "2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1"
).split()


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert not_public(address) is None


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_other_kind_of_address_is_refused(address: str) -> None:
    assert not_public(address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3", "127.0.0.1.", "::g"]
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    assert not_public(text)


def test_the_list_refuses_at_least_what_this_python_calls_private() -> None:
    for first in range(256):
        for rest in ("0.0.1", "0.0.0", "16.0.1", "64.0.1", "88.99.1", "168.1.1", "254.1.1", "255.255.255"):
            address = ipaddress.ip_address(f"{first}.{rest}")
            if not address.is_global or address.is_multicast:
                assert not_public(str(address)), address


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    assert refusal("shop.example", ["8.8.8.8", "10.0.0.1"])
    assert refusal("shop.example", ["8.8.8.8", "2606:4700::1111"]) is None
    assert refusal("shop.example", [])


# --- over the wire ---------------------------------------------------------------------------------

Start = Callable[[Callable[[Any], None]], Any]


@pytest.fixture
async def guarded() -> AsyncIterator[Transport]:
    transport = Transport(connect_timeout=5, total_timeout=10, public_only=True)
    yield transport
    await transport.aclose()


SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1%25lo]",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "１２７.0.0.1",  # noqa: RUF001 - what a browser would read as 127
    "%31%32%37.0.0.1",
    "user:word@127.0.0.1",
]


@pytest.mark.anyio
@pytest.mark.parametrize("host", SPELLINGS)
async def test_loopback_is_refused_in_every_spelling(
    hostile: Start, ok: Any, guarded: Transport, host: str
) -> None:
    server = hostile(ok)

    with pytest.raises((httpx.ConnectError, httpx.InvalidURL)) as caught:
        await guarded.request("POST", f"http://{host}:{server.port}/hook", content=b"{}")

    assert never_sent(caught.value)
    assert server.connections == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.1.2.3", "[fd00:ec2::254]"]
)
async def test_a_refused_address_says_so(guarded: Transport, host: str) -> None:
    with pytest.raises(AddressRefused, match="not public"):
        await guarded.request("GET", f"http://{host}/")


def _resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let DNS answer with these, one after the other; return the names that were asked."""
    asked: list[str] = []
    left = list(answers)

    def getaddrinfo(host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        asked.append(str(host))
        found = left.pop(0) if len(left) > 1 else left[0]
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
            for ip in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.anyio
async def test_a_name_with_one_private_address_is_refused(
    hostile: Start, ok: Any, guarded: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hostile(ok)
    _resolving(monkeypatch, ["93.184.216.34", "127.0.0.1"])

    with pytest.raises(
        AddressRefused, match=r"hooks\.example is at an address that is not public \(loopback\)"
    ):
        await guarded.request("POST", f"http://hooks.example:{server.port}/")

    assert server.connections == 0


@pytest.mark.anyio
async def test_a_name_is_looked_up_once_so_it_cannot_change_after_the_check(
    hostile: Start, ok: Any, guarded: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is checked, loopback when it is connected to."""
    server = hostile(ok)
    asked = _resolving(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])

    with pytest.raises(httpx.ConnectError):  # this test may not leave the machine, and so the connect fails
        await guarded.request("POST", f"http://hooks.example:{server.port}/", timeout=0.5)

    assert asked == ["hooks.example"]
    assert server.connections == 0


@pytest.mark.anyio
async def test_the_socket_is_a_second_wall_should_the_look_up_ever_be_passed_by(
    hostile: Start, ok: Any, guarded: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hostile(ok)
    monkeypatch.setattr(wire, "refusal", lambda host, addresses: None)

    for host in ("localhost", "127.0.0.1"):
        with pytest.raises(httpx.ConnectError):
            await guarded.request("POST", f"http://{host}:{server.port}/")

    assert server.connections == 0


@pytest.mark.anyio
async def test_an_allowed_host_is_reached_and_allows_no_other(hostile: Start, ok: Any) -> None:
    server = hostile(ok)
    transport = Transport(public_only=True, allow_hosts=["LocalHost"])

    assert (await transport.request("POST", f"http://localhost:{server.port}/")).status_code == 200
    with pytest.raises(AddressRefused):
        await transport.request("POST", f"http://127.0.0.1:{server.port}/")

    await transport.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "unix:/run/x"]
)
async def test_only_http_is_spoken(guarded: Transport, url: str) -> None:
    with pytest.raises((httpx.TransportError, httpx.InvalidURL)) as caught:
        await guarded.request("GET", url)

    assert never_sent(caught.value)


@pytest.mark.anyio
async def test_the_path_of_a_webhook_is_not_told_to_whoever_watches(hostile: Start, ok: Any) -> None:
    """The path of a chat webhook is its whole secret."""
    from bridge_payments.seam import watched

    server = hostile(ok)
    transport = Transport(public_only=True, allow_hosts=["127.0.0.1"])
    seen: list[str] = []

    with watched(lambda point, what: seen.append(what)):
        await transport.request("POST", f"{server.url}/services/T0/B0/hushhush")

    assert seen == ["POST 127.0.0.1/…"] * 2
    await transport.aclose()
