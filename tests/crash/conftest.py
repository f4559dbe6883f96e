"""Where a story is told, for every test of this folder."""

from __future__ import annotations

from crashlab.sites import gateways, lenders, site

__all__ = ["gateways", "lenders", "site"]
