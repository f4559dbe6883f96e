"""Reading Flowless: tolerant of every published shape, and of nothing that does not say yes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge_payments.auth.flowless import Identity, guest_from, session_from

ENDS = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
ADA = {"id": "u1", "email": "ada@example.com", "name": "Ada", "user_type": "premium", "is_verified": True}
CAMEL = {
    "id": 7,
    "email": "ada@example.com",
    "firstName": "Ada",
    "lastName": "L",
    "userType": "admin",
    "isVerified": True,
}
SNAKE = {"id": "s", "expires_at": "2026-01-15T12:00:00Z"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {
                "success": True,
                "user": CAMEL,
                "session": {"id": "s", "userId": 7, "expiresAt": "2026-01-15T12:00:00.000Z"},
            },
            Identity(
                id="7",
                email="ada@example.com",
                name="Ada L",
                user_type="admin",
                is_verified=True,
                expires_at=ENDS,
            ),
        ),
        (
            {
                "success": True,
                "data": {"valid": True, "trust_token": "v4.public.x", "user": ADA, "session": SNAKE},
            },
            Identity(
                id="u1",
                email="ada@example.com",
                name="Ada",
                user_type="premium",
                is_verified=True,
                expires_at=ENDS,
            ),
        ),
        (
            {"success": True, "valid": True, "user": {"id": "u1"}, "session": {}},
            Identity(id="u1"),
        ),
        (
            {"success": True, "user": {"id": "u1", "organization_id": "o1"}, "expires_at": 1768478400},
            Identity(id="u1", organization_id="o1", expires_at=ENDS),
        ),
        (
            {"success": True, "user": {"id": "u1"}, "session": {"expires_at": 1768478400000}},
            Identity(id="u1", expires_at=ENDS),
        ),
        (
            {"success": True, "user": {"id": "u1"}, "session": {"expires_at": "2026-01-15 12:00:00"}},
            Identity(id="u1", expires_at=ENDS),
        ),
    ],
)
def test_every_published_shape_is_read(body: dict[str, Any], expected: Identity) -> None:
    assert session_from(body) == expected


def test_of_two_ends_the_sooner_counts() -> None:
    body = {"success": True, "user": ADA, "session": SNAKE, "expires_at": "2027-01-01T00:00:00Z"}
    found = session_from(body)
    assert found is not None
    assert found.expires_at == ENDS


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "yes",
        {},
        {"user": ADA},
        {"success": "true", "user": ADA},
        {"success": 1, "user": ADA},
        {"success": False, "user": ADA, "error": "Invalid or expired session"},
        {"success": True, "valid": False, "user": ADA},
        {"success": True, "valid": None, "user": ADA},
        {"success": True, "data": {"valid": False, "user": ADA}},
        {"success": True},
        {"success": True, "user": None},
        {"success": True, "user": {"email": "ada@example.com"}},
        {"success": True, "user": {"id": ""}},
        {"success": True, "user": {"id": True}},
        {"success": True, "user": {"id": "a\nb"}},
        {"success": True, "user": {"id": "x" * 300}},
        {"success": True, "user": [{"id": "u1"}]},
    ],
)
def test_whatever_does_not_say_yes_is_no(body: Any) -> None:
    assert session_from(body) is None
    assert guest_from(body) is None


@pytest.mark.parametrize("verified", [None, "true", 1, "yes", [True]])
def test_only_true_is_verified(verified: Any) -> None:
    """An e-mail address that is not verified proves nothing: a text that says so neither."""
    found = session_from({"success": True, "user": {"id": "u1", "is_verified": verified}})
    assert found is not None
    assert not found.is_verified


def test_a_guest_token_without_an_address_proves_nothing() -> None:
    assert guest_from({"success": True, "user": {"id": "g"}}) is None
    found = guest_from(
        {"success": True, "user": {"id": "g", "email": "a@b.co"}, "expires_at": "2026-01-15T12:00:00Z"}
    )
    assert found == Identity(id="g", email="a@b.co", expires_at=ENDS)
