"""Request and Response: the only two HTTP objects this library knows; no framework type crosses this line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Final

__all__ = ["Request", "Response"]

_QUOTING: Final[SimpleCookie] = SimpleCookie()


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
        """The request's cookies, as browsers write them.

        Not read by `SimpleCookie`: it takes nothing from a header in which one value, of anybody's script, is
        JSON or holds a blank, and a cookie named ``path`` for a part of the one before.
        """
        pairs = (part.partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name.strip(): _QUOTING.value_decode(value.strip())[0] for name, sign, value in pairs if sign}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP answer, as every mount hands it out."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
