"""What a URL says behind its question mark, read word by word in everybody's spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from ...errors import ConfigurationError

__all__ = ["Words", "unfit"]

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class Words:
    """Each is taken once, by whoever knows what it means to the driver; what is left at the end is refused.

    A word that nobody reads was meant to do something, and a driver that does not know it says so
    when a payer waits, with a TypeError.
    """

    def __init__(self, url: sa.URL) -> None:
        self._left: dict[str, str] = {
            name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()
        }
        self.kept: dict[str, str | tuple[str, ...]] = {}
        """What stays in the URL, because the driver reads it there."""
        self._given: Mapping[str, str | tuple[str, ...]] = url.query

    def first(self, *spellings: str) -> tuple[str, str | None]:
        """Take every one of *spellings*; return the first that is there, and what it says."""
        found = [(name, self._left.pop(name)) for name in spellings if name in self._left]
        return found[0] if found else (spellings[0], None)

    def says(self, name: str) -> str | None:
        """Return what a word says, and leave it to whoever takes it."""
        return self._left.get(name)

    def take(self, *spellings: str) -> str | None:
        return self.first(*spellings)[1]

    def number(self, *spellings: str) -> int | None:
        """Take a whole number above zero: of seconds, of connections."""
        name, text = self.first(*spellings)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000):
            raise unfit(name, "a whole number above 0")
        return int(text)

    def flag(self, *spellings: str) -> bool | None:
        name, text = self.first(*spellings)
        if text is None:
            return None
        if text.lower() not in _TRUE | _FALSE:
            raise unfit(name, "true or false")
        return text.lower() in _TRUE

    def file(self, *spellings: str) -> str | None:
        """Take the path of something that is there: a driver would look for it when the first payer waits."""
        name, text = self.first(*spellings)
        if text is not None and not Path(text).exists():
            raise unfit(name, "there is no such file")
        return text

    def drop(self, name: str, *harmless: str, why: str) -> None:
        """Take a word that may only say what holds anyway."""
        text = self.take(name)
        if text is not None and text.lower() not in harmless:
            raise unfit(name, why)

    def keep(self, names: Iterable[str]) -> None:
        for name in names:
            if self._left.pop(name, None) is not None:
                self.kept[name] = self._given[name]

    def keep_all(self) -> None:
        """Of a driver that we know nothing of, its user knows what it takes."""
        self.keep(list(self._left))

    def finish(self, driver: str) -> None:
        if self._left:
            name = min(self._left)
            shown = name if name.replace("-", "").replace("_", "").isalnum() and len(name) < 40 else "a word"
            raise unfit(shown, f"nothing that {driver} knows")


def unfit(name: str, why: str) -> ConfigurationError:
    """Return the refusal of one word: it names the word and no value, which may be a password."""
    return ConfigurationError(invalid={"DATABASE_URL": f"{name} in it: {why}"})
