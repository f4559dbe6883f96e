"""Draws the state machine from `rules.ALLOWED` and from what the walk saw; run it to renew the document."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bridge_payments.engine.rules import ALLOWED
from bridge_payments.models import OPEN_STATUSES, PaymentStatus, Verb

__all__ = ["drawn"]

_LEADS_TO = {
    # Where each verb leads when the provider agrees; what it says on a read outranks all of it.
    Verb.CONFIRM: (
        PaymentStatus.SUCCEEDED,
        PaymentStatus.REQUIRES_CAPTURE,
        PaymentStatus.REQUIRES_ACTION,
        PaymentStatus.PROCESSING,
        PaymentStatus.PENDING,
    ),
    Verb.CAPTURE: (PaymentStatus.SUCCEEDED,),
    Verb.CANCEL: (PaymentStatus.CANCELED,),
    Verb.REFUND: (PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED),
}


def drawn() -> str:
    """Return the diagram as a Mermaid block."""
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> pending: create", *_lines(), "```"])


def _lines() -> Iterator[str]:
    for verb, endings in _LEADS_TO.items():
        for status in PaymentStatus:
            if status in ALLOWED[verb]:
                for ending in endings:
                    yield f"    {status.value} --> {ending.value}: {verb.name.lower()}"
    yield "    processing --> succeeded: the provider says so"
    yield "    processing --> failed: the provider says so"
    for status in PaymentStatus:
        if status not in OPEN_STATUSES and not any(status in allowed for allowed in ALLOWED.values()):
            yield f"    {status.value} --> [*]"


if __name__ == "__main__":
    document = Path(__file__).parents[3] / "docs" / "state-machine.md"
    text = document.read_text()
    start, end = text.index("```mermaid"), text.index("```", text.index("```mermaid") + 3) + 3
    document.write_text(text[:start] + drawn() + text[end:])
    sys.stdout.write("drawn\n")
