"""A shop of processes that may be killed, the gateway that they share, and the audit of both books."""

from __future__ import annotations
