"""Match, identify, read, call, answer. Knows no framework and no payment rule."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ..auth import Heard
from ..auth.guesses import NotAskedAbout
from ..auth.limits import Quota
from ..errors import (
    AccessDenied,
    BridgeError,
    ConfigurationError,
    InvalidRequest,
    NotAuthenticated,
    NotYours,
    RateLimited,
    StoreError,
)
from ..messages import Request, Response
from ..models import Principal, PrincipalKind
from ..telemetry import Activity, Kind, note
from ..tripwire import find_card_numbers
from . import bodies
from .cors import Cors
from .envelope import Content, Wrapping
from .paths import Found, PathTable
from .problems import MethodNotAllowed, RouteNotFound, internal_problem, problem, unrevealed
from .route import UNSAFE, Access, Call, Route
from .routes import ROUTES

if TYPE_CHECKING:
    from ..bridge import Bridge

__all__ = ["Router"]

log: Final = logging.getLogger(__name__)
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", *UNSAFE})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_\-.:/+=]{1,128}")


@dataclass(slots=True)
class _Turn:
    """What is known of a request by the time it is answered, however that ends."""

    quota: Quota | None = None
    refused: BridgeError | None = None
    """Why what the caller sent to say who they are was not believed."""


class Router:
    """Answers requests over one bridge. `answer` never raises.

    A request that finds the bridge not started starts it; where that is not the custom of the framework
    (*starts_itself*) the log says so, once.
    """

    def __init__(
        self, bridge: Bridge, routes: Sequence[Route] = ROUTES, *, starts_itself: bool = False
    ) -> None:
        settings = bridge.settings
        self.bridge = bridge
        self.routes: tuple[Route, ...] = tuple(routes)
        self.max_body: int = settings.max_request_size
        self._starts_itself = starts_itself
        self._warned = False
        self._table = PathTable(self.routes)
        self._wrapping = Wrapping(flat=settings.response_compat == "flat", rows=settings.row_mode)
        self._validate_content_type = settings.validate_content_type
        self._max_age = settings.money_session_max_age
        self._cors = Cors.of(
            origins=settings.cors_origins,
            methods=settings.cors_methods,
            headers=settings.cors_headers,
            credentials=settings.cors_credentials,
            max_age=settings.cors_max_age,
            session_header=settings.session_header_name,
        )

    def ask_here(self, request: Request) -> Heard | None:
        """Ask the host's plain login function in the calling thread, if the route wants to know who asks."""
        found = self._table.find(request.path)
        match = found.route(request.method) if found else None
        if match is None or match[0].access is Access.OPEN:
            return None
        return self.bridge.auth.ask_here(request)

    async def answer(
        self, request: Request, *, heard: Heard | None = None, refusal: BridgeError | None = None
    ) -> Response:
        """Answer *request*, whatever happens; with a *refusal* that the mount came to before, with that."""
        request_id = _request_id(request)
        found = self._table.find(request.path)
        match = found.route(request.method) if found else None
        method, template = _where(match[0] if match else None, request)
        with self.bridge.watch.activity(
            Kind.REQUEST,
            f"{method} {template}",
            parent=request.header("traceparent"),
            method=method,
            route=template,
            request_id=request_id,
        ) as seen:
            response, quota = await self._answered(request, found, match, seen, heard=heard, refusal=refusal)
            seen.facts["status"] = response.status
            seen.outcome = str(response.status)
        return self._dressed(request, response, request_id, quota)

    async def _answered(
        self,
        request: Request,
        found: Found | None,
        match: tuple[Route, Mapping[str, str]] | None,
        seen: Activity,
        *,
        heard: Heard | None,
        refusal: BridgeError | None,
    ) -> tuple[Response, Quota | None]:
        route, variables = match or (None, {})
        request_id = seen.facts["request_id"]
        turn = _Turn()
        if not self.bridge.started:
            await self._start()
        try:
            if refusal is not None:
                raise refusal
            bodies.check_path(request.path)
            if found is None:
                raise RouteNotFound(request.method, request.path)
            if request.method == "OPTIONS":
                response = self._cors.preflight(found.allow())
            elif route is None:
                raise MethodNotAllowed(request.method, request.path, allow=found.allow())
            else:
                response = await self._call(route, variables, request, heard, turn)
            if turn.quota is not None:
                turn.quota = await self.bridge.limits.answered(turn.quota, status=response.status)
        except BridgeError as raised:
            error = seen.error = raised
            if isinstance(error, NotYours) and route is not None and not route.reveals:
                error = unrevealed(error)
            if isinstance(error, (ConfigurationError, StoreError)):
                log.exception("%s %s failed", *_where(route, request), extra={"request_id": request_id})
            # Not the route's words for who sent nothing: somebody sent something, and hears what is wrong.
            text = route.text_for(error) if route and error is not turn.refused else None
            response = problem(error, now=self._now(), text=text, variables=variables)
        except Exception as bug:  # the login's, the host's or ours: nobody outside hears a word of it
            seen.error = bug
            log.exception("%s %s failed", *_where(route, request), extra={"request_id": request_id})
            response = internal_problem(now=self._now())
        return response, turn.quota

    async def _call(
        self,
        route: Route,
        variables: Mapping[str, str],
        request: Request,
        heard: Heard | None,
        turn: _Turn,
    ) -> Response:
        bodies.check_size(request, self.max_body)
        principal = await self._admit(route, request, heard, turn)
        note(principal=principal.kind.value)
        unsafe = request.method in UNSAFE
        if unsafe and not route.raw:
            by_cookie = "cookie" in request.headers and not principal.is_anonymous
            # Who sends nothing need not say what it is. Beside a cookie it must: the type keeps forms out.
            says = self._validate_content_type and (request.body or request.headers.get("content-type"))
            if (says or by_cookie) and not bodies.is_json(request):
                raise InvalidRequest("Content-Type must be application/json")
            self._cors.check_cookie(request, principal)
        if not route.raw:
            bodies.check_query(request)
        body = bodies.read_body(request, route.takes) if route.takes else None
        if not principal.is_anonymous and route.body_needs_fresh(body):
            principal = await self._recheck(route, request, principal)
        call = Call(
            bridge=self.bridge,
            request=request,
            path=variables,
            principal=principal,
            routes=self.routes,
            body=body,
            idempotency_key=bodies.idempotency_key(request, route.key),
        )
        reply = await route.handler(call)
        if isinstance(reply, Content):
            return Response(status=route.status, body=reply.body, headers=reply.headers)
        return Response(
            status=reply.status or route.status, body=self._wrapping.wrap(reply, wrapped=route.wrapped)
        )

    async def _start(self) -> None:
        if not self._starts_itself and not self._warned:
            self._warned = True
            log.warning("the bridge was not started: give bridge.lifespan to the application")
        try:
            await self.bridge.start()
        except Exception:
            # Health has to be able to say so; whoever needs the database meets its error in their own answer.
            log.exception("the bridge could not be started; the next request tries again")

    async def _admit(self, route: Route, request: Request, heard: Heard | None, turn: _Turn) -> Principal:
        """Return who asks, or refuse at the door. Whose payment it is, is the engine's question."""
        principal = Principal.anonymous(peer=request.peer)
        if route.access is not Access.OPEN:
            max_age = self._max_age if route.needs_fresh(request.method) else None
            try:
                principal = await self.bridge.auth.identify(request, heard=heard, max_age=max_age)
            except (NotAuthenticated, NotAskedAbout) as error:
                turn.refused = error
        if route.limited:
            # Whoever guesses sessions is counted as the stranger that they are.
            turn.quota = await self.bridge.limits.take(principal)
            if turn.quota is not None and turn.quota.exceeded:
                raise RateLimited(retry_after=turn.quota.retry_after)
        if turn.refused is not None and route.access is not Access.ANYONE:
            raise turn.refused
        if route.access is Access.SIGNED_IN and principal.is_anonymous:
            raise NotAuthenticated("Authentication required")
        if route.access is Access.ADMIN and principal.kind is not PrincipalKind.ADMIN:
            if principal.is_anonymous:
                raise NotAuthenticated("Admin authentication required")
            raise AccessDenied("Admin privileges required")
        return principal

    async def _recheck(self, route: Route, request: Request, principal: Principal) -> Principal:
        """Return who asks, checked at the issuer a moment ago; a session that ended counts as none."""
        try:
            return await self.bridge.auth.recheck(request, principal, self._max_age)
        except NotAuthenticated:
            if route.access is not Access.ANYONE:
                raise
            return Principal.anonymous(peer=request.peer)

    def _dressed(
        self, request: Request, response: Response, request_id: str, quota: Quota | None
    ) -> Response:
        headers = {
            **response.headers,
            **_quota_headers(quota),
            **self._cors.answer(request),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-request-id": request_id,
        }
        if response.status == 204:
            headers.pop("content-type", None)
        else:
            headers["content-length"] = str(len(response.body))
        body = b"" if request.method == "HEAD" else response.body
        return Response(status=response.status, body=body, headers=headers)

    def _now(self) -> datetime:
        return self.bridge.engine.clock()


def _quota_headers(quota: Quota | None) -> dict[str, str]:
    if quota is None:
        return {}
    return {
        "x-ratelimit-limit": str(quota.limit),
        "x-ratelimit-remaining": str(quota.remaining),
        "x-ratelimit-reset": str(quota.resets_at),
    }


def _request_id(request: Request) -> str:
    given = request.header("x-request-id") or ""
    # It comes back in the answer and stands in every log on the way: not the place for a card number, either.
    good = _REQUEST_ID.fullmatch(given) and not find_card_numbers(given)
    return given if good else "req_" + secrets.token_hex(12)


def _where(route: Route | None, request: Request) -> tuple[str, str]:
    # The template, not the path: paths hold e-mail addresses, and ids would make every line unique.
    # A method is anybody's to make up, too.
    method = request.method if request.method in _METHODS else "(method)"
    return method, route.path if route else "(no route)"
