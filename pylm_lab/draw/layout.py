"""Layout: from a trace to the scene of the router view, without any drawing library."""

from __future__ import annotations

from typing import Literal

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.router import caption
from pylm_lab.draw.router.foot import Foot
from pylm_lab.draw.router.geometry import Geometry
from pylm_lab.draw.router.inside import draw_inside
from pylm_lab.draw.router.legend import HEIGHT, draw_heading, draw_legend
from pylm_lab.draw.router.outside import draw_outside
from pylm_lab.draw.router.plan import plan
from pylm_lab.draw.router.reading import survey
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.router.table import draw_table
from pylm_lab.draw.scene import Scene
from pylm_lab.draw.style import format_named
from pylm_lab.trace import Trace

__all__ = ["router_scene"]


def router_scene(
    trace: Trace,
    *,
    title: str | None = None,
    subtitle: str | None = None,
    format: Literal["column", "slide"] = "column",
    server: str | None = None,
) -> Scene:
    """The server of a trace (the first, unless named) as a switch with its network cards.

    `title` and `subtitle` replace those that the trace suggests; a slide shows neither, and no
    legend.

    Raises:
        WiringError: the trace has no server of that name.
        LabError: the trace has nothing to draw, or there is no such format.
    """
    sizes = format_named(format)
    found = survey(trace, server)
    title = caption.title(found) if title is None else title
    subtitle = caption.subtitle(found) if subtitle is None else subtitle
    foot = Foot(found, sizes)
    geometry, sheet = Geometry(plan(found), foot.leaves), Sheet(sizes)
    draw_inside(geometry, sheet)
    draw_table(geometry, sheet)
    draw_outside(geometry, sheet)
    height: float = geometry.height
    if sizes.heading:
        draw_heading(geometry, sheet, title, subtitle)
        draw_legend(geometry, sheet)
        height += HEIGHT
    height += foot.draw(sheet, geometry.width, height)
    return sheet.scene(
        width=geometry.width,
        height=height,
        title=clean(title),
        subtitle=clean(subtitle),
        alt=caption.alt(found),
    )
