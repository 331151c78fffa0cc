"""The record of a run: a Recorder writes it, a Trace holds it, `Trace.check` judges it.

Each name is loaded when it is asked for: who only records loads no numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pylm_lab.trace.record.recorder import Recorder
    from pylm_lab.trace.records import Event, Hop, Link
    from pylm_lab.trace.rules.check import Count, Finding, counts, forget, invariant, invariants
    from pylm_lab.trace.trace import Trace

__all__ = [
    "Count",
    "Event",
    "Finding",
    "Hop",
    "Link",
    "Recorder",
    "Trace",
    "counts",
    "forget",
    "invariant",
    "invariants",
]

#: Where each name lives.
_HOMES = {
    "rules.check": ("Count", "Finding", "counts", "forget", "invariant", "invariants"),
    "record.recorder": ("Recorder",),
    "records": ("Event", "Hop", "Link"),
    "trace": ("Trace",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
