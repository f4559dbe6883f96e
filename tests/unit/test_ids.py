"""Identities: what the database's order, the partitions and the providers' reference fields rely on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from bridge_payments.models import ID_PATTERN, id_bounds, new_id, new_reference, new_secret


def test_ids_of_one_process_sort_in_the_order_they_were_drawn() -> None:
    drawn = [new_id("pay") for _ in range(5_000)]

    assert drawn == sorted(drawn)
    assert len(set(drawn)) == len(drawn)


def test_more_ids_than_a_millisecond_can_count_are_still_in_order_and_still_uuids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standing_still = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: standing_still)

    drawn = [new_id("pay") for _ in range(10_000)]

    assert drawn == sorted(drawn)
    assert len(set(drawn)) == len(drawn)
    assert {uuid.UUID(drawn_id.removeprefix("pay_")).version for drawn_id in drawn} == {7}


def test_ids_stay_in_order_when_the_clock_of_the_machine_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id("pay")
    an_hour_ago = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: an_hour_ago)

    assert new_id("pay") > before


def test_an_id_is_its_prefix_and_a_uuid_of_version_seven() -> None:
    prefix, _, rest = new_id("pay").partition("_")

    assert prefix == "pay"
    assert uuid.UUID(rest).version == 7
    assert uuid.UUID(rest).variant == uuid.RFC_4122
    assert str(uuid.UUID(rest)) == rest, "lower case and hyphens: the text is what is compared"


def test_every_id_we_draw_is_an_id_we_accept() -> None:
    assert ID_PATTERN.match(new_id("pay"))


@pytest.mark.parametrize("trap", ["", "a b", "pay/../x", "pay_1'--", "x" * 192, "pay_1\n", "ümlaut"])
def test_an_id_with_a_trap_in_it_is_not_an_id(trap: str) -> None:
    assert ID_PATTERN.fullmatch(trap) is None
    assert ID_PATTERN.match(trap) is None, "whichever way it is asked"


def test_a_moment_is_a_bound_between_the_ids_before_and_after_it() -> None:
    before = new_id("pay")
    earlier, later = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)

    assert id_bounds("pay", earlier) < before < id_bounds("pay", later)


def test_the_bound_of_a_moment_is_not_above_an_id_of_the_same_millisecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An hour ahead, so that ids drawn earlier by this process do not hold the counter's millisecond.
    moment = datetime.now(UTC).replace(microsecond=123_000) + timedelta(hours=1)
    nanoseconds = int(moment.timestamp()) * 1_000_000_000 + 123_000_000
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds)
    monkeypatch.setattr("bridge_payments.models.ids._last", (0, 0))

    drawn = new_id("pay")

    assert id_bounds("pay", moment) <= drawn
    assert drawn < id_bounds("pay", moment + timedelta(milliseconds=1))


def test_a_moment_before_1970_is_a_bound_below_everything() -> None:
    assert id_bounds("pay", datetime(1960, 1, 1, tzinfo=UTC)) < new_id("pay")


def test_bounds_of_different_nouns_never_mix() -> None:
    assert id_bounds("pay", datetime.now(UTC)).startswith("pay_")
    assert id_bounds("ref", datetime.now(UTC)).startswith("ref_")


def test_a_reference_fits_the_shortest_field_of_the_three_providers() -> None:
    # Authorize.net's refId and invoiceNumber: 20 characters. The letters i, l, o and u are left out,
    # because support reads references aloud.
    drawn = [new_reference() for _ in range(500)]

    assert all(re.fullmatch(r"[0-9abcdefghjkmnpqrstvwxyz]{20}", reference) for reference in drawn)
    assert len(set(drawn)) == len(drawn)


def test_every_character_of_a_reference_is_random_not_only_the_last_ones() -> None:
    drawn = [new_reference() for _ in range(500)]

    for position in range(20):
        assert len({reference[position] for reference in drawn}) > 20


def test_a_client_secret_of_our_own_holds_32_random_bytes_and_survives_a_url() -> None:
    secret = new_secret()

    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    assert secret != new_secret()


FORKING = """
import os
from bridge_payments.models import new_id
new_id("pay")
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, new_id("pay").encode())
    os._exit(0)
os.wait()
print(new_id("pay"), os.read(reading, 100).decode())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_worker_draws_other_ids_than_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], check=True, capture_output=True, text=True)

    mine, theirs = done.stdout.split()
    assert mine != theirs
    assert theirs.startswith("pay_")
