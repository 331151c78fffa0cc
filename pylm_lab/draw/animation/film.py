"""Film: a run as a GIF.

1. Nothing moves that did not: the story says what, `pace` when.
2. The background is painted once, by the painter of figures; what changes (a lit way, a count, a
   status, a disc) is painted once each as well, and then only put in its place.
3. The same trace gives the same bytes.
"""

from __future__ import annotations

import base64
import math
import os
import threading
from functools import cached_property
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pylm_lab.draw.animation.gif import Gif
from pylm_lab.draw.animation.pace import Film, pace
from pylm_lab.draw.animation.stage import Mark, Stage
from pylm_lab.draw.figure.drawing import trace_of
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.scene import Scene
from pylm_lab.draw.story import first_server, tell
from pylm_lab.draw.style import Theme, theme_named
from pylm_lab.errors import LabError

__all__ = ["Animation", "animate"]

_VIEWS = ("router",)
_FPS = 20.0


def animate(
    what: object,
    *,
    view: str = "router",
    theme: Literal["light", "dark"] = "light",
    format: Literal["column", "slide"] = "column",
    fps: float = _FPS,
    max_steps: int | None = None,
    title: str | None = None,
    server: str | None = None,
) -> Animation:
    """A film of a run: one message followed on its whole way, then the others, all at their pace.

    `what` is a Trace, or anything that has a `trace` (a cluster). The film lasts at most 20
    seconds; steps that do not fit, or are more than `max_steps`, are left out, and the film says
    so. `fps` is rounded to the hundredths of a second that a GIF counts in.

    Raises:
        LabError: an unknown view, theme or format, a rate out of 1 to 50, nothing to draw.
        WiringError: the trace has no such server.
    """
    if view not in _VIEWS:
        raise LabError(f"no view {view!r}: choose one of {', '.join(map(repr, _VIEWS))}")
    if not 1 <= fps <= 50:
        raise LabError(f"{fps!r} frames a second: a GIF can show from 1 to 50")
    look = theme_named(theme)
    trace = trace_of(what)
    server = first_server(trace) if server is None else server
    scene = router_scene(trace, title=title, format=format, server=server)
    steps = tell(trace, server=server, faults=False)
    film = pace(trace, steps, closing=scene.subtitle, most=max_steps)
    return Animation(scene, look, film, round(100 / fps))


class Animation:
    """A film of a run. `save` writes it as a GIF; a notebook shows it; its length is in frames."""

    def __init__(self, scene: Scene, theme: Theme, film: Film, delay: int) -> None:
        self.scene = scene
        self.film = film
        self._theme = theme
        #: Between two frames, in hundredths of a second.
        self._delay = delay

    def __len__(self) -> int:
        return max(1, math.ceil(self.film.seconds * 100 / self._delay))

    @property
    def seconds(self) -> float:
        """How long it lasts before it begins again."""
        return len(self) * self._delay / 100

    @property
    def alt(self) -> str:
        """The film in words."""
        return f"{self.scene.alt} The animation follows one message on its way, then the others."

    @cached_property
    def gif(self) -> bytes:
        """The film as a GIF that repeats for ever."""
        stage = Stage(self.scene, self._theme, self.film)
        scores = [stage.score(n * self._delay / 100) for n in range(len(self))]
        stage.paint(chain.from_iterable(scores))
        gif = Gif(stage.colours, stage.samples())
        picture = stage.background.copy()
        everything = slice(0, picture.shape[0]), slice(0, picture.shape[1])
        before: tuple[Mark, ...] | None = None
        for score in scores:
            if score == before:
                gif.hold(self._delay)
                continue
            window = everything if before is None else stage.changed(before, score)
            stage.compose(picture, score, window)
            gif.add(picture, window, self._delay)
            before = score
        return gif.data()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the GIF; it appears whole or not at all. Returns the path.

        Raises:
            OSError: it can't be written there.
        """
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            partial.write_bytes(self.gif)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def __repr__(self) -> str:
        return f"<Animation {self.scene.title!r}, {self.seconds:.1f} s>"

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None, **_: Any
    ) -> dict[str, Any]:
        source = base64.b64encode(self.gif).decode("ascii")
        width = round(self.scene.width)
        page = (
            f'<img alt="{escape(self.alt)}" width="{width}" style="max-width:100%"'
            f' src="data:image/gif;base64,{source}">'
        )
        return {"text/html": page, "text/plain": self.alt}
