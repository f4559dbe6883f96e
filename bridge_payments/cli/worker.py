"""bridge-payments worker: deliveries, inbox, reconciliation, sweep and clean-up in their own process."""

from __future__ import annotations

import asyncio
import signal
from argparse import ArgumentParser, Namespace
from contextlib import suppress

from ..bridge import Bridge
from ..errors import StoreError
from ..stores.base import Store
from .application import add_app_option, open_bridge, start_logging
from .console import OK, execute
from .figures import figures_served

__all__ = ["HELP", "configure", "refuse_skew", "run"]

HELP = "do the background work: deliveries, inbox, reconciliation, sweep, clean-up"

MAX_SKEW_SECONDS = 5.0
"""Above it, leases written by one clock and read by another would let two processes send (rule 11)."""


def configure(parser: ArgumentParser) -> None:
    add_app_option(parser)
    parser.add_argument("--once", action="store_true", help="do what is due now, then end")


def run(arguments: Namespace) -> int:
    return execute(_work(arguments))


async def refuse_skew(store: Store) -> float:
    """Return how far the database's clock is from ours, in seconds. Raises StoreError when it is too far."""
    skew = await store.clock_skew()
    if abs(skew) > MAX_SKEW_SECONDS:
        raise StoreError(
            f"this machine's clock and the database's differ by {skew:+.1f} s; more than "
            f"{MAX_SKEW_SECONDS:g} s is not safe: set both by NTP"
        )
    return skew


async def _work(arguments: Namespace) -> int:
    async with open_bridge(arguments) as bridge:
        start_logging(bridge.settings)
        store = bridge.engine.store
        await store.check()
        await refuse_skew(store)
        async with figures_served(bridge) as port:
            working = asyncio.create_task(bridge.run_worker(once=arguments.once))
            loop = asyncio.get_running_loop()
            signals = (signal.SIGTERM, signal.SIGINT)

            def stop() -> None:
                for number in signals:  # a second signal ends the process as if we were not here
                    loop.remove_signal_handler(number)
                print("stopping: attempts in the air are finished first", flush=True)
                working.cancel()

            for number in signals:
                with suppress(
                    NotImplementedError
                ):  # Windows' loop has no signal handlers; Ctrl-C still ends it
                    loop.add_signal_handler(number, stop)
            if not arguments.once:
                _say_hello(bridge, port)  # whoever waits for this line may send a signal next
            with suppress(asyncio.CancelledError):
                await working
    return OK


def _say_hello(bridge: Bridge, port: int | None) -> None:
    names = [endpoint.name for endpoint in bridge.webhooks.endpoints]
    accounts = ", ".join(bridge.engine.provider_ids) or "none"
    print(f"working; accounts: {accounts}; webhook endpoints: {', '.join(names) or 'none'}", flush=True)
    if port is not None:
        print(f"figures: http://localhost:{port}/metrics", flush=True)
