"""Inner: wires from part to part that pass the router by, as a gateway has them."""

from __future__ import annotations

from dataclasses import replace

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.router.geometry import SHORT, Geometry, below
from pylm_lab.draw.router.inside import part_box, role_of
from pylm_lab.draw.router.page import ASKED, BACK
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.router.survey import Part, Wire, socket_name

__all__ = ["draw_back", "draw_slot"]

_HEAD, _WAY = 11.0, 9.0


def draw_back(g: Geometry, sheet: Sheet, wire: Wire) -> None:
    """From a part on one side to one on the other, below the routing table."""
    s = g.sizes
    parts = {part.id: part for part in g.plan.found.parts}
    a, b = parts[wire.part], parts[wire.peer]
    x = g.part_x + s.part_w * BACK
    (x0, y0), (x1, y1) = ((g.at(x, part.side), g.part_y[part.id] + s.part_h / 2) for part in (a, b))
    y, role = g.back_y, role_of(g, a)
    id = f"{wire.part}.{wire.peer}"
    sheet.wire(
        f"{id}.back",
        ((x0, y0), (x0, y), (x1, y), (x1, y1 + SHORT)),
        role,
        casing=True,
        end=_HEAD,
    )
    sheet.mark(f"{id}.from", x0, y0, wire.port.binds)
    sheet.mark(f"{id}.to", x1, y1, wire.other.binds)
    sheet.runs[wire.part, wire.peer] = ((x0, y0), (x0, y), (x1, y), (x1, y1))
    way = 1 if x1 > x0 else -1
    edge = g.cx
    if g.plan.found.ran:
        edge += way * s.pill_w(f"{wire.count:,}") / 2
        sheet.pill(f"{id}.count", g.cx, y, wire.count)
        sheet.counts[wire.part, wire.peer] = f"{id}.count"
    sheet.wire(f"{id}.way", ((edge, y), (edge + way * _WAY, y)), role, end=_WAY)
    pair = clean(wire.pair, 60)
    sheet.text(
        f"{id}.pair", (g.cx + x0) / 2, below(y, s.text), pair, s.text, "muted", anchor="middle"
    )


def draw_slot(g: Geometry, sheet: Sheet, part: Part, wire: Wire) -> None:
    """A bypass part below the part that it asks, in the same wall."""
    s = g.sizes
    asked = next(each for each in g.plan.found.parts if each.id == wire.peer)
    side = asked.side
    # What asks is named beside its wire.
    others = tuple(port for port in part.ports if port.id != wire.port.id)
    shown = replace(part, ports=others or part.ports)
    part_box(g, sheet, shown, g.at(g.part_x + s.part_w / 2, side), g.bypass_y)
    x = g.at(g.part_x + s.part_w * ASKED, side)
    top, bottom = g.part_y[asked.id] + s.part_h / 2, g.bypass_y - s.part_h / 2
    id = f"{part.id}.{asked.id}"
    sheet.seen["both"] = None
    sheet.wire(
        f"{id}.asks",
        ((x, bottom - SHORT), (x, top + SHORT)),
        role_of(g, part),
        casing=True,
        start=_HEAD,
        end=_HEAD,
    )
    sheet.mark(f"{id}.from", x, bottom, wire.port.binds)
    sheet.mark(f"{id}.to", x, top, wire.other.binds)
    sheet.runs[part.id, asked.id] = ((x, bottom), (x, top))
    sheet.runs[asked.id, part.id] = ((x, top), (x, bottom))
    if g.plan.found.ran:
        sheet.pill(f"{id}.count", x, (top + bottom) / 2, wire.count)
        sheet.counts[part.id, asked.id] = f"{id}.count"
    pair = clean(socket_name(wire.port), 20)
    anchor, dx = ("start", 9) if side == "inbound" else ("end", -9)
    sheet.text(f"{id}.pair", x + dx, top + 26, pair, s.text, "muted", anchor=anchor)  # type: ignore[arg-type]
    for port in part.ports:
        if port.id != wire.port.id:
            sheet.mark(port.id, g.at(g.part_x, side), g.bypass_y, port.binds)
