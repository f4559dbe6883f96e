"""One request and its answer, as they passed the transport."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .forms import decode_form

__all__ = ["NOT_PAYPAL", "NOT_STRIPE", "Exchange"]

NOT_STRIPE = "x-lab-not-stripe"
NOT_PAYPAL = "x-lab-not-paypal"
"""An answer with this header is wrong on purpose: what a test lets a broken server say."""

_API = re.compile(r"/v[12]/")


@dataclass(frozen=True)
class Exchange:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    """Of the request, names in lower case, without credentials."""
    content: bytes = b""
    status: int | None = None
    """None: there was no answer."""
    answered: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    service: str = "Stripe"

    @property
    def path(self) -> str:
        """The path from ``/v1`` on: a fake may sit below a prefix."""
        path = urlsplit(self.url).path
        found = _API.search(path)
        return path[found.start() :] if found else path

    @property
    def sent(self) -> dict[str, Any]:
        """The parameters, of the body or of the query."""
        return decode_form(self.content.decode() if self.method == "POST" else urlsplit(self.url).query)

    @property
    def body(self) -> Any:
        return json.loads(self.answer)

    @property
    def claims_to_be_real(self) -> bool:
        """Whether it has to look like the service's: no 5xx, no proxy's page, not wrong on purpose."""
        if self.status is None or self.status >= 500 or {NOT_STRIPE, NOT_PAYPAL} & self.answered.keys():
            return False
        return not self.answered.get("content-type", "").startswith("text/html")

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"
