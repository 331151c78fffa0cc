"""Runs: the ways between the parts and the programs above and below, with what is said of them.

1. All wires come first, then counts, then labels: each takes a place that is still free.
2. A count stands on its own lane, as near to the middle as it can; a label stands beside the bus.
   Where no place is free there is no label: the marks and the part's own line tell its sockets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pylm_lab.draw.metrics import advance, clean
from pylm_lab.draw.router.geometry import SHORT, Geometry, above, below
from pylm_lab.draw.router.inside import role_of
from pylm_lab.draw.router.plan import Run
from pylm_lab.draw.router.room import Rect, Room
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.scene import Point

__all__ = ["draw_runs", "shortened"]

#: Arrow heads at a port, at a disc that a bus feeds, and in mid-run beside a count.
HEAD, SMALL_HEAD, WAY_HEAD = 11.0, 8.0, 9.0
#: A run shorter than this shows its direction at its end only.
LONG = 110.0

_Anchor = Literal["start", "middle", "end"]


def draw_runs(g: Geometry, sheet: Sheet) -> None:
    """The runs into the zones above and below."""
    runs = [run for run in g.plan.runs if run.zone != "side"]
    for run in runs:
        _bus(g, sheet, run)
    room = Room(sheet, g.width, g.height)
    for run in runs:
        _count(g, sheet, room, run)
    for run in runs:
        _pair(g, sheet, room, run)


def _merging(path: Sequence[Point], lane: float) -> tuple[Point, ...]:
    """The path up to where it meets the port's other run, whose lane this is."""
    *points, (x, y), (edge, _) = path
    if (lane - x) * (edge - x) > 0:
        return (*points, (x, y), (lane - _sign(edge - x), y))
    v = points[-1][1]
    return (*points, (x, y - _sign(y - v)))


def _sign(n: float) -> float:
    return (n > 0) - (n < 0)


def _bus(g: Geometry, sheet: Sheet, run: Run) -> None:
    """A run along its lane, and along the bus of the discs that it feeds or empties."""
    side = run.part.side
    lane, port = g.lane(run), g.port(run)
    role = role_of(g, run.part)
    top = run.zone == "top"
    head = SMALL_HEAD if top else HEAD
    rims = {group.id: g.rim(run, group) for group in run.groups}
    paths = {group.id: _path(g, run, rims[group.id], lane, port) for group in run.groups}
    # The farthest disc is one line with the lane, and the others join it. Their casings come first,
    # or one would nick the other.
    if top:
        last = (max if side == "inbound" else min)(run.groups, key=lambda each: rims[each.id][0])
    else:
        last = run.groups[-1]
    # A port that faces both the top and the bottom has one way in: the second run joins the first.
    before = g.plan.runs[: g.plan.runs.index(run)]
    earlier = next((q for q in before if q.port is run.port and q.zone != "side"), None)
    to_part = run.to_part and earlier is None
    lines = {group.id: paths[group.id][:2] for group in run.groups}
    lines[last.id] = paths[last.id]
    if earlier is not None:
        lines[last.id] = _merging(paths[last.id], g.lane(earlier))
    for group in run.groups:
        ends = shortened(lines[group.id], run.to_peer, to_part and group is last)
        sheet.casing(f"{run.id}.{group.id}", ends)
    for group in run.groups:
        ends = shortened(lines[group.id], run.to_peer, to_part and group is last)
        sheet.wire(
            f"{run.id}.{group.id}",
            ends,
            role,
            start=head if run.to_peer else 0,
            end=HEAD if to_part and group is last else 0,
        )
        wires = run.reaching(group)
        sheet.mark(f"{run.id}.{group.id}", *rims[group.id], wires[0].other.binds)
        for wire in wires:
            sheet.run(wire, paths[group.id])
    if run.flow == "both":
        sheet.seen["both"] = None


def _path(g: Geometry, run: Run, rim: Point, lane: float, port: Point) -> tuple[Point, ...]:
    """From a disc's rim to the port."""
    if run.zone == "bottom":
        return rim, (lane, rim[1]), (lane, port[1]), port
    bus = g.bus[run.id]
    return rim, (rim[0], bus), (lane, bus), (lane, port[1]), port


def shortened(points: Sequence[Point], start: bool, end: bool) -> tuple[Point, ...]:
    """The points with room for an arrow head before what stands at either end."""
    out = list(points)
    for at, before, wanted in ((0, 1, start), (-1, -2, end)):
        if wanted:
            (x, y), (u, v) = out[at], out[before]
            d = abs(u - x) + abs(v - y)  # runs are horizontal or vertical
            out[at] = x + (u - x) / d * SHORT, y + (v - y) / d * SHORT
    return tuple(out)


def _stretch(g: Geometry, run: Run) -> tuple[float, float, float]:
    """The lane of a run, where it begins and the height of its port."""
    begins = g.bus[run.id] if run.zone == "top" else g.rim(run, run.groups[0])[1]
    return g.lane(run), begins, g.port(run)[1]


@dataclass(frozen=True, kw_only=True)
class _Spot:
    """Where the centres of a count and of a loss may be; `way`: the run's direction has room."""

    count: Point
    lost: Point
    way: bool


def _spots(g: Geometry, run: Run, lost_w: float) -> Iterator[_Spot]:
    """Best first: along the lane from its middle, the loss below; then along the bus."""
    s, step = g.sizes, g.sizes.pill_h + 4
    x, begins, port = _stretch(g, run)
    lo, hi = min(begins, port), max(begins, port)
    long = run.flow != "both" and hi - lo > LONG
    middle = (lo + hi) / 2 - (step / 2 if run.lost and not long else 0)
    heights = [middle, *(middle + way * n * step / 2 for n in range(1, 24) for way in (1, -1))]
    for y in heights:
        if lo < y < hi:
            yield _Spot(count=(x, y), lost=(x, y + step), way=long)
    # Closer steps and no arrow, before leaving the lane.
    for y in sorted(
        (lo + 6.0 * n for n in range(int((hi - lo) / 6))), key=lambda y: abs(y - middle)
    ):
        for side in (1, -1) if run.lost else (1,):
            yield _Spot(count=(x, y), lost=(x, y + side * step), way=False)
    way = 1 if run.part.side == "inbound" else -1
    beside = (s.pill_w(f"{run.sent:,}") + lost_w) / 2 + 4
    for n in range(3, 24):
        at = x + way * 12 * n
        yield _Spot(count=(at, begins), lost=(at + way * beside, begins), way=False)


def _count(g: Geometry, sheet: Sheet, room: Room, run: Run) -> None:
    """The count on a run, its direction beside it, its loss below."""
    s, h = g.sizes, g.sizes.pill_h
    x, begins, port = _stretch(g, run)
    ran = g.plan.found.ran
    lost = f"{run.lost:,} lost" if run.lost else ""
    lost_w = s.lost_w(lost) if lost else 0
    down = (port > begins) is run.to_part

    def rects(spot: _Spot) -> list[Rect]:
        found = [Rect.around(*spot.count, s.pill_w(f"{run.sent:,}"), h)] if ran else []
        if lost:
            found.append(Rect.around(*spot.lost, lost_w, h))
        if spot.way:
            edge = spot.count[1] if not found else found[-1].y1 if down else found[0].y0
            tip = edge + WAY_HEAD if down else edge - WAY_HEAD
            found.append(Rect(x - 4, min(edge, tip), x + 4, max(edge, tip)))
        return found

    spots = list(_spots(g, run, lost_w))
    fits = (spot for spot in spots if all(room.free(rect, run.id) for rect in rects(spot)))
    spot = next(fits, spots[0])
    places = rects(spot)
    for place in places:
        room.take(f"{run.id}.count", place.grown(1))
    if spot.way:
        head = places[-1]
        base, tip = (head.y0, head.y1) if down else (head.y1, head.y0)
        sheet.wire(f"{run.id}.way", ((x, base), (x, tip)), role_of(g, run.part), end=WAY_HEAD)
    if ran:
        sheet.pill(f"{run.id}.count", *spot.count, run.sent)
        for wire in run.wires:
            outside, part = wire.other.actor, wire.part
            asked = run.flow == "both" and wire.asked
            link = (outside, part) if run.flow == "in" or asked else (part, outside)
            sheet.counts[link] = f"{run.id}.count"
    if lost:
        sheet.lost(f"{run.id}.lost", *spot.lost, lost, h)


def _pair(g: Geometry, sheet: Sheet, room: Room, run: Run) -> None:
    """The sockets at the two ends, beside the run."""
    t = g.sizes.text
    text = clean(run.wires[0].pair, 60)
    w = advance(text, t)
    for x, y, anchor in _places(g, run, w):
        left = x - {"start": 0.0, "middle": w / 2, "end": w}[anchor]
        place = Rect(left, y - 0.84 * t, left + w, y + 0.25 * t)
        if room.free(place, gap=1.5):
            room.take(f"{run.id}.pair", place)
            sheet.text(f"{run.id}.pair", x, y, text, t, "muted", anchor=anchor)
            return


def _places(g: Geometry, run: Run, w: float) -> Iterator[tuple[float, float, _Anchor]]:
    """Where a label of this width may stand, best first."""
    t, lane = g.sizes.text, g.lane(run)
    way = 1 if run.part.side == "inbound" else -1
    if run.zone == "top":
        # In the corner where the bus turns into the lane: above what feeds, below what empties.
        bus = g.bus[run.id]
        y = above(bus, t) if run.to_peer else below(bus, t)
        anchor: _Anchor = "start" if way > 0 else "end"
        for n in range(24):
            yield lane + way * (6 + 9 * n), y, anchor
        return
    meeting = g.meeting(run.groups[0], run)
    rim = g.rim(run, run.groups[0])
    middle = (lane + rim[0]) / 2
    lowest = len(meeting) > 1 and run is meeting[-1]
    for group in run.groups:
        y = g.rim(run, group)[1]
        for base in (below(y, t), above(y, t)) if lowest else (above(y, t), below(y, t)):
            for n in range(8):
                for side in (1, -1) if n else (1,):
                    x = middle + side * 18 * n
                    if w / 2 + 6 < abs(x - lane) and w / 2 + 12 < abs(x - rim[0]):
                        yield x, base, "middle"
