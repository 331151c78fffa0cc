"""Table: the routing table as text, below its wires."""

from __future__ import annotations

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.router.geometry import Geometry
from pylm_lab.draw.router.page import NAME
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.router.survey import Part, Row

__all__ = ["SIGNS", "draw_table"]

#: How the answer travels: only acknowledged, waited for, sent on.
SIGNS = {"": "→", "waits": "⇄", "on": "⇢"}


def draw_table(g: Geometry, sheet: Sheet) -> None:
    """A line for each row, then one for each part whose messages go nowhere."""
    rows, unrouted = g.plan.found.rows, g.plan.unrouted
    if not rows and not unrouted:
        return
    s, x = g.sizes, g.columns
    y = g.table_y
    sheet.text("table.from", x.source, y, "from", s.text, "muted")
    sheet.text("table.to", x.target, y, "to", s.text, "muted")
    if g.plan.found.ran:
        sheet.text("table.messages", x.end, y, "messages", s.text, "muted", anchor="end")
    sheet.rule("table.rule", (x.start, y + 5), (x.end, y + 5))
    y += 6 + s.line / 2
    for row in rows:
        _row(g, sheet, row, y)
        y += s.line
    for part in unrouted:
        _unrouted(g, sheet, part, y)
        y += s.line


def _row(g: Geometry, sheet: Sheet, row: Row, y: float) -> None:
    s, x = g.sizes, g.columns
    t, base = s.text, y + s.text * 0.36
    id = f"row{row.number}"
    source, target = g.row_names(row)
    sheet.ground(
        f"{id}.lit", x.start - 6, y - s.line / 2, x.end - x.start + 12, s.line, "lit", radius=4
    )
    sheet.badge(f"{id}.number", x.start + s.badge_r, y, row.number, row.role)
    sheet.text(f"{id}.from", x.source, base, source, t)
    sheet.text(f"{id}.sign", x.sign, base, SIGNS[row.feedback], t)
    sheet.text(f"{id}.to", x.target, base, target, t)
    ids = [f"{id}.{name}" for name in ("lit", "number", "from", "sign", "to")]
    if g.plan.found.ran:
        ids.append(f"{id}.count")
        sheet.text(ids[-1], x.end, base, f"{row.count:,}", t, bold=True, anchor="end")
        sheet.counts[row.source, row.target] = ids[-1]
    sheet.rows[row.source, row.target] = tuple(ids)
    if row.lost:
        text = f"{row.lost:,} lost"
        sheet.lost(f"{id}.lost", x.end + 10 + s.lost_w(text) / 2, y, text, s.line - 3)


def _unrouted(g: Geometry, sheet: Sheet, part: Part, y: float) -> None:
    """What comes from here is acknowledged and goes nowhere."""
    x, t, base = g.columns, g.sizes.text, y + g.sizes.text * 0.36
    id, router = f"{part.id}.unrouted", g.plan.found.router
    sheet.text(f"{id}.from", x.source, base, clean(part.label, NAME), t, "muted")
    sheet.text(f"{id}.to", x.target, base, "no route", t, "muted")
    if g.plan.found.ran:
        count = g.plan.found.ended.get(part.id, 0)
        sheet.text(f"{id}.count", x.end, base, f"{count:,}", t, "muted", anchor="end")
        sheet.counts[part.id, router] = f"{id}.count"
