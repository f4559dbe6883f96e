"""Idempotency keys as Stripe keeps them.

From the documentation (2026-11, https://docs.stripe.com/api/idempotent_requests):

* the status and body of the first request of a key are saved once the endpoint begins to execute,
  whatever they are, and every later request with that key gets them again, 500s included;
* parameters are compared with the first request's, and a difference is an error;
* nothing is saved when the input fails validation or when the request conflicts with one that is
  being executed with the same key;
* keys have up to 255 characters and may be removed when they are at least 24 hours old;
* GET and DELETE take no keys.

The wording and the statuses of the errors (400 for other parameters or another endpoint, 409 for a
key in use) are as reported in https://github.com/stripe/stripe-ruby/issues/503 and /598.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ...models import Clock
from .books import Json
from .problems import Problem

__all__ = ["Keys", "Saved"]

WINDOW: Final = timedelta(hours=24)


@dataclass(slots=True)
class Saved:
    """What is kept of one key; while `status` is None its first request is being executed."""

    path: str
    fingerprint: str
    created_at: datetime
    request_id: str
    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    replays: int = 0


class Keys:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.saved: dict[str, Saved] = {}
        self.ignored = False
        """A gateway that charges every request: shows who relies on keys and who sends two."""

    def begin(self, key: str, *, path: str, body: bytes, request_id: str) -> Saved | None:
        """Return the saved answer to repeat, or None: then this request is the first and is in flight."""
        if len(key) > 255:
            raise Problem(
                400,
                "invalid_request_error",
                "Idempotency keys have at most 255 characters.",
                remembered=False,
            )
        now = self._clock()
        before = self.saved.get(key)
        if before is not None and now - before.created_at >= WINDOW:
            before = None
        if before is None or self.ignored:
            self.saved[key] = Saved(path, _fingerprint(body), now, request_id)
            return None
        if before.path != path:
            raise _mismatch(
                "Keys for idempotent requests can only be used for the same endpoint they were first used "
                "for "
                f"('{path}' vs '{before.path}').",
                key,
            )
        if before.fingerprint != _fingerprint(body):
            raise _mismatch(
                "Keys for idempotent requests can only be used with the same parameters they were first "
                "used with.",
                key,
            )
        if before.status is None:
            raise Problem(
                409,
                "idempotency_error",
                "There is currently another in-progress request using this Idempotent Key (that probably "
                "means you "
                "submitted twice, and the other request is still going through).",
                code="idempotency_key_in_use",
                remembered=False,
            )
        before.replays += 1
        return before

    def keep(self, key: str, *, status: int, body: bytes) -> None:
        """The endpoint began to execute: this is the answer from now on."""
        saved = self.saved[key]
        saved.status, saved.body = status, body

    def forget(self, key: str) -> None:
        """Nothing was executed: the key is as new."""
        self.saved.pop(key, None)

    def prune(self) -> None:
        """Remove what is out of the window, as Stripe may at any time."""
        now = self._clock()
        self.saved = {key: saved for key, saved in self.saved.items() if now - saved.created_at < WINDOW}

    def dump(self) -> Json:
        """Return every finished key as JSON values; one in flight ends with its process."""
        self.prune()
        return {
            key: {
                "path": saved.path,
                "fingerprint": saved.fingerprint,
                "created_at": saved.created_at.isoformat(),
                "request_id": saved.request_id,
                "status": saved.status,
                "body": saved.body.decode(),
            }
            for key, saved in self.saved.items()
            if saved.status is not None
        }

    def load(self, dumped: Json) -> None:
        for key, saved in dumped.items():
            moment = datetime.fromisoformat(saved["created_at"])
            self.saved[key] = Saved(**{**saved, "created_at": moment, "body": saved["body"].encode()})


def _fingerprint(body: bytes) -> str:
    return hashlib.sha256(b"&".join(sorted(body.split(b"&")))).hexdigest()


def _mismatch(message: str, key: str) -> Problem:
    hint = f" Try using a key other than '{key}' if you meant to execute a different request."
    return Problem(400, "idempotency_error", message + hint, remembered=False)
