"""Columns: how a trace holds millions of events and hops.

1. An event is a row of a few numbers, which refer to `tables`.
2. To the outside they are sequences of `Event` and `Hop`, each made when it is asked for. Whoever
   looks at all of them reads the columns.
3. Nothing in a column changes once it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import Kind
from pylm_lab.trace.records import Event, Hop, What
from pylm_lab.trace.tables import (
    FAULTS,
    KIND_CODES,
    KINDS,
    WHATS,
    Codes,
    Contents,
    Envelopes,
    Flags,
    Positions,
    Tables,
    code,
)

__all__ = ["Events", "Hops"]

T = TypeVar("T")

#: So many objects at the most are kept once they are made: all of a short trace, else the latest.
KEPT = 20_000
#: Rows that are turned into objects together.
_CHUNK = 4096


class _Rows(Sequence[T]):
    """Objects that are made from columns when they are asked for."""

    _made: tuple[T, ...] | None = None

    def __init__(self) -> None:
        self._recent: dict[int, T] = {}

    def _make(self, chosen: slice) -> Iterator[T]:
        raise NotImplementedError

    def _part(self, chosen: Any) -> Sequence[T]:
        raise NotImplementedError

    def _all(self) -> tuple[T, ...] | None:
        """All objects, where they are few enough to be kept."""
        if self._made is None and len(self) <= KEPT:
            self._made = tuple(self._make(slice(None)))
        return self._made

    def __iter__(self) -> Iterator[T]:
        made = self._all()
        if made is not None:
            return iter(made)
        size = len(self)
        return (
            one
            for n in range(0, size, _CHUNK)
            for one in self._make(slice(n, min(n + _CHUNK, size)))
        )

    @overload
    def __getitem__(self, n: int) -> T: ...
    @overload
    def __getitem__(self, n: slice) -> Sequence[T]: ...
    def __getitem__(self, n: int | slice) -> T | Sequence[T]:
        if isinstance(n, slice):
            return self._part(n)
        size = len(self)
        at = int(n)
        if not -size <= at < size:
            raise IndexError(f"there are {size:,} of them, and no number {n}")
        made = self._all()
        if made is not None:
            return made[at]
        at %= size
        recent = self._recent
        found = recent.get(at)
        if found is None:
            if len(recent) >= KEPT:
                recent.clear()
            found = recent[at] = next(self._make(slice(at, at + 1)))
        return found

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, tuple | list | _Rows):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash((type(self), len(self)))

    def __add__(self, other: Iterable[T]) -> tuple[T, ...]:
        return (*self, *other)

    def __radd__(self, other: Iterable[T]) -> tuple[T, ...]:
        return (*other, *self)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"<{len(self):,} {type(self).__name__.lower()}: {shown}{', …' * (len(self) > 3)}>"


class Events(_Rows[Event]):
    """The events of a trace: a sequence of `Event`, kept as columns.

    `at` is the step or nanoseconds; `what`, `kind` and `fault` index `WHATS`, `KINDS` and `FAULTS`;
    `actor`, `port`, `content`, `envelope` and `text` index what is in `tables` (-1: there is none).
    """

    def __init__(
        self,
        tables: Tables,
        at: npt.NDArray[np.int64],
        what: Codes,
        actor: Positions,
        port: Positions,
        kind: Codes,
        fault: Codes,
        content: Positions,
        envelope: Positions,
        text: Positions,
    ) -> None:
        super().__init__()
        self.tables = tables
        self.at, self.what, self.actor, self.port = at, what, actor, port
        self.kind, self.fault, self.text = kind, fault, text
        self.content, self.envelope = content, envelope
        for column in self._columns():
            column.flags.writeable = False

    def _columns(self) -> tuple[Any, ...]:
        return (
            self.at,
            self.what,
            self.actor,
            self.port,
            self.kind,
            self.fault,
            self.content,
            self.envelope,
            self.text,
        )

    @property
    def ids(self) -> list[str]:
        """The ids of messages; the first is empty."""
        return self.tables.ids

    @property
    def texts(self) -> list[str]:
        """All other texts; the first is empty."""
        return self.tables.texts

    @property
    def contents(self) -> Contents:
        """What the last frames say."""
        return self.tables.contents

    @property
    def envelopes(self) -> Envelopes:
        """What comes before them."""
        return self.tables.envelopes

    def of_content(self, column: npt.NDArray[Any], without: int = 0) -> npt.NDArray[Any]:
        """A column of `contents`, for each event; `without` where an event has none."""
        if not len(column):
            return np.full(len(self), without, column.dtype)
        found = column[self.content]
        found[self.content < 0] = without
        return found

    def of_envelope(self, column: npt.NDArray[Any], without: int = 0) -> npt.NDArray[Any]:
        """A column of `envelopes`, for each event; `without` where an event has none."""
        if not len(column):
            return np.full(len(self), without, column.dtype)
        found = column[self.envelope]
        found[self.envelope < 0] = without
        return found

    @property
    def message(self) -> Positions:
        """The message of each event, as an index into `ids`; 0 where it has no id."""
        return self.of_content(self.contents.message)

    def are(self, *whats: What) -> Flags:
        """Which of them are one of these."""
        found: Flags = self.what == code(whats[0])
        for what in whats[1:]:
            found |= self.what == code(what)
        return found

    def those(self, *whats: What) -> Iterator[tuple[int, Event]]:
        """The events that are one of these, each with its position."""
        for n in np.flatnonzero(self.are(*whats)).tolist():
            yield n, self[n]

    def take(self, chosen: npt.NDArray[Any], at: npt.NDArray[np.int64] | None = None) -> Events:
        """Those at these positions, in this order; with other times, if they are given."""
        columns = [column[chosen] for column in self._columns()]
        if at is not None:
            columns[0] = at
        return Events(self.tables, *columns)

    def later(self, by: int) -> Events:
        """The same, so much later."""
        return Events(self.tables, self.at + by, *self._columns()[1:])

    def __len__(self) -> int:
        return len(self.at)

    def _part(self, chosen: Any) -> Events:
        return Events(self.tables, *(column[chosen] for column in self._columns()))

    def _make(self, chosen: slice) -> Iterator[Event]:
        actors, ports, ids, texts, contents, envelopes = self.tables
        for at, what, actor, port, kind, fault, content, envelope, text in zip(
            *(column[chosen].tolist() for column in self._columns()), strict=True
        ):
            more: dict[str, Any] = {}
            sizes: tuple[int, ...] = ()
            if content >= 0:
                size = contents.size.item(content)
                if size >= 0:
                    sizes = (size,)
                more = {
                    "message": ids[contents.message.item(content)],
                    "parent": ids[contents.parent.item(content)],
                    "clock": contents.clock.item(content),
                    "stage": contents.stage.item(content),
                    "function": texts[contents.function.item(content)],
                    "excerpt": texts[contents.excerpt.item(content)],
                }
            if envelope >= 0:
                more["peer"] = texts[envelopes.peer.item(envelope)]
                more["topic"] = texts[envelopes.topic.item(envelope)]
                sizes = (*envelopes.sizes[envelope], *sizes)
            yield Event(
                at=at,
                what=WHATS[what],
                actor=actors[actor],
                port=ports[port] if port >= 0 else "",
                kind=KINDS[kind],
                sizes=sizes,
                text=texts[text],
                fault=FAULTS[fault],
                **more,
            )


class Hops(_Rows[Hop]):
    """The hops of a trace: a sequence of `Hop`, kept as columns.

    `kind` indexes `KINDS`, `message` the ids of messages; `source` and `target` are positions among
    the actors, `sent`, `received` and `dropped` among the events (-1: there is none), and so is
    `begins`, the first of these three.
    """

    def __init__(
        self,
        tables: Tables,
        kind: Codes,
        message: Positions,
        source: Positions,
        target: Positions,
        sent: Positions,
        received: Positions,
        dropped: Positions,
    ) -> None:
        super().__init__()
        self.tables = tables
        self.kind, self.message = kind, message
        self.source, self.target = source, target
        self.sent, self.received, self.dropped = sent, received, dropped
        first = np.where(sent >= 0, sent, received)
        first = np.where((received >= 0) & (received < first), received, first)
        first = np.where((first < 0) | ((dropped >= 0) & (dropped < first)), dropped, first)
        self.begins: Positions = first
        for column in (*self._columns(), self.begins):
            column.flags.writeable = False

    def _columns(self) -> tuple[Any, ...]:
        return (
            self.kind,
            self.message,
            self.source,
            self.target,
            self.sent,
            self.received,
            self.dropped,
        )

    @property
    def lost(self) -> Flags:
        """Which of them were given up, and received by nobody."""
        return (self.dropped >= 0) & (self.received < 0)

    def are(self, *kinds: Kind) -> Flags:
        """Which of them are of one of these kinds."""
        found: Flags = self.kind == KIND_CODES[kinds[0]]
        for kind in kinds[1:]:
            found |= self.kind == KIND_CODES[kind]
        return found

    def __len__(self) -> int:
        return len(self.kind)

    def _part(self, chosen: Any) -> Hops:
        return Hops(self.tables, *(column[chosen] for column in self._columns()))

    def _make(self, chosen: slice) -> Iterator[Hop]:
        actors, ids = self.tables.actors, self.tables.ids
        for kind, message, source, target, sent, received, dropped in zip(
            *(column[chosen].tolist() for column in self._columns()), strict=True
        ):
            yield Hop(
                kind=KINDS[kind],
                message=ids[message],
                source=actors[source] if source >= 0 else "",
                target=actors[target] if target >= 0 else "",
                sent=sent if sent >= 0 else None,
                received=received if received >= 0 else None,
                dropped=dropped if dropped >= 0 else None,
            )
