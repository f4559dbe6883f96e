"""One JSON file beside the database, so that gateway and shop know the payments of earlier runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Notebook"]


class Notebook:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = ""

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

    def read(self) -> dict[str, Any]:
        """Return what was written, or nothing: a lost or broken notebook is a new beginning."""
        try:
            read = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def write(self, content: dict[str, Any]) -> None:
        """Replace the file in one step, if anything changed. Readable by its owner: it names payers."""
        text = json.dumps(content)
        if text == self._written:
            return
        fresh = self.path.with_name(f"{self.path.name}.new")
        with os.fdopen(
            os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
        fresh.replace(self.path)
        self._written = text
