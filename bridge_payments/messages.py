"""Request and Response: the only two HTTP objects this library knows; no framework type crosses this line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

__all__ = ["Request", "Response"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, as every mount hands it in."""

    method: str
    path: str
    """Below the mount's prefix, percent-decoded, beginning with a slash."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names are lower-case. Not in the repr: they carry credentials."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    """Raw on purpose: webhook signatures are computed over bytes, never over parsed JSON."""
    peer: str | None = None
    """The address of the caller, after trusted proxies were taken off."""
    scheme: str = "http"
    prefix: str = ""
    """Where the mount sits in the host's URL space, for the documents that name URLs."""

    def header(self, name: str, default: str | None = None) -> str | None:
        """Return one header; *name* in any case."""
        return self.headers.get(name.lower(), default)

    @property
    def cookies(self) -> Mapping[str, str]:
        """The request's cookies; an unreadable Cookie header is an empty mapping."""
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(self.headers.get("cookie", ""))
        except CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP answer, as every mount hands it out."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
