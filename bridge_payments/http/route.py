"""A route is data: everything that the router, the mounts and the OpenAPI document need to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from inspect import getdoc
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel

from ..errors import BridgeError
from ..messages import Request
from ..models import Principal
from .envelope import Content, Reply

if TYPE_CHECKING:
    from ..bridge import Bridge

__all__ = ["Access", "Call", "Handler", "Key", "Parameter", "Route", "Text"]

B = TypeVar("B", bound=BaseModel)


class Access(Enum):
    """Who may knock. Whose payment it is, is decided in the engine: one place for every caller."""

    OPEN = "open"
    """Nobody is identified: health, documents, and webhooks, which their signature identifies."""
    ANYONE = "anyone"
    """Identified when possible; an invalid credential counts as none, so that a guest can pay."""
    SIGNED_IN = "signed in"
    """A user, an admin or the holder of a guest token."""
    ADMIN = "admin"


class Key(Enum):
    """What a route makes of the Idempotency-Key header."""

    UNUSED = "unused"
    OPTIONAL = "optional"
    """The published clients send none."""
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a handler receives."""

    bridge: Bridge
    request: Request
    path: Mapping[str, str]
    principal: Principal
    routes: Sequence[Route] = ()
    body: BaseModel | None = None
    idempotency_key: str | None = None

    def given(self, schema: type[B]) -> B:
        """Return the body, which was read as the route's `takes`."""
        assert isinstance(self.body, schema)
        return self.body

    @property
    def wants_fresh(self) -> bool:
        """Whether the caller wants what is stored now, and nothing remembered (RFC 9111)."""
        return "no-cache" in (self.request.header("cache-control") or "").lower()


Handler = Callable[[Call], Awaitable[Reply | Content]]


@dataclass(frozen=True, slots=True)
class Text:
    """The contract's words for one refusal on one route; ``{name}`` is a path variable."""

    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter, for the document."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One row of the table. `aliases` are older or other spellings of `path`, served alike."""

    methods: tuple[str, ...]
    path: str
    handler: Handler
    noun: str
    takes: type[BaseModel] | None = None
    returns: type[BaseModel] | None = None
    many: bool = False
    """Whether `returns` is one of a list."""
    beside: type[BaseModel] | None = None
    """What stands beside `data` in the envelope, for clients of an older contract."""
    listed: bool = True
    """Whether it is in the document and in lists of endpoints: pages for people are not."""
    wrapped: bool = True
    """Whether the answer comes in the envelope."""
    status: int = 200
    also: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    """Other answers that are not refusals, or are not shaped like one."""
    access: Access = Access.ANYONE
    fresh: bool | Callable[[Any], bool] = False
    """Whether the credential has to have been checked at its issuer a moment ago (rule 25), or a function of
    the body that says so. What an admin changes always needs it, and a read that tells a client secret."""
    reveals: bool = False
    """Whether somebody else's object is 403 here, as the contract fixes it, and not 404 (rule 31)."""
    key: Key = Key.UNUSED
    raw: bool = False
    """Whether the handler reads the bytes itself, whatever they claim to be."""
    errors: tuple[type[BridgeError], ...] = ()
    texts: Mapping[type[BridgeError], Text] = field(default_factory=dict)
    query: tuple[Parameter, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether requests are counted: not where nobody is identified (health, documents, webhooks)."""
        return self.access is not Access.OPEN

    def needs_fresh(self, method: str) -> bool:
        """Whether, whatever the body says, only a credential that was checked a moment ago is believed."""
        by_admin = self.access is Access.ADMIN and method in UNSAFE
        return self.fresh is True or by_admin or self._reads_secret(method)

    def _reads_secret(self, method: str) -> bool:
        """Whether it tells the secret of what was there before. An update of nothing is a read, too."""
        tells = self.returns is not None and "client_secret" in self.returns.model_fields
        return tells and "{" in self.path and method not in ("POST", "DELETE")

    def body_needs_fresh(self, body: BaseModel | None) -> bool:
        """Whether this body asks for something that needs it."""
        return callable(self.fresh) and body is not None and self.fresh(body)

    @property
    def operation_id(self) -> str:
        """The handler's name: unique among the routes."""
        return getattr(self.handler, "__name__", self.path)

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (getdoc(self.handler) or "").partition("\n")[0]

    def text_for(self, error: BridgeError) -> Text | None:
        """Return this route's own words for *error*, or for its nearest ancestor."""
        return next((self.texts[kind] for kind in type(error).__mro__ if kind in self.texts), None)

    @property
    def description(self) -> str:
        """What follows that line."""
        return (getdoc(self.handler) or "").partition("\n")[2].strip()


UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
