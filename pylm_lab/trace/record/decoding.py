"""From what tapes hold to events.

1. What the same bytes say is worked out once, and what is alike is decoded together.
2. What is kept of a message is its stamp, its sizes and its first bytes; of a program's own frames,
   which may be anything, whatever can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pylm_lab import wire
from pylm_lab.hook import Port
from pylm_lab.trace.builder import Columns
from pylm_lab.trace.columns import Events
from pylm_lab.trace.hops.match import READY
from pylm_lab.trace.record.tape import CUT, WHOLE, Key, Long, Taped, long
from pylm_lab.trace.tables import FAULTS, KINDS, Flags, code

__all__ = ["Decoding"]

#: Characters of the payload that an event shows.
EXCERPT = 64

_PUBSUB = frozenset({"PUB", "XPUB", "SUB", "XSUB"})
_STAMPED = frozenset(map(KINDS.index, ("message", "request")))
_MESSAGE, _READY = KINDS.index("message"), KINDS.index("ready")
_COMES = ("receive", "fault")
_COLUMNS = np.int64, np.uint8, np.int32, np.int32, np.uint8, np.uint8, np.int32, np.int32, np.int32


class _End(NamedTuple):
    """What decoding asks of a port: its code, what goes and what comes, and how it is addressed."""

    code: int
    sends: int
    receives: int
    names_peer: bool
    has_topic: bool


class _Row(NamedTuple):
    """What is told of a row that is decoded by itself, in codes."""

    kind: int
    fault: int
    content: int
    envelope: int
    text: int


class Decoding:
    """Events of several actors, as far as they have been decoded, each actor's in their order.

    Args:
        actors, ports: the ids of all that were declared, in their order.
        received: for each port the last frame that it had received, as whoever decoded what was on
            the tapes before has left it; it is kept up.
    """

    def __init__(
        self,
        actors: Iterable[str] = (),
        ports: Iterable[str] = (),
        received: dict[str, tuple[bytes, int]] | None = None,
    ) -> None:
        self._pools = Columns(actors, ports)
        self._blocks: list[Sequence[npt.NDArray[Any]]] = []
        self._ends: dict[str, _End] = {}
        self._received = {} if received is None else received
        self._messages: dict[bytes, int] = {}
        self._others: dict[bytes, int] = {}
        self._envelopes: dict[tuple[bool, bool, tuple[bytes, ...]], tuple[int, bool]] = {}

    def events(self) -> Events:
        """What has been decoded, actor after actor."""
        tables = self._pools.tables()
        nothing = [np.zeros(0, kind) for kind in _COLUMNS]
        return Events(tables, *map(np.concatenate, zip(nothing, *self._blocks, strict=True)))

    def add(self, actor: str, taped: Taped, *, raw: bool = False) -> None:
        """Decode these. `raw`: its messages are what a program of somebody's makes of them."""
        who = self._pools.actors.code(actor)
        rows = _Rows(taped)
        ends = [self._end(key.port) for key in taped.keys]
        kinds = [
            end.sends if key.what == "send" else end.receives
            for key, end in zip(taped.keys, ends, strict=True)
        ]
        size = len(taped.last)
        kind = np.array([*kinds, 0], np.uint8)[rows.key]
        port = np.array([*(end.code for end in ends), 0], np.int32)[rows.key]
        fault, text = np.zeros(size, np.uint8), np.zeros(size, np.int32)
        content, envelope = np.zeros(size, np.int32), np.zeros(size, np.int32)
        alone = np.zeros(size, np.bool_)
        for k, key in enumerate(taped.keys):
            own = np.flatnonzero(rows.key == k)
            if not len(own):
                continue
            if key.form != WHOLE:
                alone[own] = True
                continue
            envelope[own], special = self._around(ends[k], rows.around[own], taped, raw)
            alone[own[special]] = True
            own = own[~special]
            stamped = kinds[k] in _STAMPED
            content[own] = self._all(
                [taped.last[n] for n in own.tolist()],  # type: ignore[misc]  # whole ones are bytes
                self._messages if stamped and not raw else self._others,
                (self._anything if raw else self._message) if stamped else self._other,
            )
        for n in np.flatnonzero(alone).tolist():
            end = ends[rows.key.item(n)]
            kind[n], fault[n], content[n], envelope[n], text[n] = self._one(rows, n, end, raw)
        for name, frame in rows.came.items():
            self._received[name] = frame
        actors = np.full(size, who, np.int32)
        columns = rows.at, rows.what, actors, port, kind, fault, content, envelope, text
        self._blocks.append(self._with_facts(taped, who, columns))

    def _with_facts(
        self, taped: Taped, who: int, columns: Sequence[npt.NDArray[Any]]
    ) -> Sequence[npt.NDArray[Any]]:
        """The columns, with what is no hop at its place."""
        if not taped.facts:
            return columns
        told = [
            (
                fact.at,
                code(fact.what),
                who,
                -1 if fact.port is None or fact.what == "fault" else self._end(fact.port).code,
                0,
                FAULTS.index(fact.fault),
                -1,
                -1,
                self._pools.texts.code(fact.text),
            )
            for fact in taped.facts
        ]
        places = [min(fact.before, len(taped.last)) for fact in taped.facts]
        return [
            np.insert(column, places, new)
            for column, new in zip(columns, zip(*told, strict=True), strict=True)
        ]

    def _end(self, port: Port) -> _End:
        found = self._ends.get(port.id)
        if found is None:
            found = self._ends[port.id] = _End(
                self._pools.ports.code(port.id),
                KINDS.index(port.sends or "message"),
                KINDS.index(port.receives or "message"),
                port.socket == "ROUTER",
                port.socket in _PUBSUB,
            )
        return found

    def _around(
        self, end: _End, around: npt.NDArray[np.int64], taped: Taped, raw: bool
    ) -> tuple[npt.NDArray[np.int32], Flags]:
        """The rows of envelopes, and which of them tell that the hop has to be looked at."""
        codes = np.zeros(len(taped.envelopes), np.int32)
        special = np.zeros(len(taped.envelopes), np.bool_)
        for n in np.flatnonzero(np.bincount(around)).tolist():
            codes[n], is_echo = self._envelope(end, taped.envelopes[n])
            first = end.names_peer or (raw and end.has_topic)
            special[n] = is_echo or (first and not taped.envelopes[n])
        return codes[around], special[around]

    @staticmethod
    def _all(
        frames: list[bytes], known: dict[bytes, int], say: Callable[[bytes], int]
    ) -> list[int]:
        """The rows of what these frames say."""
        found = list(map(known.get, frames))
        return [
            say(frame) if row is None else row for row, frame in zip(found, frames, strict=True)
        ]

    def _one(self, rows: _Rows, n: int, end: _End, raw: bool) -> _Row:
        """A row that is looked at by itself."""
        key, told = rows.told(n)
        *before, last = told.frames
        whole = told.size == len(last)
        if key.what == "drop":
            held = rows.held(n, self._received.get(key.port.id))
            kind = _given_up(key.port, end, told.stamp is not None, held)
        else:
            kind = end.sends if key.what == "send" else end.receives
        alone = not before and (end.names_peer or (raw and end.has_topic))
        around = told.frames[:1] if alone else tuple(before)
        envelope, is_echo = self._envelope(end, around, alone=alone)
        if is_echo:
            kind, content = _READY, self._says(last, told.size, shown=False)
        elif kind not in _STAMPED or (raw and told.stamp is None):
            content = self._other(last) if whole else self._says(last, told.size)
        else:
            content = (
                self._message(last)
                if whole
                else self._heads(wire.fields(last), told.stamp, told.size)
            )
        text = self._pools.texts.code(told.text)
        return _Row(kind, FAULTS.index(told.fault), content, envelope, text)

    # What frames say, each once

    def _message(self, last: bytes) -> int:
        """The row of a whole PALM message."""
        found = self._messages.get(last)
        if found is None:
            stamp, head = wire.read(last)
            found = self._messages[last] = self._heads(head, stamp, len(last))
        return found

    def _heads(self, head: wire.Head, stamp: wire.Stamp | None, size: int) -> int:
        """The row of a PALM message that begins so, and has so many bytes."""
        pools = self._pools
        id, parent, clock = stamp or (0, 0, 0)
        return pools.contents.code(
            (
                pools.ids.code(f"{id:016x}") if stamp else 0,
                pools.ids.code(f"{parent:016x}") if parent else 0,
                clock,
                head.stage,
                pools.texts.code(head.function),
                pools.texts.code(wire.text(head.payload)[:EXCERPT]),
                size,
            )
        )

    def _anything(self, last: bytes) -> int:
        """The row of what may be a PALM message, if a stamp tells so."""
        return self._other(last) if wire.read_stamp(last) is None else self._message(last)

    def _other(self, last: bytes) -> int:
        """The row of what is no PALM message."""
        found = self._others.get(last)
        if found is None:
            found = self._others[last] = self._says(last, len(last))
        return found

    def _says(self, last: bytes, size: int, *, shown: bool = True) -> int:
        pools = self._pools
        excerpt = pools.texts.code(wire.text(last[:EXCERPT])) if shown else 0
        return pools.contents.code((0, 0, 0, 0, 0, excerpt, size))

    def _envelope(
        self, end: _End, frames: tuple[bytes, ...], *, alone: bool = False
    ) -> tuple[int, bool]:
        """The row of the frames before the last, and whether they are of a subscription's echo.

        `alone`: there are none, and this is the only frame.
        """
        key = end.names_peer, end.has_topic, frames
        found = None if alone else self._envelopes.get(key)
        if found is None:
            text = self._pools.texts.code
            first = wire.text(frames[0]) if frames else ""
            peer = text(first) if end.names_peer else 0
            topic = text(first) if end.has_topic else 0
            sizes = () if alone else tuple(map(len, frames))
            row = (peer, topic, sizes)
            found = (
                -1 if row == (0, 0, ()) else self._pools.envelopes.code(row),
                end.has_topic and first.startswith(READY),
            )
            if not alone:
                self._envelopes[key] = found
        return found


class _Rows:
    """What was on a tape, as columns."""

    def __init__(self, taped: Taped) -> None:
        self.taped = taped
        run = np.repeat(np.arange(len(taped.size)), np.array(taped.size, np.int64))
        self.at = np.array(taped.at, np.int64)[run]
        self.key = np.array(taped.key, np.int64)[run]
        self.around = np.array(taped.around, np.int64)[run]
        what = [code(key.what) for key in taped.keys]
        self.what = np.array([*what, 0], np.uint8)[self.key]
        #: Port → the rows at which something had come to it.
        self._comes: dict[str, npt.NDArray[np.int64]] = {}

    def told(self, n: int) -> tuple[Key, Long]:
        """What a row is, and its frames with all that is to tell of them."""
        key, last = self.taped.keys[self.key.item(n)], self.taped.last[n]
        before = self.taped.envelopes[self.around.item(n)]
        if isinstance(last, Long):
            return key, last
        if key.form == CUT:
            head, size, stamp = long(last)
            return key, Long((*before, head), size, stamp)
        return key, Long((*before, last), len(last), wire.read_stamp(last))

    def held(self, n: int, before: tuple[bytes, int] | None) -> bool:
        """The row's last frame is what its port had just received; `before` all that is here."""
        key, told = self.told(n)
        comes = self._at(key.port.id)
        place = int(np.searchsorted(comes, n))
        had = _last(self.told(comes.item(place - 1))[1]) if place else before
        return had == _last(told)

    def _at(self, port: str) -> npt.NDArray[np.int64]:
        found = self._comes.get(port)
        if found is None:
            keys = [
                k
                for k, key in enumerate(self.taped.keys)
                if key.what in _COMES and key.port.id == port
            ]
            found = self._comes[port] = np.flatnonzero(np.isin(self.key, keys))
        return found

    @property
    def came(self) -> dict[str, tuple[bytes, int]]:
        """The last frame that has come to each port."""
        ports = dict.fromkeys(key.port.id for key in self.taped.keys if key.what in _COMES)
        return {p: _last(self.told(self._at(p).item(-1))[1]) for p in ports if len(self._at(p))}


def _last(told: Long) -> tuple[bytes, int]:
    return told.frames[-1], told.size


def _given_up(port: Port, end: _End, stamped: bool, held: bool) -> int:
    """What frames were that are dropped: received before, or about to be sent.

    Only messages and requests are stamped; and what the port has just received (`held`) is what it
    gives up.
    """
    if held:
        return end.receives
    both = [KINDS.index(kind) for kind in (port.sends, port.receives) if kind]
    fits = [kind for kind in both if (kind in _STAMPED) == stamped]
    return (fits or both or [_MESSAGE])[0]
