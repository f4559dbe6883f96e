"""What each provider can do, written into docs/providers/index.md: `python tests/support/matrix.py`.

It asks the classes themselves: a verb is offered if its method is overridden, a fact if it is declared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bridge_payments.models import Verb
from bridge_payments.providers import registry
from bridge_payments.providers.base import Capability, PaymentProvider

__all__ = ["BEGIN", "DOCUMENT", "END", "drawn", "table", "written"]

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "providers" / "index.md"
BEGIN: Final = "<!-- drawn by tests/support/matrix.py -->"
END: Final = "<!-- end of what is drawn -->"

COLUMNS: Final = {
    "stripe": "[Stripe](stripe.md)",
    "paypal": "[PayPal](paypal.md)",
    "authorize_net": "[Authorize.net](authorize_net.md)",
    "dummy": "dummy",
}

GROUPS: Final[Mapping[str, Mapping[Verb | Capability, str]]] = {
    "payments": {
        Verb.CREATE: "begin a payment",
        Verb.UPDATE: "change it before it is paid",
        Verb.CONFIRM: "confirm it",
        Capability.CLIENT_SECRET: "a client secret of the provider's own, for its script in the browser",
        Capability.MANUAL_CAPTURE: "hold the money and collect it later",
        Verb.CAPTURE: "collect what is held",
        Capability.MULTI_CAPTURE: "collect it in several parts",
        Verb.CANCEL: "cancel, or release what is held",
        Verb.REFUND: "refund",
        Capability.PARTIAL_REFUND: "refund a part",
    },
    "customers": {
        Verb.CREATE_CUSTOMER: "make a customer",
        Verb.UPDATE_CUSTOMER: "change one",
        Verb.DELETE_CUSTOMER: "delete one",
    },
    "stored methods": {
        Verb.CREATE_METHOD: "keep a method, or begin its set-up",
        Verb.CONFIRM_METHOD: "finish a set-up to which the payer agreed",
        Verb.UPDATE_METHOD: "change its billing details",
        Verb.DELETE_METHOD: "delete it",
    },
    "subscriptions": {
        Verb.CREATE_SUBSCRIPTION: "begin one",
        Verb.UPDATE_SUBSCRIPTION: "change its price or its method",
        Verb.PAUSE_SUBSCRIPTION: "pause it",
        Verb.RESUME_SUBSCRIPTION: "resume it",
        Verb.CANCEL_SUBSCRIPTION: "end it",
    },
}


def drawn() -> str:
    """Return the tables of the providers that this package brings."""
    return table({name: registry.load(kind) for kind, name in COLUMNS.items()})


def table(providers: Mapping[str, type[PaymentProvider]]) -> str:
    """Return one table with a column for each of *providers*, by the text above it."""
    return "\n".join(_line(cells) for cells in _rows(providers))


def _rows(providers: Mapping[str, type[PaymentProvider]]) -> Iterator[Sequence[str]]:
    kinds = providers.values()
    yield ("", *providers)
    yield ("---", *(":-:" for _ in kinds))
    for group, abilities in GROUPS.items():
        yield (f"**{group}**", *("" for _ in kinds))
        for ability, words in abilities.items():
            yield (
                f"{words} (`{ability.value}`)",
                *("yes" if each.supports(ability) else "no" for each in kinds),
            )
    yield ("**idempotency keys**", *("" for _ in kinds))
    yield ("how long a key protects a repeat", *(_window(each) for each in kinds))


def _window(provider: type[PaymentProvider]) -> str:
    return f"{provider.keys.window_hours:g} hours" if provider.keys.has_keys else "no keys"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def written(document: str) -> str:
    """Return *document* with what is drawn in it drawn anew."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{drawn()}\n{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
    sys.stdout.write("drawn\n")
