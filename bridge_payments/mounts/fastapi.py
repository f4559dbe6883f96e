"""
Mount on FastAPI.

    app.include_router(payments_router(bridge), prefix="/bridge-payment")
    app.include_router(health_router(bridge))

The prefix is needed: below it every path is answered here. The operations appear in the host's own
documentation. The host's dependencies (``dependencies=[…]``) run;
reading and answering is left to the route table, so that the bytes are those of every other mount. The
router's lifespan starts and stops the bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette import routing
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect

from ..http import HEALTH_ROUTES, Access, Route, Router
from ..http.openapi import (
    Shown,
    answer_model,
    needs_a_body,
    operation_id,
    operations,
    other_answers,
    parameters,
    refusals,
    security_scheme,
)
from ..http.schemas.documents import Document
from ..http.schemas.problems import Problem
from .asgi import Disconnected, Scope, Served, send_response

if TYPE_CHECKING:
    from ..bridge import Bridge

__all__ = ["health_router", "payments_router"]

_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_SECURITY: Final = {
    "session": Security(APIKeyHeader(scheme_name="session", auto_error=False, **security_scheme("session"))),
    "bearer": Security(HTTPBearer(scheme_name="bearer", auto_error=False, **security_scheme("bearer"))),
    "guest": Security(APIKeyHeader(scheme_name="guest", auto_error=False, **security_scheme("guest"))),
}
"""They read a header and refuse nothing: they are here to be seen. Who asks is the AuthBridge's to say."""


class _Path(Convertor[str]):
    """Everything below the prefix. The framework's own `path` ends at a newline."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("bridge_payments_path", _Path())


def payments_router(bridge: Bridge, *, name: str = "") -> APIRouter:
    """Return every route; unknown paths and methods below the prefix are answered here too.

    Where one application has several bridges, *name* tells their operations apart in its document.
    """
    served = Served(bridge, Router(bridge))
    api = APIRouter(route_class=_route_class(served), lifespan=bridge.lifespan)
    for route, method, path in operations(served.router.routes):
        _add(api, served, route, method, path, name=name)
    # The bare prefix, from which the framework would send its callers on to the slash.
    api.add_api_route(
        "", _endpoint(served, ""), methods=_METHODS, include_in_schema=False, response_model=None
    )
    # HEAD, OPTIONS and whatever is not in the table. The last one catches methods that nobody has heard of:
    # it runs no dependency of the host, and no handler of ours answers such a method.
    api.add_api_route(
        "/{below:bridge_payments_path}",
        _endpoint(served, "/{below}"),
        methods=_METHODS,
        include_in_schema=False,
        response_model=None,
    )
    api.routes.append(routing.Route("/{below:bridge_payments_path}", _Odd(served), include_in_schema=False))
    return api


def health_router(bridge: Bridge) -> APIRouter:
    """Return the health routes for the root of the host, where monitors look."""
    served = Served(bridge, Router(bridge, HEALTH_ROUTES))
    api = APIRouter(route_class=_route_class(served))
    for route in HEALTH_ROUTES:
        api.add_api_route(
            route.path,
            _endpoint(served, route.path),
            methods=_METHODS,
            include_in_schema=False,
            response_model=None,
        )
    return api


def _add(api: APIRouter, served: Served, route: Route, method: str, path: str, *, name: str) -> None:
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": reason} for status, reason in refusals(route).items()
    }
    responses["default"] = {"model": Problem, "description": "Anything else that went wrong."}
    responses |= {
        status: {"model": model | Problem if status in responses else model, "description": why}
        for status, (model, why) in other_answers(route).items()
    }
    model = answer_model(route)
    api.add_api_route(
        path,
        _endpoint(served, path, route.takes),
        methods=[method],
        status_code=route.status,
        response_model=None if model is Document else model,
        responses=responses,
        operation_id="_".join(filter(None, (name, operation_id(route, method, path)))),
        summary=route.summary,
        description=route.description or route.summary,
        deprecated=True if path != route.path else None,
        tags=[route.noun],
        include_in_schema=route.listed,
        dependencies=_security(route),
        openapi_extra={
            "parameters": parameters(route, path),
            **({"security": [{}]} if route.access is Access.ANYONE else {}),
            **({"requestBody": {"required": True}} if needs_a_body(route) else {}),
        },
    )


def _security(route: Route) -> list[Any]:
    if route.access is Access.OPEN:
        return []
    names = ("session", "bearer") if route.access is Access.ADMIN else ("session", "bearer", "guest")
    return [_SECURITY[name] for name in names]


def _endpoint(
    served: Served, template: str, takes: type[Any] | None = None
) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def answer(request: Request) -> Response:
        path = template.format_map(request.path_params)
        full = request.scope["path"]
        prefix = full[: len(full) - len(path)] if full.endswith(path) else ""
        path = path or "/"
        body = await request.body()
        late = isinstance(request, _RawRequest) and request.late
        found = await served.answer(request.scope, None if late else body, path=path, prefix=prefix)
        return Response(found.body, found.status, dict(found.headers))

    if takes is None:
        return answer

    async def answer_with_body(request: Request, body: Any = None) -> Response:  # noqa: ARG001 - shown, not used
        return await answer(request)

    answer_with_body.__annotations__ = {
        "request": Request,
        "body": Annotated[Any, Shown(takes), Body()],
        "return": Response,
    }
    return answer_with_body


class _RawRequest(Request):
    """A request whose body is bounded in size and time, and whose bad JSON is not FastAPI's to refuse."""

    served: Served
    late = False

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            try:
                body = await self.served.read_body(self._receive)
            except Disconnected:
                raise ClientDisconnect from None
            self.late = body is None
            self._body = body or b""
        return self._body

    async def json(self) -> Any:
        try:
            return await super().json()
        except (ValueError, RecursionError):  # the second: ten thousand brackets
            return None


def _route_class(served: Served) -> type[APIRoute]:
    class RawRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            original = super().get_route_handler()

            async def handle(request: Request) -> Response:
                raw = _RawRequest(request.scope, request.receive)
                raw.served = served
                return await original(raw)

            return handle

    return RawRoute


class _Odd:
    """Answers methods that no list has."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        path = "/" + scope["path_params"]["below"]
        prefix = scope["path"][: -len(path)]
        await send_response(send, await self._served.answer(scope, b"", path=path, prefix=prefix))
