"""Run by `private.py` beside each server: ends it and removes its folder when the tests are gone.

    python mourner.py PID SIGNAL FOLDER

Whoever started it holds the other end of its standard input and never writes: the end of that input is the
end of the tests, however they died.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

_PATIENCE_SECONDS = 10.0


def _sender(pid: int) -> Callable[[int], None]:
    """Return what sends a signal to this very process, also when its number is another's one day."""
    if not hasattr(os, "pidfd_open"):  # not Linux
        return lambda number: os.kill(pid, number)
    handle = os.pidfd_open(pid)
    return lambda number: signal.pidfd_send_signal(handle, number)


def main(pid: int, gentle: int, folder: str) -> None:
    try:
        send = _sender(pid)
    except ProcessLookupError:
        return  # it did not even start; whoever started it says so
    while os.read(0, 1):
        pass
    with suppress(ProcessLookupError):
        send(gentle)
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            time.sleep(0.05)
            send(0)
        send(signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
