"""Picture: a scene as a matplotlib Figure.

1. It is a real Figure, made without pyplot: nothing of it is left behind, and it may be made in any
   thread.
2. The user's rcParams neither change a picture nor are changed by it.
3. The same scene and theme give the same bytes: no date, no version, no random id.
4. Who can't see it is told what it shows, in every format that has a place for it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D

from pylm_lab.draw.figure.painter import DPI, PT, Painter
from pylm_lab.draw.metrics import clean
from pylm_lab.draw.scene import Scene
from pylm_lab.draw.style import Theme
from pylm_lab.errors import LabError

__all__ = ["Picture", "plain"]

#: Pixels of a PNG for each pixel of the scene: sharp on the screens of today.
SCALE = 2.0
_SUFFIXES = (".svg", ".pdf", ".png")
#: Characters of an alt text that a file takes.
_ALT = 20_000


class Picture(Figure):
    """A scene as a Figure: `alt` tells it in words, `scene` is what was drawn.

    In a notebook it shows itself; `save` writes it for a page, a paper or a slide. Whatever a
    Figure can do, it can do too.
    """

    def __init__(self, scene: Scene, theme: Theme) -> None:
        self.scene = scene
        self.alt = scene.alt
        with plain():
            super().__init__(
                figsize=(scene.width / DPI, scene.height / DPI),
                dpi=DPI,
                facecolor=theme.paper,
                edgecolor="none",
                linewidth=0,
                frameon=True,
                layout=None,
            )
            FigureCanvasAgg(self)
            pixels = Affine2D().scale(1 / scene.width, -1 / scene.height).translate(0, 1)
            Painter(self, theme, pixels + self.transFigure).paint(scene.items)

    def save(self, path: str | os.PathLike[str], *, scale: float = SCALE) -> Path:
        """Write the picture as SVG, PDF or PNG, after the suffix of the path; returns the path.

        `scale` is the number of a PNG's pixels for a pixel of the scene. The file appears whole or
        not at all, and the same picture gives the same bytes.

        Raises:
            LabError: another suffix.
            OSError: it can't be written there.
        """
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix not in _SUFFIXES:
            raise LabError(
                f"can't save a picture as {target.name!r}: end the name in {', '.join(_SUFFIXES)}"
            )
        data = self._bytes(suffix[1:], scale)
        partial = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            partial.write_bytes(data)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """As `Figure.savefig`, whatever the rcParams say."""
        with plain():
            super().savefig(fname, **kwargs)

    def draw(self, renderer: Any) -> None:
        """As `Figure.draw`, whatever the rcParams say."""
        with plain():
            super().draw(renderer)

    def _bytes(self, suffix: str, scale: float) -> bytes:
        title, alt = clean(self.scene.title), clean(self.alt, _ALT)
        about: dict[str, dict[str, str | None]] = {
            "svg": {"Date": None, "Creator": None},
            "pdf": {
                "CreationDate": None,
                "Creator": None,
                "Producer": None,
                "Title": title,
                "Subject": alt,
            },
            "png": {"Software": None, "Title": title, "Description": alt},
        }
        out = io.BytesIO()
        self.savefig(out, format=suffix, dpi=DPI * scale, metadata=about[suffix])
        if suffix != "svg":
            return out.getvalue()
        return _accessible(out.getvalue().decode("utf-8"), title, alt).encode("utf-8")

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, object], dict[str, object]]:
        about: dict[str, object] = {
            "width": round(self.scene.width),
            "height": round(self.scene.height),
            "alt": self.alt,
        }
        data: dict[str, object] = {"image/png": self._bytes("png", SCALE), "text/plain": self.alt}
        return data, {"image/png": about}

    def __repr__(self) -> str:
        return f"<Picture: {self.scene.title}>"


def _accessible(svg: str, title: str, alt: str) -> str:
    """The SVG with its title and alt text where screen readers look, sized in pixels.

    Texts are drawn as outlines, so that they look alike where DejaVu Sans is not installed (and in
    an `<img>`, which may load no font); what they say is in `<desc>`.
    """
    key = hashlib.sha256(f"{title}\0{alt}".encode()).hexdigest()[:8]
    _, opening, body = re.split(r"(<svg [^>]*)>", svg, maxsplit=1)
    opening = re.sub(
        r'(width|height)="([0-9.]+)pt"',
        lambda found: f'{found[1]}="{float(found[2]) / PT:g}"',
        opening,
    )
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'{opening} role="img" aria-labelledby="title-{key} desc-{key}">\n'
        f' <title id="title-{key}">{escape(title)}</title>\n'
        f' <desc id="desc-{key}">{escape(alt)}</desc>{body}'
    )


#: Which rcParams have a say in what we draw.
_PREFIXES = (
    "agg.",
    "figure.",
    "font.",
    "lines.",
    "mathtext.",
    "patch.",
    "path.",
    "pdf.",
    "savefig.",
    "svg.",
    "text.",
)
_lock = threading.RLock()


@cache
def _settings() -> Any:
    known = mpl.rcParamsDefault.items()
    ours: dict[str, Any] = {key: value for key, value in known if key.startswith(_PREFIXES)}
    return ours | {
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "pylm_lab",
        # Hinting makes texts wider the smaller they are, wider than was measured.
        "text.hinting": "none",
    }


@contextmanager
def plain() -> Iterator[None]:
    """Our rcParams, then the user's again; one thread at a time, or they would keep ours."""
    with _lock, mpl.rc_context(_settings()):
        yield
