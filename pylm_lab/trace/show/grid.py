"""Grid: a table of bounded size, in a terminal and in a notebook.

1. A title, a row of names, rows, and a line about what is not shown. No more rows than `ROWS`.
2. A cell is as wide as its column allows: whoever makes it sends it through `excerpt`, and so does
   the grid.
3. In a notebook it takes its colours and its fonts from the page around it.
"""

from __future__ import annotations

import html as markup
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pylm_lab.trace.show.excerpt import columns, excerpt

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["ROWS", "Column", "Grid", "lasting", "many", "moment", "name_of", "unit", "units"]

#: Rows that are shown.
ROWS = 20


class Column(NamedTuple):
    """A column: what stands above it, how many columns of a terminal it may take, and on which side
    its cells stand.

    After an `arrow` the cell is where that of the column before leads to, if it begins with no
    bracket.
    """

    name: str
    width: int
    right: bool = False
    arrow: bool = False


class Grid(NamedTuple):
    """A table that is ready to be shown. `rest` tells of what is not."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    rest: str = ""

    def text(self) -> str:
        """A few lines, which are no wider than the columns allow."""
        lines = [self.title]
        if self.rows:
            cells = [[column.name for column in self.columns], *self._cells()]
            widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
            lines.append("")
            lines += [self._line(line, widths, head=not n) for n, line in enumerate(cells)]
        if self.rest:
            lines.append(self.rest)
        return "\n".join(lines)

    def _line(self, cells: list[str], widths: list[int], *, head: bool) -> str:
        parts: list[str] = []
        for cell, width, column in zip(cells, widths, self.columns, strict=True):
            space = " " * (width - columns(cell))
            part = space + cell if column.right else cell + space
            if column.arrow:
                crosses = not head and cell and not cell.startswith("(")
                parts[-1] += f" {'→' if crosses else ' '} {part}"
            else:
                parts.append(part)
        return "  ".join(parts).rstrip()

    def html(self) -> str:
        """The same as a table of HTML; one line if there are no rows."""
        title = markup.escape(self.title)
        if not self.rows:
            return f"<p>{title}</p>"
        aligned = [f' style="text-align: {"right" if c.right else "left"}"' for c in self.columns]
        head = "".join(
            f'<th scope="col"{style}>{markup.escape(column.name)}</th>'
            for column, style in zip(self.columns, aligned, strict=True)
        )
        body = []
        for row in self._cells():
            # A text of foreign letters may run from right to left; it must not take its row along.
            cells = [f"<bdi>{markup.escape(cell)}</bdi>" for cell in row]
            tags = [(' scope="row"', "th"), *[("", "td")] * (len(cells) - 1)]
            body.append(
                "<tr>"
                + "".join(
                    f"<{tag}{scope}{style}>{cell}</{tag}>"
                    for cell, style, (scope, tag) in zip(cells, aligned, tags, strict=True)
                )
                + "</tr>"
            )
        more = f'\n<p style="opacity: 0.7">{markup.escape(self.rest)}</p>' if self.rest else ""
        caption = f'<caption style="caption-side: top; text-align: left">{title}</caption>'
        return "\n".join(
            [
                f"<table>{caption}",
                f"<thead><tr>{head}</tr></thead>",
                "<tbody>",
                *body,
                f"</tbody></table>{more}",
            ]
        )

    def _cells(self) -> list[list[str]]:
        return [
            [excerpt(cell, column.width) for cell, column in zip(row, self.columns, strict=True)]
            for row in self.rows[:ROWS]
        ]


def many(count: int, what: str) -> str:
    """So many of them: `1 hop`, `2 hops`, `1,000 hops`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def unit(trace: Trace) -> str:
    """What stands above a column of times."""
    return "step" if trace.clock == "step" else "µs"


def units(trace: Trace) -> Literal["steps", "µs"]:
    """What times are told in, within a sentence."""
    return "steps" if trace.clock == "step" else "µs"


def moment(trace: Trace, at: int) -> str:
    """A time of the trace's clock, in a table: a step, or microseconds."""
    return str(at) if trace.clock == "step" else f"{at / 1000:,.1f}"


def lasting(trace: Trace, time: float) -> str:
    """How long something lasted, with its unit: `3 steps`, `12.5 µs`."""
    if trace.clock == "step":
        whole = f"{time:,.0f}" if float(time).is_integer() else f"{time:,.1f}"
        return f"{whole} step" if whole in ("1", "-1") else f"{whole} steps"
    return f"{time / 1000:,.1f} µs"


def name_of(trace: Trace, actor: str, width: int = 16) -> str:
    """What a table calls an actor; `?` where it is not known."""
    return excerpt(trace.labels.get(actor, actor) or "?", width, middle=True)
