"""Rows: how far apart the rows of parts must be for all that happens between them."""

from __future__ import annotations

from itertools import pairwise

from pylm_lab.draw.router.beside import reaches
from pylm_lab.draw.router.plan import Plan
from pylm_lab.draw.style import Sizes

__all__ = ["LEFT_SPREAD", "LEVEL", "RIGHT_SPREAD", "bar_over", "pitch"]

#: How far apart wires of one part end: at the left bar, where badges sit, and at the right one.
LEFT_SPREAD, RIGHT_SPREAD = 20.0, 13.0
#: How far beside others a level wire may end and stay level.
LEVEL = 26.0


def pitch(plan: Plan, s: Sizes) -> float:
    """The distance of two rows: what the fullest of them needs."""
    least = s.row
    for part in plan.inbound:
        ends = sum(row.source == part.id for row in plan.drawn)
        least = max(least, LEFT_SPREAD * (ends - 1) + 26)
    for (_, down), (up, _) in pairwise(_reaches(plan)):
        hooked = down > 0 or up > 0
        least = max(least, down + up + (2 * s.badge_r + 10 if hooked else RIGHT_SPREAD))
    for column in plan.columns:
        for above, below in pairwise(reaches(plan, s, column)):
            if above is not None and below is not None:
                least = max(least, above[1] + below[0])
            elif above is not None or below is not None:
                # A lane may end at the other part.
                least = max(least, 12 + (above[1] if above else below[0] if below else 0))
    return least


def bar_over(plan: Plan, s: Sizes) -> float:
    """How far the bars reach beyond the middle of the outer rows."""
    over = [s.bar_over]
    reaches = _reaches(plan)
    # A shorter column stands in the middle, far from the ends.
    if reaches and len(reaches) >= len(plan.inbound):
        over += [reaches[0][0] + 8, reaches[-1][1] + 8]
    for part in plan.inbound:
        ends = sum(row.source == part.id for row in plan.drawn)
        over.append(LEFT_SPREAD * (ends - 1) / 2 + s.badge_r + 4)
    return max(over)


def _reaches(plan: Plan) -> list[tuple[float, float]]:
    """How far above and below its middle each outbound part's wires meet the bar, at most."""
    place = {part.id: n for n, part in enumerate(plan.outbound)}
    found = []
    for part in plan.outbound:
        mine = [row for row in plan.drawn if part.id in (row.source, row.target)]
        reach = RIGHT_SPREAD * max(0, sum(not plan.is_hook(row) for row in mine) - 1)
        up = down = reach if reach <= LEVEL else reach / 2
        for row in mine:
            if plan.is_hook(row):
                other = row.target if part.id == row.source else row.source
                if place[other] > place[part.id]:
                    down += RIGHT_SPREAD
                else:
                    up += RIGHT_SPREAD
        found.append((up, down))
    return found
