"""What the author of a provider gets: one error class per thing the engine may do next."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from bridge_payments.errors import (
    ProviderDeclined,
    ProviderError,
    ProviderNeverSent,
    ProviderNotFound,
    ProviderRejected,
    ProviderUnknown,
)
from bridge_payments.models import Money
from bridge_payments.transport import Transport
from bridge_payments.transport.api import request_id_of

pytestmark = pytest.mark.anyio

Start = Callable[[Callable[[Any], None]], Any]


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport(connect_timeout=5, total_timeout=10)
    yield transport
    await transport.aclose()


async def test_an_instruction_carries_key_bearer_and_json(
    hostile: Start, answering: Any, transport: Transport
) -> None:
    server = hostile(answering(201, b'{"id": "ch_1"}'))
    api = transport.client(f"{server.url}/v1/", bearer="sk-x", headers={"X-Api": "2"})

    answer = await api.post("/charges", json={"amount": 2000}, key="op_1-main")

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert answer == {"id": "ch_1"}
    assert head.startswith(b"POST /v1/charges HTTP/1.1")
    assert json.loads(body) == {"amount": 2000}
    for line in (
        b"authorization: bearer sk-x",
        b"x-api: 2",
        b"idempotency-key: op_1-main",
        b"content-type: application/json",
    ):
        assert line in head.lower().split(b"\r\n")


async def test_the_name_of_the_key_header_is_the_providers(
    hostile: Start, answering: Any, transport: Transport
) -> None:
    server = hostile(answering())
    api = transport.client(server.url, key_header="PayPal-Request-Id")

    await api.post("/x", form={"a": "b c"}, key="k")

    assert b"paypal-request-id: k" in server.requests[0].lower()
    assert server.requests[0].endswith(b"\r\n\r\na=b+c")


async def test_arguments_of_a_path_stay_one_segment(
    hostile: Start, answering: Any, transport: Transport
) -> None:
    server = hostile(answering())
    api = transport.client(server.url)

    await api.get(
        "/charges/{}/refunds/{}", "ch_1/../../payouts?x=1#y", "ré 1", query={"limit": "3", "q": "a b"}
    )

    expected = b"GET /charges/ch_1%2F..%2F..%2Fpayouts%3Fx%3D1%23y/refunds/r%C3%A9%201?limit=3&q=a+b HTTP/1.1"
    assert server.requests[0].split(b"\r\n")[0] == expected


@pytest.mark.parametrize("empty", ["", " ", "\t", ".", ".."])
async def test_an_empty_id_is_refused_because_it_would_ask_for_the_list(
    hostile: Start, answering: Any, transport: Transport, empty: str
) -> None:
    server = hostile(answering())

    with pytest.raises(ProviderNeverSent):
        await transport.client(server.url).get("/charges/{}", empty)

    assert server.connections == 0


async def test_a_path_with_another_number_of_arguments_is_a_mistake_of_the_author(
    transport: Transport,
) -> None:
    with pytest.raises(TypeError):
        await transport.client("http://127.0.0.1:1").get("/charges/{}")
    with pytest.raises(TypeError):
        await transport.client("http://127.0.0.1:1").get("/charges", "ch_1")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, ProviderUnknown),
        (302, ProviderUnknown),
        (400, ProviderRejected),
        (401, ProviderRejected),
        (402, ProviderRejected),
        (403, ProviderRejected),
        (404, ProviderNotFound),
        (408, ProviderUnknown),
        (409, ProviderUnknown),
        (422, ProviderRejected),
        (423, ProviderUnknown),
        (425, ProviderUnknown),
        (429, ProviderUnknown),
        (500, ProviderUnknown),
        (502, ProviderUnknown),
        (503, ProviderUnknown),
        (504, ProviderUnknown),
        (599, ProviderUnknown),
    ],
)
async def test_a_status_is_a_refusal_only_if_it_says_that_nothing_happened(
    hostile: Start, answering: Any, transport: Transport, status: int, error: type[ProviderError]
) -> None:
    body = b'{"error": {"type": "card_error", "code": "card_declined", "message": "card 4242 was declined"}}'
    server = hostile(answering(status, body, headers="Request-Id: req_9\r\n"))

    with pytest.raises(ProviderError) as caught:
        await transport.client(server.url).post("/charges", json={}, key="k")

    assert type(caught.value) is error
    assert caught.value.http_status == status
    assert caught.value.provider_code == "card_declined"
    assert caught.value.request_id == "req_9"
    assert "4242" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"code": "invalid_currency"}', "invalid_currency"),
        (b'{"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "X"}]}', "UNPROCESSABLE_ENTITY"),
        (b'{"error": "invalid_client", "error_description": "who"}', "invalid_client"),
        (b'{"error": {"type": "api_error"}}', "api_error"),
        (b'{"errors": [{"code": 17, "message": "no"}]}', "17"),
        (b'{"error": "Something went wrong with jane@example.com"}', None),
        (b'{"success": false}', None),
        (b'["x"]', None),
        (b"<html>no</html>", None),
        (b"", None),
    ],
)
async def test_the_providers_code_is_found_and_never_a_sentence(
    hostile: Start, answering: Any, transport: Transport, body: bytes, code: str | None
) -> None:
    server = hostile(answering(400, body))

    with pytest.raises(ProviderRejected) as caught:
        await transport.client(server.url).post("/charges")

    assert caught.value.provider_code == code


@pytest.mark.parametrize(
    "body",
    [b"", b"OK", b"{", b'{"id": "ch', b"\xff\xfe", b"<html></html>", b'{"amount": NaN}', b"[" * 100_000],
    ids=lambda body: repr(body[:20]),
)
async def test_success_that_cannot_be_read_is_unknown(
    hostile: Start, answering: Any, transport: Transport, body: bytes
) -> None:
    server = hostile(answering(200, body))

    with pytest.raises(ProviderUnknown):
        await transport.client(server.url).post("/charges", json={})


async def test_amounts_with_decimals_do_not_become_floats(
    hostile: Start, answering: Any, transport: Transport
) -> None:
    server = hostile(answering(200, b'{"amount": 20.10}'))

    answer = await transport.client(server.url).get("/charges/{}", "ch_1")

    assert Money.from_decimal(answer["amount"], "USD") == Money(2010, "USD")


async def test_an_answer_that_is_meant_to_be_empty_is_none(hostile: Start, transport: Transport) -> None:
    def no_content(caller: Any) -> None:
        while caller.read():
            caller.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = hostile(no_content)

    assert await transport.client(server.url).delete("/charges/{}", "ch_1") is None


async def test_silence_after_the_send_is_unknown(hostile: Start, transport: Transport) -> None:
    def read_and_close(caller: Any) -> None:
        caller.read()

    server = hostile(read_and_close)

    with pytest.raises(ProviderUnknown) as caught:
        await transport.client(server.url).post("/charges", json={}, key="k")

    assert caught.value.__cause__ is None
    assert len(server.requests) == 1


async def test_a_closed_door_is_never_sent(transport: Transport) -> None:
    with pytest.raises(ProviderNeverSent):
        await transport.client("http://127.0.0.1:1").post("/charges", json={}, key="k")


async def test_an_author_may_read_a_refusal_before_the_status_is_believed(
    hostile: Start, answering: Any, transport: Transport
) -> None:
    def refusal(status: int, body: Any) -> ProviderError | None:
        return ProviderDeclined(decline_code=body["why"]) if status == 402 else None

    declined = hostile(answering(402, b'{"why": "expired_card"}'))
    with pytest.raises(ProviderDeclined) as caught:
        await transport.client(declined.url, refusal=refusal).post("/charges")
    assert caught.value.decline_code == "expired_card"

    broken = hostile(answering(500, b"{}"))
    with pytest.raises(ProviderUnknown):
        await transport.client(broken.url, refusal=refusal).post("/charges")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Request-Id": "req_1"}, "req_1"),
        ({"X-Request-Id": "r", "Acme-Debug-Id": "f0"}, "r"),
        ({"Acme-Debug-Id": "f0"}, "f0"),
        ({"content-type": "text/plain", "x-identity": "no"}, None),
    ],
)
def test_what_a_service_calls_a_request_is_found_under_its_own_name(
    headers: dict[str, str], found: str | None
) -> None:
    assert request_id_of(httpx.Headers(headers)) == found
