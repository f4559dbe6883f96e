"""HTML from files: one frame, one body per page, values escaped. No template language, no build step."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, Final

from starlette.responses import HTMLResponse, Response

__all__ = ["STATIC", "Markup", "markup", "page", "part"]

STATIC: Final = Path(__file__).with_name("static")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def markup(template: str, **values: object) -> Markup:
    """Fill *template*; everything but Markup is escaped."""
    return Markup(Template(template).substitute({name: _safe(value) for name, value in values.items()}))


def part(name: str, /, **values: object) -> Markup:
    """Fill one of the small templates."""
    return markup(_read(f"parts/{name}.html"), **values)


def page(
    name: str,
    *,
    title: str,
    data: Mapping[str, Any],
    gateways: Sequence[str] = (),
    script: str = "",
    **values: object,
) -> Response:
    """Return the page *name* with *data* for its script.

    The origins of *gateways* are the only foreign ones, and *script* is the one that may run code here.
    """
    inner = markup(_read(f"{name}.html"), page=_json(data), **values)
    whole = markup(_read("base.html"), title=title, kind=name, head=_head(name), body=inner)
    foreign = " ".join(gateways)
    policy = (
        f"default-src 'self'; script-src 'self' {script}; frame-src 'self' {foreign}; "
        f"connect-src 'self' {foreign}; form-action 'self' {foreign}; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "cache-control": "no-store",
        "content-security-policy": policy,
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
    }
    return HTMLResponse(whole, headers=headers)


def _head(name: str) -> Markup:
    own = STATIC / f"{name}.css"
    return Markup(f'<link rel="stylesheet" href="/static/{name}.css">' if own.exists() else "")


def _json(data: Mapping[str, Any]) -> Markup:
    return Markup(json.dumps(data).replace("<", "\\u003c"))


def _safe(value: object) -> str:
    return value if isinstance(value, Markup) else html.escape(str(value))


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
