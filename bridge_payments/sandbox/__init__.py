"""Stateful fake gateways and a shop that pays through them: for trying, demos and tests."""

from __future__ import annotations

from typing import Final

__all__ = ["GATEWAYS", "NEEDED"]

GATEWAYS: Final = ("stripe", "paypal", "authorize_net")
"""The fakes that there are, by the provider id of the shop's account."""
NEEDED: Final = ("starlette", "uvicorn", "stripe", "alembic")
"""Modules of the `sandbox` extra."""
