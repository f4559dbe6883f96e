"""What is told of the work: lines, figures and traces, and what is in none of them."""

from __future__ import annotations

from .logs import (
    JsonFormatter,
    RedactionFilter,
    configure_logging,
    quiet_vendor_loggers,
    redact,
)
from .observing import Activity, Kind, Observer, Watch, note

__all__ = [
    "Activity",
    "JsonFormatter",
    "Kind",
    "Observer",
    "RedactionFilter",
    "Watch",
    "configure_logging",
    "note",
    "quiet_vendor_loggers",
    "redact",
]
