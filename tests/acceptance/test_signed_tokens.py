"""Callers whom an identity provider vouches for: its keys over HTTP, its signatures, every known forgery."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bridge_payments import AuthBridge, ConfigurationError, NotAuthenticated, Request, Settings, Unavailable
from bridge_payments.models import PrincipalKind

pytestmark = pytest.mark.anyio

ISSUER, AUDIENCE = "https://id.example", "shop"
START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)


class Issuer:
    """Publishes keys on a port of its own and signs with them."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.curve = ec.generate_private_key(ec.SECP256R1())
        self.published: list[tuple[str, Any]] = [("k1", self.key), ("e1", self.curve)]
        self.asked = 0
        self.away = False
        self.now = START

    def jwks(self) -> bytes:
        self.asked += 1
        keys = []
        for kid, key in self.published:
            kind = (
                jwt.algorithms.RSAAlgorithm
                if isinstance(key, rsa.RSAPrivateKey)
                else jwt.algorithms.ECAlgorithm
            )
            keys.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"})
        keys.append({"kty": "oct", "kid": "sym", "k": "c2VjcmV0"})
        keys.append({"kty": "something new", "kid": "z"})
        return json.dumps({"keys": keys}).encode()

    def claims(self, **more: Any) -> dict[str, Any]:
        usual = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "u1",
            "email": "ada@example.com",
            "email_verified": True,
            "iat": int(self.now.timestamp()),
            "exp": int((self.now + timedelta(minutes=15)).timestamp()),
        }
        return {name: value for name, value in {**usual, **more}.items() if value is not None}

    def token(
        self, key: Any = None, *, kid: str | None = "k1", algorithm: str = "RS256", **claims: Any
    ) -> str:
        headers = {"kid": kid} if kid else {}
        return jwt.encode(self.claims(**claims), key or self.key, algorithm=algorithm, headers=headers)


@pytest.fixture(scope="module")
def keys() -> Issuer:
    return Issuer()  # making keys takes a moment


@pytest.fixture
def issuer(keys: Issuer) -> Iterator[Issuer]:
    keys.published = [("k1", keys.key), ("e1", keys.curve)]
    keys.asked, keys.away, keys.now = 0, False, START

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"away" if keys.away else keys.jwks()
            self.send_response(503 if keys.away else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    keys.url = f"http://127.0.0.1:{server.server_port}/jwks"  # type: ignore[attr-defined]
    yield keys
    server.shutdown()
    server.server_close()
    thread.join()


def settings(issuer: Issuer, **more: Any) -> Settings:
    url = issuer.url  # type: ignore[attr-defined]
    return Settings(**{"jwt_jwks_url": url, "jwt_issuer": ISSUER, "jwt_audience": (AUDIENCE,), **more})


@pytest.fixture
async def auth(issuer: Issuer) -> AsyncIterator[AuthBridge]:
    bridge = AuthBridge.from_settings(
        settings(issuer), clock=lambda: issuer.now, timer=lambda: float(issuer.now.timestamp())
    )
    yield bridge
    await bridge.aclose()


def bearing(token: str) -> Request:
    return Request(method="GET", path="/", headers={"authorization": f"Bearer {token}"}, peer="192.0.2.7")


async def test_a_signed_token_says_who_asks(auth: AuthBridge, issuer: Issuer) -> None:
    for token in (issuer.token(), issuer.token(issuer.curve, kid="e1", algorithm="ES256")):
        found = await auth.identify(bearing(token))
        assert (found.kind, found.id, found.email, found.email_verified, found.peer) == (
            PrincipalKind.USER, "u1", "ada@example.com", True, "192.0.2.7",
        )  # fmt: skip
    assert issuer.asked == 1, "the keys are remembered"


async def test_an_rsa_key_that_names_no_algorithm_serves_those_that_are_allowed(issuer: Issuer) -> None:
    algorithms = ("RS512", "PS256", "ES256", "EdDSA")
    allowed = AuthBridge.from_settings(settings(issuer, jwt_algorithms=algorithms), clock=lambda: issuer.now)
    for algorithm in ("RS512", "PS256"):
        assert (await allowed.identify(bearing(issuer.token(algorithm=algorithm)))).id == "u1"
    assert (await allowed.identify(bearing(issuer.token()))).is_anonymous, "RS256 is not on the list"
    with pytest.raises(NotAuthenticated):  # the key of another kind
        await allowed.identify(bearing(issuer.token(issuer.curve, algorithm="ES256")))
    await allowed.aclose()


@pytest.mark.parametrize(
    ("claim", "admin"), [("admin", True), (["user", "admin"], True), ("user", False), (7, False)]
)
async def test_who_is_an_admin_is_a_claim(auth: AuthBridge, issuer: Issuer, claim: Any, admin: bool) -> None:
    found = await auth.identify(bearing(issuer.token(user_type=claim)))
    assert (found.kind is PrincipalKind.ADMIN) is admin


def _public_pem(issuer: Issuer) -> bytes:
    return issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _by_hand(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes | None) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    mark = hmac.new(secret, signed.encode(), hashlib.sha256).digest() if secret is not None else b""
    return f"{signed}.{part(mark)}"


@pytest.mark.parametrize(
    "forgery",
    [
        lambda i: i.token(i.other),  # another key under a known name
        lambda i: i.token(i.other, kid="k2"),
        lambda i: i.token(i.other, kid=None),
        lambda i: i.token(aud="another-shop"),
        lambda i: i.token(aud=None),
        lambda i: i.token(exp=None),
        lambda i: i.token(iat=None),
        lambda i: i.token(sub=None),
        lambda i: i.token(sub=""),
        lambda i: i.token(sub="a\nb"),
        lambda i: i.token(exp=int(i.now.timestamp()) - 31),
        lambda i: i.token(exp=10**30),
        lambda i: i.token(iat=int(i.now.timestamp()) + 31),
        lambda i: i.token(nbf=int(i.now.timestamp()) + 31),
        lambda i: i.token()[:-6] + "AAAAAA",
    ],
)  # fmt: skip
async def test_a_forged_or_stale_token_is_refused(auth: AuthBridge, issuer: Issuer, forgery: Any) -> None:
    with pytest.raises(NotAuthenticated):
        await auth.identify(bearing(forgery(issuer)))


async def test_no_token_is_believed_without_a_public_key(auth: AuthBridge, issuer: Issuer) -> None:
    """`none`, the public key as an HMAC secret, a symmetric key of the set: nobody, as for any other text."""
    claims = issuer.claims()
    for header, secret in [
        ({"alg": "none", "kid": "k1"}, None),
        ({"alg": "HS256", "kid": "k1"}, _public_pem(issuer)),
        ({"alg": "HS256", "kid": "sym"}, b"secret"),
    ]:
        assert (await auth.identify(bearing(_by_hand(header, claims, secret)))).is_anonymous
    for names in (("HS256",), ("none",), ("RS256", "HS512")):
        with pytest.raises(ValueError, match="RS…"):
            Settings(jwt_algorithms=names)


@pytest.mark.parametrize("text", ["sess_0123456789", "a.b.c", "....", "ey.ey.ey"])
async def test_what_is_no_token_of_this_issuer_is_left_to_the_next_source(
    auth: AuthBridge, issuer: Issuer, text: str
) -> None:
    assert (await auth.identify(bearing(text))).is_anonymous
    assert (await auth.identify(bearing(issuer.token(iss="https://elsewhere.example")))).is_anonymous
    assert issuer.asked == 0


async def test_a_new_key_is_found_and_an_invented_one_costs_one_look_a_minute(
    auth: AuthBridge, issuer: Issuer
) -> None:
    await auth.identify(bearing(issuer.token()))
    issuer.now += timedelta(seconds=61)
    issuer.published.append(("k2", issuer.other))
    assert (await auth.identify(bearing(issuer.token(issuer.other, kid="k2")))).id == "u1"
    assert issuer.asked == 2
    for number in range(5):
        with pytest.raises(NotAuthenticated):
            await auth.identify(bearing(issuer.token(issuer.other, kid=f"made-up-{number}")))
    assert issuer.asked == 2


async def test_an_issuer_that_is_away_is_not_a_refusal(auth: AuthBridge, issuer: Issuer) -> None:
    issuer.away = True
    with pytest.raises(Unavailable):
        await auth.identify(bearing(issuer.token()))
    issuer.away = False
    assert (await auth.identify(bearing(issuer.token()))).id == "u1"
    issuer.away = True
    assert (await auth.identify(bearing(issuer.token()))).id == "u1"


async def test_money_asks_for_a_token_that_was_issued_lately(auth: AuthBridge, issuer: Issuer) -> None:
    day = int((issuer.now + timedelta(days=1)).timestamp())
    token = issuer.token(exp=day)
    assert (await auth.identify(bearing(token), max_age=30)).id == "u1"
    issuer.now += timedelta(seconds=901)
    principal = await auth.identify(bearing(token))
    assert principal.id == "u1"
    with pytest.raises(NotAuthenticated, match="issued more recently"):
        await auth.identify(bearing(token), max_age=30)
    with pytest.raises(NotAuthenticated, match="issued more recently"):
        await auth.recheck(bearing(token), principal, 30)


async def test_whoever_can_be_asked_is_asked_where_money_moves(issuer: Issuer) -> None:
    from bridge_payments.auth import TokenLogin
    from bridge_payments.transport import Transport

    revoked: set[str] = set()
    transport = Transport.for_issuers(Settings())

    async def still_valid(claims: Mapping[str, Any]) -> bool:
        return claims["sub"] not in revoked

    url = issuer.url  # type: ignore[attr-defined]
    login = TokenLogin(
        url,
        issuer=ISSUER,
        audience=[AUDIENCE],
        transport=transport,
        still_valid=still_valid,
        clock=lambda: issuer.now,
    )
    auth = AuthBridge(chain=[login], clock=lambda: issuer.now)
    token = issuer.token()
    assert (await auth.identify(bearing(token), max_age=30)).id == "u1"
    revoked.add("u1")
    assert (await auth.identify(bearing(token))).id == "u1"
    with pytest.raises(NotAuthenticated):
        await auth.identify(bearing(token), max_age=30)
    await transport.aclose()


def test_an_issuer_without_a_name_or_an_audience_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError) as missing:
        AuthBridge.from_settings(Settings(jwt_jwks_url="https://id.example/jwks"))
    assert missing.value.missing == ["JWT_AUDIENCE", "JWT_ISSUER"]
