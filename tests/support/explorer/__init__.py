"""Walks every reachable state of one payment to a stated bound, with the engine's own decisions.

`gateway.py` is a provider in six fields, `world.py` what may happen next, `walk.py` the search.
"""

from __future__ import annotations

from .gateway import Gateway
from .walk import Report, walk
from .world import World, begin, successors, violations

__all__ = ["Gateway", "Report", "World", "begin", "successors", "violations", "walk"]
