"""The parts of a server: the router, its network cards, and the template that joins them.

`catalog()` lists the classes of parts, each with its place in the four classifications.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pylm_lab.parts.classified import catalog

__all__ = ["catalog"]


def __getattr__(name: str) -> Any:
    # It needs every module in here, and whoever imports one of them does not.
    if name == "catalog":
        from pylm_lab.parts.classified import catalog

        return catalog
    raise AttributeError(f"module 'pylm_lab.parts' has no attribute {name!r}")
