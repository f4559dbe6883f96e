"""Bearer tokens that an identity provider signed (JWT), checked with the keys that it publishes (JWKS)."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, Union

from ..caching import Cache
from ..errors import MissingExtra, NotAuthenticated, ProviderError, Unavailable
from ..messages import Request
from ..models import Clock, Principal, PrincipalKind, utc_now

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt import PyJWK

    from ..transport import Transport

__all__ = ["StillValid", "TokenLogin"]

_log: Final = logging.getLogger(__name__)

_KEYS_TTL: Final = 3600.0
_UNKNOWN_KEY_PAUSE: Final = 60.0
"""Seconds between looks for a key that we do not know: anybody may invent a key id."""
_LEEWAY: Final = 30.0

StillValid = Callable[[Mapping[str, Any]], bool | Awaitable[bool]]
"""Asks the issuer, or a list of your own, whether the token of these claims still holds."""

_Key = Union["PyJWK", "RSAPublicKey"]
_Keys = Mapping[str | None, _Key]


class TokenLogin:
    """Believes tokens with the right issuer, audience, signature and time.

    A signed token cannot be taken back before it expires. So where money moves (`max_age`) *still_valid* is
    asked; without one the token must have been issued at most *money_max_age* seconds ago.
    """

    def __init__(
        self,
        jwks_url: str,
        *,
        issuer: str,
        audience: Sequence[str],
        transport: Transport,
        algorithms: Sequence[str] = ("RS256", "ES256", "EdDSA"),
        user_type_claim: str = "user_type",
        admin_types: Iterable[str] = ("admin",),
        money_max_age: float = 900.0,
        still_valid: StillValid | None = None,
        timer: Callable[[], float] = time.monotonic,
        clock: Clock = utc_now,
    ) -> None:
        if importlib.util.find_spec("jwt") is None:
            raise MissingExtra("jwt", needed_for="checking signed tokens (JWT_JWKS_URL)")
        self._url = jwks_url
        self._issuer = issuer
        self._audience = list(audience)
        self._api = transport.client(jwks_url)
        self._algorithms = list(algorithms)
        self._user_type_claim = user_type_claim
        self._admin_types = frozenset(admin_types)
        self._money_max_age = money_max_age
        self._still_valid = still_valid
        self._timer = timer
        self._clock = clock
        self._keys: Cache[str, _Keys] = Cache(max_entries=1, ttl=_KEYS_TTL, timer=timer)
        self._looked = float("-inf")

    async def identify(self, request: Request, *, max_age: float | None = None) -> Principal | None:
        """Return who sent the bearer token; None for one that is not a JWT of this issuer.

        Raises: NotAuthenticated, Unavailable when the issuer's keys are not known and cannot be read.
        """
        import jwt

        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token.count(".") != 2:
            return None
        try:
            header = jwt.get_unverified_header(token)
            stranger = jwt.decode(token, options={"verify_signature": False}).get("iss") != self._issuer
        except jwt.PyJWTError:
            return None
        if stranger or header.get("alg") not in self._algorithms:
            return None
        key = await self._key(header.get("kid"))
        if not isinstance(key, jwt.PyJWK) and header["alg"][:2] not in ("RS", "PS"):
            raise NotAuthenticated("Invalid or expired session")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    # Times are compared below, with the clock that everything else goes by.
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            issued = self._check_times(claims)
        except jwt.PyJWTError as error:
            _log.info("a token was refused: %s", type(error).__name__)
            raise NotAuthenticated("Invalid or expired session") from None
        if max_age is None:
            return self._principal(claims, request, datetime.fromtimestamp(issued, UTC))
        await self._check_again(claims, issued)
        return self._principal(claims, request, self._clock())

    def _check_times(self, claims: Mapping[str, Any]) -> float:
        now = self._clock().timestamp()
        expires, issued = _number(claims["exp"]), _number(claims["iat"])
        begins = _number(claims.get("nbf", issued))
        if expires + _LEEWAY <= now or max(issued, begins) - _LEEWAY > now:
            raise NotAuthenticated("Invalid or expired session")
        return issued

    async def _check_again(self, claims: Mapping[str, Any], issued: float) -> None:
        if self._still_valid is not None:
            answer = self._still_valid(claims)
            if not (await answer if isawaitable(answer) else answer):
                raise NotAuthenticated("Invalid or expired session")
        elif self._clock().timestamp() - issued > self._money_max_age:
            raise NotAuthenticated("This needs a token that was issued more recently")

    async def _key(self, kid: str | None) -> _Key:
        keys = await self._keys.get(self._url, self._load)
        if kid not in keys and self._timer() - self._looked > _UNKNOWN_KEY_PAUSE:  # it may be a new one
            keys = await self._keys.renew(self._url, self._load)
        found = keys.get(kid)
        if found is None and kid is None and len(keys) == 1:
            found = next(iter(keys.values()))
        if found is None:
            raise NotAuthenticated("Invalid or expired session")
        return found

    async def _load(self) -> _Keys:
        import jwt

        self._looked = self._timer()
        try:
            published = await self._api.get("")
            found = [key for key in jwt.PyJWKSet.from_dict(published).keys if key.key_type != "oct"]
            # An RSA key that names no algorithm serves RS and PS alike; the package takes it for RS256's.
            free = {
                each.get("kid")
                for each in published["keys"]
                if isinstance(each, dict) and each.get("kty") == "RSA" and not each.get("alg")
            }
            return {key.key_id: key.key if key.key_id in free else key for key in found}
        except (ProviderError, AttributeError, TypeError, jwt.PyJWTError) as error:
            _log.error("the keys of the token issuer cannot be read: %s", type(error).__name__)
            raise Unavailable("Authentication service unavailable") from None

    def _principal(self, claims: Mapping[str, Any], request: Request, at: datetime) -> Principal:
        types = claims.get(self._user_type_claim)
        named = [types] if isinstance(types, str) else types if isinstance(types, list) else []
        admin = next((one for one in named if one in self._admin_types), None)
        return Principal(
            kind=PrincipalKind.ADMIN if admin else PrincipalKind.USER,
            id=_subject(claims["sub"]),
            email=_text(claims.get("email")),
            email_verified=claims.get("email_verified") is True,
            name=_text(claims.get("name")),
            user_type=admin or next((one for one in named if isinstance(one, str)), "user"),
            organization_id=_text(claims.get("organization_id") or claims.get("org_id")),
            peer=request.peer,
            validated_at=at,
        )


def _subject(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 191 or not value.isprintable():
        raise NotAuthenticated("Invalid or expired session")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 191 and value.isprintable() else None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotAuthenticated("Invalid or expired session")
    try:
        return datetime.fromtimestamp(value, UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        raise NotAuthenticated("Invalid or expired session") from None
