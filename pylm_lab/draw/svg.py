"""A scene as plain SVG text, for script to move over.

1. Each item is one element whose id is `i-` and the item's own. What it looks like is said by
   classes (`stroke-row1`, `fill-part`, `text-muted`), so one document serves every theme.
2. `stylesheet` says what the classes mean, and gets every colour from `draw.style`.
3. An empty group, `glow`, lies over the wires and under what stands on them, for what is lit.
4. The same scene gives the same bytes; every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.scene import (
    Badge,
    Box,
    Disc,
    Item,
    Line,
    Mark,
    Pill,
    Point,
    Scene,
    Text,
    cut_strokes,
)
from pylm_lab.draw.style import ARROW_ASPECT, BORDERS, CASING, CUT, DASHES, DIGIT_HEIGHT, Theme

__all__ = ["FONT", "colours", "identity", "stylesheet", "svg"]

#: Scenes are measured with DejaVu Sans; Verdana, its elder sister, is as wide.
FONT = '"DejaVu Sans", Verdana, Geneva, sans-serif'


def identity(item: str) -> str:
    """The id that an item's element has in the document."""
    return f"i-{item}"


def svg(scene: Scene, *, style: str = "") -> str:
    """The scene as one `<svg>` element. `style`, a stylesheet, makes it a file of its own."""
    body = [_SHAPES[type(item)](item) for item in scene.items]  # type: ignore[operator]
    body.insert(_over_the_wires(scene.items), '<g id="glow"></g>')
    size = f'width="{_n(scene.width)}" height="{_n(scene.height)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="scene" {size}'
            f' viewBox="0 0 {_n(scene.width)} {_n(scene.height)}" role="img"'
            ' aria-labelledby="scene-title" aria-describedby="scene-alt">',
            f'<title id="scene-title">{_text(scene.title)}</title>',
            f'<desc id="scene-alt">{_text(scene.alt)}</desc>',
            *([f"<style>{style}</style>"] if style else []),
            f'<rect class="fill-paper" {size}/>',
            *body,
            "</svg>",
            "",
        ]
    )


def colours(theme: Theme) -> str:
    """The theme as CSS variables: `--paper:#FFFFFF;--stroke-row1:#0072B2;…`."""
    named = {
        "paper": theme.paper,
        "box": theme.box,
        "ink": theme.ink,
        "muted": theme.muted,
        "line": theme.line,
        "moving": theme.moving,
        "glow": theme.glow,
        "lit": theme.lit,
        "alarm": theme.alarm,
    }
    named.update({f"stroke-{role}": colour for role, colour in theme.strokes.items()})
    named.update({f"fill-{role}": colour for role, colour in theme.fills.items()})
    named.update({f"text-{role}": colour for role, colour in theme.texts.items()})
    return "".join(f"--{name}:{colour};" for name, colour in named.items())


def stylesheet(theme: Theme) -> str:
    """What the classes of a scene mean, in CSS variables (see `colours`) that every theme has."""
    rules = [
        f".scene{{font-family:{FONT};background:var(--paper)}}",
        ".scene rect,.scene circle{fill:none}",
        ".stroke-paper{stroke:var(--paper)}",
        ".wire{fill:none;stroke-linejoin:round}",
        ".casing{fill:none;stroke:var(--paper);stroke-linejoin:round}",
        ".bold{font-weight:bold}",
    ]
    rules += [f".stroke-{role}{{stroke:var(--stroke-{role})}}" for role in theme.strokes]
    rules += [f".scene .head-{role}{{fill:var(--stroke-{role})}}" for role in theme.strokes]
    rules += [f".scene .fill-{role}{{fill:var(--fill-{role})}}" for role in theme.fills]
    rules += [f".text-{role}{{fill:var(--text-{role})}}" for role in theme.texts]
    # A row of the table is only lit while it decides.
    rules.append(".scene .fill-lit{visibility:hidden}")
    return "\n".join(rules)


def _over_the_wires(items: Sequence[Item]) -> int:
    """The place after the last wire: grounds and wires are painted before what stands on them."""
    return max((n + 1 for n, item in enumerate(items) if isinstance(item, Line)), default=0)


def _box(item: Box) -> str:
    look = f"fill-{item.role} stroke-{item.role}"
    dash = _dashes(item.role) if item.dashed else ""
    border = BORDERS.get(item.role, 0)
    width = f' stroke-width="{_n(border)}"' if border else ""
    return (
        f'<rect{_id(item)} class="{look}" x="{_n(item.x)}" y="{_n(item.y)}" width="{_n(item.w)}"'
        f' height="{_n(item.h)}" rx="{_n(item.radius)}"{width}{dash}/>'
    )


def _disc(item: Disc) -> str:
    return (
        f'<circle{_id(item)} class="fill-{item.role} stroke-{item.role}" cx="{_n(item.x)}"'
        f' cy="{_n(item.y)}" r="{_n(item.r)}" stroke-width="{_n(BORDERS.get(item.role, 0))}"/>'
    )


def _line(item: Line) -> str:
    points = list(item.points)
    heads = []
    if item.start:
        heads.append(_head(points[0], points[1], item.start, item.role))
        points[0] = _towards(points[0], points[1], item.start * 0.7)
    if item.end:
        heads.append(_head(points[-1], points[-2], item.end, item.role))
        points[-1] = _towards(points[-1], points[-2], item.end * 0.7)
    way = _way(points)
    casing = ""
    if item.casing:
        # Only what is crossed is cut, not the edge at which the wire ends.
        inner = [_towards(points[0], points[1], CASING), *points[1:-1]]
        inner.append(_towards(points[-1], points[-2], CASING))
        width = _n(item.width + 2 * CASING)
        casing = f'<path class="casing" d="{_way(inner)}" stroke-width="{width}"/>'
    return (
        f'<g{_id(item)}>{casing}<path class="wire stroke-{item.role}" d="{way}"'
        f' stroke-width="{_n(item.width)}"{_dashes(item.dash)}/>{"".join(heads)}</g>'
    )


def _dashes(name: str) -> str:
    return f' stroke-dasharray="{" ".join(map(_n, DASHES[name]))}"' if name in DASHES else ""


def _way(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _head(tip: Point, towards: Point, length: float, role: str) -> str:
    """An arrow head whose tip is at `tip`, on a line that comes from `towards`."""
    x, y = _towards(tip, towards, length)
    dx, dy = (x - tip[0]) / length, (y - tip[1]) / length
    half = length * ARROW_ASPECT / 2
    corners = (tip, (x - dy * half, y + dx * half), (x + dy * half, y - dx * half))
    points = " ".join(f"{_n(a)},{_n(b)}" for a, b in corners)
    return f'<polygon class="head-{role}" points="{points}"/>'


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = math.dist(start, end) or 1.0
    part = distance / length
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def _mark(item: Mark) -> str:
    half = item.size / 2
    x, y = item.x, item.y
    if item.kind == "connects":
        return (
            f'<circle{_id(item)} class="fill-paper stroke-ink" cx="{_n(x)}" cy="{_n(y)}"'
            f' r="{_n(half)}" stroke-width="1.8"/>'
        )
    if item.kind == "blocks":
        w, gap = item.size * 0.3, item.size * 0.2
        bars = "".join(
            f'<rect class="head-blocks" x="{_n(left)}" y="{_n(y - half)}" width="{_n(w)}"'
            f' height="{_n(item.size)}"/>'
            for left in (x - gap / 2 - w, x + gap / 2)
        )
        return f"<g{_id(item)}>{bars}</g>"
    if item.kind == "cut":
        ground, *strokes = cut_strokes(item)
        lines = "".join(_way(stroke) for stroke in strokes)
        return (
            f'<g{_id(item)}><path class="fill-paper" d="{_way(ground)}"/>'
            f'<path class="wire stroke-ink" d="{lines}" stroke-width="{_n(CUT)}"/></g>'
        )
    return (
        f'<rect{_id(item)} class="head-ink stroke-paper" x="{_n(x - half)}" y="{_n(y - half)}"'
        f' width="{_n(item.size)}" height="{_n(item.size)}" stroke-width="1"/>'
    )


def _words(item: Text) -> str:
    bold = " bold" if item.bold else ""
    anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
    return (
        f'<text{_id(item)} class="text-{item.role}{bold}" x="{_n(item.x)}" y="{_n(item.y)}"'
        f' font-size="{_n(item.size)}"{anchor}>{_text(item.text)}</text>'
    )


def _pill(item: Pill) -> str:
    x, y, cross = item.x, item.y, ""
    if item.role == "lost":
        left = x - item.w / 2 + 7 if item.text else x - 3.5
        cross = (
            f'<path class="wire stroke-lost" stroke-width="2.2" d="M{_n(left)} {_n(y - 3.5)}'
            f'l7 7m0 -7l-7 7"/>'
        )
        x += 7
    return (
        f'<g{_id(item)}><rect class="fill-{item.role} stroke-{item.role}"'
        f' x="{_n(item.x - item.w / 2)}" y="{_n(y - item.h / 2)}" width="{_n(item.w)}"'
        f' height="{_n(item.h)}" rx="6" stroke-width="{_n(BORDERS[item.role])}"/>'
        f"{cross}{_number(x, y, item.text, item.size)}</g>"
    )


def _badge(item: Badge) -> str:
    return (
        f'<g{_id(item)}><circle class="fill-paper stroke-{item.role}" cx="{_n(item.x)}"'
        f' cy="{_n(item.y)}" r="{_n(item.r - 1)}" stroke-width="2"/>'
        f"{_number(item.x, item.y, item.text, item.size)}</g>"
    )


def _number(x: float, y: float, text: str, size: float) -> str:
    return (
        f'<text class="text-ink bold" x="{_n(x)}" y="{_n(y + size * DIGIT_HEIGHT / 2)}"'
        f' font-size="{_n(size)}" text-anchor="middle">{_text(text)}</text>'
    )


_SHAPES = {
    Box: _box,
    Disc: _disc,
    Line: _line,
    Mark: _mark,
    Text: _words,
    Pill: _pill,
    Badge: _badge,
}


def _id(item: Item) -> str:
    return f' id="{escape(identity(item.id))}"'


def _text(text: str) -> str:
    return escape(clean(text, 2000), quote=False)


def _n(value: float) -> str:
    """A coordinate to a hundredth of a pixel, as short as can be."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
