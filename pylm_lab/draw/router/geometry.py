"""Geometry: the page, and where single wires begin and end on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pylm_lab.draw.metrics import clean, fit
from pylm_lab.draw.router.beside import offsets
from pylm_lab.draw.router.page import RIM, STACKED, Page
from pylm_lab.draw.router.plan import Group, Plan, Run
from pylm_lab.draw.router.rows import LEFT_SPREAD, LEVEL, RIGHT_SPREAD
from pylm_lab.draw.router.survey import Part, Row
from pylm_lab.draw.scene import Point
from pylm_lab.draw.style import Sizes

__all__ = ["SHORT", "Geometry", "above", "below"]

#: How far before a port an arrow head ends, px.
SHORT = 6.0


def above(y: float, size: float) -> float:
    """The baseline of a text of this size that stands above a wire at `y`."""
    return y - 3 - 0.25 * size


def below(y: float, size: float) -> float:
    """The baseline of a text of this size that stands below a wire at `y`."""
    return y + 3 + 0.98 * size


def _reach(r: float, d: float, group: Group) -> float:
    """How far a disc of this radius, or its stack, reaches at a distance from its middle."""
    behind = range(0, 3 * STACKED, STACKED) if group.stack else (0,)
    return max(math.sqrt(max(0.0, r * r - (d - k) ** 2)) for k in behind)


class Geometry(Page):
    """Every coordinate that more than one place needs.

    `ends` are the heights at which rows meet the ROUTER bars, by the row's number and the part.
    """

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        super().__init__(plan, sizes)
        self.ends = self._ends()

    def port(self, run: Run) -> Point:
        """Where the run's port is."""
        part, side = run.part, self.side(run)
        if part.side == "bypass":
            return self.at(self.part_x, side), self.bypass_y
        return self.at(self.part_x, side), self.part_y[part.id] + self.port_dy(part, run.port.id)

    def side(self, run: Run) -> str:
        """The side that the run's part stands on."""
        slot = self.plan.slots.get(run.part.id)
        if slot is None:
            return run.part.side
        return next(part.side for part in self.plan.found.parts if part.id == slot.peer)

    def port_dy(self, part: Part, port: str) -> float:
        """Ports of one part are spread: those with runs to the top above, to the bottom below."""
        if len(part.ports) < 2:
            return 0
        heights = {"top": 0, "side": 1, "bottom": 3}
        keys = []
        for n, each in enumerate(part.ports):
            runs = [run for run in self.plan.runs if run.port.id == each.id]
            height = min((heights[run.zone] for run in runs), default=2)
            lane = max((run.lane for run in runs), default=0)
            keys.append((height, -lane if height == 3 else lane, n, each.id))
        order = [key[-1] for key in sorted(keys)]
        gap = min(16.0, (self.sizes.part_h - 16) / (len(order) - 1))
        return gap * (order.index(port) - (len(order) - 1) / 2)

    def rim(self, run: Run, group: Group) -> Point:
        """Where the run meets a disc; several at one side of it are spread."""
        meeting = self.meeting(group, run)
        d = RIM * (meeting.index(run) - (len(meeting) - 1) / 2)
        if run.zone == "bottom":
            way = -1 if run.part.side == "inbound" else 1
            x = self.cx + way * _reach(self.client_r, d, group)
            return x, self.bottom_y[group.id] + d
        if run.zone == "side":
            way = 1 if self.side(run) == "inbound" else -1
            x = self.from_edge(self.peer(self.side(run)), self.side(run))
            return x + way * self.sizes.worker_r, self.beside_y(run, group)
        dy = _reach(self.worker_r, d, group)
        return self.top_x[group.id] + d, self.top_y + (-dy if run.to_peer else dy)

    def beside_y(self, run: Run, group: Group) -> float:
        """The height of a disc beside a part."""
        return self.port(run)[1] + offsets(run, self.sizes)[run.groups.index(group)]

    def _bare(self, part: Part, hooks: Sequence[Row]) -> float:
        """Where hooks begin that have no wire between them: the first at the middle of the part."""
        others = [row.target if part.id == row.source else row.source for row in hooks]
        ways = {self.part_y[other] > self.part_y[part.id] for other in others}
        return -RIGHT_SPREAD / len(ways) if ways else 0

    def _ends(self) -> dict[tuple[int, str], float]:
        """See `Geometry`.

        What shares a part is spread in the order of where it comes from; hooks lie outside of that,
        on the side of their other end.
        """
        ends: dict[tuple[int, str], float] = {}
        for part in (*self.plan.inbound, *self.plan.outbound):
            y = self.part_y[part.id]
            mine = [row for row in self.plan.drawn if part.id in (row.source, row.target)]
            wires = [row for row in mine if not self.plan.is_hook(row)]
            left = part.side == "inbound"
            wires.sort(key=lambda row: self.part_y[row.target if left else row.source])
            gap = LEFT_SPREAD if left else RIGHT_SPREAD
            reach = gap * (len(wires) - 1)
            up = reach / 2 if wires else self._bare(part, mine)
            if not left:
                # A level wire stays level, where the others find room beside it.
                level = [n for n, r in enumerate(wires) if ends[r.number, r.source] == y]
                if level and max(gap * level[0], reach - gap * level[0]) <= LEVEL:
                    up = gap * level[0]
            for n, row in enumerate(wires):
                ends[row.number, part.id] = y - up + gap * n
            down = reach - up if wires else up
            for row in mine:
                if self.plan.is_hook(row):
                    other = row.target if part.id == row.source else row.source
                    if self.part_y[other] > y:
                        down += RIGHT_SPREAD
                        ends[row.number, part.id] = y + down
                    else:
                        up += RIGHT_SPREAD
                        ends[row.number, part.id] = y - up
        return ends

    def fitted(self, group: Group, room: float) -> tuple[str, float]:
        """A peer's name as it fits, and its size."""
        s = self.sizes
        return fit(clean(group.label), room, (s.program, s.small_name))
