"""Which release is answering."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

__all__ = ["release"]


@cache
def release() -> str:
    """Return the installed version of this library."""
    try:
        return version("bridge-payments")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0+unknown"
