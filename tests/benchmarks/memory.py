"""How much memory this process has now. Imports next to nothing: it is used where imports are measured."""

from __future__ import annotations

import os
import resource


def resident() -> float:
    """Return MiB; where the system does not tell, the most that it ever was."""
    try:
        with open("/proc/self/statm") as pages:  # noqa: PTH123 - pathlib would be one of the imports
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
