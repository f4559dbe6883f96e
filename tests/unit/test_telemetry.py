"""Logs leave the building: what is in them must be useful and must not be a secret."""

from __future__ import annotations

import io
import json
import logging
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Literal

import pytest

from bridge_payments.models import new_id
from bridge_payments.telemetry import (
    JsonFormatter,
    RedactionFilter,
    configure_logging,
    quiet_vendor_loggers,
    redact,
)
from bridge_payments.tripwire import find_card_numbers

# Published test numbers of the schemes.
CARDS = {
    "visa": "4242424242424242",
    "visa debit": "4000056655665556",
    "visa 19": "4000000000000000006",
    "mastercard": "5555555555554444",
    "mastercard 2-series": "2223003122003222",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "30569309025904",
    "diners 36": "36227206271667",
    "diners 16": "3056930009020004",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "unionpay 19": "6205500000000000004",
    "maestro": "6759649826438453",
    "maestro 50": "5000550000000029",
    "maestro 6799": "6799990100000000019",
    "bancontact": "6703444444444449",
    "dankort": "5019717010103742",
    "mir": "2200000000000004",
    "elo": "5066991111111118",
    "elo 636297": "6362970000457013",
    "verve": "5060990580000217499",
    "hipercard": "6062828888666688",
    "hipercard 637095": "6370950000000005",
    "rupay": "6073849700004947",
    "troy": "9792030394440796",
    "uzcard": "8600495473316478",
    "bc": "9490220006611406",
}


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS.keys())
def test_every_schemes_numbers_are_found(number: str) -> None:
    for text in (number, f"card {number}, thanks", f'{{"n":"{number}"}}', f"no:{number}.", f"tok_{number}"):
        assert [text[start:end] for start, end in find_card_numbers(text)] == [number], text


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242.4242.4242",
        "42424242 42424242",
        "3782 822463 10005",
        "3056-930902-5904",
        "4000 0000 0000 0000 006",
        "4242 4242 4242 4242 123",
        "my card is 4242 4242 4242 4242 12/34 123",
        "4242  4242  4242  4242",
        "4242 - 4242 - 4242 - 4242",
        "4242\u00a04242\u00a04242\u00a04242",  # as copied from a page
        "4242\u20114242\u20114242\u20114242",
        "3782\u2009822463\u200910005",
        "\u202d4242424242424242\u202c",  # as copied from a telephone's address book
        "4242\u200b4242\u200b4242\u200b4242",
        "４２４２４２４２４２４２４２４２",  # noqa: RUF001 - as a Japanese keyboard has them
        "４２４２　４２４２　４２４２　４２４２",  # noqa: RUF001
        "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
    ],
)
def test_numbers_are_found_as_people_write_them(text: str) -> None:
    assert len(find_card_numbers(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # the check digit is wrong
        "424242424242424",  # no Visa number has 15 digits
        "4222222222222",  # 13 digits: too close to a timestamp
        "1234567890123452",  # no scheme begins so
        "0.4242424242424242",  # a fraction
        "a4242424242424242",  # part of a word: a hash or an id
        "4242424242424242f",
        "42424242424242424242",  # 20 digits
        "4242 4242-4242 4242",  # no group of groups
        "4242\n4242\n4242\n4242",
        "４２４２４２４２４２４２４２４１",  # noqa: RUF001
        "",
    ],
)
def test_what_only_resembles_a_card_number_is_not_one(text: str) -> None:
    assert find_card_numbers(text) == []


def _timestamps(count: int) -> Iterator[str]:
    chance = random.Random(27)
    start, years = 1_700_000_000_000, 500_000_000_000
    for _ in range(count // 5):
        yield str(start + chance.randrange(years))
        yield str(start + chance.randrange(years))
        yield str(start * 1000 + chance.randrange(years * 1000))
        yield str(start * 1_000_000 + chance.randrange(years * 1_000_000))
        yield f"{(start + chance.randrange(10**11)) / 1000:.6f}"


def _ids(count: int) -> Iterator[str]:
    """UUIDv7s; every tenth made of decimal digits only, which chance would hardly ever bring."""
    chance = random.Random(27)
    for number in range(count):
        if number % 10 == 0:
            yield str(uuid.UUID(int=int("".join(chance.choices("0123456789", k=32)), 16)))
            continue
        bits = ((1_700_000_000_000 + chance.randrange(10**11)) << 80) | chance.getrandbits(80)
        bits = (bits & ~(0xF << 76) & ~(0b11 << 62)) | (0x7 << 76) | (0b10 << 62)
        text = f"{bits:032x}"
        yield f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def test_timestamps_and_ids_raise_no_false_alarm() -> None:
    """A tenth of all millisecond timestamps passes a bare Luhn test: such a tripwire refuses payments."""
    texts = [*_timestamps(50_000), *_ids(50_000), *(new_id("pay") for _ in range(10_000))]
    assert [text for text in texts if find_card_numbers(text)] == []


@pytest.mark.slow
def test_a_million_timestamps_and_ids_raise_no_false_alarm() -> None:
    texts = [*_timestamps(500_000), *_ids(500_000)]
    assert len(texts) == 1_000_000
    # Line by line in one text, as a log has them; a line break separates.
    assert find_card_numbers("\n".join([*texts[:10], "4242424242424242", *texts[10:20]]))
    assert find_card_numbers("\n".join(texts)) == []


def test_a_megabyte_of_digits_is_searched_in_no_time() -> None:
    for text in ("4" * 1_000_000, "4242 " * 200_000, "4-" * 500_000, "٤ - " * 250_000):
        find_card_numbers(text)  # a pattern that looks back would hang here, and the run says where


@pytest.mark.parametrize(
    ("text", "gone", "left"),
    [
        ("using sk_live_51Habcdefgh now", "51Habcdefgh", "sk_… now"),
        ("rk_test_51Habcdefgh", "51Habcdefgh", "rk_…"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==", "MfKQ9r8G", "whsec_…"),
        ("pi_3Mt_secret_YrKJUKribcBjcG8HVhfZluoGH", "YrKJUK", "pi_3Mt_secret_…"),
        ("seti_1Mm_secret_NXDICkPqPeiBTAFqWmkbff09", "NXDIC", "seti_1Mm_secret_…"),
        ("Authorization: Bearer abc.def-123", "abc.def-123", "Authorization: …"),
        ("sent bearer eyJhbGciOi.J9-x", "eyJhbGciOi", "bearer …"),
        ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "authorization: …"),
        ("postgresql://bridge:hunter2@db:5432/pay", "hunter2", "postgresql://…@db:5432/pay"),
        ('{"client_secret": "5Xr-own_making", "id": "pay_1"}', "5Xr-own_making", '"id": "pay_1"'),
        ("GET /x?session_id=0123456789&page=2", "0123456789", "&page=2"),
        ("X-Guest-Token=abcdefghij", "abcdefghij", "X-Guest-Token=…"),
        ("AUTHORIZE_NET_TRANSACTION_KEY=9x8y7z", "9x8y7z", "AUTHORIZE_NET_TRANSACTION_KEY=…"),
        ("{'cvc': '123', 'n': 1}", "123", "'n': 1"),
        ("cvc=1234", "1234", "cvc=…"),
        ("paid by jane.doe+shop@mail.example.com today", "ane.doe", "j…@mail.example.com today"),
        ("number 4242 4242 4242 4242 exp", "4242", "[card number] exp"),
        ("número 4242\u00a04242\u00a04242\u00a04242 fin", "4242", "número [card number] fin"),
        ("card_number: 3782 822463 10005, exp", "10005", "card_number: …, exp"),
        ('{"cardNumber": 4242-4242-4242-4242}', "4242", '"cardNumber": …}'),
        ("GET /v1/customers?email=jane.doe%40example.com", "ane.doe", "email=j…%40example.com"),
        ("paid by jürgen.müller@exämple.de", "ürgen", "j…@exämple.de"),
        ("<transactionKey>9x8y7z</transactionKey><refId>1", "9x8y7z", "…</transactionKey><refId>1"),
        ('<a:cardCode xmlns:a="x">900</a:cardCode>', "900", "…</a:cardCode>"),
        ("token was A21AAKx7-Qq0PmVYwTz3LkJhGfDsA9", "Kx7-Qq", "was A21A…"),
        ("POST https://hooks.slack.com/services/T0/B0/xyzzy 500", "xyzzy", "hooks.slack.com/services/… 500"),
        ("POST https://discord.com/api/webhooks/12/xyzzy 500", "xyzzy", "discord.com/api/webhooks/… 500"),
    ],
)
def test_secrets_are_taken_out_and_the_rest_stays(text: str, gone: str, left: str) -> None:
    out = redact(text)

    assert gone not in out
    assert left in out


@pytest.mark.parametrize(
    "text",
    [
        "payment pay_0193a5b21234 of 20.00 USD succeeded in 132 ms",
        "POST /payments/intents answered 201",
        "basic authentication is off",
        "https://api.stripe.com/v1/payment_intents/pi_3Mt",
        "the secret was wiped; tokens expire at 12:00",
        "webhook evt_1 is a duplicate",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    logger = logging.getLogger("bridge_payments")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield io.StringIO()
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_line_is_one_json_object_with_its_fields(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)

    logging.getLogger("bridge_payments.http").info(
        "answered %s",
        201,
        extra={"path": "/payments", "ms": 1.5, "payment": {"client_secret": "hush", "id": "pay_1"}},
    )

    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "bridge_payments.http",
        "message": "answered 201",
        "path": "/payments",
        "ms": 1.5,
        "payment": {"client_secret": "…", "id": "pay_1"},
    }


@pytest.mark.parametrize("style", ["json", "text"])
def test_tracebacks_extras_and_arguments_are_redacted(
    stream: io.StringIO, style: Literal["json", "text"]
) -> None:
    configure_logging("debug", style, stream=stream)
    log = logging.getLogger("bridge_payments.engine")

    try:
        raise ValueError("bad key sk_live_hushhush of jane@example.com")
    except ValueError:
        log.exception(
            "with %s", {"card": "4242424242424242"}, extra={"token": "hushhush", "n": 4242424242424242}
        )

    out = stream.getvalue()
    assert "hushhush" not in out
    assert "4242424242424242" not in out
    assert "jane@" not in out
    assert "ValueError" in out
    assert "Traceback" in out


def test_a_line_break_in_a_message_cannot_forge_a_line(stream: io.StringIO) -> None:
    configure_logging("info", "text", stream=stream)

    logging.getLogger("bridge_payments").info("path %s", "/x\n2026-01-01 INFO bridge_payments: payment paid")

    assert stream.getvalue().count("\n") == 1


def test_configuring_again_replaces_and_levels_hold(stream: io.StringIO) -> None:
    configure_logging("debug", stream=stream)
    configure_logging("warn", stream=stream)
    log = logging.getLogger("bridge_payments.x")

    log.info("not told")
    log.warning("told once")

    assert stream.getvalue().count("told once") == 1
    assert "not told" not in stream.getvalue()


def test_the_filter_works_with_somebody_elses_formatter() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactionFilter())
    handler.setFormatter(logging.Formatter("%(message)s %(who)s"))
    record = logging.makeLogRecord(
        {"msg": "key %s", "args": ("sk_live_hushhush",), "who": "jane@example.com"}
    )

    handler.handle(record)

    assert out.getvalue() == "key sk_… j…@example.com\n"


HOST = """
import logging, sys
import bridge_payments.telemetry
{configure}
log = logging.getLogger("bridge_payments.http")
log.info("not for everybody")
try:
    raise ValueError("with sk_live_hushhush")
except ValueError:
    log.exception("GET /payments failed")
"""


def said_by_a_host(configure: str) -> str:
    """What a new process writes to standard error: here pytest has handlers of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", HOST.format(configure=configure)], capture_output=True, text=True, check=True
    )
    return ran.stderr


def test_a_host_that_configures_no_logging_still_sees_what_failed() -> None:
    said = said_by_a_host("")

    assert "ERROR   bridge_payments.http: GET /payments failed" in said
    assert "ValueError: with sk_…" in said
    assert "hushhush" not in said
    assert "not for everybody" not in said


@pytest.mark.parametrize(
    "configure",
    [
        "logging.basicConfig(format='host: %(message)s')",
        "logging.getLogger('bridge_payments.http').addHandler(logging.StreamHandler())",
        "bridge_payments.telemetry.configure_logging()",
    ],
)
def test_a_host_that_configures_logging_sees_each_line_once(configure: str) -> None:
    assert said_by_a_host(configure).count("GET /payments failed") == 1


def test_a_host_may_ask_for_silence() -> None:
    assert said_by_a_host("logging.getLogger('bridge_payments').addHandler(logging.NullHandler())") == ""


def test_what_json_does_not_know_is_written_as_text() -> None:
    record = logging.makeLogRecord({"msg": "x", "levelno": 20, "levelname": "INFO", "when": uuid.UUID(int=7)})

    assert json.loads(JsonFormatter().format(record))["when"] == str(uuid.UUID(int=7))


def test_vendors_are_kept_quiet_but_not_louder_than_they_were() -> None:
    levels = {name: logging.getLogger(name).level for name in ("stripe", "httpx", "urllib3")}
    try:
        logging.getLogger("stripe").setLevel(logging.DEBUG)
        logging.getLogger("httpx").setLevel(logging.ERROR)
        logging.getLogger("urllib3").setLevel(logging.NOTSET)

        quiet_vendor_loggers("stripe")

        assert not logging.getLogger("stripe").isEnabledFor(logging.INFO)
        assert not logging.getLogger("httpx").isEnabledFor(logging.WARNING)
        assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.INFO)
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
