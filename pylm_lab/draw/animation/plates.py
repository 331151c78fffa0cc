"""Plates: what a film is put together from, each painted once by the painter of figures.

A plate is named by what it shows; asking for it costs nothing until all that were asked for are
painted, many on one sheet.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pylm_lab.draw.animation.gif import Pixels, Window
from pylm_lab.draw.figure import Picture
from pylm_lab.draw.metrics import advance
from pylm_lab.draw.scene import Badge, Item, Pill, Scene, Text
from pylm_lab.draw.style import Theme

__all__ = ["Plate", "Sprite", "mixed", "paint", "paint_all", "put"]


class Sprite(NamedTuple):
    """RGBA, and where its corner lies."""

    x: int
    y: int
    pixels: Pixels

    def window(self, dx: int = 0, dy: int = 0) -> Window:
        """The rows and columns that it covers when it is moved."""
        h, w = self.pixels.shape[:2]
        x, y = self.x + dx, self.y + dy
        return slice(max(0, y), max(0, y + h)), slice(max(0, x), max(0, x + w))


@dataclass(frozen=True, slots=True)
class Plate:
    """A text, a pill or a badge to be painted, in the colours of a theme."""

    item: Text | Pill | Badge
    theme: Theme


def paint(items: Iterable[Item], theme: Theme, width: float, height: float) -> Pixels:
    """The items on nothing, as RGBA."""
    scene = Scene(
        width=math.ceil(width),
        height=math.ceil(height),
        title="",
        subtitle="",
        alt="",
        items=tuple(items),
    )
    picture = Picture(scene, theme)
    picture.patch.set_alpha(0)
    canvas: Any = picture.canvas
    canvas.draw()
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)


def paint_all(plates: Sequence[Plate], width: float) -> dict[Plate, Sprite]:
    """Paint the plates, a sheet for each theme: in rows, from left to right."""
    by_theme: dict[Theme, list[Plate]] = defaultdict(list)
    for plate in plates:
        by_theme[plate.theme].append(plate)
    found: dict[Plate, Sprite] = {}
    for theme, mine in by_theme.items():
        cells: list[tuple[Plate, tuple[int, int, int, int], int, int]] = []
        x = y = row = 0
        for plate in mine:
            box = _bounds(plate.item)
            w, h = box[2] - box[0], box[3] - box[1]
            if x and x + w > width:
                x, y, row = 0, y + row, 0
            cells.append((plate, box, x, y))
            x, row = x + w, max(row, h)
        items = [
            replace(p.item, x=p.item.x + x - box[0], y=p.item.y + y - box[1])
            for p, box, x, y in cells
        ]
        sheet = paint(items, theme, max(width, *(b[2] - b[0] for _, b, _, _ in cells)), y + row)
        for plate, (left, top, right, bottom), x, y in cells:
            pixels = sheet[y : y + bottom - top, x : x + right - left]
            found[plate] = Sprite(left, top, pixels)
    return found


def _bounds(item: Text | Pill | Badge) -> tuple[int, int, int, int]:
    """Whole pixels within which the item lies, so that moving it keeps its pixels."""
    if isinstance(item, Text):
        wide = advance(item.text, item.size, item.bold) + 4
        left = item.x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[item.anchor]
        top, bottom = item.y - item.size * 1.1, item.y + item.size * 0.4
        left, right = left - 2, left + wide + 2
    elif isinstance(item, Pill):
        left, right = item.x - item.w / 2 - 2, item.x + item.w / 2 + 2
        top, bottom = item.y - item.h / 2 - 2, item.y + item.h / 2 + 2
    else:
        left, right = item.x - item.r - 2, item.x + item.r + 2
        top, bottom = item.y - item.r - 2, item.y + item.r + 2
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def put(ground: Pixels, sprite: Sprite, dx: int = 0, dy: int = 0) -> None:
    """Paint a sprite, moved, over RGB, in place."""
    rows, columns = sprite.window(dx, dy)
    place = ground[rows, columns]
    h, w = place.shape[:2]
    top, left = rows.start - sprite.y - dy, columns.start - sprite.x - dx
    source = sprite.pixels[top : top + h, left : left + w]
    alpha = source[..., 3:].astype(np.uint16)
    place[:] = (source[..., :3] * alpha + place * (255 - alpha) + 127) // 255


def mixed(a: str, b: str, share: float) -> str:
    """A colour between two: `share` of the first."""
    pairs = zip(bytes.fromhex(a[1:]), bytes.fromhex(b[1:]), strict=True)
    return "#" + "".join(f"{round(x * share + y * (1 - share)):02X}" for x, y in pairs)
