"""Legend: the marks that occur in a picture, in two lines below it; and its heading above."""

from __future__ import annotations

from typing import Literal

from pylm_lab.draw.metrics import advance, clean, shorten
from pylm_lab.draw.router.geometry import Geometry
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.scene import Badge, Box, Disc, Line, Mark, Pill

__all__ = ["HEIGHT", "draw_heading", "draw_legend"]

#: What a legend needs below its rule, px.
HEIGHT = 50
#: In the order of columns, two by two.
_WORDS = {
    "binds": "binds (service)",
    "bypass": "bypass part",
    "connects": "connects (connection)",
    "program": "another program",
    "blocks": "blocks: waits for an answer",
    "both": "question and answer",
    "row": "row of the table",
    "count": "messages",
    "lost": "lost",
}


def draw_heading(g: Geometry, sheet: Sheet, title: str, subtitle: str) -> None:
    """What to look at."""
    s, room = g.sizes, g.width - 24
    sheet.text(
        "title", 12, 28, shorten(clean(title), room, s.title, True), s.title, "title", bold=True
    )
    sheet.text("subtitle", 12, 47, shorten(clean(subtitle), room, s.subtitle), s.subtitle, "muted")


def draw_legend(g: Geometry, sheet: Sheet) -> None:
    """What the marks mean."""
    t, y = g.sizes.text, g.legend_y
    sheet.rule("legend.rule", (12, y), (g.width - 12, y))
    shown = [key for key in _WORDS if key in sheet.seen]
    pairs = [shown[n : n + 2] for n in range(0, len(shown), 2)]
    widths = [26 + max(advance(_WORDS[key], t) for key in pair) for pair in pairs]
    gap = min(36.0, (g.width - 24 - sum(widths)) / max(1, len(pairs) - 1))
    x = 12.0
    for pair, width in zip(pairs, widths, strict=True):
        for n, key in enumerate(pair):
            line = y + 17 + 20 * n
            _mark(sheet, key, x + 10, line)
            sheet.text(f"legend.{key}", x + 26, line + t * 0.36, _WORDS[key], t)
        x += width + gap


def _mark(sheet: Sheet, key: str, x: float, y: float) -> None:
    """The mark itself, small."""
    id = f"legend.{key}.mark"
    if key in ("binds", "connects"):
        kind: Literal["binds", "connects"] = "binds" if key == "binds" else "connects"
        sheet.signs.append(Mark(id=id, x=x, y=y, kind=kind, size=sheet.sizes.mark))
    elif key == "blocks":
        sheet.signs.append(Mark(id=id, x=x, y=y, kind="blocks", size=11))
    elif key == "bypass":
        sheet.things.append(
            Box(id=id, x=x - 9, y=y - 6.5, w=18, h=13, role="part", radius=3, dashed=True)
        )
    elif key == "program":
        sheet.things.append(Disc(id=id, x=x, y=y, r=6.5))
    elif key == "both":
        ends = ((x - 10, y), (x + 10, y))
        sheet.wires.append(Line(id=id, points=ends, role="ink", width=1.8, start=7, end=7))
    elif key == "row":
        sheet.signs.append(Badge(id=id, x=x, y=y, text="1", role="row1", r=7.5, size=9.5))
    elif key == "count":
        sheet.signs.append(Pill(id=id, x=x, y=y, text="10", w=21, h=16, size=9.5))
    else:
        sheet.signs.append(Pill(id=id, x=x, y=y, text="", role="lost", w=19, h=15, size=9.5))
