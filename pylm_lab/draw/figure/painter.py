"""Painter: turns the items of a scene into artists of a matplotlib figure.

1. Everything is said to each artist; nothing is left to rcParams.
2. No text is read as mathematics, and a character that the font lacks is shown as `�`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path as File
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text as Words

from pylm_lab.draw.scene import Badge, Box, Disc, Item, Line, Mark, Pill, Point, Text, cut_strokes
from pylm_lab.draw.style import (
    ARROW_ASPECT,
    BORDERS,
    CASING,
    CUT,
    DASHES,
    DIGIT_HEIGHT,
    Theme,
)

__all__ = ["DPI", "PT", "Painter"]

#: Pixels an inch, and points a pixel.
DPI = 100
PT = 72 / DPI


@cache
def _font(bold: bool) -> tuple[FontProperties, frozenset[int]]:
    """The font that matplotlib ships (never another one of that name) and the characters it has."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    file = File(mpl.get_data_path(), "fonts", "ttf", name)
    return FontProperties(fname=file), frozenset(get_font(str(file)).get_charmap())


#: Where the control points of a quarter of a circle lie, from its corner ÷ its radius.
_CURVE = 0.4477
_SIDE = [Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]


def _rounded(x: float, y: float, w: float, h: float, r: float) -> Path:
    """A rectangle with round corners."""
    r = min(r, w / 2, h / 2)
    u, v = x + w, y + h
    if r <= 0:
        return Path([(x, y), (u, y), (u, v), (x, v), (x, y)], closed=True)
    k = r * _CURVE
    points = [(x + r, y)]
    points += [(u - r, y), (u - k, y), (u, y + k), (u, y + r)]
    points += [(u, v - r), (u, v - k), (u - k, v), (u - r, v)]
    points += [(x + r, v), (x + k, v), (x, v - k), (x, v - r)]
    points += [(x, y + r), (x, y + k), (x + k, y), (x + r, y), (x + r, y)]
    return Path(points, [Path.MOVETO, *_SIDE * 4, Path.CLOSEPOLY])


def _circle(x: float, y: float, r: float) -> Path:
    return _rounded(x - r, y - r, 2 * r, 2 * r, r)


_Align = Literal["left", "center", "right"]
_ALIGNED: dict[str, _Align] = {"start": "left", "middle": "center", "end": "right"}


class Painter:
    """Turns items into artists of a figure, in their order."""

    def __init__(self, figure: Figure, theme: Theme, transform: Any) -> None:
        self.figure = figure
        self.theme = theme
        self.transform = transform
        self.strokes = theme.strokes
        self.fills = theme.fills
        self.order = 1

    def paint(self, items: tuple[Item, ...]) -> None:
        """Paint the items, the first lowest."""
        paint = {
            Box: self._box,
            Disc: self._disc,
            Line: self._line,
            Mark: self._mark,
            Text: self._text,
            Pill: self._pill,
            Badge: self._badge,
        }
        for item in items:
            paint[type(item)](item)  # type: ignore[operator]

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self.transform)
        artist.set_zorder(self.order)
        self.order += 1
        self.figure.add_artist(artist)

    def _path(
        self,
        path: Path,
        *,
        fill: str | None = None,
        stroke: str | None = None,
        width: float = 0,
        dash: tuple[float, ...] = (),
    ) -> None:
        patch = PathPatch(
            path,
            facecolor=fill or "none",
            edgecolor=stroke or "none",
            linewidth=width * PT if stroke else 0,
            linestyle=(0, tuple(n / width for n in dash)) if dash else "solid",
            capstyle="butt",
            joinstyle="round",
            antialiased=True,
        )
        self._add(patch)

    def _box(self, box: Box) -> None:
        if box.role == "lit":
            return
        self._path(
            _rounded(box.x, box.y, box.w, box.h, box.radius),
            fill=self.fills.get(box.role),
            stroke=None if box.role == "paper" else self.strokes[box.role],
            width=BORDERS.get(box.role, 0),
            dash=DASHES[box.role] if box.dashed else (),
        )

    def _disc(self, disc: Disc) -> None:
        self._path(
            _circle(disc.x, disc.y, disc.r),
            fill=self.fills[disc.role],
            stroke=self.strokes[disc.role],
            width=BORDERS[disc.role],
        )

    def _line(self, line: Line) -> None:
        colour = self.strokes[line.role]
        points = list(line.points)
        heads = []
        for length, end, before in ((line.start, 0, 1), (line.end, -1, -2)):
            if length:
                tip, back = points[end], points[before]
                heads.append(_head(tip, back, length))
                points[end] = _toward(tip, back, length * 0.7)
        path = Path(points)
        if line.casing:
            self._path(path, stroke=self.theme.paper, width=line.width + 2 * CASING)
        self._path(path, stroke=colour, width=line.width, dash=DASHES.get(line.dash, ()))
        for head in heads:
            self._path(head, fill=colour)

    def _mark(self, mark: Mark) -> None:
        x, y, half = mark.x, mark.y, mark.size / 2
        if mark.kind == "blocks":
            w, gap = mark.size * 0.3, mark.size * 0.2
            for left in (x - gap / 2 - w, x + gap / 2):
                self._path(_rounded(left, y - half, w, mark.size, 0), fill=self.theme.alarm)
        elif mark.kind == "cut":
            ground, *strokes = cut_strokes(mark)
            self._path(Path(ground, closed=True), fill=self.theme.paper)
            for stroke in strokes:
                self._path(Path(stroke), stroke=self.theme.ink, width=CUT)
        elif mark.kind == "binds":
            self._path(
                _rounded(x - half, y - half, mark.size, mark.size, 0),
                fill=self.theme.ink,
                stroke=self.theme.paper,
                width=1,
            )
        else:
            self._path(_circle(x, y, half), fill=self.theme.paper, stroke=self.theme.ink, width=1.8)

    def _pill(self, pill: Pill) -> None:
        self._path(
            _rounded(pill.x - pill.w / 2, pill.y - pill.h / 2, pill.w, pill.h, 6),
            fill=self.fills[pill.role],
            stroke=self.strokes[pill.role],
            width=BORDERS[pill.role],
        )
        x = pill.x
        if pill.role == "lost":
            left = pill.x - pill.w / 2 + 7 if pill.text else pill.x - 3.5
            cross = [(left, -3.5), (left + 7, 3.5), (left, 3.5), (left + 7, -3.5)]
            codes = [Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO]
            path = Path([(a, pill.y + b) for a, b in cross], codes)
            self._path(path, stroke=self.theme.alarm, width=2)
            x += 7
        if pill.text:
            self._words(x, pill.y, pill.text, pill.size)

    def _badge(self, badge: Badge) -> None:
        self._path(
            _circle(badge.x, badge.y, badge.r - 1),
            fill=self.theme.paper,
            stroke=self.strokes[badge.role],
            width=2,
        )
        self._words(badge.x, badge.y, badge.text, badge.size)

    def _words(self, x: float, y: float, text: str, size: float) -> None:
        """Bold digits, centred."""
        y += size * DIGIT_HEIGHT / 2
        self._write(x, y, text, size, self.theme.ink, bold=True, align="center")

    def _text(self, text: Text) -> None:
        align = _ALIGNED[text.anchor]
        colour = self.theme.texts[text.role]
        self._write(text.x, text.y, text.text, text.size, colour, bold=text.bold, align=align)

    def _write(
        self, x: float, y: float, text: str, size: float, colour: str, *, bold: bool, align: _Align
    ) -> None:
        font, known = _font(bold)
        shown = "".join(c if ord(c) in known else "\ufffd" for c in text)
        self._add(
            Words(
                x,
                y,
                shown,
                color=colour,
                fontproperties=font,
                fontsize=size * PT,
                horizontalalignment=align,
                verticalalignment="baseline",
                parse_math=False,
                usetex=False,
            )
        )


def _toward(a: Point, b: Point, length: float) -> Point:
    """The point at a length from `a` on the way to `b`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    d = (dx * dx + dy * dy) ** 0.5 or 1
    return a[0] + dx / d * length, a[1] + dy / d * length


def _head(tip: Point, back: Point, length: float) -> Path:
    base = _toward(tip, back, length)
    half = length * ARROW_ASPECT / 2
    dx, dy = (tip[0] - base[0]) / length * half, (tip[1] - base[1]) / length * half
    corners = [tip, (base[0] - dy, base[1] + dx), (base[0] + dy, base[1] - dx), tip]
    return Path(corners, closed=True)
