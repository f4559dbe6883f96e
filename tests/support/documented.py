"""What schemathesis checks here beyond its own: every status is a documented one. Loaded by its command line.

The document's `default` answer covers everything, as clients want it; here it would hide every mistake.
"""

from __future__ import annotations

import os
import zlib

import schemathesis

_KNOWN = os.environ["SHOP_PAYMENTS"].split(",")


@schemathesis.check
def documented_status(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    operation = case.operation
    if case.method.upper() != operation.method.upper():
        return  # a method that is not in the document: `unsupported_method` looks at that
    documented = operation.definition.raw["responses"]
    if str(response.status_code) not in documented:
        raise AssertionError(f"{response.status_code} is not documented: {sorted(documented)}")


@schemathesis.hook
def before_call(ctx: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, object]) -> None:
    """Ask for payments that exist, most of the time: ids drawn at random lead no further than 404."""
    drawn = case.path_parameters.get("payment_id") if case.path_parameters else None
    if drawn is not None:
        choice = zlib.crc32(str(drawn).encode("utf-8", "replace")) % (len(_KNOWN) + 1)
        if choice < len(_KNOWN):
            case.path_parameters["payment_id"] = _KNOWN[choice]
