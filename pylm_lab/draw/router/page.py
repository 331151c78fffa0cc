"""Page: where the rows, columns, lanes and zones of the router view lie.

1. All of it follows from the sizes of the format and from measured texts.
2. What would collide makes the page grow; nothing is left to touch.
3. Left and right mirror each other: `x` is that of the left, `at(x, side)` that of either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from pylm_lab.draw.metrics import advance, clean
from pylm_lab.draw.router.beside import longer, overhang, trunk
from pylm_lab.draw.router.plan import Group, Plan, Run
from pylm_lab.draw.router.rows import bar_over, pitch
from pylm_lab.draw.router.survey import Part, Row
from pylm_lab.draw.style import Sizes

__all__ = [
    "ASKED",
    "BACK",
    "HOOK",
    "HOOKS",
    "NAME",
    "RIM",
    "STACKED",
    "Columns",
    "Page",
]

#: Characters of a name that the text table shows.
NAME = 48
#: How far a hook reaches into the field, and how much farther the next one does.
HOOK, HOOKS = 40.0, 24.0
#: How far apart ports are on the rim of a disc.
RIM = 13.0
#: How far one disc of a stack is from the next.
STACKED = 4
#: Where a part's wires to other parts leave its lower edge, from its outer edge ÷ its width.
ASKED, BACK = 0.26, 0.81


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where the columns of the text table begin, and where it ends."""

    start: float
    source: float
    sign: float
    target: float
    end: float


class Page:
    """The measures of one picture, without what hangs on single wires (see `Geometry`)."""

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        self.plan = plan
        self.sizes = sizes
        self.worker_r = self._radius("top", sizes.worker_r)
        self.client_r = self._radius("bottom", sizes.client_r)
        self.pitch = pitch(plan, sizes)
        self.bar_over = bar_over(plan, sizes)
        self._across()
        self._down()

    def at(self, x: float, side: str) -> float:
        """The x on the left, or its mirror image for an outbound part."""
        return 2 * self.cx - x if side == "outbound" else x

    def from_edge(self, d: float, side: str) -> float:
        """The x at a distance from the edge of the page on this side."""
        return self.width - d if side == "outbound" else d

    def meeting(self, group: Group, run: Run) -> list[Run]:
        """The runs that meet a disc on the same side of it as this one, in order."""
        runs = [q for q in self.plan.runs if q.zone == run.zone and group in q.groups]
        if run.zone == "top":
            return [q for q in runs if q.to_peer is run.to_peer]
        return sorted((q for q in runs if q.part.side == run.part.side), key=lambda q: q.lane)

    def _radius(self, zone: str, least: float) -> float:
        """That of a zone's discs, so that their ports find room on the rim."""
        meeting = [
            len(self.meeting(group, run))
            for run in self.plan.runs
            if run.zone == zone
            for group in run.groups
        ]
        return max([least, *(RIM * (n - 1) / 2 + 7 for n in meeting)])

    # Across

    def _across(self) -> None:
        s, plan = self.sizes, self.plan
        self.lane_gap, self.margins = self._lanes()
        left, right = self.margins["inbound"], self.margins["outbound"]
        self.lane0 = s.lane + left
        self.part_x = s.part_x + left
        self.wall = self.part_x + s.wall
        inner = s.width - 2 * (s.part_x + s.wall)
        table, beyond = self._table_widths()
        beside = 16.0
        if plan.backs or plan.slots:
            beside += s.part_w * (BACK if plan.backs else 0.5) - s.wall
        middle = len(plan.bypass) - len(plan.slots)
        slots = 2 * (s.part_w - s.wall) if plan.slots else 0
        need = max(
            inner,
            2 * (sum(table) / 2 + beyond + beside),
            middle * (s.part_w + 24) + 24 + slots,
            self._top_width() - 2 * self.wall,
            2 * (s.part_w - s.wall + s.gap + s.bar) + self._field_width(),
        )
        self.cx = float(ceil(need / 2 + self.wall))
        self.width = 2 * self.cx - left + right
        self.bar_x = self.part_x + s.part_w + s.gap
        self.field_x = self.bar_x + s.bar + 8
        starts = [self.cx - sum(table) / 2]
        for width in table:
            starts.append(starts[-1] + width)
        self.columns = Columns(
            start=starts[0], source=starts[1], sign=starts[2], target=starts[3], end=starts[5]
        )
        self.top_x = self._top_places()

    def _lanes(self) -> tuple[float, dict[str, float]]:
        """How far lanes are apart, and what each side needs beyond the usual margin of the page."""
        s, runs = self.sizes, [run for run in self.plan.runs if run.zone != "side"]
        pills = [s.pill_w(f"{run.sent:,}") for run in runs if self.plan.found.ran]
        pills += [s.lost_w(f"{run.lost:,} lost") for run in runs if run.lost]
        half = max(pills, default=0) / 2
        gap = max(s.lane_gap, half + 6)
        # Side peers stand within the lanes, unless a lane would run through them.
        self.apart: dict[str, bool] = {}
        self.longer = {"inbound": 0.0, "outbound": 0.0}
        margins = {}
        for side, column in (("inbound", self.plan.inbound), ("outbound", self.plan.outbound)):
            self.apart[side] = self._lanes_pass_peers(column)
            lanes = max((run.lane for run in runs if run.part.side == side), default=0)
            # A wide pill may reach as far to the right as to the left.
            margin = max(0.0, gap * lanes + half + 5 - s.lane, half + 7 - (s.part_x - s.lane))
            if self.apart[side]:
                margin = max(margin + 12, 2 * s.worker_r + half + gap * lanes)
            else:
                ids = {part.id for part in column}
                beside = [run for run in self.plan.into("side") if run.part.id in ids]
                self.longer[side] = longer(beside, s)
                margin = max(margin, self.longer[side])
            margins[side] = float(ceil(margin))
        return gap, margins

    def _lanes_pass_peers(self, column: Sequence[Part]) -> bool:
        place = {part.id: n for n, part in enumerate(column)}
        here = [run for run in self.plan.runs if run.part.id in place]
        peers = [place[run.part.id] for run in here if run.zone == "side"]
        for run in here:
            n = place[run.part.id]
            if run.zone == "top" and any(peer <= n for peer in peers):
                return True
            if run.zone == "bottom" and any(peer >= n for peer in peers):
                return True
        return False

    def _field_width(self) -> float:
        """The least distance of the bars: straight pieces, slopes, and hooks beside each other."""
        hooks = sum(self.plan.is_hook(row) for row in self.plan.drawn)
        return 110 + (HOOK + HOOKS * hooks if hooks else 0)

    def lane(self, run: Run) -> float:
        """The x of the run's lane."""
        return self.at(self.lane0 - self.lane_gap * run.lane, run.part.side)

    def peer(self, side: str) -> float:
        """How far from the edge of the page the middle of a side peer is."""
        within = 0.0 if self.apart[side] else self.margins[side] - self.longer[side]
        return self.sizes.lane - 12 + within

    def peer_room(self, run: Run, side: str) -> float:
        """How wide the name of a side peer may be."""
        room = self.sizes.part_x + self.margins[side] - 14 - trunk(run)
        if self.apart[side]:
            runs = [run for run in self.plan.runs if run.part.side == side and run.zone != "side"]
            most = max(run.lane for run in runs)
            room = self.sizes.lane + self.margins[side] - self.lane_gap * most - 14
        return room

    def row_names(self, row: Row) -> tuple[str, str]:
        """What the text table calls the ends of a row."""
        labels = {part.id: part.label for part in self.plan.found.parts}
        source, target = (labels.get(id, id) for id in (row.source, row.target))
        return clean(source, NAME), clean(target, NAME)

    def _table_widths(self) -> tuple[list[float], float]:
        """Widths of badge, from, sign, to and messages, and of what stands right of the table."""
        s, found = self.sizes, self.plan.found
        t, k = s.text, s.text / 11
        names = [self.row_names(row) for row in found.rows]
        names += [(clean(part.label, NAME), "no route") for part in self.plan.unrouted]
        # A row is bold while it is lit, so bold must fit.
        source = max([advance(a, t, True) for a, _ in names], default=0) + 12
        target = max([advance(b, t, True) for _, b in names], default=0) + 16
        right = max(
            (s.lost_w(f"{row.lost:,} lost") + 10 for row in found.rows if row.lost), default=0
        )
        messages = advance("messages", t) if found.ran else 0
        if self.plan.backs and found.ran:
            # Wires pass on both sides, so names may stand below the heading of the counts.
            counts = max([advance(f"{row.count:,}", t, True) for row in found.rows], default=0.0)
            target -= max(0.0, min(messages - counts, target - 62 * k))
        return [23 * k, max(94 * k, source), 14 * k, max(62 * k, target), messages], right

    def _top_ends(self) -> tuple[float, float]:
        """Where the first disc at the top may stand, and the last, seen from the right."""
        s, groups = self.sizes, self.plan.top
        runs = self.plan.into("top")
        lane = self.lane0
        pair = max((advance(run.wires[0].pair, s.text) for run in runs), default=0) + 16
        # Where several buses run, labels stand between them, and wires to the discs keep off.
        feeds = sum(run.to_peer for run in runs)
        left = lane + (pair if len(runs) - feeds > 1 else 24) + self.worker_r
        name = min(advance(clean(groups[-1].label), s.program), 120.0)
        right = lane + max(pair if feeds > 1 else 0, 14 + self.name_gap(groups[-1]) + name)
        return left, right

    def _top_width(self) -> float:
        """The least width, within equal margins, for the discs at the top, with short names."""
        groups = self.plan.top
        if not groups:
            return 0
        step = self.name_gap(groups[0]) + 3.8 * self.sizes.program + self.worker_r + 6
        return sum(self._top_ends()) + step * (len(groups) - 1)

    def _top_places(self) -> dict[str, float]:
        """The x of each disc at the top, so that names fit beside them."""
        s, groups = self.sizes, self.plan.top
        if not groups:
            return {}
        n, (left, right) = len(groups), self._top_ends()
        last = 2 * self.cx - right
        wants = [advance(clean(group.label), s.program) for group in groups]
        step = max(
            150.0 if n < 3 else 125.0, max(wants) + self.name_gap(groups[0]) + self.worker_r + 20
        )
        if n > 1:
            step = min(step, (last - left) / (n - 1))
        # Disc and name are centred together.
        span = step * (n - 1) + self.name_gap(groups[-1]) + min(wants[-1], step) - self.worker_r
        first = max(left, min(self.cx - span / 2, last - step * (n - 1)))
        return {group.id: first + step * k for k, group in enumerate(groups)}

    def name_gap(self, group: Group) -> float:
        """From the centre of a disc at the top to the name beside it."""
        return self.worker_r + (15 if group.stack else 7)

    def top_room(self, group: Group) -> float:
        """How wide the name beside a disc at the top may be."""
        groups = self.plan.top
        k = groups.index(group)
        x = self.top_x[group.id] + self.name_gap(group)
        if k + 1 < len(groups):
            return self.top_x[groups[k + 1].id] - self.worker_r - 6 - x
        return 2 * self.cx - self.lane0 - 14 - x

    # Down

    def _down(self) -> None:
        height = self._stack(self.sizes.top)
        spare = self.sizes.height - height
        if spare > 0:
            self._stack(self.sizes.top + spare / 2)
        self.height = ceil(max(height, self.sizes.height))

    def _stack(self, y: float) -> float:
        """Everything from the top to the bottom, beginning at `y`; returns where it ends."""
        s, plan = self.sizes, self.plan
        over = overhang(plan, s, self.pitch) - (s.to_caption + s.to_bar + self.bar_over)
        y = max(self._down_to_frame(y), y + over)
        self.frame_y = y
        self.caption_y = y + s.to_caption
        self.field_y = self.caption_y + s.to_bar
        rows = max(len(plan.inbound), len(plan.outbound), 1)
        first = self.field_y + self.bar_over
        self.part_y = {
            part.id: first + self.pitch * (n + (rows - len(column)) / 2)
            for column in plan.columns
            for n, part in enumerate(column)
        }
        y = first + self.pitch * (rows - 1) + self.bar_over
        self.field_end = y
        lines = len(plan.found.rows) + len(plan.unrouted)
        self.table_y = y + s.to_table
        if lines:
            y = self.table_y + 6 + s.line * lines
        if plan.backs:
            y += s.pill_h / 2 + 8
            self.back_y = y
            y += s.text + 6
        if plan.bypass:
            self.band_y = y + s.to_band
            top = self.band_y + s.in_band
            self.bypass_y = top + s.part_h / 2
            # In the lower wall, unless one stands in the corner.
            y = top + s.part_h + (14 if plan.slots else -s.wall)
        else:
            y += 16
        self.frame_end = y
        return self._down_from_frame(y)

    def name_drop(self, group: Group) -> float:
        """From the centre of a disc at the bottom down to the baseline of its name.

        It stands under the wires that come from the right.
        """
        s = self.sizes
        wires = [q for q in self.plan.into("bottom") if group in q.groups]
        lowest = RIM * (sum(q.part.side == "outbound" for q in wires) - 1) / 2
        return max(self.client_r - 1, lowest + s.mark / 2 + 2 + 0.8 * s.program)

    @property
    def linked(self) -> bool:
        """Whether a wire leads from the bypass part in the middle to the disc below it."""
        only, plan = self.only_client, self.plan
        middle = [part for part in plan.bypass if part.id not in plan.slots and part.ports]
        if only is None or not middle:
            return False
        return any(only.holds(wire.peer) for wire in plan.wires_of(middle[0].ports[0]))

    @property
    def only_client(self) -> Group | None:
        """The disc at the bottom, if it stands for the only one there."""
        groups = self.plan.bottom
        return groups[0] if len(groups) == 1 and not groups[0].stack else None

    def _down_to_frame(self, y: float) -> float:
        """Buses and discs at the top."""
        s, plan = self.sizes, self.plan
        self.bus: dict[str, float] = {}
        if not plan.top:
            return y + s.text + 4
        runs = sorted(plan.into("top"), key=lambda run: -run.lane)
        feeds = [run for run in runs if run.to_peer]
        for run in feeds:
            y += s.bus_gap if self.bus else round(1.25 * s.text + 2.5)
            self.bus[run.id] = y
        y += s.stem if feeds else 14
        self.top_y = y + self.worker_r
        y = self.top_y + self.worker_r
        empties = [run for run in runs if not run.to_peer]
        for n, run in enumerate(empties):
            y += s.bus_gap if n else s.drop
            self.bus[run.id] = y
        return y + (s.below_bus if empties else s.drop)

    def _down_from_frame(self, y: float) -> float:
        """Discs at the bottom, hints of links, legend."""
        s, plan = self.sizes, self.plan
        middle = [part for part in plan.bypass if part.id not in plan.slots]
        hints = any(plan.wires_of(port) for part in middle for port in part.ports)
        if hints and plan.bottom:
            y += s.link + (6 if plan.slots else s.wall)
        elif hints:
            y += (0 if plan.slots else s.wall) + 34
        elif plan.bottom:
            y += 26
        self.bottom_y: dict[str, float] = {}
        if hints and plan.bottom and not self.linked:
            y += 10
        r, drop = self.client_r, 0.0
        for group in plan.bottom:
            # Below the name of one, above the next: a message at rest.
            y += max(2 * r + 18, drop + 0.95 * r + 11) if self.bottom_y else r
            self.bottom_y[group.id] = y
            drop = self.name_drop(group) + 0.25 * s.program
            if len(plan.bottom) == 1:
                # Where several wires leave on a side, the lowest has its label below it.
                most = max((run.lane for run in plan.into("bottom")), default=0)
                drop = max(drop, most and RIM * most / 2 + 3 + 1.25 * s.text)
        if plan.bottom and plan.bottom[-1].stack:
            y += 8
        y += max(r, drop) if plan.bottom else s.wall + s.mark if plan.bypass and not hints else 0
        y += s.end
        self.legend_y = ceil(y)
        return self.legend_y
