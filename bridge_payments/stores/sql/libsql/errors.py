"""The exceptions of PEP 249, and which of them a server's words mean."""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "error_of",
]


class Error(Exception):
    """What every exception of this driver is."""

    sqlstate: str | None = None
    """``40001`` where the server undid the transaction and it may simply run again."""

    def __init__(self, message: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.sqlite_errorname = code


class InterfaceError(Error): ...


class DatabaseError(Error): ...


class DataError(DatabaseError): ...


class OperationalError(DatabaseError):
    gone: bool = False
    """The server could not be reached, or its answer was lost."""


class IntegrityError(DatabaseError): ...


class InternalError(DatabaseError): ...


class ProgrammingError(DatabaseError): ...


class NotSupportedError(DatabaseError): ...


_UNDONE: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "STREAM_EXPIRED", "TRANSACTION_TIMEOUT", "BATON")
"""Somebody else writes, or this stream was given up for having idled or written for too long."""


def error_of(message: Any, code: Any, *, status: int = 200) -> DatabaseError:
    """Return the exception that a server's refusal means."""
    text = str(message or "refused")
    name = str(code) if code else _name(text)
    kind: type[DatabaseError] = OperationalError
    if "CONSTRAINT" in name:
        kind = IntegrityError
    elif name.startswith(("SQL_PARSE", "SQL_INPUT", "SQL_MANY", "ARGS_", "SQL_NO_STATEMENT")):
        kind = ProgrammingError
    elif name in ("SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE"):
        kind = DataError
    error = kind(text if status == 200 else f"HTTP {status}: {text}", name)
    if any(word in name for word in _UNDONE):
        error.sqlstate = "40001"
    return error


def _name(text: str) -> str:
    """Return a code for what came without one."""
    low = text.lower()
    if "baton" in low:
        return "BATON"
    if "expired" in low:
        return "STREAM_EXPIRED"
    if "constraint" in low:
        return "SQLITE_CONSTRAINT"
    return "SQLITE_UNKNOWN"
