"""Beside: who talks to one part only, and how much room that takes.

Several stand below each other, and their wires meet before the part.
"""

from __future__ import annotations

from collections.abc import Sequence

from pylm_lab.draw.metrics import advance, clean, shorten
from pylm_lab.draw.router.plan import Group, Plan, Run
from pylm_lab.draw.router.survey import Part
from pylm_lab.draw.style import Sizes

__all__ = ["longer", "offsets", "overhang", "reaches", "topic", "trunk"]

#: How wide a topic above a wire may be, px.
_TOPIC = 110.0
#: How wide a name may be before it is shortened rather than the page made wider, px.
_NAME = 120.0
#: Where the wires of several meet, px from the part: farther where an arrow head is before it.
_MEET, _HEADED = 13.0, 20.0


def offsets(run: Run, s: Sizes) -> list[float]:
    """How far below its port the discs of a run stand, from the top."""
    step = 2 * s.worker_r + 1.5 * s.program + 10
    n = len(run.groups)
    return [step * (k - (n - 1) / 2) for k in range(n)]


def trunk(run: Run) -> float:
    """How much of the way to the discs their wires have in common, from the part."""
    if len(run.groups) == 1:
        return 0.0
    return _HEADED if run.to_part else _MEET


def topic(run: Run, group: Group, s: Sizes) -> str:
    """What is written above the wire to a disc, where it was not by its own name that it asked."""
    return shorten(clean(run.topics(group)), _TOPIC, s.text)


def longer(runs: Sequence[Run], s: Sizes) -> float:
    """How much longer the wires must be for the topics above them and the names at their ends."""
    least = s.part_x - s.lane + 12 - s.worker_r - 10
    wanted = [
        advance(topic(run, group, s), s.text) + trunk(run) - least
        for run in runs
        for group in run.groups
        if topic(run, group, s)
    ]
    # Where wires meet, names have less room.
    wanted += [
        min(_NAME, advance(clean(group.label), s.program)) + trunk(run) + 16 - s.part_x
        for run in runs
        if trunk(run)
        for group in run.groups
    ]
    return max([0.0, *wanted])


def overhang(plan: Plan, s: Sizes, pitch: float) -> float:
    """How far what stands beside the parts reaches above the middle of the first row."""
    rows, most = max(len(column) for column in plan.columns), 0.0
    for column in plan.columns:
        for n, reach in enumerate(reaches(plan, s, column)):
            if reach is not None:
                most = max(most, reach[0] - pitch * (n + (rows - len(column)) / 2))
    return most


def reaches(plan: Plan, s: Sizes, column: Sequence[Part]) -> list[tuple[float, float] | None]:
    """How far above and below each part of a column those beside it reach; None if nobody is.

    A name is below a peer; above it a message at rest, or a loss.
    """
    runs = {run.part.id: run for run in plan.into("side")}
    found: list[tuple[float, float] | None] = []
    for part in column:
        run = runs.get(part.id)
        if run is None:
            found.append(None)
            continue
        off = offsets(run, s)
        over = s.pill_h + 8 if run.lost else 10 - 0.05 * s.worker_r
        found.append((s.worker_r + over - off[0], off[-1] + s.worker_r + 1.5 * s.program))
    return found
