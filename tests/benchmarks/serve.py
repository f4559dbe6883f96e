"""Serve one of the applications on a free port, told on standard output; ``/usage`` says what it has cost."""

from __future__ import annotations

import json
import resource
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from listen import listen
from memory import resident

ASGI: Final = {
    "starlette": "ours:starlette",
    "starlette, worker inside": "ours:starlette_with_worker",
    "fastapi": "ours:fastapi",
    "raw asgi": "raw_asgi:App",
    "by hand": "by_hand:build",
}
HOOKS: Final = {"hooks": "ours:hooks", "raw hooks": "raw_hooks:App"}
"""Webhooks in: measured by themselves."""
MORE: Final = {"hooks, worker inside": "ours:hooks_with_worker"}
WSGI: Final = {"flask": "ours:flask", "raw flask": "raw_flask:build"}
_THREADS: Final = 8


def usage() -> bytes:
    """Return this process's CPU seconds and memory, as JSON."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return json.dumps({"cpu": used.ru_utime + used.ru_stime, "mebibytes": resident()}).encode()


def asgi(app: Any) -> Any:
    async def metered(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != "/usage":
            await app(scope, receive, send)
            return
        body = usage()
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    return metered


def wsgi(app: Any) -> Any:
    def metered(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != "/usage":
            return app(environ, start)
        body = usage()
        start("200 OK", [("content-length", str(len(body)))])
        return [body]

    return metered


def serve_asgi(app: Any, listening: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(asgi(app), log_level="warning", access_log=False, loop="asyncio", ws="none")
    uvicorn.Server(config).run(sockets=[listening])


def serve_wsgi(build: Callable[[], Any], listening: socket.socket) -> None:
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            options = {
                "bind": f"fd://{listening.fileno()}",
                "workers": 1,
                "worker_class": "gthread",
                "threads": _THREADS,
                "keepalive": 60,
                "loglevel": "warning",
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return wsgi(build())

    Gunicorn().run()


def main(name: str, database: str, gateway: str) -> None:
    module, _, attribute = ({**ASGI, **HOOKS, **MORE}.get(name) or WSGI[name]).partition(":")
    build = getattr(import_module(f"apps.{module}"), attribute)
    listening = listen()
    print(listening.getsockname()[1], flush=True)
    sys.argv = sys.argv[:1]  # gunicorn reads them
    if name in WSGI:
        serve_wsgi(lambda: build(database, gateway), listening)
    else:
        serve_asgi(build(database, gateway), listening)


if __name__ == "__main__":
    main(*sys.argv[1:])
