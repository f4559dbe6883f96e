"""What is written to a libSQL server, and what its answers mean; no network."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from bridge_payments.stores.sql.engines import HttpLane, lane_for
from bridge_payments.stores.sql.libsql.errors import (
    IntegrityError,
    OperationalError,
    ProgrammingError,
    error_of,
)
from bridge_payments.stores.sql.libsql.hrana import Stream, decoded, encoded
from bridge_payments.stores.sql.session import run_again
from bridge_payments.stores.sql.urls import normal_url


def told(*results: Any, baton: str | None = "b1", base_url: str | None = None) -> bytes:
    return json.dumps({"baton": baton, "base_url": base_url, "results": results}).encode()


def ok(result: Any, kind: str = "execute") -> Any:
    return {"type": "ok", "response": {"type": kind, "result": result}}


ROW = {"cols": [{"name": "a"}], "rows": [[{"type": "integer", "value": "9007199254740993"}]]}
DONE = {**ROW, "affected_row_count": 1, "last_insert_rowid": "7"}


def test_numbers_cross_the_wire_as_text() -> None:
    assert encoded(2**53 + 1) == {"type": "integer", "value": "9007199254740993"}
    assert encoded(True) == {"type": "integer", "value": "1"}
    for value in (None, 0, -1, 2**63 - 1, 1.25, "é", b"\x00\x01", b""):
        assert decoded(encoded(value)) == value
    assert decoded({"type": "blob", "base64": "AAE"}) == b"\x00\x01", "padding is optional"


def test_a_statement_alone_opens_nothing() -> None:
    stream = Stream()
    sent = json.loads(stream.execute("SELECT 1", ()))
    assert [request["type"] for request in sent["requests"]] == ["execute", "close"]
    answer = stream.read(200, told(ok(DONE), baton=None))
    assert (answer.rows, answer.touched, answer.last_id) == ([(2**53 + 1,)], 1, 7)
    assert not stream.in_transaction


def test_a_statement_runs_only_if_the_transaction_began() -> None:
    stream = Stream(begin="BEGIN IMMEDIATE")
    sent = json.loads(stream.execute("INSERT", (1,)))
    first, second = sent["requests"][0]["batch"]["steps"]
    assert first["stmt"]["sql"] == "BEGIN IMMEDIATE"
    assert second["condition"] == {"type": "ok", "step": 0}
    busy = {"step_results": [None, None], "step_errors": [{"message": "locked", "code": "SQLITE_BUSY"}, None]}
    with pytest.raises(OperationalError) as caught:
        stream.read(200, told(ok(busy, "batch")))
    assert not stream.begun
    assert run_again(sa.exc.DBAPIError("", None, caught.value))


def test_a_refused_statement_leaves_the_transaction_open_to_be_rolled_back() -> None:
    stream = Stream(begin="BEGIN IMMEDIATE")
    stream.execute("INSERT", ())
    error = {"message": "UNIQUE constraint failed", "code": "SQLITE_CONSTRAINT_UNIQUE"}
    with pytest.raises(IntegrityError) as caught:
        stream.read(200, told(ok({"step_results": [DONE, None], "step_errors": [None, error]}, "batch")))
    assert stream.begun
    assert stream.baton == "b1"
    assert json.loads(stream.close())["baton"] == "b1"
    assert not run_again(sa.exc.DBAPIError("", None, caught.value))


@pytest.mark.parametrize(
    ("message", "code", "kind", "again"),
    [
        ("UNIQUE constraint failed: a.b", "SQLITE_CONSTRAINT_PRIMARYKEY", IntegrityError, False),
        ("UNIQUE constraint failed: a.b", None, IntegrityError, False),
        ("near SELEC: syntax error", "SQL_PARSE_ERROR", ProgrammingError, False),
        ("database is locked", "SQLITE_BUSY", OperationalError, True),
        ("The stream has expired", "STREAM_EXPIRED", OperationalError, True),
        ("Transaction timed-out", "TRANSACTION_TIMEOUT", OperationalError, True),
        ("Received an invalid baton", None, OperationalError, True),
        ("disk I/O error", "SQLITE_IOERR", OperationalError, False),
    ],
)
def test_a_refusal_is_told_by_its_kind(message: str, code: str | None, kind: type, again: bool) -> None:
    error = error_of(message, code)
    assert type(error) is kind
    assert run_again(sa.exc.DBAPIError("", None, error)) is again


def test_an_answer_that_is_no_hrana_ends_the_stream() -> None:
    for status, content in [(502, b"<html>"), (401, b'{"error": "no"}'), (200, b"[]"), (200, b"")]:
        stream = Stream(baton="b1", begun=True)
        with pytest.raises(OperationalError):
            stream.read(status, content)
        assert not stream.in_transaction
        assert stream.baton is None


def test_a_baton_that_is_not_known_any_more_means_run_it_again() -> None:
    stream = Stream(baton="b1", begun=True)
    with pytest.raises(OperationalError) as caught:
        stream.read(400, b"Received an invalid baton")
    assert run_again(sa.exc.DBAPIError("", None, caught.value))


def test_a_token_goes_where_nothing_prints_it() -> None:
    url = normal_url("libsql://shop-acme.turso.example?authToken=eyJ.hunter2")
    assert "hunter2" not in str(url)
    assert url.password == "eyJ.hunter2"
    lane = lane_for(url)
    assert isinstance(lane, HttpLane)
    address = url.get_dialect()().create_connect_args(url)[1]
    assert address == {"url": "https://shop-acme.turso.example", "token": "eyJ.hunter2"}
    _, plain = url.get_dialect()().create_connect_args(normal_url("libsql://127.0.0.1:8080?tls=0"))
    assert plain == {"url": "http://127.0.0.1:8080", "token": None}
