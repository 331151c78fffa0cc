"""Space and time: a column for each actor, a row for each thing that one of them did.

1. Rows come in causal order, so a message is sent above the row in which it is received.
2. Only the rows that are shown are read one by one, however long the trace is.
3. An arrow is a word: `→ server` is sent to it, `← asker` has come from it. Everything that a
   program put into a message goes through `excerpt`.
"""

from __future__ import annotations

import html as markup
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pylm_lab.trace.records import Event, Hop
from pylm_lab.trace.show.excerpt import columns, excerpt
from pylm_lab.trace.show.gaps import gaps
from pylm_lab.trace.show.grid import many, moment, unit
from pylm_lab.trace.tables import KINDS, Flags, Positions

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["SpaceTime"]

#: Columns of a terminal that a table takes, where its actors leave them that much.
WIDTH = 140
#: How wide a cell may be; the first that lets all of them stand side by side.
_CELLS = (44, 32, 24, 20)
_NAME, _PAYLOAD, _CAUSE, _TIME = 16, 28, 60, 14
_ASIDE = (KINDS.index("credit"), KINDS.index("ready"))
_LINE = "border-left: 1px solid rgba(128, 128, 128, 0.5)"
_PAD = "padding: 0.1em 0.6em; text-align: left"


class _Row(NamedTuple):
    at: str
    actor: str
    cell: str


@dataclass(frozen=True)
class SpaceTime:
    """Who did what, in which order: a table for a terminal (`str`) and for a notebook.

    It shows `rows` rows of a trace's sends, receives, drops, faults and failures, from the one on
    that is numbered `first` (from 0). Acknowledgements inside servers, and echoes of subscriptions,
    are none of them.
    """

    trace: Trace
    first: int = 0
    rows: int = 40

    def __post_init__(self) -> None:
        for name, least in (("first", 0), ("rows", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r}: a number of rows, at least {least}")

    def __len__(self) -> int:
        """How many rows there are, shown or not."""
        return len(self._all)

    def __str__(self) -> str:
        head = [unit(self.trace), *(excerpt(self._names[a], _NAME, middle=True) for a in self._who)]
        lines = [self._title]
        if self._shown:
            width = next((w for w in _CELLS if self._width(w) <= WIDTH), _CELLS[-1])
            body = [
                [row.at, *(excerpt(row.cell, width) if a == row.actor else "│" for a in self._who)]
                for row in self._shown
            ]
            widths = [max(map(columns, cells)) for cells in zip(head, *body, strict=True)]
            lines.append("")
            for time, *cells in (head, *body):
                padded = [
                    cell + " " * (w - columns(cell))
                    for cell, w in zip(cells, widths[1:], strict=True)
                ]
                lines.append("  ".join([time.rjust(widths[0]), *padded]).rstrip())
        return "\n".join([*lines, *self._rest])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title = markup.escape(self._title)
        if not self._shown:
            return "\n".join(f"<p>{markup.escape(line)}</p>" for line in (self._title, *self._rest))
        names = [unit(self.trace), *(self._names[actor] for actor in self._who)]
        head = "".join(
            f'<th scope="col" style="{_PAD}{f"; {_LINE}" if n else ""}">'
            f"<bdi>{markup.escape(excerpt(name))}</bdi></th>"
            for n, name in enumerate(names)
        )
        body = []
        for row in self._shown:
            cells = "".join(
                f'<td style="{_PAD}; {_LINE}">'
                + (f"<bdi>{markup.escape(row.cell)}</bdi>" if actor == row.actor else "")
                + "</td>"
                for actor in self._who
            )
            time = f'<th scope="row" style="{_PAD}; text-align: right">{row.at}</th>'
            body.append(f"<tr>{time}{cells}</tr>")
        rest = [f'<p style="opacity: 0.7">{markup.escape(line)}</p>' for line in self._rest]
        # On a narrow page the table is moved sideways, not the page.
        return "\n".join(
            [
                '<div style="overflow-x: auto; max-width: 100%">',
                '<table style="border-collapse: collapse; white-space: nowrap">',
                f'<caption style="caption-side: top; text-align: left">{title}</caption>',
                f"<thead><tr>{head}</tr></thead>",
                "<tbody>",
                *body,
                "</tbody></table></div>",
                *rest,
            ]
        )

    # What is shown

    @cached_property
    def _all(self) -> Positions:
        """The positions of the events that are rows."""
        events = self.trace.columns
        found = events.are("send", "receive", "drop", "fault", "fail")
        return np.flatnonzero(found & ~self._left_out).astype(np.int32)

    @cached_property
    def _left_out(self) -> Flags:
        return np.isin(self.trace.columns.kind, _ASIDE)

    @cached_property
    def _chosen(self) -> list[int]:
        chosen: list[int] = self._all[self.first : self.first + self.rows].tolist()
        return chosen

    @cached_property
    def _hops(self) -> dict[int, list[Hop]]:
        """Position of each event that is shown → its hops."""
        found: dict[int, list[Hop]] = defaultdict(list)
        hops = self.trace.hops
        for ends in (hops.sent, hops.received, hops.dropped):
            for n in np.flatnonzero(np.isin(ends, self._chosen)).tolist():
                found[ends.item(n)].append(hops[n])
        return found

    @cached_property
    def _shown(self) -> list[_Row]:
        events = self.trace.events
        return [self._row(n, events[n]) for n in self._chosen]

    @cached_property
    def _who(self) -> list[str]:
        """The actors that have a column: who acts, or could have, in what is shown."""
        seen = {row.actor for row in self._shown}
        seen.update(end for hops in self._hops.values() for hop in hops for end in hop.link)
        return [actor.id for actor in self.trace.actors if actor.id in seen]

    @cached_property
    def _names(self) -> dict[str, str]:
        return self.trace.labels

    def _width(self, cell: int) -> int:
        """How wide it is where a cell may be as wide as this."""
        widest: dict[str, int] = {actor: columns(self._names[actor]) for actor in self._who}
        for row in self._shown:
            widest[row.actor] = max(widest[row.actor], columns(row.cell))
        times = max(columns(row.at) for row in self._shown)
        return times + sum(min(width, cell) + 2 for width in widest.values())

    @property
    def _title(self) -> str:
        if not len(self):
            return "Space and time: nothing was sent or received"
        end = self.first + len(self._chosen)
        told = f"rows {self.first + 1:,} to {end:,} of {len(self):,}"
        if not self._chosen:
            told = f"{many(len(self), 'row')}, and none from the {self.first:,}th on"
        elif len(self._chosen) == len(self):
            told = many(len(self), "row")
        return f"Space and time: {told}, {many(len(self._who), 'actor')}, {self.trace.how}"

    @property
    def _rest(self) -> list[str]:
        end = self.first + len(self._chosen)
        lines = []
        if self._chosen and end < len(self):
            lines.append(f"… {len(self) - end:,} more: trace.spacetime(first={end})")
        hidden = int(np.count_nonzero(self._left_out & self.trace.columns.are("send", "receive")))
        if hidden:
            lines.append(f"{hidden:,} rows of acknowledgements and echoes are left out.")
        return [*lines, *gaps(self.trace)]

    # A row in words

    def _row(self, n: int, event: Event) -> _Row:
        at = excerpt(moment(self.trace, event.at), _TIME)
        return _Row(at, event.actor, self._told(n, event))

    def _told(self, n: int, event: Event) -> str:
        cause = excerpt(event.text, _CAUSE)
        if event.what == "fail":
            return f"! failed: {cause}"
        if event.what == "fault":
            return f"! {event.fault}: {cause}"
        what = self._what(event)
        if event.what == "drop":
            return f"✗ {what}: {cause}"
        hops = self._hops.get(n, [])
        if event.what == "receive":
            return f"← {self._called(hop.source for hop in hops)}: {what}"
        ends = [self._called([hop.target]) + self._end(hop) for hop in hops]
        return f"→ {', '.join(ends) or '?'}: {what}"

    def _called(self, actors: Iterable[str]) -> str:
        names = [self._names.get(actor, actor) for actor in actors]
        return ", ".join(excerpt(name, _NAME, middle=True) for name in names if name) or "?"

    def _end(self, hop: Hop) -> str:
        if hop.received is not None:
            return ""
        return " (not received)" if hop.dropped is None else " (lost)"

    def _what(self, event: Event) -> str:
        """What crosses: its number, where it has one, and how its payload begins."""
        number = self.trace.numbers.get(event.message, "")
        payload = f'"{excerpt(event.excerpt, _PAYLOAD)}"'
        if event.kind == "answer":
            return f"answer {payload}"
        return f"{number} {payload}" if number else payload
