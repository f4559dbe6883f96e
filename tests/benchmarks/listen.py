"""A listening socket on a free port of this machine."""

from __future__ import annotations

import socket


def listen() -> socket.socket:
    """Return it. It says that it is TCP, or asyncio would leave Nagle on: 40 ms for an answer."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening
