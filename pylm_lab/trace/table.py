"""Table: how a trace shows itself, in a terminal and in a notebook.

1. The first hops of messages and faults that end actors, one a line, below one line that says what
   the trace is.
2. However long the trace, no more is read than what is shown needs.
3. Everything that a program put into a message goes through `excerpt`.
"""

from __future__ import annotations

import html as markup
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pylm_lab.trace.excerpt import columns, excerpt
from pylm_lab.trace.records import Event, Hop

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["html", "text"]

#: Hops that are shown.
ROWS = 20
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


class _Column(NamedTuple):
    name: str
    width: int
    right: bool = False


#: What a fault has done to a message that went on.
_DONE: dict[str, str] = {
    "delay": "held back",
    "reorder": "held back",
    "duplicate": "doubled",
    "corrupt": "changed",
}

_COLUMNS = (
    _Column("", 14, right=True),
    _Column("message", 9),
    _Column("from", 16),
    _Column("to", 28),
    _Column("function", 20),
    _Column("payload", 24),
    _Column("bytes", 16, right=True),
)


def text(trace: Trace) -> str:
    """The trace in a few lines of at most 140 columns."""
    rows, rest = _rows(trace)
    lines = [_title(trace)]
    if rows:
        names = [column.name or _unit(trace) for column in _COLUMNS]
        cells = [names, *([*row] for row in rows)]
        widths = [max(columns(line[n]) for line in cells) for n in range(len(names))]
        lines.append("")
        for line in cells:
            parts = [
                " " * (width - columns(cell)) + cell
                if column.right
                else cell + " " * (width - columns(cell))
                for cell, width, column in zip(line, widths, _COLUMNS, strict=True)
            ]
            crosses = line is not names and line[3] and not line[3].startswith("(")
            parts[2:4] = [f"{parts[2]} {'→' if crosses else ' '} {parts[3]}"]
            lines.append("  ".join(parts).rstrip())
    if rest:
        lines.append(rest)
    return "\n".join(lines)


def html(trace: Trace) -> str:
    """The same as a table that takes its colours and its fonts from the page around it."""
    rows, rest = _rows(trace)
    title = markup.escape(_title(trace))
    if not rows:
        return f"<p>{title}</p>"
    names = [column.name or _unit(trace) for column in _COLUMNS]
    aligned = [f' style="text-align: {"right" if c.right else "left"}"' for c in _COLUMNS]
    head = "".join(
        f'<th scope="col"{style}>{markup.escape(name)}</th>'
        for name, style in zip(names, aligned, strict=True)
    )
    body = []
    for row in rows:
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
    more = f'\n<p style="opacity: 0.7">{markup.escape(rest)}</p>' if rest else ""
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


def _unit(trace: Trace) -> str:
    return "step" if trace.clock == "step" else "µs"


def _title(trace: Trace) -> str:
    events = _many(len(trace.events), "event")
    of = _many(sum(not name.startswith("r") for name in trace.numbers.values()), "message")
    if len(trace.events) <= READ:
        hops = sum(hop.kind == "message" for hop in trace.hops)
        of = f"{_many(hops, 'hop')} of {of}"
    unit = "steps" if trace.clock == "step" else "nanoseconds"
    if trace.forgotten:
        events += f" ({trace.forgotten:,} earlier ones forgotten)"
    what = f"Trace: {events}, {of}, {_many(len(trace.actors), 'actor')}, {trace.how} ({unit})"
    return excerpt(f"{what}, scenario {trace.scenario}" if trace.scenario else what, 140)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


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
    return _Row(excerpt(_time(trace, event), _COLUMNS[0].width), "", name, does, "", "", "")


def _row(trace: Trace, hop: Hop, note: str, *, whole: bool) -> _Row:
    event = trace.events[hop.begins]
    names = [
        excerpt(trace.labels.get(end, end) or "?", _COLUMNS[2].width, middle=True)
        for end in hop.link
    ]
    cells = (
        _time(trace, event),
        trace.numbers.get(hop.message, ""),
        names[0],
        names[1] + note + _end(trace, hop, whole=whole),
        event.function,
        event.excerpt,
        "+".join(map(str, event.sizes)),
    )
    return _Row(*map(excerpt, cells, (column.width for column in _COLUMNS)))


def _time(trace: Trace, event: Event) -> str:
    return str(event.at) if trace.clock == "step" else f"{event.at / 1000:,.1f}"


def _end(trace: Trace, hop: Hop, *, whole: bool) -> str:
    """How a hop ended, if not by being received."""
    if hop.dropped is not None:
        what = "given up" if hop.received is not None else "lost"
        return f" ({what}: {trace.events[hop.dropped].text})"
    return "" if hop.received is not None or not whole else " (not received)"
