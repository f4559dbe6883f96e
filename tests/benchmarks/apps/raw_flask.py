"""Flask views with psycopg: a connection to the database and one to the gateway per thread."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit

import psycopg
from flask import Flask, Response, request
from psycopg.rows import dict_row

from . import raw

SQL = raw.Statements("%s")


class _Mine(threading.local):
    def __init__(self, database: str, gateway: str) -> None:
        self.database = psycopg.connect(database, autocommit=True, row_factory=dict_row, prepare_threshold=0)
        self.gateway = http.client.HTTPConnection(urlsplit(gateway).netloc, timeout=25)


def build(database: str, gateway: str) -> Any:
    app = Flask(__name__)
    threads = threading.local()

    def mine() -> _Mine:
        if not hasattr(threads, "mine"):
            threads.mine = _Mine(database, gateway)
        found: _Mine = threads.mine
        return found

    @app.get(raw.PREFIX + "/<payment_id>")
    def get(payment_id: str) -> Response:
        user = request.headers["x-user"]
        row = mine().database.execute(SQL.get, (payment_id,)).fetchone()
        if row is None:
            return Response(status=404)
        return _json(raw.one(row, user)) if row["user_id"] == user else Response(status=403)

    @app.get(raw.PREFIX)
    def page() -> Response:
        user = request.headers["x-user"]
        rows = mine().database.execute(SQL.page, (user, user, raw.LIMIT, 0)).fetchall()
        return _json(raw.many(rows, user))

    @app.post(raw.PREFIX + "/intents")
    def create() -> Response:
        user, held = request.headers["x-user"], mine()
        row = raw.new_row(request.get_json(), user)
        held.database.execute(SQL.add, raw.added(row))
        headers, form = raw.form_of(row)
        held.gateway.request("POST", "/v1/payment_intents", form, headers)
        answer = held.gateway.getresponse()
        intent = json.loads(answer.read())
        if answer.status != 200:
            return Response(status=502)
        held.database.execute(SQL.save, raw.answered(row, intent))
        return _json(raw.created(row))

    return app


def _json(body: bytes) -> Response:
    return Response(body, mimetype="application/json")
