"""Hrana's pipelines: what to send, and what the answer says. No network here.

The protocol: https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md (read 2026-11).
A stream is a connection; between two requests it is a baton that the server hands out. A stream that
is closed, or idles for ten seconds, rolls back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .errors import DatabaseError, OperationalError, error_of

__all__ = ["Answer", "Stream", "decoded", "encoded"]

_CLOSE: Final = {"type": "close"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one statement returned."""

    columns: Sequence[str] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    touched: int = -1
    last_id: int | None = None


@dataclass(slots=True)
class Stream:
    """One conversation: outside of a transaction each statement stands for itself."""

    baton: str | None = None
    base_url: str | None = None
    """Where the server wants the rest of this conversation."""
    begun: bool = False
    """A transaction is open on the server."""
    begin: str | None = field(default=None)
    """How one will begin: with the first statement, in the same request."""

    @property
    def in_transaction(self) -> bool:
        return self.begun or self.begin is not None

    def lost(self) -> None:
        """Forget the stream: the server rolls back what it does not hear of again."""
        self.baton, self.base_url, self.begun, self.begin = None, None, False, None

    # --- what to send -----------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Sequence[Any]) -> bytes:
        statement = {"sql": sql, "args": [encoded(value) for value in parameters], "want_rows": True}
        if self.begin is not None:
            steps = [
                {"stmt": {"sql": self.begin, "want_rows": False}},
                {"condition": {"type": "ok", "step": 0}, "stmt": statement},
            ]
            return self._body({"type": "batch", "batch": {"steps": steps}})
        if self.begun:
            return self._body({"type": "execute", "stmt": statement})
        return self._body({"type": "execute", "stmt": statement}, _CLOSE)

    def commit(self) -> bytes:
        return self._body({"type": "execute", "stmt": {"sql": "COMMIT", "want_rows": False}}, _CLOSE)

    def close(self) -> bytes:
        return self._body(_CLOSE)

    def _body(self, *requests: Mapping[str, Any]) -> bytes:
        return json.dumps({"baton": self.baton, "requests": requests}).encode()

    # --- what came back ---------------------------------------------------------------------------

    def read(self, status: int, content: bytes) -> Answer:
        """Return what the statement returned, and remember the baton. Raises what the server refused."""
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            told = content[:200].decode(errors="replace")  # a refusal may be plain text
        if status != 200 or not isinstance(told, dict) or "results" not in told:
            self.lost()
            raise _refusal(status, told)
        self.baton, self.base_url = told.get("baton"), told.get("base_url") or self.base_url
        if self.baton is None:
            self.begun = False
        (first, *_) = told["results"]
        if first["type"] != "ok":
            raise error_of(first["error"].get("message"), first["error"].get("code"))
        response = first["response"]
        if response["type"] == "batch":
            return self._begun_with(response["result"])
        return _answer(response["result"]) if response["type"] == "execute" else Answer()

    def _begun_with(self, result: Mapping[str, Any]) -> Answer:
        began, statement = result["step_results"]
        if began is not None:
            self.begun, self.begin = True, None
        for error in result["step_errors"]:
            if error is not None:
                raise error_of(error.get("message"), error.get("code"))
        return _answer(statement)


def _answer(result: Mapping[str, Any]) -> Answer:
    last = result.get("last_insert_rowid")
    return Answer(
        columns=[column["name"] for column in result["cols"]],
        rows=[tuple(decoded(cell) for cell in row) for row in result["rows"]],
        touched=result["affected_row_count"],
        last_id=int(last) if last is not None else None,
    )


def _refusal(status: int, told: Any) -> DatabaseError:
    message, code = told, None
    if isinstance(told, dict):
        message, code = told.get("message") or told.get("error"), told.get("code")
    if status != 200 and status < 500 and isinstance(message, str) and message:
        return error_of(message, code, status=status)
    return OperationalError(f"HTTP {status}", f"HTTP_{status}")


# --- values -------------------------------------------------------------------------------------------


def encoded(value: Any) -> dict[str, Any]:
    """Return *value* as the wire has it: integers as text, because JSON's numbers end at 2^53."""
    match value:
        case None:
            return {"type": "null"}
        case bool() | int():
            return {"type": "integer", "value": str(int(value))}
        case float():
            return {"type": "float", "value": value}
        case bytes() | bytearray() | memoryview():
            return {"type": "blob", "base64": base64.b64encode(bytes(value)).decode()}
        case _:
            return {"type": "text", "value": str(value)}


def decoded(cell: Mapping[str, Any]) -> Any:
    match cell["type"]:
        case "null":
            return None
        case "integer":
            return int(cell["value"])
        case "blob":
            text = cell["base64"]
            return base64.b64decode(text + "=" * (-len(text) % 4))
        case _:
            return cell["value"]
