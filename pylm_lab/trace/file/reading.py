"""Reading: the lines of a trace file into a trace.

`store` documents the format. `lines` tells what is asked of a line by itself; here is what is asked
of it among the others, and of all together. What is wrong is a `Fault` that names the value and the
mend.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from io import BufferedReader
from typing import Any

import numpy as np

from pylm_lab.hook import Actor, Decision, Port, Route
from pylm_lab.trace.builder import Columns
from pylm_lab.trace.file.blocks import Blocks
from pylm_lab.trace.file.lines import (
    ACTOR,
    DECISION,
    END,
    EVENT,
    LONGEST,
    PORT,
    ROUTE,
    Broken,
    End,
    Header,
    header,
    in_line,
)
from pylm_lab.trace.file.schema import Fault, shown
from pylm_lab.trace.hops.order import merged
from pylm_lab.trace.records import HOPS, Event
from pylm_lab.trace.trace import Trace

__all__ = ["Reading"]

#: Bytes that are read at once.
_BLOCK = 1 << 16
_NO_PORT = frozenset({"start", "stop", "fail"})


class Reading:
    """A trace as far as it has been read."""

    def __init__(self) -> None:
        #: The number of the line that is being read.
        self.line = 0
        self._header: Header | None = None
        self._actors: dict[str, Actor] = {}
        self._ports: dict[str, Port] = {}
        self._routes: list[Route] = []
        self._decisions: list[Decision] = []
        self._end: End | None = None
        self._columns = Columns()
        self._blocks = Blocks(self._columns, self._decisions, self._agrees)
        self._takes = {
            "actor": self._actor,
            "port": self._port,
            "route": self._route,
            "event": self._event,
            "decision": self._decision,
        }

    def read(self, file: BufferedReader | gzip.GzipFile) -> None:
        """Read it all, block by block."""
        #: What is there of a line whose end is not.
        begun: list[bytes] = []
        size = 0
        # What is there, up to so much: what comes before damaged compression is read.
        while size <= LONGEST and (block := file.read1(_BLOCK)):
            whole = block.rfind(b"\n") + 1
            if whole:
                self._block(b"".join((*begun, block[:whole])))
                begun, size = [], 0
            begun.append(block[whole:])
            size += len(begun[-1])
        if size:
            self._last(b"".join(begun))

    def trace(self) -> Trace:
        """What was read, if that is all."""
        told = self._header
        if told is None:
            raise Fault("it is empty. Give the name of a file that Trace.save wrote")
        if told.lines is not None and self.line - 1 != told.lines:
            raise Fault(
                f"the file ends here, but its header announces {told.lines} lines after it, and"
                f" there are {self.line - 1}. Copy the file again, or save the trace again"
            )
        for actor in told.cut:
            if actor not in self._actors:
                raise Fault(
                    f"the header's `cut` names {shown(actor)}, but no line declares an actor of"
                    " this id. Correct the id, or declare the actor"
                )
        trace = Trace(
            actors=tuple(self._actors.values()),
            ports=tuple(self._ports.values()),
            routes=tuple(self._routes),
            events=self._columns.events(),
            schedule=told.schedule,
            seed=told.seed,
            clock=told.clock,
            scenario=told.scenario,
            options=told.options,
            decisions=tuple(self._decisions),
            forgotten=told.forgotten,
            cut=told.cut if told.lines is not None or self._end else tuple(self._actors),
            left_out=told.left_out,
            called=told.called,
        )
        return trace if told.lines is not None else _ordered(trace)

    # Lines

    def _block(self, data: bytes) -> None:
        """Read whole lines."""
        if self._header is None:
            first, _, data = data.partition(b"\n")
            self.line = 1
            self._header = header(first + b"\n")
        most = self._header.lines
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        if (
            not text
            or len(data) > LONGEST
            or (most is not None and self.line - 1 + text.count("\n") > most)
        ):
            for line in data.split(b"\n")[:-1]:
                self._line(line + b"\n")
            return
        for got in self._blocks.read(text):
            if isinstance(got, str):
                self._line(f"{got}\n".encode())
                continue
            self.line += got
            if self._end:
                raise _after_end()

    def _last(self, data: bytes) -> None:
        """Read a last line that has no end: in a journal it may have been cut off."""
        journal = self._header is not None and self._header.lines is None
        try:
            self._line(data)
        except Broken:
            if not journal:
                raise
            self.line -= 1

    def _line(self, data: bytes) -> None:
        self.line += 1
        if self._header is None:
            self._header = header(data)
            return
        most = self._header.lines
        if most is not None and self.line - 1 > most:
            raise Fault(
                f"the header announces {most} lines after it, and this is one more. Mend its"
                " `lines`, or save the trace again"
            )
        if self._end:
            raise _after_end()
        record = in_line(data)
        name = record.pop("is", None)
        if most is None and name == "end":
            self._ends(END.read(record))
            return
        take = self._takes.get(name) if isinstance(name, str) else None
        if take is None:
            raise Fault(
                f"`is` is {shown(name)}. It says what the line is: {', '.join(self._takes)}"
                f"{', end' * (most is None)}"
            )
        take(record)

    def _ends(self, end: End) -> None:
        if end.lines != self.line - 2:
            raise Fault(
                f"`lines` is {end.lines}, but {self.line - 2} lines lie between the header and this"
                " one. Copy the file again"
            )
        self._end = end

    def _actor(self, record: dict[str, Any]) -> None:
        actor = ACTOR.read(record)
        if actor.id in self._actors:
            raise Fault(f"a second actor has the id {shown(actor.id)}. Ids are unique: rename one")
        self._actors[actor.id] = actor
        self._columns.actors.code(actor.id)

    def _port(self, record: dict[str, Any]) -> None:
        port = PORT.read(record)
        if port.id in self._ports:
            raise Fault(f"a second port has the id {shown(port.id)}. Ids are unique: rename one")
        self._known("actor", port.actor)
        self._ports[port.id] = port
        self._columns.ports.code(port.id)

    def _route(self, record: dict[str, Any]) -> None:
        route = ROUTE.read(record)
        self._known("source", route.source)
        self._known("target", route.target)
        self._routes.append(route)

    def _event(self, record: dict[str, Any]) -> None:
        event = EVENT.read(record)
        self._agrees(event)
        self._columns.add(event)

    def _agrees(self, event: Event) -> None:
        """Hold it to what is declared, and its fields to each other."""
        self._known("actor", event.actor)
        if event.port:
            port = self._ports.get(event.port)
            if port is None:
                raise Fault(
                    f"`port` is {shown(event.port)}, which no line above declares. Correct the id,"
                    " or declare the port"
                )
            if port.actor != event.actor:
                raise Fault(
                    f"port {shown(event.port)} is one of {shown(port.actor)}, not of"
                    f" {shown(event.actor)}. Correct `port` or `actor`"
                )
        strikes = event.what == "fault"
        _fits("fault", event.what, has=bool(event.fault), needs=strikes)
        if strikes and bool(event.port) is not bool(event.kind):
            raise Fault(
                "a fault has `port` and `kind` where it acts on frames, and neither where it acts"
                " on the actor. Correct one of them"
            )
        if not strikes:
            _fits("port", event.what, has=bool(event.port), needs=event.what not in _NO_PORT)
            _fits("kind", event.what, has=bool(event.kind), needs=event.what in HOPS)

    def _decision(self, record: dict[str, Any]) -> None:
        # A caller's thread takes turns too, and no line declares it.
        self._decisions.append(DECISION.read(record))

    def _known(self, field: str, actor: str) -> None:
        if actor not in self._actors:
            raise Fault(
                f"`{field}` is {shown(actor)}, but no line above declares an actor of this id."
                " Correct the id, or declare the actor"
            )


def _fits(field: str, what: str, *, has: bool, needs: bool) -> None:
    if has is not needs:
        verb = "needs" if needs else "has no"
        raise Fault(f"an event whose `what` is {shown(what)} {verb} `{field}`. Correct one of them")


def _ordered(trace: Trace) -> Trace:
    """What a journal tells, in one order: in the file each actor has its own."""
    events = merged(trace.columns, trace.ports, trace.actors, clock=trace.clock)
    first, last = (int(events.at[n]) for n in (0, -1)) if len(events) else (0, 0)
    if trace.clock == "ns" and first and last - first < 1 << 63:
        # It counts from what was written first, which may not have happened first.
        events = events.take(np.arange(len(events)), events.at - first)
    return replace(trace, events=events)


def _after_end() -> Fault:
    return Fault("the line above is the journal's end, and here is one more. Take one of them away")
