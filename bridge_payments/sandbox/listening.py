"""A gateway in a thread of this process, at an address of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import uvicorn

from .faults import Faults
from .wire import App

__all__ = ["Listening"]

_IDLE = 75
"""Seconds. Longer than our transport keeps an idle connection, as it is with providers."""


class Listening(ABC):
    """Binds a port of this machine at once and serves when it is told to."""

    faults: Faults

    def __init__(self, *, port: int, name: str) -> None:
        # Said to be TCP, or asyncio leaves Nagle on and every answer waits 40 ms for an acknowledgement.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self.url: str = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._name = name
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def app(self) -> App:
        """Return what is served."""

    @classmethod
    def start(cls, **options: Any) -> Self:
        """Return a gateway that is already listening; `stop` it, or use it as a context manager."""
        gateway = cls(**options)
        gateway.serve()
        return gateway

    def serve(self) -> None:
        """Listen in a thread of its own, so that it answers whatever its callers do with their loops."""
        if self._thread is not None:
            return
        config = uvicorn.Config(
            self.app(),
            log_config=None,
            log_level="critical",
            access_log=False,
            ws="none",
            proxy_headers=False,
            interface="asgi3",
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=self._name, daemon=True
        )
        self._thread.start()
        pause = threading.Event()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the gateway did not start")
            pause.wait(0.005)

    def stop(self) -> None:
        self.faults.clear()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(5)
        with contextlib.suppress(OSError):
            self._socket.close()

    def __enter__(self) -> Self:
        self.serve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
