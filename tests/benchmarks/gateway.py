"""A gateway that costs almost nothing and always the same: what is measured is who calls it."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
import time
from socket import socket
from typing import Any, Final

from listen import listen

from bridge_payments.sandbox.stripe import FakeStripe, shapes
from bridge_payments.sandbox.stripe.cards import Card

AMOUNT: Final = 5500
CURRENCY: Final = "usd"
_MARK: Final = "pi_here"
_LENGTH: Final = b"content-length:"
_HEAD: Final = b"\r\n".join(
    (
        b"HTTP/1.1 200 OK",
        b"content-type: application/json",
        b"request-id: req_bench",
        b"content-length: %d",
        b"\r\n",
    )
)


class Gateway(asyncio.Protocol):
    """Answers a create and a confirm with an intent's JSON; keeps the connection, reads no form."""

    numbers = itertools.count(time.time_ns())
    created, confirmed = b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            at = head.find(_LENGTH)
            size = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._received) < end + 4 + size:
                return
            path = self._received.split(b" ", 2)[1]
            self._received = self._received[end + 4 + size :]
            self._transport.write(self._answer(path))

    def _answer(self, path: bytes) -> bytes:
        parts = path.split(b"/")
        if len(parts) == 3:
            intent, body = f"pi_{next(self.numbers)}".encode(), self.created
        else:
            intent, body = parts[3].partition(b"?")[0], self.confirmed
        body = body.replace(_MARK.encode(), intent)
        return _HEAD % len(body) + body


def _bodies() -> tuple[bytes, bytes]:
    """Return an intent that waits and one that is paid, as long as Stripe's own."""
    now = int(time.time())
    created = shapes.intent(_MARK, f"{_MARK}_secret_bench", now=now, amount=AMOUNT, currency=CURRENCY)
    card = shapes.method("pm_bench", Card(last4="4242"), now=now, exp_month=12, exp_year=2040, billing={})
    paid: dict[str, Any] = {"captured": True, "refusal": None, "authenticated": False}
    charge = shapes.charge(f"ch_{_MARK}", created, card, now=now, **paid) | {"receipt_url": None}
    confirmed = created | {
        "status": "succeeded",
        "amount_received": AMOUNT,
        "latest_charge": charge,
        "payment_method": "pm_bench",
    }
    return json.dumps(created, indent=2).encode(), json.dumps(confirmed, indent=2).encode()


async def _serve(listening: socket) -> None:
    Gateway.created, Gateway.confirmed = _bodies()
    server = await asyncio.get_running_loop().create_server(Gateway, sock=listening)
    await server.serve_forever()


def main() -> None:
    """Print the port, then answer until killed; with ``stateful`` be the sandbox's fake and print its key."""
    if "stateful" in sys.argv:
        with FakeStripe() as fake:
            print(fake.url.rpartition(":")[2], fake.secret_key, flush=True)
            threading.Event().wait()
    listening = listen()
    print(listening.getsockname()[1], flush=True)
    asyncio.run(_serve(listening))


if __name__ == "__main__":
    main()
