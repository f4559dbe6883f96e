"""A stateful fake of Authorize.net's API over HTTP, as XML and as JSON."""

from __future__ import annotations

from .gateway import FakeAuthorizeNet

__all__ = ["FakeAuthorizeNet"]
