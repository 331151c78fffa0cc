"""Scene: a picture as pure data.

1. A scene holds positions, texts and roles; no colours, no fonts, no drawing library.
2. Every item has a stable id; the same graph gives the same scene, item for item.
3. What may change from step to step (a status, a count, a lit row, where a message rests) is found
   by name, so figure, player and animation move over one and the same scene.

Units are pixels of a 700 px column, x to the right, y down. Text is placed on its baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Badge",
    "Box",
    "Disc",
    "Item",
    "Line",
    "Link",
    "Mark",
    "Pill",
    "Point",
    "Scene",
    "Text",
    "cut_strokes",
]

Point = tuple[float, float]
#: The actors at the two ends of a link, by id: (source, target).
Link = tuple[str, str]
#: What an item stands for; a style maps it to colours. `row1` to `row4` colour the routing table.
Role = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle with round corners; `x`, `y` is its corner at the top left.

    Roles: frame (the server), part, bar (a ROUTER socket), field (the routing table's wires), paper
    (hides what lies under a caption; no border), lit (the ground of a row of the text table, which
    is only painted while that row decides).
    """

    id: str
    x: float
    y: float
    w: float
    h: float
    role: Role
    radius: float = 6
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """Another program. `x`, `y` is its centre."""

    id: str
    x: float
    y: float
    r: float
    role: Role = "program"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A wire or a rule through `points`; `start` and `end` are arrow head lengths (0: none).

    A head's tip is the first or last point; the line itself ends inside the head. Joins are round,
    ends are butt. `casing` puts 3 px of paper on both sides, so that what lies under it is cut.
    Roles: row1 to row4, ink (several rows share it), muted (no row), line (a rule), paper (the
    casing of wires that join, by itself).
    """

    id: str
    points: tuple[Point, ...]
    role: Role
    width: float = 2.5
    dash: Literal["", "dotted", "dashed"] = ""
    casing: bool = False
    start: float = 0
    end: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A sign on a part or disc around `x`, `y`: a square binds, a ring connects, two bars block.

    Two slanted strokes, between which its border is broken, say that its record is cut: it ends
    early. `size` is the side of the square, the outer diameter of the ring, the height of the bars
    and of the strokes.
    """

    id: str
    x: float
    y: float
    kind: Literal["binds", "connects", "blocks", "cut"]
    size: float = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line of text. Roles: ink, muted, title."""

    id: str
    x: float
    y: float
    text: str
    size: float = 11
    role: Role = "ink"
    bold: bool = False
    anchor: Literal["start", "middle", "end"] = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pill:
    """A count on a run, centred; role `lost` has an orange border and a cross before its text.

    `w` and `h` are its outer measures, `size` that of its bold text, which is centred (with role
    lost: in what the cross, 7 px wide and 7 px from the left border, leaves).
    """

    id: str
    x: float
    y: float
    text: str
    role: Literal["count", "lost"] = "count"
    w: float = 24
    h: float = 20
    size: float = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """The number of a row of the routing table, in a ring of the row's colour, centred.

    `r` is the radius of the ring, `size` that of its bold text.
    """

    id: str
    x: float
    y: float
    text: str
    role: Role
    r: float = 8.5
    size: float = 10.5


Item = Box | Disc | Line | Mark | Text | Pill | Badge


def cut_strokes(mark: Mark) -> tuple[tuple[Point, ...], ...]:
    """Of a mark that says cut: the corners of the gap, closed, and the two strokes at its sides."""
    x, y, h = mark.x, mark.y, mark.size / 2
    low, high = x - 0.68 * h, x - 0.04 * h
    left, right = (
        ((low - 0.28 * h, y + h), (high - 0.28 * h, y - h)),
        ((low + h, y + h), (high + h, y - h)),
    )
    return (*left, *right[::-1], left[0]), left, right


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture, and where what moves in it is to be found.

    `items` are in painting order: grounds first, then wires, then what stands on them, texts last.

    `runs` gives the polyline along which a message travels on a link, from the source's edge to the
    target's edge. The workers of a stack share one; a link that the picture only hints at (a
    worker's to the cache) runs along the hint. Inside the server a run from a part ends at the far
    side of the ROUTER bar, and one to a part begins there.

    Which wire a message takes from the router to a part depends on the row that decided:
    `row_runs` gives it by the row's `(source, target)`, from the far side of the bar in which the
    run of the source ended, along the crossing wire, into the target. `runs[router, target]` is
    that of the target's first row. Where a row waits for feedback, `runs[router, source]` leads
    back along its wire; otherwise it comes from the near bar, as an acknowledgement does.

    `homes` is the corner where messages rest that an actor holds, the centre of the first;
    `status` the id of the Text that says what an actor does (`<id>.blocks` is that of the mark
    before it, where there is one).

    `counts` is the id of the Pill or Text that counts a link or, with the key `(actor, "")`, an
    actor: what it received of the drawn server, or sent where nothing reaches it. An id under
    several keys shows their sum. `rows` are the ids of the items of a routing table's row by
    `(source, target)`: background, badge, source, arrow, target, count.
    """

    width: float
    height: float
    title: str
    subtitle: str
    alt: str
    items: tuple[Item, ...]
    runs: Mapping[Link, tuple[Point, ...]] = field(default_factory=dict)
    homes: Mapping[str, Point] = field(default_factory=dict)
    status: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[Link, str] = field(default_factory=dict)
    rows: Mapping[Link, tuple[str, ...]] = field(default_factory=dict)
    row_runs: Mapping[Link, tuple[Point, ...]] = field(default_factory=dict)
