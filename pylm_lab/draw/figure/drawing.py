"""Drawing: from a run, or a server that has not run, to its picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pylm_lab.draw.figure.picture import Picture
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.style import theme_named
from pylm_lab.draw.waits import waits_scene
from pylm_lab.errors import LabError
from pylm_lab.hook import Hook
from pylm_lab.trace import Recorder, Trace
from pylm_lab.waits import Waits

__all__ = ["draw", "trace_of"]

_VIEWS = ("router",)


def draw(
    what: object,
    view: Literal["router"] = "router",
    *,
    theme: Literal["light", "dark"] = "light",
    format: Literal["column", "slide"] = "column",
    title: str | None = None,
    subtitle: str | None = None,
    server: str | None = None,
) -> Picture:
    """A picture of a run: a matplotlib Figure that shows itself in a notebook.

    `what` is a Trace, or anything that has a `trace` (a cluster), or a server that has not run
    (anything with `declare(hook)`). Of `Waits` it shows who waits for whom, in a view of their own.
    `format` is `column` (700 px wide with title and legend, for a page) or `slide` (800 px, larger
    type, neither). `title` and `subtitle` replace what the trace suggests; `server` chooses one of
    several, else the first is drawn.

    Raises:
        WiringError: the trace has no server of that name.
        LabError: an unknown view, theme or format, or nothing to draw.
    """
    if view not in _VIEWS:
        raise LabError(f"no view {view!r}: choose one of {', '.join(map(repr, _VIEWS))}")
    look = theme_named(theme)
    if isinstance(what, Waits):
        if server is not None:
            raise LabError(f"waits are drawn whole: leave out server={server!r}")
        return Picture(waits_scene(what, title=title, subtitle=subtitle, format=format), look)
    scene = router_scene(
        trace_of(what), title=title, subtitle=subtitle, format=format, server=server
    )
    return Picture(scene, look)


def trace_of(what: object) -> Trace:
    """The trace that is meant: the thing itself, the one that it has, or what it declares.

    Raises:
        LabError: it is, has and declares none.
    """
    if isinstance(what, Trace):
        return what
    trace = getattr(what, "trace", None)
    if isinstance(trace, Trace):
        return trace
    declare: Callable[[Hook], object] | None = getattr(what, "declare", None)
    if callable(declare):
        recorder = Recorder()
        declare(recorder)
        return recorder.trace
    raise LabError(
        f"can't draw a {type(what).__name__}:"
        " give a Trace, or a cluster that has one, or a server that declares its parts"
    )
