"""Sheet: where the router view's items are collected, layer by layer.

1. What is painted first lies lowest: grounds, wires, things, signs, texts. A part of the view may
   put its items down in any order.
2. What moves is entered as it is put down, so that no second place has to know where it is.
"""

from __future__ import annotations

from typing import Literal

from pylm_lab.draw.router.survey import Wire
from pylm_lab.draw.scene import (
    Badge,
    Box,
    Disc,
    Item,
    Line,
    Link,
    Mark,
    Pill,
    Point,
    Role,
    Scene,
    Text,
)
from pylm_lab.draw.style import CASING, Sizes

__all__ = ["Sheet"]


class Sheet:
    """An empty page of the sizes of a format; `scene` binds what was put on it.

    `seen` are the kinds of marks that occur, for the legend.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.grounds: list[Item] = []
        self.wires: list[Item] = []
        self.things: list[Item] = []
        self.signs: list[Item] = []
        self.texts: list[Item] = []
        self.runs: dict[Link, tuple[Point, ...]] = {}
        self.row_runs: dict[Link, tuple[Point, ...]] = {}
        self.homes: dict[str, Point] = {}
        self.status: dict[str, str] = {}
        self.counts: dict[Link, str] = {}
        self.rows: dict[Link, tuple[str, ...]] = {}
        self.seen: dict[str, None] = {}

    def scene(self, *, width: float, height: float, title: str, subtitle: str, alt: str) -> Scene:
        """All that was put down, in painting order."""
        layers = (self.grounds, self.wires, self.things, self.signs, self.texts)
        return Scene(
            width=width,
            height=height,
            title=title,
            subtitle=subtitle,
            alt=alt,
            items=tuple(item for layer in layers for item in layer),
            runs=self.runs,
            homes=self.homes,
            status=self.status,
            counts=self.counts,
            rows=self.rows,
            row_runs=self.row_runs,
        )

    # Grounds

    def ground(
        self,
        id: str,
        x: float,
        y: float,
        w: float,
        h: float,
        role: Role,
        *,
        radius: float = 5,
        dashed: bool = False,
    ) -> None:
        """A box under everything."""
        self.grounds.append(Box(id=id, x=x, y=y, w=w, h=h, role=role, radius=radius, dashed=dashed))

    def rule(self, id: str, a: Point, b: Point, *, dashed: bool = False) -> None:
        """A thin line that is no wire."""
        dash: Literal["", "dashed"] = "dashed" if dashed else ""
        self.grounds.append(Line(id=id, points=(a, b), role="line", width=1.1, dash=dash))

    # Wires

    def wire(
        self,
        id: str,
        points: tuple[Point, ...],
        role: Role,
        *,
        width: float = 2.5,
        dash: Literal["", "dotted", "dashed"] = "",
        casing: bool = False,
        start: float = 0,
        end: float = 0,
    ) -> None:
        """A line along which messages move."""
        self.wires.append(
            Line(
                id=id,
                points=points,
                role=role,
                width=width,
                dash=dash,
                casing=casing,
                start=start,
                end=end,
            )
        )

    def casing(self, id: str, points: tuple[Point, ...], width: float = 2.5) -> None:
        """The paper on both sides of a wire, by itself: for wires that join."""
        line = Line(id=f"{id}.casing", points=points, role="paper", width=width + 2 * CASING)
        self.wires.append(line)

    def run(self, wire: Wire, path: tuple[Point, ...]) -> None:
        """The way between the wire's peer and its part, in the directions of its flow."""
        outside, part = wire.other.actor, wire.part
        if wire.flow != "out":
            self.runs[outside, part] = path
        if wire.flow != "in":
            self.runs[part, outside] = path[::-1]

    # Things and signs

    def box(self, id: str, x: float, y: float, w: float, h: float, *, dashed: bool = False) -> None:
        """A part."""
        self.things.append(Box(id=id, x=x, y=y, w=w, h=h, role="part", radius=5, dashed=dashed))

    def blocks(self, id: str, x: float, y: float) -> None:
        """Two bars: who owns it waits for an answer."""
        self.seen["blocks"] = None
        self.signs.append(Mark(id=id, x=x, y=y, kind="blocks", size=self.sizes.text))

    def cut(self, id: str, x: float, y: float) -> None:
        """On the edge of who has a record that ends early."""
        self.signs.append(Mark(id=f"{id}.cut", x=x, y=y, kind="cut", size=self.sizes.mark))

    def disc(self, id: str, x: float, y: float, r: float) -> None:
        """Another program."""
        self.things.append(Disc(id=id, x=x, y=y, r=r))

    def mark(self, id: str, x: float, y: float, binds: bool) -> None:
        """How a port joins its link, on the edge of who owns it."""
        kind: Literal["binds", "connects"] = "binds" if binds else "connects"
        self.seen[kind] = None
        self.signs.append(Mark(id=f"{id}.mark", x=x, y=y, kind=kind, size=self.sizes.mark))

    def badge(self, id: str, x: float, y: float, number: int, role: Role) -> None:
        """The number of a row."""
        self.seen["row"] = None
        s = self.sizes
        text = str(number)
        size = s.badge if len(text) == 1 else s.badge - 2
        self.signs.append(Badge(id=id, x=x, y=y, text=text, role=role, r=s.badge_r, size=size))

    def pill(self, id: str, x: float, y: float, count: int) -> None:
        """A count on a run."""
        self.seen["count"] = None
        s = self.sizes
        text = f"{count:,}"
        self.signs.append(
            Pill(id=id, x=x, y=y, text=text, w=s.pill_w(text), h=s.pill_h, size=s.count)
        )

    def lost(self, id: str, x: float, y: float, text: str, h: float) -> None:
        """A loss on a run."""
        self.seen["lost"] = None
        s = self.sizes
        size = s.count - 1
        w = s.lost_w(text)
        self.signs.append(Pill(id=id, x=x, y=y, text=text, role="lost", w=w, h=h, size=size))

    # Texts

    def text(
        self,
        id: str,
        x: float,
        y: float,
        text: str,
        size: float,
        role: Role = "ink",
        *,
        bold: bool = False,
        anchor: Literal["start", "middle", "end"] = "start",
    ) -> None:
        """One line of text, `y` being its baseline."""
        self.texts.append(
            Text(id=id, x=x, y=y, text=text, size=size, role=role, bold=bold, anchor=anchor)
        )
