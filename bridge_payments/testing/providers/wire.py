"""What the provider under test sends through: every host leads to its gateway."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from ...transport import MAX_BYTES, Transport

if TYPE_CHECKING:
    import httpx

__all__ = ["Wire"]


class Wire(Transport):
    """The real transport with another address book."""

    def __init__(self, url: str) -> None:
        super().__init__(connect_timeout=1.0, total_timeout=5.0)
        self._url = url
        self.sent: int = 0
        """How many requests were handed to it."""

    def cut(self) -> None:
        """From now on nobody listens where the gateway was."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._url = f"http://127.0.0.1:{free.getsockname()[1]}"

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline of the exchange, as in httpx
        max_bytes: int = MAX_BYTES,
    ) -> httpx.Response:
        self.sent += 1
        return await super().request(
            method, self._led(url), headers=headers, content=content, timeout=timeout, max_bytes=max_bytes
        )

    def _led(self, url: str) -> str:
        if not self._url:
            return url
        there, asked = urlsplit(self._url), urlsplit(url)
        return urlunsplit((there.scheme, there.netloc, asked.path, asked.query, ""))
