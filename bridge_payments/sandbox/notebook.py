"""One JSON file beside the database, so that gateway and shop know the payments of earlier runs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError

try:
    import fcntl
except ImportError:  # not on Windows: there two sandboxes on one database are on their own
    fcntl = None  # type: ignore[assignment]

__all__ = ["Notebook"]


class Notebook:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = ""
        self._writing = threading.Lock()
        self._claim: int | None = None

    @classmethod
    def beside(cls, database_url: str) -> Notebook:
        """Return the notebook of a database: next to a SQLite file, else in the current folder."""
        scheme, _, rest = database_url.partition(":///")
        if scheme.startswith("sqlite") and rest and ":memory:" not in rest:
            return cls(Path(f"{rest.partition('?')[0]}.sandbox.json"))
        name = "".join(
            letter if letter.isalnum() else "-" for letter in urlsplit(database_url).path.strip("/")
        )
        return cls(Path(f"bridge-sandbox-{name or 'memory'}.sandbox.json"))

    def claim(self) -> None:
        """Be the only one who writes here, until `release` or the end of the process.

        Raises: ConfigurationError if another sandbox does, or if nobody can.
        """
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            claim = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"the sandbox cannot write {lock}: {error.strerror}") from None
        try:
            if fcntl is not None:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(claim)
            raise ConfigurationError(
                f"another sandbox is running on this database ({lock} is locked); "
                "stop it, or give this one a --database of its own"
            ) from None
        self._claim = claim

    def release(self) -> None:
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def read(self) -> dict[str, Any]:
        """Return what was written, or nothing: a lost or broken notebook is a new beginning."""
        try:
            read = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def write(self, content: Callable[[], dict[str, Any]]) -> None:
        """Replace the file in one step, if anything changed. Readable by its owner: it names payers.

        When this returns, what *content* told is on the disk: whoever answers afterwards can be believed.
        """
        with self._writing:
            text = json.dumps(content())
            if text == self._written:
                return
            fresh = self.path.with_name(f"{self.path.name}.new")
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            self._written = text
