"""The deliberate faults still fit the code: they are tried by name only, and a change passes them by."""

from __future__ import annotations

import runpy
from pathlib import Path

import bridge_payments

FAULTS = Path(__file__).parents[1] / "mutants" / "faults.py"


def test_every_fault_changes_one_place_of_the_code() -> None:
    root = Path(bridge_payments.__file__).parent
    faults = runpy.run_path(str(FAULTS))["FAULTS"]
    stale = [
        f"{fault.file}: {fault.name}"
        for fault in faults
        if (root / fault.file).read_text().count(fault.old) != 1 or fault.old == fault.new
    ]
    assert stale == []
    assert len(faults) > 100
