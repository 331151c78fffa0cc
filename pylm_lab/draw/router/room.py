"""Room: what of the page is taken, so that counts and labels find a place of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from pylm_lab.draw.metrics import advance
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.scene import Box, Item, Line, Mark, Pill, Point, Text
from pylm_lab.draw.style import ARROW_ASPECT

__all__ = ["Rect", "Room"]


class Rect(NamedTuple):
    """Left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    @staticmethod
    def around(x: float, y: float, w: float, h: float) -> Rect:
        """The rectangle of this size with this centre."""
        return Rect(x - w / 2, y - h / 2, x + w / 2, y + h / 2)

    def grown(self, by: float) -> Rect:
        """The rectangle with so much more on each side."""
        return Rect(self.x0 - by, self.y0 - by, self.x1 + by, self.y1 + by)

    def meets(self, other: Rect, gap: float) -> bool:
        """Whether two are nearer than the gap."""
        return (
            self.x0 - gap < other.x1
            and other.x0 - gap < self.x1
            and self.y0 - gap < other.y1
            and other.y0 - gap < self.y1
        )


class Room:
    """The page with all that lies on a sheet by now, and what is taken afterwards."""

    def __init__(self, sheet: Sheet, width: float, height: float) -> None:
        self.page = Rect(4, 2, width - 4, height - 2)
        self.taken: list[tuple[str, Rect]] = []
        for item in (*sheet.grounds, *sheet.wires, *sheet.things, *sheet.signs, *sheet.texts):
            self.taken += [(item.id, rect) for rect in _rects(item)]

    def take(self, id: str, rect: Rect) -> None:
        """This is no longer free."""
        self.taken.append((id, rect))

    def free(self, rect: Rect, over: str = "\0", gap: float = 3) -> bool:
        """Whether it is on the page and touches nothing but items whose id begins with `over`.

        `gap` is the paper that is left between it and what is there, px.
        """
        page = self.page
        inside = page.x0 <= rect.x0 and page.y0 <= rect.y0
        inside = inside and rect.x1 <= page.x1 and rect.y1 <= page.y1
        return inside and not any(
            rect.meets(other, gap) for id, other in self.taken if not id.startswith(over)
        )


def _pieces(points: Sequence[Point], half: float) -> list[Rect]:
    return [
        Rect(min(a, c), min(b, d), max(a, c), max(b, d)).grown(half)
        for (a, b), (c, d) in pairwise(points)
    ]


def _heads(line: Line) -> list[Rect]:
    found: list[Rect] = []
    for length, tip, before in ((line.start, 0, 1), (line.end, -1, -2)):
        if length:
            (x, y), (u, v) = line.points[tip], line.points[before]
            d = math.hypot(u - x, v - y)
            base = (x + (u - x) / d * length, y + (v - y) / d * length)
            found += _pieces(((x, y), base), length * ARROW_ASPECT / 2)
    return found


def _rects(item: Item) -> list[Rect]:
    """What an item covers; outer wires are horizontal and vertical, so rectangles will do."""
    if isinstance(item, Line):
        if item.role == "paper":
            return []
        return [*_pieces(item.points, item.width / 2), *_heads(item)]
    if isinstance(item, Text):
        w = advance(item.text, item.size, item.bold)
        x = item.x - {"start": 0.0, "middle": w / 2, "end": w}[item.anchor]
        return [Rect(x, item.y - 0.78 * item.size, x + w, item.y + 0.25 * item.size)]
    if isinstance(item, Box):
        if item.role in ("lit", "paper"):
            return []
        return [Rect(item.x, item.y, item.x + item.w, item.y + item.h)]
    if isinstance(item, Pill):
        return [Rect.around(item.x, item.y, item.w, item.h)]
    size = item.size if isinstance(item, Mark) else 2 * item.r
    return [Rect.around(item.x, item.y, size, size)]
