"""Inside: the server's frame, its parts, the ROUTER bars and the routing table's wires."""

from __future__ import annotations

from pylm_lab.draw.metrics import advance, clean, fit
from pylm_lab.draw.router.geometry import Geometry
from pylm_lab.draw.router.page import HOOK, HOOKS
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.router.survey import Part, Row, Wire
from pylm_lab.draw.scene import Point

__all__ = ["draw_inside", "part_box", "role_of"]

#: Arrow heads: of a row at the right bar, and of the short wires between parts and bars.
HEAD, SMALL_HEAD = 10.0, 8.0


def draw_inside(g: Geometry, sheet: Sheet) -> None:
    """Everything within the frame but the bypass parts."""
    _frame(g, sheet)
    _bars(g, sheet)
    for row in g.plan.drawn:
        if g.plan.is_hook(row):
            _hook(g, sheet, row)
        else:
            _crossing(g, sheet, row)
    for part in (*g.plan.inbound, *g.plan.outbound):
        _inner(g, sheet, part)
        half = g.sizes.part_w / 2
        part_box(g, sheet, part, g.at(g.part_x + half, part.side), g.part_y[part.id])
        joined = {port.id for wire in inner_wires(g) for port in (wire.port, wire.other)}
        for port in part.ports:
            # A port that only joins other parts is marked below, where its wires leave.
            if port.id not in joined or any(run.port.id == port.id for run in g.plan.runs):
                edge = g.at(g.part_x, part.side)
                sheet.mark(port.id, edge, g.part_y[part.id] + g.port_dy(part, port.id), port.binds)


def inner_wires(g: Geometry) -> list[Wire]:
    """The wires from part to part that are drawn."""
    return [*g.plan.slots.values(), *g.plan.backs]


def role_of(g: Geometry, part: Part) -> str:
    """The colour of the way to or from a part: its row's; ink if rows share it, muted if none."""
    slot = g.plan.slots.get(part.id)
    id = part.id if slot is None else slot.peer
    inbound = {each.id for each in g.plan.inbound}
    rows = [row for row in g.plan.drawn if row.target == id or (row.source == id and id in inbound)]
    if len(rows) == 1:
        return rows[0].role
    return "ink" if rows else "muted"


def on_rule(g: Geometry, sheet: Sheet, id: str, text: str, y: float) -> None:
    """A caption in the middle of a horizontal line, which gives way to it."""
    t = g.sizes.text
    w = advance(text, t) + 12
    sheet.ground(f"{id}.paper", g.cx - w / 2, y - 5, w, 10, "paper", radius=0)
    sheet.text(id, g.cx, y + t * 0.35, text, t, "muted", anchor="middle")


def _frame(g: Geometry, sheet: Sheet) -> None:
    t, middle = g.sizes.text, (g.wall + g.part_x + g.sizes.part_w) / 2
    w, h = 2 * (g.cx - g.wall), g.frame_end - g.frame_y
    sheet.ground("frame", g.wall, g.frame_y, w, h, "frame", radius=10)
    name, _ = fit(clean(g.plan.found.name), w - 160, (t,))
    on_rule(g, sheet, "frame.caption", f"{name}: one process", g.frame_y)
    captions = [("routing", g.cx, "routing table")]
    for side, parts in (("inbound", g.plan.inbound), ("outbound", g.plan.outbound)):
        captions.append((f"router.{side}", g.at(g.bar_x + g.sizes.bar / 2, side), "ROUTER"))
        if parts:
            captions.append((f"{side}.caption", g.at(middle, side), f"{side} parts"))
    for id, x, text in captions:
        sheet.text(id, x, g.caption_y, text, t, "muted", anchor="middle")


def _bars(g: Geometry, sheet: Sheet) -> None:
    y, h, w = g.field_y, g.field_end - g.field_y, g.sizes.bar
    sheet.ground("field", g.field_x, y, 2 * (g.cx - g.field_x), h, "field", dashed=True)
    for side, x in (("inbound", g.bar_x), ("outbound", g.at(g.bar_x + w, "outbound"))):
        sheet.ground(f"router.{side}.bar", x, y, w, h, "bar")
        if g.plan.found.router in g.plan.found.cut:
            sheet.cut(f"router.{side}", x + w / 2, y + h)
    sheet.homes[g.plan.found.router] = (g.bar_x + w / 2, y + 12)


def part_box(g: Geometry, sheet: Sheet, part: Part, x: float, y: float) -> None:
    """A part around its centre: box, name and socket line."""
    s = g.sizes
    top, bypass = y - s.part_h / 2, part.side == "bypass"
    sheet.box(part.id, x - s.part_w / 2, top, s.part_w, s.part_h, dashed=bypass)
    if part.id in g.plan.found.cut:
        # There are neither ports nor messages at rest, nor the band's caption.
        at = (x - 0.4 * s.part_w, top + s.part_h) if bypass else (x, top)
        sheet.cut(part.id, *at)
    name, size = fit(clean(part.label), s.part_w - 14, (s.name, s.small_name), True)
    sheet.text(f"{part.id}.name", x, top + s.part_h * 0.43, name, size, bold=True, anchor="middle")
    room = s.part_w - (30 if part.blocks else 14)
    line, size = fit(clean(part.socket_line), room, (s.text, s.text - 1.5))
    id = sheet.status[part.id] = f"{part.id}.status"
    base = top + s.part_h * 0.81
    if part.blocks:
        # Bars, 7 px, and the line are centred together.
        bars = s.text * 0.8
        left = x - (bars + 7 + advance(line, size)) / 2
        sheet.blocks(f"{id}.blocks", left + bars / 2, base - size * 0.36)
        sheet.text(id, x + (bars + 7) / 2, base, line, size, "muted", anchor="middle")
    else:
        sheet.text(id, x, base, line, size, "muted", anchor="middle")
    # Messages rest on the corner that is turned to the router; above a bypass part is no room.
    inner = -1 if part.side == "outbound" else 1
    corner = (3, 12) if bypass else (2, -1)
    sheet.homes[part.id] = (x + inner * (s.part_w / 2 + corner[0]), top + corner[1])


def _passage(g: Geometry, sheet: Sheet, id: str, a: Point, b: Point, role: str) -> None:
    """What a message does inside a ROUTER bar."""
    sheet.wire(id, (a, b), role, width=2, dash="dotted")


def _crossing(g: Geometry, sheet: Sheet, row: Row) -> None:
    """A row's wire from bar to bar."""
    a, b = g.ends[row.number, row.source], g.ends[row.number, row.target]
    y0, y1 = g.part_y[row.source], g.part_y[row.target]
    near, left = g.bar_x, g.bar_x + g.sizes.bar
    right, far = g.at(left, "outbound"), g.at(near, "outbound")
    hooks = sum(g.plan.is_hook(other) for other in g.plan.drawn)
    bend = right - (HOOK + 20 + HOOKS * (hooks - 1) if hooks else 41)
    corners: tuple[Point, ...] = () if a == b else ((left + 44, a), (bend, b))
    waits = row.feedback == "waits"
    sheet.wire(
        f"row{row.number}.wire",
        ((left + 1.5, a), *corners, (right - 1.5, b)),
        row.role,
        casing=True,
        start=HEAD if waits else 0,
        end=HEAD,
    )
    sheet.badge(f"row{row.number}.badge", left + 26, a, row.number, row.role)
    _passage(g, sheet, f"row{row.number}.in", (near, y0), (left, a), row.role)
    _passage(g, sheet, f"row{row.number}.out", (right, b), (far, y1), row.role)
    across = ((left, a), *corners, (right, b))
    edge = g.part_x + g.sizes.part_w
    run = (*across, (far, y1), (g.at(edge, "outbound"), y1))
    sheet.row_runs[row.source, row.target] = run
    router = g.plan.found.router
    sheet.runs.setdefault((router, row.target), run)
    if waits:
        sheet.runs[router, row.source] = (*across[::-1], (near, y0), (edge, y0))


def _hook(g: Geometry, sheet: Sheet, row: Row) -> None:
    """Feedback that goes on: out of a ROUTER bar and back into it."""
    a, b = g.ends[row.number, row.source], g.ends[row.number, row.target]
    y0, y1 = g.part_y[row.source], g.part_y[row.target]
    side = next(part.side for part in g.plan.found.parts if part.id == row.source)
    way = 1 if side == "outbound" else -1
    bar = g.at(g.bar_x + g.sizes.bar, side)
    far, edge = g.at(g.bar_x, side), g.at(g.part_x + g.sizes.part_w, side)
    hooks = [other.number for other in g.plan.drawn if g.plan.is_hook(other)]
    x = bar - way * (HOOK + HOOKS * hooks.index(row.number))
    cut = 8.0 if b > a else -8.0
    bow = ((x + way * 8, a), (x, a + cut), (x, b - cut), (x + way * 8, b))
    sheet.wire(
        f"row{row.number}.wire",
        ((bar - way * 1.5, a), *bow, (bar - way * 1.5, b)),
        row.role,
        dash="dashed",
        casing=True,
        end=HEAD,
    )
    sheet.badge(f"row{row.number}.badge", x, _clear(g, row, a, b), row.number, row.role)
    _passage(g, sheet, f"row{row.number}.in", (far, y0), (bar, a), row.role)
    _passage(g, sheet, f"row{row.number}.out", (bar, b), (far, y1), row.role)
    run = ((bar, a), *bow, (bar, b), (far, y1), (edge, y1))
    sheet.row_runs[row.source, row.target] = run
    sheet.runs.setdefault((g.plan.found.router, row.target), run)


def _clear(g: Geometry, row: Row, a: float, b: float) -> float:
    """The height between a hook's ends, as near to the middle as possible, that no wire crosses."""
    lo, hi, middle = min(a, b), max(a, b), (a + b) / 2
    r = g.sizes.badge_r
    wires = [
        g.ends[other.number, end]
        for other in g.plan.drawn
        if other is not row
        for end in ((other.source, other.target) if g.plan.is_hook(other) else (other.target,))
        if lo < g.ends[other.number, end] < hi
    ]
    free = [middle, *(y + d for y in wires for d in (-r - 5, r + 5))]
    free = [y for y in free if all(abs(y - wire) >= r + 4 for wire in wires)]
    free = [y for y in free if lo + r <= y <= hi - r]
    return min(free, key=lambda y: (abs(y - middle), y), default=middle)


def _inner(g: Geometry, sheet: Sheet, part: Part) -> None:
    """The wire between a part and its ROUTER bar; what has no route ends in the bar."""
    y, side = g.part_y[part.id], part.side
    way = 1 if side == "inbound" else -1
    edge, near = g.at(g.part_x + g.sizes.part_w, side), g.at(g.bar_x, side)
    far = g.at(g.bar_x + g.sizes.bar, side)
    rows = [row for row in g.plan.drawn if part.id in (row.source, row.target)]
    waits = any(row.feedback == "waits" for row in rows)
    role = role_of(g, part)
    inbound = side == "inbound"
    a, b = ((edge, y), (near - way * 1.5, y)) if inbound else ((near, y), (edge + way * -1.5, y))
    if waits:
        a = (a[0] + 1.5, y)
    sheet.wire(
        f"{part.id}.inner",
        (a, b),
        role,
        width=2,
        start=SMALL_HEAD if waits else 0,
        end=SMALL_HEAD if inbound or rows else 0,
    )
    router = g.plan.found.router
    sheet.runs[part.id, router] = ((edge, y), (far, y))
    sheet.runs.setdefault((router, part.id), ((far, y), (edge, y)))
    if inbound and not rows:
        stop = (near + far) / 2
        _passage(g, sheet, f"{part.id}.in", (near, y), (stop, y), role)
        sheet.wire(f"{part.id}.stop", ((stop, y - 6), (stop, y + 6)), role, width=2)
