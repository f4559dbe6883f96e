"""What counts as a credential, and which one when a request carries several."""

from __future__ import annotations

import pytest

from bridge_payments.auth.credentials import Carriers, Credential, CredentialKind, Surroundings
from bridge_payments.errors import NotAuthenticated
from bridge_payments.messages import Request

SESSION, GUEST = CredentialKind.SESSION, CredentialKind.GUEST

IN_ORDER = [
    ({"authorization": "Bearer by-bearer-1"}, {}, Credential(SESSION, "by-bearer-1")),
    ({"x-session-id": "by-header-1"}, {}, Credential(SESSION, "by-header-1")),
    ({}, {"session_id": "by-query-12"}, Credential(SESSION, "by-query-12")),
    ({"cookie": "a=b; session_id=by-cookie-1"}, {}, Credential(SESSION, "by-cookie-1")),
    ({"x-guest-token": "by-guest-12"}, {}, Credential(GUEST, "by-guest-12")),
    ({}, {"token": "by-token-12"}, Credential(GUEST, "by-token-12")),
]


def request(headers: dict[str, str], query: dict[str, str]) -> Request:
    return Request(method="GET", path="/", headers=headers, query=query)


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_of_several_credentials_the_contracts_order_decides(first: int) -> None:
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    for more, asked, _ in IN_ORDER[first:]:
        headers |= more
        query |= asked
    assert Carriers().find(request(headers, query)) == IN_ORDER[first][2]


def test_the_older_spelling_of_a_guest_token_is_read() -> None:
    found = Carriers().find(request({"authorization": "Token old-guest-token"}, {}))
    assert found == Credential(GUEST, "old-guest-token")


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic YTpi"}, {"x-session-id": ""}, {"cookie": "x=y"}]
)
def test_nothing_is_nobody(headers: dict[str, str]) -> None:
    assert Carriers().find(request(headers, {})) is None


@pytest.mark.parametrize(
    "value", ["short", "null", "undefined", "with a blank in it", "x" * 4097, "ünïcödé-session"]
)
def test_what_cannot_be_a_credential_is_refused_without_asking(value: str) -> None:
    with pytest.raises(NotAuthenticated):
        Carriers().find(request({"x-session-id": value}, {}))


def test_an_installation_may_name_its_own_header_and_cookie() -> None:
    carriers = Carriers(session_header="x-shop-session", session_cookie="sid")
    assert carriers.find(request({"x-shop-session": "own-header-1"}, {})) == Credential(
        SESSION, "own-header-1"
    )
    assert carriers.find(request({"cookie": "sid=own-cookie-1"}, {})) == Credential(SESSION, "own-cookie-1")
    assert carriers.find(request({"x-session-id": "not-ours-now"}, {})) is None


@pytest.mark.parametrize(
    "other",
    ['seen={"tour": true}', "a=b c", "a@b=1", "flag", "=x", "path=/shop", "expires=Mon", "é=é"],
)
def test_a_cookie_of_somebody_elses_script_hides_no_session(other: str) -> None:
    wanted = Credential(SESSION, "by-cookie-1")
    for cookie in (f"{other}; session_id=by-cookie-1", f"session_id=by-cookie-1; {other}"):
        assert Carriers().find(request({"cookie": cookie}, {})) == wanted


def test_a_cookie_may_be_quoted() -> None:
    quoted = request({"cookie": 'session_id="by-cookie-1"; note="a\\073b"'}, {})
    assert dict(quoted.cookies) == {"session_id": "by-cookie-1", "note": "a;b"}


def test_neither_a_repr_nor_a_cache_key_holds_the_credential() -> None:
    one = Credential(SESSION, "secret-session-1")
    assert "secret" not in repr(one) + one.name
    assert b"secret" not in one.key
    assert one.key != Credential(GUEST, "secret-session-1").key, "a guest token is never a session"


def test_the_surroundings_are_those_of_the_connection_and_not_what_a_header_claims() -> None:
    asked = Request(
        method="GET",
        path="/",
        peer="192.0.2.7",
        headers={"x-forwarded-for": "6.6.6.6", "user-agent": "Firefox", "sec-ch-ua": "Brand"},
    )
    assert Surroundings.of(asked) == Surroundings("192.0.2.7", "Firefox", "Brand")
