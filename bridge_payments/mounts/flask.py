"""
Mount on Flask.

    app.register_blueprint(payments_blueprint(bridge), url_prefix="/bridge-payment")
    app.register_blueprint(health_blueprint(bridge))

A view runs in the request's thread: the host's plain `who` is asked there, where `flask.session` lives, and
the rest is done by the bridge's event loop, which starts at the first request of each process. To start and
end it with the process instead, in gunicorn's configuration:

    def post_fork(server, worker): bridge.call(bridge.start)
    def worker_exit(server, worker): bridge.close()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.routing import PathConverter, Rule

from ..http import HEALTH_ROUTES, Router
from ..http.peers import Proxies
from ..messages import Request
from .asgi import query_of

if TYPE_CHECKING:
    from ..bridge import Bridge

__all__ = ["health_blueprint", "payments_blueprint"]

_PATHS: Final = ("/", "/<bridge_payments_path:bridge_payments_below>")


class _Path(PathConverter):
    """Everything below the prefix: double slashes are the route table's to refuse, too."""

    regex = r"[\s\S]*?"
    part_isolating = False


def payments_blueprint(bridge: Bridge, *, name: str = "bridge_payments") -> Blueprint:
    """Return every route; unknown paths and methods below the prefix are answered here too."""
    return _blueprint(bridge, Router(bridge, starts_itself=True), name, _PATHS)


def health_blueprint(bridge: Bridge, *, name: str = "bridge_payments_health") -> Blueprint:
    """Return the health routes for the root of the host, where monitors look."""
    router = Router(bridge, HEALTH_ROUTES, starts_itself=True)
    return _blueprint(bridge, router, name, tuple(route.path for route in HEALTH_ROUTES))


def _blueprint(bridge: Bridge, router: Router, name: str, paths: tuple[str, ...]) -> Blueprint:
    blueprint = Blueprint(name, __name__)
    proxies = Proxies.of(bridge.settings.trusted_proxies)

    def view(path: str) -> Response:
        asked = _read(path, router.max_body, proxies)
        heard = router.ask_here(asked)
        # Not bridge.call: a bridge that cannot start is an answer here, not an exception.
        answer = bridge.blocking.call(router.answer, asked, heard=heard)
        # A list, not bytes: Flask would count them and overwrite the length that HEAD answers with.
        response = Response([answer.body], status=answer.status, headers=list(answer.headers.items()))
        if "content-type" not in answer.headers:
            del response.headers["content-type"]
        return response

    def register(state: BlueprintSetupState) -> None:
        # Not add_url_rule: it insists on a list of methods, and the methods are the route table's business.
        prefix = (state.url_prefix or "").rstrip("/")
        state.app.url_map.converters.setdefault("bridge_payments_path", _Path)
        endpoint = f"{state.name_prefix}.{state.name}.answer".lstrip(".")
        rules = {prefix + path: path for path in paths}
        for rule in rules:
            # Not strict: the bare prefix is answered, and sends nobody on to its slash.
            state.app.url_map.add(
                Rule(rule, endpoint=endpoint, methods=None, merge_slashes=False, strict_slashes=False)
            )

        def answer(bridge_payments_below: str | None = None, **_: str) -> Response:
            # What the prefix matched may be longer or shorter than its text: it may have variables.
            below = bridge_payments_below
            return view(rules[str(request.url_rule)] if below is None else f"/{below}")

        state.app.view_functions[endpoint] = answer

    blueprint.record(register)
    return blueprint


def _read(path: str, limit: int, proxies: Proxies) -> Request:
    headers = {name.lower(): value for name, value in request.headers.items()}
    inside = request.script_root.rstrip("/") + request.path.removesuffix(path)
    peer, scheme = proxies.seen(request.remote_addr, request.scheme, headers)
    return Request(
        method=request.method,
        path=path,
        headers=headers,
        query=query_of(request.query_string),
        body=_body(limit),
        peer=peer,
        scheme=scheme,
        prefix=proxies.prefix(request.remote_addr, headers, inside),
    )


def _body(limit: int) -> bytes:
    """Return the raw body, at most one byte over *limit*: also where the host's own limit is lower."""
    length = request.content_length
    if length is not None and length > limit:
        return bytes(limit + 1)
    try:
        # A hook of the host may have read it: then Flask remembers a body whose length was announced.
        return request.stream.read(limit + 1) if length is None else request.get_data()
    except RequestEntityTooLarge:
        return bytes(limit + 1)
    except ClientDisconnected:
        return b""
