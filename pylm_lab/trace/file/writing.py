"""Writing: a trace into the lines of a trace file.

`store` documents the format. What comes again and again in the lines of events is written once, and
then looked up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from pylm_lab.hook import Decision
from pylm_lab.trace.columns import Events
from pylm_lab.trace.file.lines import (
    ACTOR,
    DECISION,
    FORMAT,
    HEADER,
    LONGEST,
    PORT,
    ROUTE,
    VERSION,
    Header,
)
from pylm_lab.trace.file.schema import Schema
from pylm_lab.trace.tables import FAULTS, KINDS, WHATS, Tables
from pylm_lab.trace.trace import Trace

__all__ = ["about", "encode", "events", "line", "lines"]

T = TypeVar("T")

#: Events that are written together.
_CHUNK = 4096
#: Of the pieces that differ most, so many are remembered at the most.
_KNOWN = 50_000
#: Messages of a part whose numbers in the whole are written down: a header is one line, and ids may
#: be of any length.
_CALLED = 100_000


encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def lines(trace: Trace) -> Iterator[bytes]:
    """The whole file, in pieces of whole lines."""
    count = sum(map(len, (trace.actors, trace.ports, trace.routes, trace.events, trace.decisions)))
    yield about(trace, count)
    for name, schema, records in (
        ("actor", ACTOR, trace.actors),
        ("port", PORT, trace.ports),
        ("route", ROUTE, trace.routes),
    ):
        for record in records:
            yield line(name, schema, record)
    yield from events(trace.columns)
    yield from _decisions(trace.decisions)


def about(trace: Trace, count: int | None) -> bytes:
    """The header of a file with so many lines after it; of a journal, if that is not known."""
    header = Header(
        format=FORMAT,
        version=VERSION,
        schedule=trace.schedule,
        seed=trace.seed,
        clock=trace.clock,
        scenario=trace.scenario,
        lines=count,
        forgotten=trace.forgotten,
        options=dict(sorted(trace.options.items())),
        cut=trace.cut,
        left_out=trace.left_out,
        # A part's messages have the numbers of the whole; so many are no longer looked at by name.
        called=trace.numbers if trace.left_out and len(trace.numbers) <= _CALLED else {},
    )
    told = _ended(HEADER.write(header))
    return told if len(told) <= LONGEST else _ended(HEADER.write(replace(header, called={})))


def line(name: str, schema: Schema[Any], record: object) -> bytes:
    """The line of a record."""
    return _ended({"is": name, **schema.write(record)})


def _ended(record: dict[str, Any]) -> bytes:
    return f"{encode(record)}\n".encode("ascii")


def events(events: Events) -> Iterator[bytes]:
    """The lines of these events, many at once."""
    pieces = _Pieces(events.tables)
    count = len(events.tables.ports) + 1
    #: Of each content, and (at -1) of none.
    is_sized = np.append(events.contents.size >= 0, False)
    for begin in range(0, len(events), _CHUNK):
        some = events.take(np.arange(begin, min(begin + _CHUNK, len(events))))
        # Each key is a number that tells all that the piece depends on.
        who = some.actor.astype(np.int64) * count + (some.port + 1)
        heads = (who << 16) | (some.what.astype(np.int64) << 8) | some.kind
        content, envelope = some.content.astype(np.int64), some.envelope.astype(np.int64)
        both = ~((content + 1) << 32 | (envelope + 1))
        usual = is_sized[content]
        tails = (some.text.astype(np.int64) << 8) | some.fault
        yield "".join(
            [
                f'{{"is":"event","at":{at},{head}{said}{sizes}{size}{around}{tail}}}\n'
                for at, head, (said, size), (sizes, around), tail in zip(
                    some.at.tolist(),
                    map(pieces.heads.__getitem__, heads.tolist()),
                    map(pieces.contents.__getitem__, np.where(usual, content, both).tolist()),
                    map(pieces.envelopes.__getitem__, np.where(usual, envelope, -2).tolist()),
                    map(pieces.tails.__getitem__, tails.tolist()),
                    strict=True,
                )
            ]
        ).encode("ascii")


class _Known(dict[int, T]):
    """A piece of a line for each key; written when it is asked for the first time."""

    def __init__(self, write: Callable[[int], T]) -> None:
        self._write = write

    def __missing__(self, key: int) -> T:
        if len(self) >= _KNOWN:
            self.clear()
        self[key] = piece = self._write(key)
        return piece


class _Pieces:
    """What the lines of events are put together from.

    The sizes of the frames are told between what the last frame says and its excerpt. So what
    depends on the last frame is in two pieces, and so is what depends on those before it. Whatever
    has no last frame of a known size is in one piece, for both.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.heads = _Known(self._head)
        self.contents = _Known(self._content)
        self.envelopes = _Known(self._envelope)
        self.tails = _Known(self._tail)

    def _head(self, key: int) -> str:
        actor, port = divmod(key >> 16, len(self._tables.ports) + 1)
        head = f'"what":"{WHATS[key >> 8 & 255]}","actor":{encode(self._tables.actors[actor])}'
        if port:
            head += f',"port":{encode(self._tables.ports[port - 1])}'
        return head + _may("kind", KINDS[key & 255])

    def _content(self, key: int) -> tuple[str, str]:
        if key < 0:
            return self._unusual((~key >> 32) - 1, (~key & 0xFFFFFFFF) - 1), ""
        said, size, excerpt = self._says(key)
        return said, f"{size}]{excerpt}"

    def _envelope(self, key: int) -> tuple[str, str]:
        if key == -2:
            return "", ""
        sizes, around = self._stands(key)
        return f',"sizes":[{"".join(f"{size}," for size in sizes)}', around

    def _unusual(self, content: int, envelope: int) -> str:
        """Whatever is told of the frames, where there is no last one of a known size."""
        said, _, excerpt = self._says(content)
        sizes, around = self._stands(envelope)
        told = f',"sizes":[{",".join(map(str, sizes))}]' if sizes else ""
        return f"{said}{told}{excerpt}{around}"

    def _says(self, content: int) -> tuple[str, int, str]:
        """What the last frame says, its size, and its excerpt."""
        if content < 0:
            return "", -1, ""
        _, _, ids, texts, contents, _ = self._tables
        message, parent, clock, stage, function, excerpt, size = (
            column.item(content) for column in contents
        )
        said = _may("message", ids[message]) + _may("parent", ids[parent])
        said += (f',"clock":{clock}' if clock else "") + (f',"stage":{stage}' if stage else "")
        return said + _may("function", texts[function]), size, _may("excerpt", texts[excerpt])

    def _stands(self, envelope: int) -> tuple[tuple[int, ...], str]:
        """The sizes of the frames before the last, and what they say."""
        if envelope < 0:
            return (), ""
        texts, rows = self._tables.texts, self._tables.envelopes
        around = _may("peer", texts[rows.peer.item(envelope)])
        return rows.sizes[envelope], around + _may("topic", texts[rows.topic.item(envelope)])

    def _tail(self, key: int) -> str:
        return _may("text", self._tables.texts[key >> 8]) + _may("fault", FAULTS[key & 255])


def _may(field: str, text: str) -> str:
    """The field, unless it has its default."""
    return f',"{field}":{encode(text)}' if text else ""


def _decisions(decisions: Iterable[Decision]) -> Iterator[bytes]:
    """The lines of these decisions."""
    known: dict[tuple[str, str, str, str], str] = {}
    for chosen in decisions:
        key = chosen.kind, chosen.actor, chosen.port, chosen.text
        piece = known.get(key)
        if piece is None:
            if len(known) >= _KNOWN:
                known.clear()
            more = {**DECISION.write(chosen), "at": 0}
            piece = known[key] = encode(more).removeprefix('{"at":0')
        yield f'{{"is":"decision","at":{chosen.at}{piece}\n'.encode("ascii")
