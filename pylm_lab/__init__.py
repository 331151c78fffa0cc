"""pylm_lab: a laboratory for message routing over real ZeroMQ sockets.

The map of the package. Everything is loaded when it is first used; importing this loads nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pylm_lab import explore, faults, parts
    from pylm_lab.clients import Client
    from pylm_lab.cluster import Cluster
    from pylm_lab.course import check
    from pylm_lab.draw.animation import animate
    from pylm_lab.draw.figure import draw
    from pylm_lab.draw.player import play
    from pylm_lab.errors import LabError
    from pylm_lab.hook import Hook
    from pylm_lab.parts.servers import ServerTemplate
    from pylm_lab.rerun import replay
    from pylm_lab.scenarios import Scenario
    from pylm_lab.servers import Hub, Master, MuxWorker, Pipeline, Server, Sink, Worker
    from pylm_lab.trace import Recorder, Trace, invariant
    from pylm_lab.watching import watch

    #: The module, which is a mapping.
    scenarios: Mapping[str, Scenario]

__all__ = [
    "Client",
    "Cluster",
    "Hook",
    "Hub",
    "LabError",
    "Master",
    "MuxWorker",
    "Pipeline",
    "Recorder",
    "Server",
    "ServerTemplate",
    "Sink",
    "Trace",
    "Worker",
    "animate",
    "check",
    "draw",
    "explore",
    "faults",
    "invariant",
    "parts",
    "play",
    "replay",
    "scenarios",
    "watch",
]

__version__ = "0.1.0"

#: Where each name lives.
_HOMES = {
    "Client": "clients",
    "Cluster": "cluster",
    "Hook": "hook",
    "Hub": "servers",
    "LabError": "errors",
    "Master": "servers",
    "MuxWorker": "servers",
    "Pipeline": "servers",
    "Recorder": "trace",
    "Server": "servers",
    "ServerTemplate": "parts.servers",
    "Sink": "servers",
    "Trace": "trace",
    "Worker": "servers",
    "animate": "draw.animation",
    "check": "course",
    "invariant": "trace",
    "play": "draw.player",
    "replay": "rerun",
    "watch": "watching",
}


def __getattr__(name: str) -> Any:
    # Packages that can be called, a module that is a mapping, one whose functions make faults, and
    # what servers are made of.
    if name in ("draw", "explore", "faults", "parts", "scenarios"):
        return importlib.import_module(f"pylm_lab.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'pylm_lab' has no attribute {name!r}: see dir(pylm_lab)")
    value = getattr(importlib.import_module(f"pylm_lab.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


if os.environ.get("PYLM_LAB_TRACE"):
    # Whoever imports any module of the package comes by here first, and so records itself.
    importlib.import_module("pylm_lab.recording").begin()
