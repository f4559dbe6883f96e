"""What the transport says of a request must be true: a wrong "never sent" charges a payer twice."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge_payments.errors import ConfigurationError
from bridge_payments.seam import watched
from bridge_payments.settings import Settings
from bridge_payments.transport import AddressRefused, Transport, never_sent

pytestmark = pytest.mark.anyio

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'
Start = Callable[[Callable[[Any], None]], Any]


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport(connect_timeout=5, total_timeout=10)
    yield transport
    await transport.aclose()


# --- after the first byte: the outcome is unknown, and nobody asks again ---------------------------


def accept_and_hang(caller: Any) -> None:
    caller.hang()


def read_and_hang(caller: Any) -> None:
    caller.read()
    caller.hang()


def read_and_close(caller: Any) -> None:
    caller.read()


def read_and_reset(caller: Any) -> None:
    caller.read()
    caller.reset()


def close_at_once(caller: Any) -> None:
    caller.close()


def half_a_header(caller: Any) -> None:
    caller.read()
    caller.send(b"HTTP/1.1 200 OK\r\nContent-Le")


def half_a_header_and_hang(caller: Any) -> None:
    half_a_header(caller)
    caller.hang()


def half_a_body(caller: Any) -> None:
    caller.read()
    caller.send(OK[:-5])


def half_a_body_and_hang(caller: Any) -> None:
    half_a_body(caller)
    caller.hang()


def half_a_body_and_reset(caller: Any) -> None:
    half_a_body(caller)
    caller.reset()


def half_a_chunk(caller: Any) -> None:
    caller.read()
    caller.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{}")


def garbage(caller: Any) -> None:
    caller.read()
    caller.send(b"\x15\x03\x01 no, this is something else\r\n\r\n")


def too_large(caller: Any) -> None:
    caller.read()
    caller.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
    while True:
        caller.send(b"x" * 65536)


BOMB = gzip.compress(b"x" * 20_000_000)


def bomb(caller: Any) -> None:
    caller.read()
    caller.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)


def not_gzip(caller: Any) -> None:
    caller.read()
    caller.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain")


def slow_drip(caller: Any) -> None:
    caller.read()
    caller.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not caller._server.stopped.wait(0.05):
        caller.send(b"x")


UNKNOWN = {
    accept_and_hang: httpx.ReadTimeout,
    read_and_hang: httpx.ReadTimeout,
    read_and_close: httpx.RemoteProtocolError,
    read_and_reset: (httpx.ReadError, httpx.RemoteProtocolError),
    close_at_once: (httpx.ReadError, httpx.RemoteProtocolError),
    half_a_header: httpx.RemoteProtocolError,
    half_a_header_and_hang: httpx.ReadTimeout,
    half_a_body: httpx.RemoteProtocolError,
    half_a_body_and_hang: httpx.ReadTimeout,
    half_a_body_and_reset: (httpx.ReadError, httpx.RemoteProtocolError),
    half_a_chunk: httpx.RemoteProtocolError,
    garbage: httpx.RemoteProtocolError,
    too_large: httpx.RemoteProtocolError,
    bomb: httpx.RemoteProtocolError,
    not_gzip: httpx.RemoteProtocolError,
    slow_drip: httpx.ReadTimeout,
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("script", UNKNOWN, ids=lambda script: script.__name__)
async def test_a_request_that_left_and_got_no_whole_answer_is_unknown_and_reached_the_server_once(
    hostile: Start, transport: Transport, script: Callable[[Any], None], method: str
) -> None:
    server = hostile(script)
    body = b"amount=2000" if method in ("POST", "PUT") else None

    deadline = 0.4 if UNKNOWN[script] is httpx.ReadTimeout else None
    with pytest.raises(UNKNOWN[script]) as caught:
        await transport.request(method, f"{server.url}/charges", content=body, timeout=deadline)

    assert not isinstance(caught.value, NEVER_SENT)
    assert not never_sent(caught.value)
    assert len(server.requests) <= 1
    assert server.connections == 1, "a second connection is a second send"


async def test_a_large_request_cut_off_half_way_is_unknown(hostile: Start, transport: Transport) -> None:
    def read_a_little_and_reset(caller: Any) -> None:
        caller.read_some()
        caller.reset()

    server = hostile(read_a_little_and_reset)

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await transport.request("POST", server.url, content=b"x" * 20_000_000)

    assert server.connections == 1


async def test_cancelling_a_request_leaves_no_connection_that_could_carry_the_late_answer(
    hostile: Start, transport: Transport
) -> None:
    release = threading.Event()

    def answer_late(caller: Any) -> None:
        first = True
        while caller.read():
            if first:
                release.wait(5)
            first = False
            caller.send(OK)

    server = hostile(answer_late)
    task = asyncio.create_task(transport.request("POST", f"{server.url}/first", timeout=5))
    await asyncio.to_thread(server.arrived.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()

    release.set()
    answer = await transport.request("GET", f"{server.url}/second")

    assert answer.status_code == 200
    assert server.connections == 2


# --- before the first byte: never sent -------------------------------------------------------------


async def test_a_refused_connection_is_never_sent(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(httpx.ConnectError) as caught:
        await transport.request("POST", f"http://127.0.0.1:{port}/", content=b"x")

    assert never_sent(caught.value)


async def test_a_name_without_an_address_is_never_sent(transport: Transport) -> None:
    with pytest.raises(NEVER_SENT) as caught:
        await transport.request("POST", "http://nobody.invalid/", content=b"x", timeout=3)

    assert never_sent(caught.value)


async def test_a_server_that_accepts_no_connection_is_a_connect_timeout() -> None:
    transport = Transport(connect_timeout=0.2, total_timeout=5)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(8)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    try:
        started = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout) as caught:
            await transport.request("POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", content=b"x")
    finally:
        for sock in (*fillers, listener):
            sock.close()

    assert never_sent(caught.value)
    assert time.monotonic() - started < 2, "the connect deadline, not the total one"
    await transport.aclose()


async def test_a_full_pool_is_a_pool_timeout_and_opens_nothing(hostile: Start) -> None:
    server = hostile(read_and_hang)
    transport = Transport(connect_timeout=0.5, total_timeout=5, max_connections=1)
    first = asyncio.create_task(transport.request("POST", server.url, content=b"x"))
    await asyncio.to_thread(server.arrived.wait, 5)

    with pytest.raises(httpx.PoolTimeout) as caught:
        await transport.request("POST", server.url, content=b"y")

    assert never_sent(caught.value)
    assert server.connections == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await transport.aclose()


async def test_a_server_that_hangs_in_the_tls_handshake_is_never_sent(
    hostile: Start, transport: Transport
) -> None:
    server = hostile(accept_and_hang)

    with pytest.raises(httpx.ConnectTimeout) as caught:
        await transport.request("POST", server.tls_url, content=b"x", timeout=0.4)

    assert never_sent(caught.value)


@pytest.mark.parametrize("script", [close_at_once, garbage], ids=lambda script: script.__name__)
async def test_a_server_that_does_not_speak_tls_is_never_sent(
    hostile: Start, transport: Transport, script: Callable[[Any], None]
) -> None:
    def answer(caller: Any) -> None:
        if script is garbage:
            caller.read_some()
            caller.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = hostile(answer)

    with pytest.raises(httpx.ConnectError) as caught:
        await transport.request("POST", server.tls_url, content=b"x")

    assert never_sent(caught.value)
    assert server.requests == []


def _tls_server(hostile: Start, pem: Path) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def script(caller: Any) -> None:
        caller.start_tls(context)
        while caller.read():
            caller.send(OK)

    return hostile(script)


@pytest.mark.parametrize("wrong", ["untrusted", "expired", "another name"])
async def test_a_bad_certificate_is_never_sent(
    hostile: Start, certificate: Callable[..., Path], wrong: str
) -> None:
    pem = certificate(
        name="shop.example" if wrong == "another name" else "127.0.0.1", expired=wrong == "expired"
    )
    server = _tls_server(hostile, pem)
    trust = None if wrong == "untrusted" else ssl.create_default_context(cafile=str(pem))
    transport = Transport(connect_timeout=2, total_timeout=3, tls=trust)

    with pytest.raises(httpx.ConnectError, match="certificate") as caught:
        await transport.request("POST", server.tls_url, content=b"secret=1")

    assert never_sent(caught.value)
    assert server.requests == []
    await transport.aclose()


async def test_a_good_certificate_is_accepted(hostile: Start, certificate: Callable[..., Path]) -> None:
    pem = certificate()
    server = _tls_server(hostile, pem)
    transport = Transport(tls=ssl.create_default_context(cafile=str(pem)))

    assert (await transport.request("GET", server.tls_url)).json() == {"ok": True}

    await transport.aclose()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http:///x", "/relative", "http://[::1", "http://a b/"])
async def test_a_url_that_leads_nowhere_is_never_sent(transport: Transport, url: str) -> None:
    with pytest.raises((httpx.TransportError, httpx.InvalidURL)) as caught:
        await transport.request("GET", url)

    assert never_sent(caught.value)


async def test_a_header_with_a_line_break_is_never_sent(
    hostile: Start, ok: Any, transport: Transport
) -> None:
    server = hostile(ok)

    with pytest.raises(httpx.ConnectError) as caught:
        await transport.request("GET", server.url, headers={"Idempotency-Key": "a\r\nX-Admin: yes"})

    assert never_sent(caught.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("x"),
        httpx.WriteError("x"),
        httpx.RemoteProtocolError("x"),
        TimeoutError(),
        OSError(),
        ValueError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_but_a_proof_is_a_proof(error: Exception) -> None:
    assert not never_sent(error)


# --- connections that are used again ---------------------------------------------------------------


async def test_connections_are_reused(hostile: Start, ok: Any, transport: Transport) -> None:
    server = hostile(ok)

    for _ in range(5):
        await transport.request("POST", server.url, content=b"x")

    assert (server.connections, len(server.requests)) == (1, 5)


def _answers_then(last_words: Callable[[Any], None]) -> tuple[Callable[[Any], None], threading.Event]:
    """The first connection answers once and, when told, ends so; every other connection behaves."""
    told, first = threading.Event(), threading.Lock()

    def script(caller: Any) -> None:
        caller.read()
        caller.send(OK)
        if first.acquire(blocking=False):
            told.wait(5)
            last_words(caller)
            return
        while caller.read():
            caller.send(OK)

    return script, told


def _closes(caller: Any) -> None:
    caller.close()


def _resets(caller: Any) -> None:
    caller.reset()


def _says_408_and_closes(caller: Any) -> None:
    caller.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    caller.close()


def _says_what_nobody_asked(caller: Any) -> None:
    caller.send(b"HTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "last_words", [_closes, _resets, _says_408_and_closes, _says_what_nobody_asked], ids=lambda f: f.__name__
)
async def test_a_connection_that_ended_while_idle_is_replaced_before_anything_is_sent(
    hostile: Start, transport: Transport, last_words: Callable[[Any], None], method: str
) -> None:
    """Whatever a server says on an idle connection must not become the answer to the next charge."""
    script, told = _answers_then(last_words)
    server = hostile(script)
    await transport.request("POST", f"{server.url}/first", content=b"x")

    told.set()
    server.finished.acquire(
        timeout=5
    )  # blocks the loop on purpose: it must not have looked before the next send
    answer = await transport.request(method, f"{server.url}/second")

    assert answer.status_code == 200
    assert len(server.requests) == 2
    assert sum(b"/second" in request for request in server.requests) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_reused_connection_that_breaks_after_the_send_is_unknown_and_not_repeated(
    hostile: Start, transport: Transport, method: str
) -> None:
    """HTTP clients repeat a GET, PUT or DELETE here by themselves; a payment library does not."""

    def answer_once_then_read_and_close(caller: Any) -> None:
        caller.read()
        caller.send(OK)
        caller.read()

    server = hostile(answer_once_then_read_and_close)
    await transport.request("GET", f"{server.url}/first")

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
        await transport.request(method, f"{server.url}/second")

    assert not never_sent(caught.value)
    assert len(server.requests) == 2
    assert server.connections == 1


# --- what is sent, and what comes back -------------------------------------------------------------


async def test_a_request_goes_out_as_it_was_given(hostile: Start, ok: Any, transport: Transport) -> None:
    server = hostile(ok)

    await transport.request(
        "POST",
        f"{server.url}/v1/a%2Fb?q=%20x",
        headers={"Idempotency-Key": "k-1", "Content-Type": "application/xml"},
        content=b"<a/>",
    )

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert head.split(b"\r\n")[0] == b"POST /v1/a%2Fb?q=%20x HTTP/1.1"
    assert body == b"<a/>"
    assert b"content-type: application/xml" in lines
    assert b"idempotency-key: k-1" in lines
    assert b"content-length: 4" in lines
    assert f"host: 127.0.0.1:{server.port}".encode() in lines
    assert b"user-agent: bridge-payments/1.0" in lines
    assert len({line.split(b":")[0] for line in lines}) == len(lines), "no header twice"


async def test_redirects_are_not_followed_and_cookies_not_kept(
    hostile: Start, answering: Any, transport: Transport
) -> None:
    server = hostile(answering(302, headers="Location: /elsewhere\r\nSet-Cookie: id=1; Path=/\r\n"))

    assert (await transport.request("GET", server.url)).status_code == 302
    await transport.request("GET", server.url)

    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()


async def test_compressed_answers_are_read(hostile: Start, answering: Any, transport: Transport) -> None:
    body = gzip.compress(b'{"ok": true}')
    server = hostile(answering(200, body, headers="Content-Encoding: gzip\r\n"))

    answer = await transport.request("GET", server.url)

    assert answer.json() == {"ok": True}
    assert "content-encoding" not in answer.headers


async def test_the_size_of_an_answer_is_limited_per_request(
    hostile: Start, answering: Any, transport: Transport
) -> None:
    server = hostile(answering(200, b"x" * 2000))

    assert len((await transport.request("GET", server.url)).content) == 2000
    with pytest.raises(httpx.RemoteProtocolError, match="larger than 1999 bytes"):
        await transport.request("GET", server.url, max_bytes=1999)


async def test_credentials_in_a_url_become_a_header(hostile: Start, ok: Any, transport: Transport) -> None:
    server = hostile(ok)

    await transport.request("GET", f"http://user:word@127.0.0.1:{server.port}/x")

    assert b"authorization: basic dxnlcjp3b3jk" in server.requests[0].lower()
    assert server.requests[0].startswith(b"GET /x HTTP/1.1")


async def test_the_shared_client_obeys_the_deadline_it_is_given(hostile: Start, transport: Transport) -> None:
    """SDKs pass httpx timeouts: a drip of bytes must not stretch them."""
    server = hostile(slow_drip)
    started = time.monotonic()

    with pytest.raises(httpx.ReadTimeout):
        await transport.http.post(server.url, content=b"x", timeout=0.2)

    assert time.monotonic() - started < 2


async def test_a_form_and_a_stream_of_the_shared_client_arrive_whole(
    hostile: Start, ok: Any, transport: Transport
) -> None:
    server = hostile(ok)

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    await transport.http.post(server.url, data={"amount": "2000"})
    await transport.http.post(server.url, content=parts())

    assert server.requests[0].endswith(b"amount=2000")
    assert server.requests[1].endswith(b"onetwo")


async def test_the_seam_is_passed_before_the_first_byte_and_after_the_whole_answer(
    hostile: Start, ok: Any, transport: Transport
) -> None:
    server = hostile(ok)
    seen: list[tuple[str, str, int]] = []

    with watched(lambda point, what: seen.append((point, what, len(server.requests)))):
        await transport.request("POST", f"{server.url}/v1/charges?secret=1", content=b"x")

    assert seen == [("send", "POST 127.0.0.1/v1/charges", 0), ("receive", "POST 127.0.0.1/v1/charges", 1)]


async def test_dying_at_the_send_point_sends_nothing(hostile: Start, ok: Any, transport: Transport) -> None:
    server = hostile(ok)

    class Killed(BaseException):
        pass

    def die(point: str, what: str) -> None:
        raise Killed

    with watched(die), pytest.raises(Killed):
        await transport.request("POST", server.url, content=b"x")

    await transport.request("GET", f"{server.url}/later")
    assert len(server.requests) == 1
    assert b"/later" in server.requests[0]


async def test_no_error_shows_the_query_or_a_header(hostile: Start, transport: Transport) -> None:
    for script in (read_and_close, garbage, half_a_body, read_and_hang):
        server = hostile(script)
        with pytest.raises(httpx.TransportError) as caught:
            await transport.request(
                "GET",
                f"{server.url}/x?token=hushhush",
                headers={"Authorization": "Bearer hushhush"},
                timeout=0.4,
            )
        error: BaseException | None = caught.value
        while error is not None:
            assert "hushhush" not in f"{error} {error!r}"
            error = error.__cause__ or error.__context__


# --- proxies ---------------------------------------------------------------------------------------


async def test_proxies_of_the_environment_are_ignored(
    hostile: Start, ok: Any, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hostile(ok)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert (await transport.request("GET", server.url)).status_code == 200


async def test_a_configured_proxy_is_used(hostile: Start, ok: Any) -> None:
    proxy = hostile(ok)
    transport = Transport(proxy=f"http://me:word@127.0.0.1:{proxy.port}")

    await transport.request("GET", "http://api.provider.example/v1")

    assert proxy.requests[0].startswith(b"GET http://api.provider.example/v1 HTTP/1.1")
    assert b"proxy-authorization: basic" in proxy.requests[0].lower()
    await transport.aclose()


async def test_a_proxy_that_opens_no_tunnel_is_never_sent(hostile: Start, answering: Any) -> None:
    proxy = hostile(answering(407, b""))
    transport = Transport(proxy=f"http://127.0.0.1:{proxy.port}", total_timeout=2)

    with pytest.raises(httpx.ConnectError) as caught:
        await transport.request("POST", "https://api.provider.example/v1", content=b"secret")

    assert never_sent(caught.value)
    assert proxy.requests[0].startswith(b"CONNECT api.provider.example:443")
    assert not any(b"secret" in request for request in proxy.requests)
    await transport.aclose()


def test_checked_addresses_and_a_proxy_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError):
        Transport(proxy="http://127.0.0.1:3128", public_only=True)


async def test_an_installation_chooses_roots_proxy_and_allowed_hosts(
    hostile: Start, ok: Any, certificate: Callable[..., Path]
) -> None:
    pem = certificate()
    secure, proxy, plain = _tls_server(hostile, pem), hostile(ok), hostile(ok)
    settings = Settings.from_env(
        {"BRIDGE_CA_FILE": str(pem), "BRIDGE_WEBHOOK_ALLOW_HOSTS": "localhost"},
    )

    trusting = Transport.from_settings(settings)
    assert (await trusting.request("GET", secure.tls_url)).status_code == 200
    hooks = Transport.from_settings(settings, public_only=True)
    assert (await hooks.request("GET", f"http://localhost:{plain.port}")).status_code == 200
    with pytest.raises(AddressRefused):
        await hooks.request("GET", plain.url)
    behind = Transport.from_settings(Settings.from_env({"BRIDGE_PROXY": proxy.url}))
    await behind.request("GET", "http://api.provider.example/")
    assert len(proxy.requests) == 1
    for transport in (trusting, hooks, behind):
        await transport.aclose()

    with pytest.raises(ConfigurationError, match="BRIDGE_CA_FILE"):
        Transport.from_settings(Settings.from_env({"BRIDGE_CA_FILE": str(pem.parent / "missing.pem")}))


# --- loops and processes ---------------------------------------------------------------------------


def test_every_loop_has_its_own_connections(hostile: Start, ok: Any) -> None:
    server = hostile(ok)
    transport = Transport()

    async def once() -> httpx.AsyncClient:
        client = transport.http
        assert transport.http is client
        await transport.request("GET", server.url)
        await transport.aclose()
        return client

    assert asyncio.run(once()) is not asyncio.run(once())
    assert server.connections == 2


FORK = """
import asyncio, os, sys
from bridge_payments.transport import Transport

async def main(url):
    transport = Transport()
    await transport.request("GET", url + "/parent")
    child = os.fork()
    if child == 0:
        transport.forget()
        asyncio._set_running_loop(None)
        async def in_child():
            await transport.request("GET", url + "/child")
            await transport.aclose()
        asyncio.run(in_child())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    await transport.request("GET", url + "/parent-again")
    await transport.aclose()
    return status

sys.exit(asyncio.run(main(sys.argv[1])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_opens_its_own_connection_and_leaves_the_parents_alone(
    hostile: Start, ok: Any
) -> None:
    server = hostile(ok)

    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, server.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[3],
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [request.split()[1] for request in server.requests] == [b"/parent", b"/child", b"/parent-again"]
    assert server.connections == 2, "the parent went on with its own connection"


def test_importing_the_transport_loads_no_http_client() -> None:
    code = (
        "import sys, bridge_payments.transport; print([n for n in ('httpx', 'aiohttp') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == "[]"
