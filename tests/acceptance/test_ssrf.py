"""An endpoint's address is typed by somebody: whatever it is, no delivery connects into a private network."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from bridge_payments.models import Event, new_id, utc_now
from bridge_payments.stores.memory import MemoryStore
from bridge_payments.transport import Transport
from bridge_payments.webhooks import Endpoint, WebhookDispatcher

pytestmark = pytest.mark.anyio

PORT = 8099

LITERALS = """
127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7f.1 0x7f.0x0.0x0.0x1 0177.0.0.1 0177.1
017700000001 00000177.0.0.1 0 0.0.0.0 0x0 localhost LOCALHOST localhost. ip6-localhost
10.0.0.1 10.255.255.255 0xa.0.0.1 012.0.0.1 167772161 172.16.0.1 172.31.255.255 192.168.0.1 192.168.1.254
0xc0a80001 3232235521 0300.0250.0.1 100.64.0.1 100.127.255.255 169.254.169.254 169.254.0.1 0xa9fea9fe
2852039166 0251.0376.0251.0376 168.63.129.16 192.0.0.192 192.88.99.1 198.18.0.1 203.0.113.5 224.0.0.1
239.255.255.250 240.0.0.1 255.255.255.255 100.100.100.200
[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:0:7f00:1] [::127.0.0.1] [::7f00:1]
[64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:a9fe:a9fe::] [2002:c0a8:1::]
[2001:0:7f00:1::] [2001:db8::1] [fe80::1] [fe80::1%25lo] [fec0::1] [fc00::1] [fd00:ec2::254] [ff02::1]
[ff05::2] [100::1] [3fff::1] [5f00::1]
①②⑦.0.0.1 127。0。0。1 １２７.0.0.1 %31%32%37.0.0.1 127.0.0.1%00.shop.example
user:word@127.0.0.1 shop.example@127.0.0.1 shop.example:80@127.0.0.1 shop.example%40127.0.0.1
""".split()  # noqa: RUF001 - digits that a browser would read

NAMES = {
    "one-private.example": [["93.184.216.34", "127.0.0.1"]],
    "six.example": [["2606:4700::1111", "::1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "metadata.example": [["169.254.169.254"]],
    "wildcard.127.0.0.1.example": [["127.0.0.1"]],
    "empty.example": [[]],
    "rebinding.example": [["127.0.0.1"], ["93.184.216.34"]],
}
URLS = [
    *(f"http://{host}:{PORT}/hook" for host in (*LITERALS, *NAMES)),
    *(f"https://{host}/hook" for host in ("127.0.0.1", "[::1]", "169.254.169.254", "localhost")),
    "http://127.0.0.1/latest/meta-data/",
    f"http://127.0.0.1:{PORT}#@shop.example/",
    f"http://127.0.0.1:{PORT}/?@shop.example",
    f"http:\\\\127.0.0.1:{PORT}\\",
    f"http://shop.example\\@127.0.0.1:{PORT}/",
    f"HTTP://127.0.0.1:{PORT}/",
    "file:///etc/passwd",
    f"gopher://127.0.0.1:{PORT}/_x",
    "http://",
    "http:///hook",
]


class Trap:
    """Stands where a socket would connect, and where DNS would answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connected: list[Any] = []
        self.asked: list[str] = []
        self.answers: dict[str, list[list[str]]] = {}
        trap, real = self, socket.getaddrinfo

        async def sock_connect(loop: Any, sock: socket.socket, address: Any) -> None:
            trap.connected.append(address)
            raise ConnectionRefusedError

        def getaddrinfo(host: Any, port: Any, *more: Any, **options: Any) -> list[Any]:
            name = host.decode() if isinstance(host, bytes) else str(host)
            trap.asked.append(name)
            if name not in trap.answers:
                return real(host, port, *more, **options)
            left = trap.answers[name]
            found = left.pop(0) if len(left) > 1 else left[0]
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            family = {True: socket.AF_INET6, False: socket.AF_INET}
            return [(family[":" in ip], socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

        monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", sock_connect)
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
async def trap(monkeypatch: pytest.MonkeyPatch) -> Trap:
    trap = Trap(monkeypatch)
    trap.answers = {name: [list(each) for each in answers] for name, answers in NAMES.items()}
    return trap


async def told(url: str, **options: Any) -> str | None:
    """Try to tell one event to *url*; return what is on record of the attempt."""
    store = MemoryStore()
    webhooks = WebhookDispatcher(store, **options)
    try:
        await webhooks.stored.create(name="x", url=url, events=["*"])
    except Exception as refused:  # noqa: BLE001 - refused before anything is sent is best of all
        return f"not kept: {type(refused).__name__}"
    await store.run(
        lambda unit: unit.events.add(Event(id=new_id("evt"), type="payment.success", created_at=utc_now()))
    )
    await webhooks.run_once()
    await webhooks.aclose()
    (delivery,) = await store.run(lambda unit: unit.deliveries.list())
    return delivery.error


async def test_no_hostile_address_gets_a_connection(trap: Trap, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for url in URLS:
        said[url] = await told(url)
        assert trap.connected == [], url
    assert len(URLS) >= 60
    assert {url for url, error in said.items() if error is None} == set(), "each attempt failed, and says so"
    refused = sum("not public" in (error or "") for error in said.values())
    assert refused > 60, "most of them were resolved, looked at and refused"
    kept = sum("not kept" in (error or "") for error in said.values())
    figures = f"{len(URLS)} hostile addresses, {refused} refused when resolved, {kept} when stored"
    with capsys.disabled():
        sys.stdout.write(f"\nssrf: {figures}, {len(trap.connected)} connections\n")


async def test_the_trap_would_have_noticed(trap: Trap) -> None:
    assert await told(f"http://127.0.0.1:{PORT}/", allow_hosts=["127.0.0.1"]) == "not sent: ConnectError"
    assert trap.connected == [("127.0.0.1", PORT)]


async def test_a_name_that_is_public_when_checked_is_connected_to_where_it_was_checked(trap: Trap) -> None:
    """A rebinding resolver: public for the first question, loopback for every one after it."""
    trap.answers["rebinding.example"] = [["93.184.216.34"], ["127.0.0.1"]]
    assert await told(f"http://rebinding.example:{PORT}/") == "not sent: ConnectError"
    assert trap.asked.count("rebinding.example") == 1
    assert {address[0] for address in trap.connected} == {"93.184.216.34"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_into_the_private_network_is_followed_by_nobody(status: int) -> None:
    """On real sockets: the endpoint is allowed, what it points to is another server on this machine."""
    visits: list[str] = []

    def serving(name: str, answer: bytes) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            visits.append(name)
            writer.write(answer)
            await writer.drain()
            writer.close()

        return asyncio.start_server(serve, "127.0.0.1", 0)

    inside = await serving("inside", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    target = f"http://127.0.0.1:{inside.sockets[0].getsockname()[1]}/secrets"
    answer = f"HTTP/1.1 {status} Moved\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode()
    outside = await serving("outside", answer)
    url = f"http://127.0.0.1:{outside.sockets[0].getsockname()[1]}/hook"
    transport = Transport(public_only=True, allow_hosts=["127.0.0.1"])
    assert await told(url, transport=transport) == f"redirect {status} is not followed"
    await transport.aclose()
    inside.close()
    outside.close()
    assert visits == ["outside"]


async def test_a_configured_endpoint_is_guarded_like_a_stored_one(trap: Trap) -> None:
    store = MemoryStore()
    endpoint = Endpoint(name="x", url=f"http://localhost:{PORT}/", events=("*",))
    webhooks = WebhookDispatcher(store, endpoints=[endpoint])
    await webhooks.stored.send_test("x")
    await webhooks.run_once()
    await webhooks.aclose()
    (delivery,) = await store.run(lambda unit: unit.deliveries.list())
    assert (delivery.error, trap.connected) == ("not sent: the address is not public", [])
