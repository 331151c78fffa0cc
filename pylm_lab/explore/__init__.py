"""Explore: searches schedules for one that breaks a check.

The package is a function too: `pylm_lab.explore(…)` is `pylm_lab.explore.search.explore(…)`,
whatever has been imported before.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from pylm_lab.explore.report import Exploration, Progress
from pylm_lab.explore.search import explore

__all__ = ["Exploration", "Progress", "explore"]


class _Exploring(types.ModuleType):
    """The package, which explores when it is called."""

    def __call__(self, *args: Any, **options: Any) -> Exploration:
        """Run a scenario under many schedules; see `pylm_lab.explore.search.explore`."""
        return explore(*args, **options)


sys.modules[__name__].__class__ = _Exploring
