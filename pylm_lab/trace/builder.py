"""Builder: events are written down as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from pylm_lab.trace.columns import Events
from pylm_lab.trace.pool import Pool
from pylm_lab.trace.records import Event
from pylm_lab.trace.tables import FAULT_CODES, KIND_CODES, Contents, Envelopes, Tables, code

__all__ = ["Columns", "columns_of"]


def columns_of(
    events: Iterable[Event], actors: Iterable[str] = (), ports: Iterable[str] = ()
) -> Events:
    """These events; `actors` and `ports` are the ids that were declared."""
    actors, ports = list(actors), list(ports)
    if isinstance(events, Events):
        tables = events.tables
        if tables.actors[: len(actors)] == actors and tables.ports[: len(ports)] == ports:
            return events
    columns = Columns(actors, ports)
    for event in events:
        columns.add(event)
    return columns.events()


class Columns:
    """Events that are being written down, one after the other."""

    def __init__(self, actors: Iterable[str] = (), ports: Iterable[str] = ()) -> None:
        self.actors = Pool(actors)
        self.ports = Pool(ports)
        self.ids = Pool([""])
        self.texts = Pool([""])
        #: (message, parent, clock, stage, function, excerpt, size), in codes.
        self.contents: Pool[tuple[int, ...]] = Pool()
        #: (peer, topic, sizes), in codes.
        self.envelopes: Pool[tuple[int, int, tuple[int, ...]]] = Pool()
        self.at, self.actor, self.port = array("q"), array("i"), array("i")
        self.what, self.kind, self.fault = bytearray(), bytearray(), bytearray()
        self.content, self.envelope, self.text = array("i"), array("i"), array("i")

    def __len__(self) -> int:
        return len(self.at)

    def add(self, event: Event) -> None:
        """Write down an event."""
        *before, last = event.sizes or (-1,)
        self.row(
            event.at,
            code(event.what),
            self.actors.code(event.actor),
            self.ports.code(event.port) if event.port else -1,
            KIND_CODES[event.kind],
            FAULT_CODES[event.fault],
            self.content_of(
                event.message,
                event.parent,
                event.clock,
                event.stage,
                event.function,
                event.excerpt,
                last,
            ),
            self.envelope_of(event, tuple(before)),
            self.texts.code(event.text),
        )

    def content_of(
        self,
        message: str,
        parent: str,
        clock: int,
        stage: int,
        function: str,
        excerpt: str,
        size: int,
    ) -> int:
        """The row of `contents` for what a last frame says; -1 if it says nothing."""
        id, text = self.ids.code, self.texts.code
        said = (id(message), id(parent), clock, stage, text(function), text(excerpt), size)
        return -1 if said == _SAYS_NOTHING else self.contents.code(said)

    def envelope_of(self, event: Event, before: tuple[int, ...]) -> int:
        """The row of `envelopes` for what is around it, the frames being of these sizes."""
        around = (self.texts.code(event.peer), self.texts.code(event.topic), before)
        return -1 if around == _NOTHING_AROUND else self.envelopes.code(around)

    def extend(
        self,
        at: Sequence[int],
        heads: Iterable[tuple[int, int, int, int]],
        contents: Sequence[int],
        envelopes: Sequence[int],
        texts: Sequence[int],
    ) -> None:
        """Write down events that are no faults; `heads` are their what, actor, port and kind."""
        what, actor, port, kind = zip(*heads, strict=True)
        self.at.extend(at)
        self.what.extend(what)
        self.actor.extend(actor)
        self.port.extend(port)
        self.kind.extend(kind)
        self.fault.extend(bytes(len(at)))
        self.content.extend(contents)
        self.envelope.extend(envelopes)
        self.text.extend(texts)

    def row(
        self,
        at: int,
        what: int,
        actor: int,
        port: int,
        kind: int,
        fault: int,
        content: int,
        envelope: int,
        text: int,
    ) -> None:
        """Write down an event, in codes."""
        self.at.append(at)
        self.what.append(what)
        self.actor.append(actor)
        self.port.append(port)
        self.kind.append(kind)
        self.fault.append(fault)
        self.content.append(content)
        self.envelope.append(envelope)
        self.text.append(text)

    def tables(self) -> Tables:
        """What the codes stand for."""
        message, parent, clock, stage, function, excerpt, size = (
            zip(*self.contents.values, strict=True) if self.contents.values else ((),) * 7
        )
        peer, topic, sizes = (
            zip(*self.envelopes.values, strict=True) if self.envelopes.values else ((),) * 3
        )
        return Tables(
            self.actors.values,
            self.ports.values,
            self.ids.values,
            self.texts.values,
            Contents(
                np.array(message, np.int32),
                np.array(parent, np.int32),
                np.array(clock, np.uint64),
                np.array(stage, np.int64),
                np.array(function, np.int32),
                np.array(excerpt, np.int32),
                np.array(size, np.int64),
            ),
            Envelopes(np.array(peer, np.int32), np.array(topic, np.int32), list(sizes)),
        )

    def events(self) -> Events:
        """What has been written down."""
        return Events(
            self.tables(),
            np.array(self.at, np.int64),
            np.frombuffer(bytes(self.what), np.uint8),
            np.array(self.actor, np.int32),
            np.array(self.port, np.int32),
            np.frombuffer(bytes(self.kind), np.uint8),
            np.frombuffer(bytes(self.fault), np.uint8),
            np.array(self.content, np.int32),
            np.array(self.envelope, np.int32),
            np.array(self.text, np.int32),
        )


_SAYS_NOTHING = (0, 0, 0, 0, 0, 0, -1)
_NOTHING_AROUND = (0, 0, ())
