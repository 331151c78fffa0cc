"""Foot: what the record does not tell, at the bottom of the picture.

1. It is there in every format, theme and view, and only where something is missing.
2. Each line begins with the mark that says the same in the picture: a wire whose beginning is
   dotted, a box with a broken edge.
"""

from __future__ import annotations

from dataclasses import replace

from pylm_lab.draw.metrics import advance, clean, shorten
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.router.survey import Survey
from pylm_lab.draw.scene import Box, Line
from pylm_lab.draw.style import Sizes
from pylm_lab.trace.show.gaps import NAMED, ended, forgotten, left_out

__all__ = ["Foot"]

#: From the left edge to the rule, to the middle of a mark, to the text.
_EDGE, _MARK, _TEXT = 12.0, 24.0, 42.0


class Foot:
    """The lines below a picture of these sizes; `leaves` are the sizes without them."""

    def __init__(self, found: Survey, sizes: Sizes) -> None:
        self._found = found
        self._sizes = sizes
        #: From one line to the next, and below the last.
        self._step, self._end = round(1.7 * sizes.text), 8.0
        count = bool(found.forgotten) + bool(found.left_out) + bool(found.early)
        self._height = count * self._step + self._end if count else 0.0
        self.leaves = replace(sizes, height=max(0.0, sizes.height - self._height))

    def draw(self, sheet: Sheet, width: float, y: float) -> float:
        """Put the lines on the sheet, from `y` down; returns how high they are."""
        if not self._height:
            return 0
        found, room = self._found, width - _TEXT - _EDGE
        sheet.rule("gaps.rule", (_EDGE, y), (width - _EDGE, y))
        line = y + self._step * 0.75
        if found.forgotten:
            self._line(sheet, "forgotten", line, forgotten(found.forgotten), room)
            self._dotted(sheet, line)
            line += self._step
        if found.left_out:
            self._line(sheet, "part", line, left_out(found.left_out), room)
            line += self._step
        if found.early:
            self._line(sheet, "cut", line, self._ended(room), room)
            id, half = "gaps.cut.mark", self._sizes.text * 0.55
            sheet.things.append(
                Box(id=id, x=_MARK - 10, y=line - half, w=20, h=2 * half, role="part", radius=3)
            )
            sheet.cut("gaps.cut", _MARK, line - half)
        return self._height

    def _line(self, sheet: Sheet, name: str, y: float, text: str, room: float) -> None:
        t = self._sizes.text
        sheet.text(f"gaps.{name}", _TEXT, y + t * 0.36, shorten(text, room, t, True), t, bold=True)

    def _dotted(self, sheet: Sheet, y: float) -> None:
        id, half = "gaps.forgotten", 11.0
        parts = ((_MARK - half, y), (_MARK, y)), ((_MARK, y), (_MARK + half, y))
        sheet.wires.append(
            Line(id=f"{id}.before", points=parts[0], role="ink", width=1.8, dash="dotted")
        )
        sheet.wires.append(Line(id=f"{id}.after", points=parts[1], role="ink", width=1.8, end=7))

    def _ended(self, room: float) -> str:
        """With as many names as fit."""
        names = [clean(name) for name in self._found.early]
        told = (ended(names, most) for most in range(min(NAMED, len(names)), 0, -1))
        fits = (text for text in told if advance(text, self._sizes.text, True) <= room)
        return next(fits, ended(names, 1))
