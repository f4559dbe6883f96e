"""Who is at the other end, when proxies stand in between."""

from __future__ import annotations

import pytest

from bridge_payments.http.peers import Proxies

OURS = Proxies.of(["10.0.0.0/8", "::1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not our proxy: anybody can send the header
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # what the caller made up stands first
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (None, "198.51.100.1", None),
        ("unix:", "198.51.100.1", "unix:"),
    ],
)
def test_the_caller_is_the_first_address_that_is_not_ours(
    peer: str | None, forwarded: str, caller: str | None
) -> None:
    assert OURS.seen(peer, "http", {"x-forwarded-for": forwarded})[0] == caller


def test_without_proxies_nothing_is_believed() -> None:
    headers = {"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https"}
    assert Proxies.of([]).seen("127.0.0.1", "http", headers) == ("127.0.0.1", "http")


def test_our_proxy_says_that_the_caller_used_tls() -> None:
    assert OURS.seen("10.0.0.1", "http", {"x-forwarded-proto": "https"})[1] == "https"
    assert OURS.seen("10.0.0.1", "http", {"x-forwarded-proto": "gopher"})[1] == "http"
    assert OURS.seen("192.0.2.1", "http", {"x-forwarded-proto": "https"})[1] == "http"


@pytest.mark.parametrize(
    ("peer", "forwarded", "prefix"),
    [
        ("10.0.0.1", "/shop", "/shop/pay"),
        ("10.0.0.1", "/shop/", "/shop/pay"),
        ("10.0.0.1", "/eu/shop-2", "/eu/shop-2/pay"),
        ("10.0.0.1", "/made-up, /shop", "/shop/pay"),  # what the caller made up stands first
        ("10.0.0.1", "/pay", "/pay"),  # the server was told of it, too
        ("10.0.0.1", "/pa", "/pa/pay"),
        ("10.0.0.1", "", "/pay"),
        ("10.0.0.1", "/", "/pay"),
        ("203.0.113.9", "/shop", "/pay"),  # not our proxy
        (None, "/shop", "/pay"),
        *(
            ("10.0.0.1", made_up, "/pay")
            for made_up in (
                "//evil.example", "https://evil.example", "shop", "/../x", "/x/..", "/a?b", "/a#b", "/a b",
                "/a\nb", "/a\\b", "/a<b>", "/é",
            )
        ),
    ],
)  # fmt: skip
def test_a_prefix_is_what_a_proxy_of_ours_says(peer: str | None, forwarded: str, prefix: str) -> None:
    assert OURS.prefix(peer, {"x-forwarded-prefix": forwarded}, "/pay") == prefix


def test_without_proxies_no_prefix_is_believed() -> None:
    assert Proxies.of([]).prefix("127.0.0.1", {"x-forwarded-prefix": "/shop"}, "/pay") == "/pay"
