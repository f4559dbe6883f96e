"""One request and its answer, as they passed the transport."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .forms import decode_form

__all__ = ["NOT_STRIPE", "Exchange"]

NOT_STRIPE = "x-lab-not-stripe"
"""An answer with this header is wrong on purpose: what a test lets a broken server say."""


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

    @property
    def path(self) -> str:
        """The path from ``/v1`` on: a fake may sit below a prefix."""
        path = urlsplit(self.url).path
        return path[path.find("/v1/") :]

    @property
    def sent(self) -> dict[str, Any]:
        """The parameters, of the body or of the query."""
        return decode_form(self.content.decode() if self.method == "POST" else urlsplit(self.url).query)

    @property
    def body(self) -> Any:
        return json.loads(self.answer)

    @property
    def claims_to_be_stripe(self) -> bool:
        """Whether the answer has to look like Stripe's: no 5xx, no proxy's page, not wrong on purpose."""
        if self.status is None or self.status >= 500 or NOT_STRIPE in self.answered:
            return False
        return not self.answered.get("content-type", "").startswith("text/html")

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"
