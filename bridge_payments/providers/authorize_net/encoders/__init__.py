"""One payload, two ways to write it down: ordered XML through the vendor's contracts, or ordered JSON."""

from __future__ import annotations

from typing import Final, Protocol

from ....errors import ConfigurationError, MissingExtra
from ..answers import Json
from .json import JsonEncoder

__all__ = ["NAMES", "Encoder", "choose"]

NAMES: Final = ("auto", "xml", "json")


class Encoder(Protocol):
    name: str
    content_type: str

    def encode(self, operation: str, payload: Json) -> bytes:
        """Write a request. Raises InvalidRequest, without any value of it, for what the schema refuses."""

    def decode(self, content: bytes) -> tuple[str | None, Json]:
        """Read an answer and, where it says it, its name. Raises ValueError."""


def choose(name: str) -> Encoder:
    """Return the encoder of that name; ``auto`` is XML where the vendor's package is installed.

    The package needs an lxml that has no wheel for Python 3.13 (authorizenet 1.1.6, 2026-11). Its
    contracts alone need neither lxml nor requests: ``pip install --no-deps authorizenet PyXB-X``.
    """
    if name not in NAMES:
        raise ConfigurationError(invalid={"AUTHORIZE_NET_ENCODER": f"not one of {', '.join(NAMES)}"})
    if name == "json":
        return JsonEncoder()
    try:
        from .xml import XmlEncoder

        return XmlEncoder()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("authorizenet", "pyxb"):
            raise
    if name == "xml":
        raise MissingExtra("authorizenet", needed_for="AUTHORIZE_NET_ENCODER=xml")
    return JsonEncoder()
