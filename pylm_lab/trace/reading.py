"""Reading: the lines of a trace file, one by one, into a trace.

`store` documents the format. Here is what is asked of each line; what is wrong is a `Fault` that
names the value and the mend.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import IO, Any, Literal, NoReturn

from pylm_lab.hook import Actor, Decision, Port, Route
from pylm_lab.trace.records import HOPS, Event
from pylm_lab.trace.schema import Fault, Schema, shown
from pylm_lab.trace.trace import Trace

__all__ = [
    "ACTOR",
    "DECISION",
    "EVENT",
    "FORMAT",
    "HEADER",
    "PORT",
    "ROUTE",
    "VERSION",
    "Header",
    "Reading",
]

FORMAT = "pylm_lab trace"
VERSION = 1

#: Bytes of the longest line that is read.
LONGEST = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line."""

    format: str
    version: int
    schedule: str
    seed: int | None
    clock: Literal["ns", "step"]
    scenario: str
    lines: int
    forgotten: int = 0
    options: dict[str, int] = field(default_factory=dict)


HEADER, ACTOR, PORT = Schema(Header), Schema(Actor), Schema(Port)
ROUTE, EVENT, DECISION = Schema(Route), Schema(Event), Schema(Decision)
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
        self._events: list[Event] = []
        self._decisions: list[Decision] = []

    def read(self, file: IO[bytes] | gzip.GzipFile) -> None:
        """Read it all, line by line."""
        takes = {
            "actor": self._actor,
            "port": self._port,
            "route": self._route,
            "event": self._event,
            "decision": self._decision,
        }
        while data := file.readline(LONGEST + 1):
            self.line += 1
            if self._header is None:
                self._header = _header(data)
                continue
            if self.line - 1 > self._header.lines:
                raise Fault(
                    f"the header announces {self._header.lines} lines after it, and this is one"
                    " more. Mend its `lines`, or save the trace again"
                )
            record = _object(data)
            name = record.pop("is", None)
            take = takes.get(name) if isinstance(name, str) else None
            if take is None:
                raise Fault(f"`is` is {shown(name)}. It says what the line is: {', '.join(takes)}")
            take(record)

    def trace(self) -> Trace:
        """What was read, if that is all."""
        header = self._header
        if header is None:
            raise Fault("it is empty. Give the name of a file that Trace.save wrote")
        if self.line - 1 != header.lines:
            raise Fault(
                f"the file ends here, but its header announces {header.lines} lines after it, and"
                f" there are {self.line - 1}. Copy the file again, or save the trace again"
            )
        return Trace(
            actors=tuple(self._actors.values()),
            ports=tuple(self._ports.values()),
            routes=tuple(self._routes),
            events=tuple(self._events),
            schedule=header.schedule,
            seed=header.seed,
            clock=header.clock,
            scenario=header.scenario,
            options=header.options,
            decisions=tuple(self._decisions),
            forgotten=header.forgotten,
        )

    def _actor(self, record: dict[str, Any]) -> None:
        actor = ACTOR.read(record)
        if actor.id in self._actors:
            raise Fault(f"a second actor has the id {shown(actor.id)}. Ids are unique: rename one")
        self._actors[actor.id] = actor

    def _port(self, record: dict[str, Any]) -> None:
        port = PORT.read(record)
        if port.id in self._ports:
            raise Fault(f"a second port has the id {shown(port.id)}. Ids are unique: rename one")
        self._known("actor", port.actor)
        self._ports[port.id] = port

    def _route(self, record: dict[str, Any]) -> None:
        route = ROUTE.read(record)
        self._known("source", route.source)
        self._known("target", route.target)
        self._routes.append(route)

    def _event(self, record: dict[str, Any]) -> None:
        event = EVENT.read(record)
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
        self._events.append(event)

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


def _object(data: bytes) -> dict[str, Any]:
    """The JSON object in a line."""
    if len(data) > LONGEST:
        raise Fault(f"it has more than {LONGEST:,} bytes. No line of a trace has: was it damaged?")
    try:
        value = _decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Fault(
            f"byte {error.start + 1} is {data[error.start]:#04x}, which is no UTF-8. Was the file"
            " changed by a program that writes another encoding?"
        ) from error
    except json.JSONDecodeError as error:
        raise Fault(
            f"it is no JSON ({error.msg} at character {error.colno} of {shown(error.doc)})."
            " Mend the line, or save the trace again"
        ) from error
    except ValueError as error:  # the one that Python has for such a number
        raise Fault(
            "a number in it has thousands of digits. Mend the line, or save the trace again"
        ) from error
    if not isinstance(value, dict):
        raise Fault(f"it is {shown(value)}, but every line of a trace is a JSON object")
    return value


def _object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise Fault("a field comes twice. Take one of the two away")
    return record


def _no_number(name: str) -> NoReturn:
    raise Fault(f"{name} is no JSON. Write a number")


_decode = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_object_once).decode


def _header(data: bytes) -> Header:
    """The first line."""
    mend = "Give the name of a file that Trace.save wrote"
    try:
        header = _object(data)
    except Fault as fault:
        raise Fault(f"this is no trace: {fault}. {mend}") from fault.__cause__
    if header.get("format") != FORMAT:
        raise Fault(
            f"this is no trace: `format` is {shown(header.get('format'))}, not {shown(FORMAT)}."
            f" {mend}"
        )
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise Fault(f"`version` is {shown(version)}, which was never a version. {mend}")
    if version > VERSION:
        raise Fault(
            f"the trace is of version {shown(version)} of the format, and this pylm_lab reads only"
            f" {VERSION}. It was written by a newer one: update with"
            " `python -m pip install --upgrade pylm-lab`"
        )
    return HEADER.read(header)
