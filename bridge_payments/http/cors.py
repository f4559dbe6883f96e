"""Which browsers may read our answers, and which pages may act with a payer's cookie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ..errors import AccessDenied
from ..messages import Request, Response
from ..models import Principal

__all__ = ["Cors"]

_NEEDED_HEADERS: Final = ("Content-Type", "Authorization", "X-Session-ID", "X-Guest-Token", "Idempotency-Key")
_EXPOSED: Final = "X-Request-ID, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
_EXPLICIT: Final = ("x-session-id", "x-guest-token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """The installation's rule about origins. ``*`` lets everybody read, and nobody with a cookie."""

    origins: frozenset[str] = frozenset()
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    headers: tuple[str, ...] = _NEEDED_HEADERS
    credentials: bool = True
    max_age: int = 86_400
    explicit: tuple[str, ...] = _EXPLICIT
    """Headers with a credential: a page has to set them itself, and so passed a preflight."""

    @classmethod
    def of(
        cls,
        *,
        origins: Iterable[str],
        methods: Iterable[str],
        headers: Iterable[str],
        credentials: bool,
        max_age: int,
        session_header: str = "X-Session-ID",
    ) -> Cors:
        """Read the settings; what the published clients need is always allowed."""
        return cls(
            origins=frozenset(origin.strip().rstrip("/").lower() for origin in origins if origin.strip()),
            methods=_with(methods, ("PATCH", "OPTIONS")),
            headers=_with(headers, (*_NEEDED_HEADERS, session_header)),
            credentials=credentials,
            max_age=max_age,
            explicit=(*_EXPLICIT, session_header.lower()),
        )

    def answer(self, request: Request) -> dict[str, str]:
        """Return the headers that let the asking page read an answer; none for a page we do not know."""
        if not self.origins:
            return {}
        origin = request.header("origin")
        if "*" in self.origins and (origin is None or not self._lists(origin)):
            return {"access-control-allow-origin": "*", "access-control-expose-headers": _EXPOSED}
        headers = {"vary": "Origin"}
        if origin is not None and self._lists(origin):
            headers["access-control-allow-origin"] = origin
            headers["access-control-expose-headers"] = _EXPOSED
            if self.credentials:
                headers["access-control-allow-credentials"] = "true"
        return headers

    def preflight(self, allow: str) -> Response:
        """Answer OPTIONS; `answer` adds whether this origin may."""
        return Response(
            status=204,
            headers={
                "allow": allow,
                "access-control-allow-methods": ", ".join(self.methods),
                "access-control-allow-headers": ", ".join(self.headers),
                "access-control-max-age": str(self.max_age),
            },
        )

    def check_cookie(self, request: Request, principal: Principal) -> None:
        """Refuse to act for a payer whose browser sent its cookie for a page we do not know (rule 25).

        A header that a page has to set itself proves that a preflight was passed; a query parameter does not.
        Nor does a cached Basic password: browsers add it as they do a cookie, and say from where.
        """
        scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
        password = scheme == "basic" and "origin" in request.headers
        if principal.is_anonymous or not (password or "cookie" in request.headers):
            return
        if scheme in ("bearer", "token") or any(name in request.headers for name in self.explicit):
            return
        origin = request.header("origin")
        if origin is None:
            allowed = request.header("sec-fetch-site") == "same-origin"
        else:
            allowed = self._lists(origin) or _same_origin(origin, request)
        if not allowed:
            carried = "cookie" if "cookie" in request.headers else "password"
            denied = f"This origin may not act with a {carried}"
            raise AccessDenied(
                f"{denied}: the Origin header names neither this host nor one of CORS_ORIGINS"
                if origin
                else f"{denied}: there is no Origin header"
            )

    def _lists(self, origin: str) -> bool:
        return origin.lower() in self.origins


def _same_origin(origin: str, request: Request) -> bool:
    parts = urlsplit(origin)
    if parts.scheme == "http" and request.scheme == "https":
        return False
    return bool(parts.netloc) and parts.netloc.lower() == (request.header("host") or "").lower()


def _with(given: Iterable[str], needed: Iterable[str]) -> tuple[str, ...]:
    names = [name.strip() for name in given if name.strip()]
    known = {name.lower() for name in names}
    return (*names, *(name for name in needed if name.lower() not in known))
