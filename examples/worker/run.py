"""
Two instances behind a load balancer, two workers, one PostgreSQL and one fake Stripe, with one command.

`DATABASE_URL` names a PostgreSQL; without it the one that is installed here is started, on files of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from balancer import balanced

from bridge_payments.sandbox.stripe import FakeStripe
from bridge_payments.stores.sql import SQLStore

HERE = Path(__file__).parent
PORT = int(os.environ.get("SHOP_PORT", "8000"))


async def serve(ports: list[int]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with balanced(ports, PORT):
        sys.stdout.write(f"the shop is at http://127.0.0.1:{PORT}\n")
        sys.stdout.flush()
        await ended.wait()


@contextlib.contextmanager
def database() -> Iterator[str]:
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    from bridge_payments.testing.servers import running_postgres

    with running_postgres() as server, server.database() as name:
        yield server.url_of(name)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def upgrade(url: str) -> None:
    store = SQLStore(url)
    await store.upgrade()
    await store.aclose()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, database() as url, FakeStripe() as gateway:
        hook = gateway.add_webhook(f"http://127.0.0.1:{PORT}/bridge-payment/webhooks/stripe")
        asyncio.run(upgrade(url))
        environment = {
            "SHIPPED": str(Path(folder) / "shipped"),
            **os.environ,
            "DATABASE_URL": url,
            "STRIPE_SECRET_KEY": gateway.secret_key,
            "STRIPE_WEBHOOK_SECRET": hook.secret,
            "STRIPE_API_BASE": gateway.url,
            "INPROCESS_WORKER": "false",
            "ALLOW_SANDBOX": "true",
        }
        ports = [free_port(), free_port()]
        shop = [sys.executable, "-m", "uvicorn", "shop:app", "--log-level", "warning", "--port"]
        work = [str(Path(sys.executable).with_name("bridge-payments")), "worker", "--app", "shop:bridge"]
        commands = [*([*shop, str(port)] for port in ports), work, work]
        processes = [subprocess.Popen(command, cwd=HERE, env=environment) for command in commands]
        try:
            asyncio.run(serve(ports))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)


if __name__ == "__main__":
    main()
