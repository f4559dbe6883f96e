"""A fake Flowless: sessions and guest tokens in every published shape; slow, failing, flapping on demand."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qs

from ..models import Clock, MovableClock, utc_now
from .faults import FaultKind, Faults
from .listening import Listening
from .wire import App, Call, build_app

__all__ = ["FakeFlowless", "Reads", "Shape"]

_VALIDATE: Final = ("/auth/bridge/validate", "/bridge/validate")
_GUEST: Final = "/auth/token/validate"
_HEALTH: Final = "/health"


class Shape(StrEnum):
    """Which revision's answer is given."""

    FLAT = "flat"
    """``{success, user{userType…}, session{expiresAt…}}``"""
    TRUST_TOKEN = "trust_token"
    """``{success, data: {valid, trust_token, user{user_type…}, session{expires_at…}}}``"""
    VALID = "valid"
    """``{success, valid, user, session}``"""


class Reads(StrEnum):
    """Which revision's request is understood: where the session is looked for, and nowhere else."""

    ANY = "any"
    QUERY = "query"
    CAMEL = "sessionId"
    HEADER = "header"
    SNAKE = "session_id"


@dataclass(slots=True, kw_only=True)
class _Entry:
    user: dict[str, Any] = field(repr=False)
    expires_at: datetime | None
    revoked: bool = False
    ip: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    content: object
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    @property
    def body(self) -> bytes:
        return json.dumps(self.content).encode()


class FakeFlowless(Listening):
    """Serve it, sign somebody in, and point ``FLOWLESS_API_URL`` at its `url`.

    `faults` makes it slow or fail: ``faults.add("error_before", method="*", times=2, status=503)``.
    """

    def __init__(self, *, secret: str | None = None, clock: Clock = utc_now, port: int = 0) -> None:
        self.secret: str = secret or secrets.token_hex(24)
        self.clock: MovableClock = clock if isinstance(clock, MovableClock) else MovableClock(clock)
        self.faults: Faults = Faults()
        self.api: _Api = _Api(self.secret, self.clock)
        super().__init__(port=port, name="fake-flowless")

    def app(self) -> App:
        return build_app(
            self.api,
            prefixes=("/auth/", "/bridge/", _HEALTH),
            faults=self.faults,
            courier=None,
            beside=[],
            cors={},
        )

    @property
    def calls(self) -> Sequence[Call]:
        """Every request, oldest first."""
        with self.api.lock:
            return tuple(self.api.calls)

    def speak(self, shape: Shape | str, *, reads: Reads | str = Reads.ANY) -> None:
        """Be another revision from now on."""
        self.api.shape, self.api.reads = Shape(shape), Reads(reads)

    def sign_in(
        self,
        user_id: str,
        *,
        email: str | None = None,
        user_type: str = "user",
        verified: bool = True,
        lasts: timedelta | None = timedelta(hours=1),
        ip: str | None = None,
        session: str | None = None,
    ) -> str:
        """Return a new session, or *session* itself; with *ip* it is good from there only."""
        session = session or f"sess_{secrets.token_urlsafe(24)}"
        user = {
            "id": user_id,
            "email": email or f"{user_id}@example.com",
            "name": user_id.title(),
            "user_type": user_type,
            "is_verified": verified,
        }
        with self.api.lock:
            self.api.sessions[session] = _Entry(user=user, expires_at=self._ends(lasts), ip=ip)
        return session

    def guest(self, email: str, *, lasts: timedelta | None = timedelta(hours=1)) -> str:
        """Return a new guest token for *email*."""
        token = f"guest_{secrets.token_urlsafe(24)}"
        user = {"id": f"g_{secrets.token_hex(6)}", "email": email, "name": "Guest", "is_verified": False}
        with self.api.lock:
            self.api.guests[token] = _Entry(user=user, expires_at=self._ends(lasts))
        return token

    def revoke(self, value: str) -> None:
        """End a session or a guest token now; nobody is told."""
        with self.api.lock:
            for entries in (self.api.sessions, self.api.guests):
                if value in entries:
                    entries[value].revoked = True

    def _ends(self, lasts: timedelta | None) -> datetime | None:
        return None if lasts is None else self.clock() + lasts


class _Api:
    """What Flowless answers, without a wire."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self.secret: str = secret
        self.clock: Clock = clock
        self.shape: Shape = Shape.FLAT
        self.reads: Reads = Reads.ANY
        self.lock: threading.RLock = threading.RLock()
        self.calls: list[Call] = []
        self.sessions: dict[str, _Entry] = {}
        self.guests: dict[str, _Entry] = {}

    def caller(self, call: Call) -> str | None:
        return "server"

    def serve(self, call: Call, fault: FaultKind | None, status: int) -> _Answer:
        answer = self._served(call)
        if fault in (FaultKind.ERROR_BEFORE, FaultKind.ERROR_STORED, FaultKind.ERROR_AFTER):
            return _Answer(status=status, content={"success": False, "error": "Internal Server Error"})
        if fault is FaultKind.RATE_LIMITED:
            return _Answer(status=429, content={"success": False, "error": "Too many requests"})
        return answer

    def log(self, call: Call, answer: Any, fault: str | None) -> None:
        self.calls.append(call)

    def occupy(self, call: Call) -> bool:
        return False

    def release(self, call: Call) -> None: ...

    def _served(self, call: Call) -> _Answer:
        if call.path == _HEALTH:
            return _Answer(status=200, content={"status": "healthy"})
        if call.path == _GUEST and call.method == "GET":
            return self._guest(parse_qs(call.query).get("token", [""])[0])
        if call.path not in _VALIDATE or call.method != "POST":
            return _Answer(status=404, content={"success": False, "error": "Not found"})
        if not secrets.compare_digest(call.headers.get("x-bridge-secret", ""), self.secret):
            return _Answer(status=401, content={"success": False, "error": "Invalid bridge secret"})
        body = json.loads(call.body or b"{}")
        entry = self.sessions.get(_session_in(call, body, self.reads))
        if entry is None or not self._good(entry):
            # One revision says so in the status, another in the body.
            status = 401 if self.shape is Shape.FLAT else 200
            content: dict[str, Any] = {"success": False, "error": "Invalid or expired session"}
            return _Answer(status=status, content=content)
        if entry.ip is not None and entry.ip != (body.get("ip_address") or body.get("ip")):
            return _Answer(status=403, content={"success": False, "error": "IP address mismatch"})
        return _Answer(status=200, content=self._about(entry))

    def _good(self, entry: _Entry) -> bool:
        return not entry.revoked and (entry.expires_at is None or entry.expires_at > self.clock())

    def _about(self, entry: _Entry) -> dict[str, Any]:
        user, ends = entry.user, entry.expires_at
        snake = {"id": "s_1", "expires_at": _iso(ends), "created_at": _iso(self.clock())}
        match self.shape:
            case Shape.TRUST_TOKEN:
                data = {"valid": True, "trust_token": "v4.public.x", "user": user, "session": snake}
                return {"success": True, "data": data}
            case Shape.VALID:
                return {"success": True, "valid": True, "user": user, "session": snake}
            case _:
                camel = {
                    "id": user["id"],
                    "email": user["email"],
                    "firstName": user["name"],
                    "userType": user["user_type"],
                    "isVerified": user["is_verified"],
                }
                session = {"id": "s_1", "userId": user["id"], "expiresAt": _iso(ends)}
                return {"success": True, "user": camel, "session": session, "timestamp": _iso(self.clock())}

    def _guest(self, token: str) -> _Answer:
        entry = self.guests.get(token)
        if entry is None or not self._good(entry):
            content = {"success": False, "error": "Invalid token", "message": "Token is invalid or expired"}
            return _Answer(status=401, content=content)
        about = {
            "success": True,
            "user": entry.user,
            "tokenType": "token_login",
            "token_id": "t_1",
            "expires_at": _iso(entry.expires_at),
        }
        return _Answer(status=200, content=about)


def _session_in(call: Call, body: Mapping[str, Any], reads: Reads) -> str:
    """Return the session where that revision looks for it, and nowhere else."""
    query = parse_qs(call.query).get("session_id", [""])[0]
    header = call.headers.get("x-session-id", "")
    snake, camel = str(body.get("session_id", "")), str(body.get("sessionId", ""))
    found = {Reads.QUERY: query, Reads.HEADER: header, Reads.SNAKE: snake, Reads.CAMEL: camel}
    return found.get(reads, query or header or snake or camel)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
