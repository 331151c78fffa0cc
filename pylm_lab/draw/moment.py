"""Moment: where a step takes place on a scene.

Which way the message takes, which wires lie under it, where messages rest, which number counts it:
found once in the scene, for all who move over it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from pylm_lab.draw.metrics import advance
from pylm_lab.draw.scene import Badge, Box, Disc, Line, Link, Pill, Point, Scene, Text
from pylm_lab.draw.story import HeldBack, Step

__all__ = [
    "Place",
    "counters",
    "is_lost_on",
    "length",
    "losses",
    "midway",
    "places",
    "point_at",
    "run_of",
    "wires_under",
]

#: Between the centres of two messages that rest side by side, px.
_APART = 16.0
#: A line that ends this near to a run is covered by its glow, px.
_NEAR = 7.0
#: Room that a message on its way takes to each side, px; and where it may stay, as shares of it.
_ROOM = 12.0
_STOPS = (0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.7, 0.3, 0.75, 0.25, 0.8)


class Place(NamedTuple):
    """Where messages rest: the centre of the first, and the way from each to the next."""

    x: float
    y: float
    dx: float
    dy: float


def run_of(scene: Scene, step: Step | HeldBack) -> tuple[Point, ...]:
    """The way that the message of a step takes; empty where the scene does not show it.

    Where nobody knows who would have received it, it is the first of the ways that it may have
    taken; the message stops half-way.
    """
    if step.row is not None and step.row in scene.row_runs:
        return scene.row_runs[step.row]
    if step.link in scene.runs:
        return scene.runs[step.link]
    if step.source and not step.target:
        ways = [run for (source, _), run in scene.runs.items() if source == step.source]
        # A part has a way to its router as well, which is the shortest.
        return max(ways, key=length, default=())
    return ()


def wires_under(scene: Scene, run: Sequence[Point]) -> tuple[str, ...]:
    """The ids of the lines along which a run goes, or that end at it, in painting order."""
    pieces = list(itertools.pairwise(run))
    return tuple(
        item.id
        for item in scene.items
        if isinstance(item, Line)
        and item.role not in ("line", "paper")
        and (
            any(
                _overlap(a, b, c, d)
                for a, b in pieces
                for c, d in zip(item.points, item.points[1:], strict=False)
            )
            or any(_distance(end, run) < _NEAR for end in (item.points[0], item.points[-1]))
        )
    )


def losses(scene: Scene) -> Mapping[str, tuple[Link, ...]]:
    """The pills that count what was lost: id → the links on whose ways they stand.

    For one beside a row of the table: the row, and the way from its source into the router.
    """
    found: dict[str, tuple[Link, ...]] = {}
    by_row = {f"{ids[0].rpartition('.')[0]}.lost": row for row, ids in scene.rows.items()}
    for item in scene.items:
        if isinstance(item, Pill) and item.id in by_row:
            row = source, target = by_row[item.id]
            # What did not reach the router is counted with the first row that could have led on.
            first = next(each for each in scene.rows if each[0] == source) == row
            ways = [
                way for way in scene.runs if way[0] == source and (way[1], target) in scene.runs
            ]
            found[item.id] = (row, *(ways if first else ()))
        elif isinstance(item, Pill) and item.role == "lost" and item.text:
            away = {link: _distance((item.x, item.y), run) for link, run in scene.runs.items()}
            least = min(away.values(), default=0.0)
            found[item.id] = tuple(link for link, d in away.items() if d < least + 0.5)
    return found


def midway(scene: Scene, run: Sequence[Point]) -> float:
    """Where on its way stays what does not arrive, as a share of the way.

    In the middle, or as near to it as it covers no text, count or number.
    """
    texts = list(_texts(scene))
    for share in _STOPS:
        x, y = point_at(run, length(run) * share)
        if not any(a - _ROOM < x < c + _ROOM and b - _ROOM < y < d + _ROOM for a, b, c, d in texts):
            return share
    return _STOPS[0]


def _texts(scene: Scene) -> Iterator[tuple[float, float, float, float]]:
    """Left, top, right and bottom of whatever is to be read."""
    for item in scene.items:
        if isinstance(item, Text):
            wide = advance(item.text, item.size, item.bold)
            left = item.x - {"start": 0.0, "middle": wide / 2, "end": wide}[item.anchor]
            yield left, item.y - 0.8 * item.size, left + wide, item.y + 0.2 * item.size
        elif isinstance(item, Pill):
            w, h = item.w / 2, item.h / 2
            yield item.x - w, item.y - h, item.x + w, item.y + h
        elif isinstance(item, Badge):
            yield item.x - item.r, item.y - item.r, item.x + item.r, item.y + item.r


def _overlap(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Do two segments lie on one another for more than two pixels?"""
    size = math.dist(a, b)
    if size < 1 or math.dist(c, d) < 1:
        return False
    ux, uy = (b[0] - a[0]) / size, (b[1] - a[1]) / size
    along = []
    for x, y in (c, d):
        if abs((x - a[0]) * uy - (y - a[1]) * ux) > 1:
            return False
        along.append((x - a[0]) * ux + (y - a[1]) * uy)
    return min(size, max(along)) - max(0.0, min(along)) > 2


def is_lost_on(step: Step, links: Collection[Link]) -> bool:
    """Was the step's message lost on one of these links or rows, as far as is known?"""
    if not step.lost or step.kind not in ("message", "request"):
        return False
    sources = [source for source, _ in links]
    return step.link in links or step.row in links or (not step.target and step.source in sources)


def _distance(point: Point, run: Sequence[Point]) -> float:
    """How far a point is from a way."""
    return min((_to_piece(point, a, b) for a, b in itertools.pairwise(run)), default=math.inf)


def _to_piece(p: Point, a: Point, b: Point) -> float:
    size = math.dist(a, b)
    if not size:
        return math.dist(p, a)
    ux, uy = (b[0] - a[0]) / size, (b[1] - a[1]) / size
    along = min(size, max(0.0, (p[0] - a[0]) * ux + (p[1] - a[1]) * uy))
    return math.dist(p, (a[0] + ux * along, a[1] + uy * along))


def places(scene: Scene) -> Mapping[str, Place]:
    """Where the messages of each actor rest.

    They stand along the edge of a part, beside another program, or down the router's bar.
    """
    boxes = {item.id: item for item in scene.items if isinstance(item, Box) and item.role == "part"}
    discs = [item for item in scene.items if isinstance(item, Disc)]
    found: dict[str, Place] = {}
    for actor, (x, y) in scene.homes.items():
        box = boxes.get(actor)
        if box is not None:
            way = 1 if x < box.x + box.w / 2 else -1
            found[actor] = Place(x, y, way * _APART, 0)
        elif any(math.dist((x, y), (disc.x, disc.y)) < 2 * disc.r for disc in discs):
            # Slightly upwards, away from the name.
            found[actor] = Place(x, y, _APART, -3)
        else:
            found[actor] = Place(x, y, 0, _APART)
    return found


def counters(scene: Scene) -> Mapping[Link, str]:
    """`Scene.counts`, and the counter of what a part sent to nobody knows whom: `(part, "?")`."""
    found = dict(scene.counts)
    for (source, target), item in scene.counts.items():
        if target and (source, target) not in scene.row_runs:
            found.setdefault((source, "?"), item)
    return found


def length(run: Sequence[Point]) -> float:
    """How long a way is, px."""
    return sum(math.dist(a, b) for a, b in itertools.pairwise(run))


def point_at(run: Sequence[Point], distance: float) -> Point:
    """The point at a distance from the beginning of a way."""
    for a, b in itertools.pairwise(run):
        size = math.dist(a, b)
        if distance <= size and size:
            t = max(0.0, distance) / size
            return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t
        distance -= size
    return run[-1]
