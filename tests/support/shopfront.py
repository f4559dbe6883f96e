"""A shop as a server imports it, once for each framework. Its environment is its configuration."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from hosts import PREFIX, who

from bridge_payments import AuthBridge, Bridge, Event

logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")

_DIARY = Path(os.environ["SHOP_DIARY"])


def _note(**line: Any) -> None:
    with _DIARY.open("a") as diary:  # one short line: appended whole, whoever else writes
        diary.write(json.dumps({"pid": os.getpid(), **line}) + "\n")


def open_bridge() -> Bridge:
    """Return the shop's bridge; what its own handler is told, it writes into the diary."""
    # Without a Flowless to ask, a header says who it is.
    bridge = Bridge.from_env(auth=None if "FLOWLESS_API_URL" in os.environ else AuthBridge(who))

    @bridge.webhooks.on("payment.*", name="diary")
    def told(event: Event) -> None:
        _note(event=event.id, type=event.type)

    return bridge


async def work() -> dict[str, Any]:
    """Say what of ours runs in this process."""
    return {
        "pid": os.getpid(),
        "workers": [task.get_name() for task in asyncio.all_tasks()].count("bridge-payments-worker"),
        "loops": [thread.name for thread in threading.enumerate()].count("bridge-payments"),
    }


def flask_app() -> Any:
    from flask import Flask, jsonify

    from bridge_payments.mounts.flask import health_blueprint, payments_blueprint

    bridge = open_bridge()
    if os.environ.get("SHOP_STARTS") == "before the fork":
        bridge.call(bridge.start)
    app = Flask(__name__)
    app.register_blueprint(payments_blueprint(bridge), url_prefix=PREFIX)
    app.register_blueprint(health_blueprint(bridge))
    # For gunicorn's hooks, which are given the application.
    app.extensions["bridge"] = bridge
    app.add_url_rule("/work", view_func=lambda: jsonify(bridge.blocking.call(work)), endpoint="work")
    return app


def starlette_app() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from bridge_payments.mounts.starlette import health_routes, payments_mount

    bridge = open_bridge()

    async def at_work(_: Any) -> JSONResponse:
        return JSONResponse(await work())

    return Starlette(
        routes=[
            Route("/work", at_work),
            payments_mount(bridge, PREFIX),
            *health_routes(bridge),
        ],
        lifespan=None if os.environ.get("SHOP_STARTS") == "by request" else bridge.lifespan,
    )


def fastapi_app() -> Any:
    from fastapi import FastAPI

    from bridge_payments.mounts.fastapi import health_router, payments_router

    bridge = open_bridge()
    app = FastAPI()
    app.get("/work")(work)
    app.include_router(payments_router(bridge), prefix=PREFIX)
    app.include_router(health_router(bridge))
    return app
