"""The documented clusters, by name.

`scenarios["parallel"].run(seed=1)` runs one and returns its trace. The module itself is the mapping
from names to scenarios.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

from pylm_lab.scenarios.balanced import Greeter, Tripling, build_master
from pylm_lab.scenarios.catalog import SCENARIOS, get, names
from pylm_lab.scenarios.scenario import Scenario

__all__ = ["Greeter", "Scenario", "Tripling", "build_master", "get", "names"]


class _Scenarios(types.ModuleType):
    """The module as a mapping, so that `lab.scenarios["parallel"]` is what it seems."""

    def __getitem__(self, name: str) -> Scenario:
        return get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(SCENARIOS)

    def __len__(self) -> int:
        return len(SCENARIOS)

    def __contains__(self, name: object) -> bool:
        return name in SCENARIOS


sys.modules[__name__].__class__ = _Scenarios
