"""Drawing: scenes as data, and whoever paints them.

The package is a function too: `pylm_lab.draw(trace)` is `pylm_lab.draw.figure.draw(trace)`,
whatever has been imported before.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pylm_lab.draw.figure import Picture, draw

__all__ = ["Picture", "draw"]


def __getattr__(name: str) -> Any:
    # matplotlib is loaded by who paints with it, not by who imports a scene.
    if name in __all__:
        from pylm_lab.draw import figure

        return getattr(figure, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Drawing(types.ModuleType):
    """The package, which draws when it is called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Draw a trace, or a server that has not run; see `pylm_lab.draw.figure.draw`."""
        from pylm_lab.draw.figure import draw

        return draw(*args, **options)


sys.modules[__name__].__class__ = _Drawing
