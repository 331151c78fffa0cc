"""Table: how a trace shows itself, in a terminal and in a notebook.

1. The first hops of messages and faults that end actors, one a line, below one line that says what
   the trace is.
2. However long the trace, no more is read than what is shown needs.
3. Everything that a program put into a message goes through `excerpt`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pylm_lab.trace.records import Event, Hop
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.show.gaps import early, ended
from pylm_lab.trace.show.grid import ROWS, Column, Grid, many, moment, unit

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["html", "text"]

#: Events that are read for them. A longer trace is not counted hop by hop only to be shown.
READ = 50_000


class _Row(NamedTuple):
    """What is told of a hop."""

    at: str
    message: str
    source: str
    target: str
    function: str
    payload: str
    sizes: str


#: What a fault has done to a message that went on.
_DONE: dict[str, str] = {
    "delay": "held back",
    "reorder": "held back",
    "duplicate": "doubled",
    "corrupt": "changed",
}

_COLUMNS = (
    Column("", 14, right=True),
    Column("message", 9),
    Column("from", 16),
    Column("to", 28, arrow=True),
    Column("function", 20),
    Column("payload", 24),
    Column("bytes", 16, right=True),
)


def text(trace: Trace) -> str:
    """The trace in a few lines of at most 140 columns."""
    return _grid(trace).text()


def html(trace: Trace) -> str:
    """The same as a table that takes its colours and its fonts from the page around it."""
    return _grid(trace).html()


def _grid(trace: Trace) -> Grid:
    rows, rest = _rows(trace)
    shown = list(range(len(_COLUMNS)))
    if not any(row.message or row.function for row in rows):
        # What a program sends through its own sockets has neither.
        shown = [n for n in shown if _COLUMNS[n].name not in ("message", "function")]
    names = (Column(unit(trace), 14, right=True), *_COLUMNS[1:])
    cells = [[row[n] for n in shown] for row in rows]
    return Grid(_title(trace), [names[n] for n in shown], cells, rest)


def _title(trace: Trace) -> str:
    events = many(len(trace.events), "event")
    messages = sum(not name.startswith("r") for name in trace.numbers.values())
    of = many(messages, "message")
    if len(trace.events) <= READ:
        hops = sum(hop.kind == "message" for hop in trace.hops)
        # Those of a program's own sockets have no ids by which to count messages; and a part may
        # have none of messages.
        if messages or not len(trace.hops):
            of = f"{many(hops, 'hop')} of {of}"
        else:
            of = many(hops or len(trace.hops), "hop")
    told = "steps" if trace.clock == "step" else "nanoseconds"
    if trace.forgotten:
        events += f" ({trace.forgotten:,} earlier ones forgotten)"
    if trace.left_out:
        events += f" ({trace.left_out:,} more left out)"
    what = f"Trace: {events}, {of}, {many(len(trace.actors), 'actor')}, {trace.how} ({told})"
    title = excerpt(f"{what}, scenario {trace.scenario}" if trace.scenario else what, 140)
    return f"{title}\n({excerpt(ended(early(trace)), 138)})" if trace.cut else title


def _rows(trace: Trace) -> tuple[list[_Row], str]:
    """What is shown, and a line about the rest."""
    whole = len(trace.events) <= READ
    part = trace if whole else replace(trace, events=trace.events[:READ])
    notes: dict[int, list[str]] = defaultdict(list)
    for fault, struck in part.struck.items():
        event = part.events[fault]
        if event.fault in _DONE:
            notes[struck].append(f" ({_DONE[event.fault]}: {event.text})")
    told: list[tuple[int, _Row | int]] = []
    for n, hop in enumerate(part.hops):
        if hop.kind == "message":
            told.append((hop.begins, n))
        if hop.received in part.faults.doubled:
            notes[n].append(" (once more)")
    told += [
        (n, _struck(trace, event))
        for n, event in enumerate(part.events)
        if event.what == "fault" and not event.port
    ]
    told.sort(key=lambda each: each[0])
    rows = [
        _row(trace, part.hops[what], "".join(notes[what]), whole=whole)
        if isinstance(what, int)
        else what
        for _, what in told[:ROWS]
    ]
    if not whole:
        return rows, "… and many more: trace.hops has them all"
    left = len(told) - len(rows)
    return rows, f"… {left:,} more" if left else ""


def _struck(trace: Trace, event: Event) -> _Row:
    """A fault that acts on an actor."""
    name = excerpt(trace.labels.get(event.actor, event.actor), _COLUMNS[2].width, middle=True)
    does = excerpt(f"({event.fault}: {event.text})", _COLUMNS[3].width)
    return _Row(excerpt(moment(trace, event.at), _COLUMNS[0].width), "", name, does, "", "", "")


def _row(trace: Trace, hop: Hop, note: str, *, whole: bool) -> _Row:
    event = trace.events[hop.begins]
    names = [
        excerpt(trace.labels.get(end, end) or "?", _COLUMNS[2].width, middle=True)
        for end in hop.link
    ]
    cells = (
        moment(trace, event.at),
        trace.numbers.get(hop.message, ""),
        names[0],
        names[1] + note + _end(trace, hop, whole=whole),
        event.function,
        event.excerpt,
        "+".join(map(str, event.sizes)),
    )
    return _Row(*map(excerpt, cells, (column.width for column in _COLUMNS)))


def _end(trace: Trace, hop: Hop, *, whole: bool) -> str:
    """How a hop ended, if not by being received."""
    if hop.dropped is not None:
        what = "given up" if hop.received is not None else "lost"
        return f" ({what}: {trace.events[hop.dropped].text})"
    return "" if hop.received is not None or not whole else " (not received)"
