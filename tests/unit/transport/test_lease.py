"""A sender that was stopped before the first byte, and thawed too late, sends nothing."""

from __future__ import annotations

import time

import httpx
import pytest

from bridge_payments import seam
from bridge_payments.transport import Transport, never_sent, sending_before

pytestmark = pytest.mark.anyio


async def test_a_request_whose_lease_ran_out_at_the_last_moment_is_never_sent(free_tcp_port_factory):
    import asyncio

    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", free_tcp_port_factory())
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = Transport()
    lease_ends = time.monotonic() + 3600

    def freeze(point: seam.Point, what: str) -> None:
        """The process is stopped right before its first byte, and thaws after the lease."""
        if point == "send":
            monkey.setattr("bridge_payments.transport.lease.time.monotonic", lambda: lease_ends)

    with (
        pytest.MonkeyPatch.context() as monkey,
        seam.watched(freeze),
        sending_before(lease_ends),
        pytest.raises(httpx.ConnectError) as refused,
    ):
        await transport.request("POST", url, content=b"charge")
    assert never_sent(refused.value)
    assert not any(arrived)
    await transport.aclose()
    server.close()
    await server.wait_closed()
