"""Player: a run as one self-contained document, to be stepped through.

1. One file, no network: the scene as SVG, the story as JSON, a few KB of script. A policy in the
   document forbids it to load or to send anything.
2. Text from the run enters the document escaped and the page as text, never as markup.
3. The same trace gives the same bytes.
4. Nothing is run again: the player moves a view over the record, and says so.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.metrics import clean, fit, shorten
from pylm_lab.draw.player.reel import reel
from pylm_lab.draw.scene import Scene, Text
from pylm_lab.draw.story import EVERY, Step, first_server, tell
from pylm_lab.draw.style import THEMES, theme_named
from pylm_lab.draw.svg import colours, stylesheet, svg
from pylm_lab.errors import LabError
from pylm_lab.trace import Trace
from pylm_lab.trace.show.gaps import gaps

__all__ = ["Player", "play"]

#: Steps that a document holds; more would make it heavy.
LIMIT = 12_000
#: Height of the document in a notebook, px.
_HEIGHT = 760
_VIEWS = ("router",)
_THEMES = ("auto", *THEMES)
#: The look of what the record does not tell, for a document in which something is missing.
_GAPS = """
#gaps {
  margin: 2px 0 6px; padding-left: 10px; border-left: 4px dotted var(--ink); font-size: 14px;
  font-weight: 600; overflow-wrap: anywhere;
}
"""


def play(
    what: object,
    *,
    view: str = "router",
    theme: Literal["auto", "light", "dark"] = "auto",
    title: str | None = None,
    server: str | None = None,
) -> Player:
    """A player over a trace; in a notebook it shows itself, `save` writes it as a file.

    `what` is a Trace, or anything that has a `trace` (a cluster). `theme="auto"` follows the
    reader's system. `title` replaces the scene's; `server` chooses which server is drawn where the
    trace has several.

    Raises:
        LabError: an unknown view or theme, or nothing that has a trace.
        WiringError: the trace has no such server.
    """
    if what is None:
        raise LabError("can't play None: give it a trace, or a cluster that has one")
    trace = what if isinstance(what, Trace) else _trace_of(what)
    if view not in _VIEWS:
        raise LabError(f"no view {view!r}: choose one of {', '.join(map(repr, _VIEWS))}")
    if theme not in _THEMES:
        raise LabError(f"no theme {theme!r}: choose one of {', '.join(map(repr, _THEMES))}")
    if server is None:
        server = first_server(trace)
    if server is None:
        scene = _blank(title, gaps(trace))
    else:
        scene = router_scene(trace, title=title, server=server)
    # One more than is shown: how the counters go on is asked of it.
    steps = tell(trace, kinds=EVERY, server=server, most=LIMIT + 1)
    return Player(trace, scene, steps, theme)


def _trace_of(what: object) -> Trace:
    # What paints is only loaded for what can't be played as it is.
    from pylm_lab.draw.figure.drawing import trace_of

    return trace_of(what)


class Player:
    """A run as a document: `save` writes it, `html` is its text, a notebook shows it."""

    def __init__(self, trace: Trace, scene: Scene, steps: Sequence[Step], theme: str) -> None:
        self._trace = trace
        self._steps = steps
        self._theme = theme
        whole = len(steps) <= LIMIT
        self._scene = scene if whole else _say_what_is_left_out(scene, len(trace.hops))

    def __len__(self) -> int:
        """How many steps can be shown: hops of all kinds, and what faults do."""
        return min(len(self._steps), LIMIT)

    @property
    def alt(self) -> str:
        """The diagram in words."""
        return self._scene.alt

    @cached_property
    def html(self) -> str:
        """The whole document."""
        data = reel(self._trace, self._scene, self._steps, limit=LIMIT)
        missing = gaps(self._trace)
        looks = [_themes(self._theme), stylesheet(THEMES["light"]), _resource("player.css")]
        style = "\n".join([*looks, _GAPS] if missing else looks)
        script = _resource("player.js")
        parts = {
            "policy": (
                f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)};"
                " img-src data:; base-uri 'none'; form-action 'none'"
            ),
            "schemes": "light dark" if self._theme == "auto" else self._theme,
            "title": escape(clean(self._scene.title)),
            "style": style,
            "scene": svg(self._scene),
            "run": escape(self._trace.how),
            "gaps": f'\n<p id="gaps">{escape(" ".join(missing))}</p>' if missing else "",
            "record": _json(data),
            "script": script,
        }
        # In one pass, so that no inserted text is looked at again.
        return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _resource("player.html"))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the document; it appears whole or not at all. Returns the path.

        Raises:
            OSError: it can't be written there.
        """
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            partial.write_bytes(self.html.encode("utf-8"))
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def __repr__(self) -> str:
        return f"<Player {self._scene.title!r}, {len(self):,} steps>"

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None, **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """For notebooks: the document in a frame, over a picture for where no script may run."""
        width, height = round(self._scene.width), round(self._scene.height)
        picture = base64.b64encode(self._png(1)).decode("ascii")
        page = (
            f'<div style="position:relative;height:{_HEIGHT}px;overflow:hidden">\n'
            f'<img alt="{escape(self.alt)}" width="{width}" style="max-width:100%"'
            f' src="data:image/png;base64,{picture}">\n'
            f'<iframe title="{escape(clean(self._scene.title))}" sandbox="allow-scripts"'
            ' style="position:absolute;left:0;top:0;width:100%;height:100%;border:0"'
            f' srcdoc="{escape(self.html)}"></iframe>\n</div>'
        )
        data = {"text/html": page, "image/png": self._png(2), "text/plain": self.alt}
        return data, {"image/png": {"width": width, "height": height, "alt": self.alt}}

    def _png(self, scale: float) -> bytes:
        """The whole run as a picture, `scale` pixels for one of the scene."""
        from pylm_lab.draw.figure import Picture

        out = io.BytesIO()
        theme = THEMES.get(self._theme, THEMES["light"])
        picture = Picture(self._scene, theme)
        picture.savefig(
            out, format="png", dpi=picture.get_dpi() * scale, metadata={"Software": None}
        )
        return out.getvalue()


def _blank(title: str | None, missing: Sequence[str]) -> Scene:
    """What takes the diagram's place where there is no server to draw.

    `missing` are sentences about what the record does not tell.
    """
    title = "A record without a server" if title is None else title
    subtitle = "There is no router to draw; the steps are told in words."
    return Scene(
        width=700,
        height=72 + 18 * len(missing),
        title=title,
        subtitle=subtitle,
        alt=" ".join([f"{title}: {subtitle}", *missing]),
        items=(
            Text(id="title", x=12, y=28, text=clean(title, 70), size=16, role="title", bold=True),
            Text(id="subtitle", x=12, y=47, text=subtitle, size=12, role="muted"),
            *(
                Text(id=f"gaps.{n}", x=12, y=66 + 18 * n, text=text, bold=True)
                for n, text in enumerate(shorten(clean(each), 676, 11, True) for each in missing)
            ),
        ),
    )


def _say_what_is_left_out(scene: Scene, hops: int) -> Scene:
    said = f"{scene.subtitle} Shown: the first {LIMIT:,} steps of a run of {hops:,} hops."
    text, size = fit(clean(said), scene.width - 24, (12, 11, 10))
    items = tuple(
        replace(item, text=text, size=size)
        if item.id == "subtitle" and isinstance(item, Text)
        else item
        for item in scene.items
    )
    return replace(scene, subtitle=said, items=items)


def _themes(theme: str) -> str:
    """The colours of the theme as CSS variables; of both where the reader's system decides."""
    # The moving message is the same orange in both themes, so its number is always dark.
    number = f"--on-moving:{THEMES['light'].ink};"
    if theme != "auto":
        return f":root{{{colours(theme_named(theme))}{number}}}"
    return (
        f":root{{{colours(THEMES['light'])}{number}}}\n"
        f"@media (prefers-color-scheme: dark){{:root{{{colours(THEMES['dark'])}}}}}"
    )


def _json(data: Any) -> str:
    """JSON that can stand in a document: nothing in it can end an element or open one."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _digest(text: str) -> str:
    """What a policy calls an inline style or script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"


def _resource(name: str) -> str:
    return files("pylm_lab.draw.player").joinpath(name).read_text(encoding="utf-8")
