"""Outside: other programs, the runs to and from them, and the bypass parts that they ask."""

from __future__ import annotations

from collections.abc import Sequence

from pylm_lab.draw.metrics import advance, clean, fit, shorten
from pylm_lab.draw.router.beside import topic, trunk
from pylm_lab.draw.router.geometry import Geometry, above
from pylm_lab.draw.router.inner import draw_back, draw_slot
from pylm_lab.draw.router.inside import on_rule, part_box, role_of
from pylm_lab.draw.router.page import STACKED
from pylm_lab.draw.router.plan import Group, Run
from pylm_lab.draw.router.runs import draw_runs, shortened
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.router.survey import Wire
from pylm_lab.draw.scene import Point
from pylm_lab.hook import Port

__all__ = ["draw_outside"]

#: Arrow heads of a question, and of the short run to who stands beside a part.
SMALL_HEAD, SIDE_HEAD = 8.0, 9.0


def draw_outside(g: Geometry, sheet: Sheet) -> None:
    """Everything beyond the frame, and the band of bypass parts in its lower wall."""
    for wire in g.plan.backs:
        draw_back(g, sheet, wire)
    _bypass(g, sheet)
    for group in g.plan.top:
        x, y, r = g.top_x[group.id], g.top_y, g.worker_r
        down = sum(group in run.groups and not run.to_peer for run in g.plan.into("top"))
        _disc(g, sheet, group, x, y, r, cut=(-0.8, 0.9) if down < 2 else (-1, 0))
        name, size = g.fitted(group, g.top_room(group))
        sheet.text(f"{group.id}.name", x + g.name_gap(group), y + size * 0.36, name, size)
    for group in g.plan.bottom:
        y, r = g.bottom_y[group.id], g.client_r
        # Wires come from left and right, so a stack grows downwards.
        _disc(g, sheet, group, g.cx, y, r, stack=(0, STACKED), cut=(0, 1))
        _client_name(g, sheet, group, y)
    for run in g.plan.into("side"):
        _side(g, sheet, run)
    draw_runs(g, sheet)


# Other programs


def _client_name(g: Geometry, sheet: Sheet, group: Group, y: float) -> None:
    """Right of a disc at the bottom, under the wires that come from there."""
    gap = g.client_r + 2
    wires = [run for run in g.plan.into("bottom") if g.cx < g.lane(run) and group in run.groups]
    room = g.cx - g.lane0 - gap - 14
    if len(wires) > 1:
        # The lowest wire has its label below it, half way to the lane.
        room = room / 2 - 40
    name, size = g.fitted(group, room)
    sheet.text(f"{group.id}.name", g.cx + gap, y + g.name_drop(group), name, size)


def _disc(
    g: Geometry,
    sheet: Sheet,
    group: Group,
    x: float,
    y: float,
    r: float,
    *,
    way: int = 1,
    stack: tuple[int, int] = (STACKED, 0),
    cut: tuple[float, float] = (-1, 0),
) -> None:
    """A disc, or a stack of them, with what it counts; its messages rest to the right (or left).

    `cut` is the way from its centre to where a mark may stand, since no wire meets it there.
    """
    sheet.seen["program"] = None
    for k in (2, 1) if group.stack else ():
        sheet.disc(f"{group.id}.{k}", x + way * stack[0] * k, y + stack[1] * k, r)
    sheet.disc(group.id, x, y, r)
    if any(peer.id in g.plan.found.cut for peer in group.peers):
        at_x, at_y = cut
        sheet.cut(group.id, x + r * at_x, y + r * at_y)
    id, s = f"{group.id}.count", g.sizes
    ran = g.plan.found.ran
    if ran:
        sizes = [s.count - n for n in (0, 1, 2, 3, 4, 5)]
        text, size = fit(f"{group.count:,}", 2 * r - 9, sizes, True)
        sheet.text(id, x, y + size * 0.365, text, size, bold=True, anchor="middle")
    for peer in group.peers:
        if ran and not peer.actors:
            sheet.counts[peer.id, ""] = id
    for actor in (actor for peer in group.peers for actor in peer.actors):
        sheet.homes[actor] = (x + way * r * 0.95, y - r * 0.95)
        if ran:
            sheet.counts[actor, ""] = id


# Beside a part


def _side(g: Geometry, sheet: Sheet, run: Run) -> None:
    """Who talks to one part only stands beside it; several below each other."""
    s, side, r = g.sizes, g.side(run), g.sizes.worker_r
    x, (edge, y) = g.from_edge(g.peer(side), side), g.port(run)
    meet = edge + trunk(run) * (-1 if side == "inbound" else 1)
    paths = {}
    for group in run.groups:
        way = -1 if side == "inbound" else 1
        _disc(g, sheet, group, x, g.beside_y(run, group), r, way=way, cut=(0, -0.88))
        rim = g.rim(run, group)
        bend = () if rim[1] == y else ((meet, rim[1]), (meet, y))
        paths[group.id] = (rim, *bend, (edge, y))
    # One is a line with what they have in common, and the others join it.
    first = min(run.groups, key=lambda group: abs(g.beside_y(run, group) - y))
    lines = {
        id: shortened(path if id == first.id else path[:-1], run.to_peer, False)
        for id, path in paths.items()
    }
    lines[first.id] = shortened(paths[first.id], run.to_peer, run.to_part)
    if g.apart[side] or len(lines) > 1:
        for id, line in lines.items():
            sheet.casing(f"{run.id}.{id}", line)
    for id, line in lines.items():
        sheet.wire(
            f"{run.id}.{id}",
            line,
            role_of(g, run.part),
            start=SIDE_HEAD if run.to_peer else 0,
            end=SIDE_HEAD if run.to_part and id == first.id else 0,
        )
    if run.flow == "both":
        sheet.seen["both"] = None
    for group in run.groups:
        _of_side(g, sheet, run, group, meet)
        for wire in run.reaching(group):
            sheet.run(wire, paths[group.id])
    if run.lost:
        text = f"{run.lost:,} lost"
        at = max(g.peer(side), s.lost_w(text) / 2 + 4)
        top = g.beside_y(run, run.groups[0]) - r - 6 - s.pill_h / 2
        sheet.lost(f"{run.id}.lost", g.from_edge(at, side), top, text, s.pill_h)


def _of_side(g: Geometry, sheet: Sheet, run: Run, group: Group, meet: float) -> None:
    """The mark and the name of a disc beside a part, and what is written above its wire."""
    s, side, (rim, y) = g.sizes, g.side(run), g.rim(run, group)
    sheet.mark(f"{run.id}.{group.id}", rim, y, run.reaching(group)[0].other.binds)
    name, size = g.fitted(group, g.peer_room(run, side))
    at = max(g.peer(side), advance(name, size) / 2 + 5)
    base = y + s.worker_r + 1.08 * s.program
    sheet.text(f"{group.id}.name", g.from_edge(at, side), base, name, size, anchor="middle")
    t, told = s.text, topic(run, group, s)
    if not told and len(run.groups) == 1:
        told = clean(run.wires[0].pair, 60)
    if told and advance(told, t) <= abs(meet - rim) - 10 and not g.apart[side]:
        middle = (rim + meet) / 2
        sheet.text(
            f"{run.id}.{group.id}.pair", middle, above(y - 3, t), told, t, "muted", anchor="middle"
        )


# Bypass parts


def _bypass(g: Geometry, sheet: Sheet) -> None:
    """Parts that have no wire to the router, standing in the lower wall."""
    parts, s = g.plan.bypass, g.sizes
    if not parts:
        return
    sheet.seen["bypass"] = None
    x = g.wall + 12
    sheet.rule("band", (x, g.band_y), (g.at(x, "outbound"), g.band_y), dashed=True)
    on_rule(g, sheet, "band.caption", "bypass: no wire to the router", g.band_y)
    for part in parts:
        wire = g.plan.slots.get(part.id)
        if wire is not None:
            draw_slot(g, sheet, part, wire)
    middle = [part for part in parts if part.id not in g.plan.slots]
    step = s.part_w + 24
    for n, part in enumerate(middle):
        # The first in the middle, then left and right of it in turn.
        x = g.cx + step * ((n + 1) // 2) * (-1 if n % 2 else 1)
        if len(middle) > 3 and len(middle) % 2 == 0:
            x += step / 2
        part_box(g, sheet, part, x, g.bypass_y)
        room = (step - 42 if len(middle) > 1 else g.cx - 120) - 14
        for k, port in enumerate(part.ports):
            _asked(g, sheet, port, x + 42 * k, room)


def _asked(g: Geometry, sheet: Sheet, port: Port, x: float, room: float) -> None:
    """Who asks a bypass part: the only client by a wire to its disc, the others by a hint."""
    wires, y = g.plan.wires_of(port), g.bypass_y + g.sizes.part_h / 2
    end = g.frame_end + g.sizes.link + (6 if g.plan.slots else g.sizes.wall)
    only = g.only_client
    direct = [wire for wire in wires if only and x == g.cx and only.holds(wire.peer)]
    rest = [wire for wire in wires if wire not in direct]
    if direct or not rest:
        sheet.mark(port.id, x, y, port.binds)
    if direct:
        sheet.mark(f"{port.id}.asked", x, end, direct[0].other.binds)
        _question(sheet, f"{port.id}.{direct[0].peer}", (x, end), (x, y), direct, True)
        x += 42
    if rest:
        sheet.mark(f"{port.id}.more", x, y, port.binds)
        end = max(y, g.frame_end) + 30
        _question(sheet, f"{port.id}.hint", (x, end), (x, y), rest, False)
        t = g.sizes.text
        crowd = shorten(clean(_crowd(g, rest), 60), room, t)
        sheet.text(f"{port.id}.crowd", x + 8, end, crowd, t, "muted")


def _question(
    sheet: Sheet, id: str, a: Point, b: Point, wires: Sequence[Wire], whole: bool
) -> None:
    """A link to a bypass part; `whole` if it ends at a disc, else it is a hint."""
    flow = wires[0].flow
    if flow == "both":
        sheet.seen["both"] = None
    top = shortened((a, b), whole and flow != "in", flow != "out")
    sheet.wire(
        f"{id}.wire",
        top,
        "muted",
        width=1.8,
        casing=True,
        start=SMALL_HEAD if flow != "in" else 0,
        end=SMALL_HEAD if flow != "out" else 0,
    )
    for wire in wires:
        sheet.run(wire, (a, b))


def _crowd(g: Geometry, wires: Sequence[Wire]) -> str:
    """`workers`, `worker1`, `clients, workers`."""
    ids = {wire.peer for wire in wires}
    peers = [peer for peer in g.plan.found.peers if peer.id in ids]
    words = []
    for role in ("client", "worker", "server"):
        some = [peer for peer in peers if peer.role == role]
        if some:
            words.append(some[0].label if len(some) == 1 else f"{role}s")
    return ", ".join(words)
