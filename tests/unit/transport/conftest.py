"""Servers that misbehave the way real ones do, on loopback, each counting what reached it."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'


class Caller:
    """One connection, seen from the server."""

    def __init__(self, server: Hostile, sock: socket.socket) -> None:
        self._server, self._sock = server, sock
        self._rest = b""

    def read(self) -> bytes | None:
        """Return one whole request, counted, or None at the end of the connection."""
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                return None
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(self._rest) < length:
            if not self._more():
                return None
        body, self._rest = self._rest[:length], self._rest[length:]
        self._server.requests.append(head + b"\r\n\r\n" + body)
        self._server.arrived.set()
        return self._server.requests[-1]

    def read_some(self) -> bytes:
        return self._sock.recv(1024)

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def hang(self) -> None:
        self._server.stopped.wait(10)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        self._sock.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self._sock = context.wrap_socket(self._sock, server_side=True)
        self._server.keep(self._sock)

    def _more(self) -> bool:
        data = self._sock.recv(65536)
        self._rest += data
        return bool(data)


Script = Callable[[Caller], None]


class Hostile:
    """Runs *script* for every connection, in a thread of its own: nothing depends on the client's loop."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopped = threading.Event()
        self.arrived = threading.Event()
        self.finished = threading.Semaphore(0)
        self._script = script
        self._socks: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def keep(self, sock: socket.socket) -> None:
        self._socks.append(sock)

    def stop(self) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.keep(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        caller = Caller(self, sock)
        with contextlib.suppress(OSError):
            self._script(caller)
        with contextlib.suppress(OSError):
            caller.close()
        self.finished.release()


@pytest.fixture
def hostile() -> Iterator[Callable[[Script], Hostile]]:
    """Start a server that runs a script for each connection."""
    servers: list[Hostile] = []

    def start(script: Script) -> Hostile:
        servers.append(Hostile(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def ok() -> Script:
    """A server as it should be: answers every request of a connection."""

    def script(caller: Caller) -> None:
        while caller.read():
            caller.send(OK)

    return script


@pytest.fixture
def answering() -> Callable[..., Script]:
    """Make a script that answers every request with these bytes, or with this status and body."""

    def make(
        status: int = 200, body: bytes = b"{}", *, headers: str = "", raw: bytes | None = None
    ) -> Script:
        answer = raw or (
            f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
        )

        def script(caller: Caller) -> None:
            while caller.read():
                caller.send(answer)

        return script

    return make


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[..., Path]:
    """Write a self-signed certificate with its key; trusted by nobody until a test says so."""

    def make(*, name: str = "127.0.0.1", expired: bool = False) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        start, end = now - dt.timedelta(days=9), now + dt.timedelta(days=-2 if expired else 9)
        alt: x509.GeneralName = (
            x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        )
        cert = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([alt]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        path = tmp_path / f"{name}-{expired}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + cert.public_bytes(serialization.Encoding.PEM)
        )
        return path

    return make
