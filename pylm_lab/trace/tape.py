"""Tape: what one actor's thread has written down, undecoded.

1. Only the actor's own thread writes: no lock, no global counter.
2. Messages that were received or sent together take one entry. Their frames are kept in columns:
   an envelope that all have in common is kept once, and what goes on as it came takes no room.
3. With a limit it is a ring: the oldest entries go, and are counted. What says how things are wired
   stays.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any, Literal, NamedTuple

from pylm_lab import wire
from pylm_lab.hook import FaultKind, Port
from pylm_lab.trace.records import What

__all__ = ["HEAD", "Row", "Tape", "rows"]

#: Bytes of a message's head that are kept, enough for its fields and the beginning of its payload.
HEAD = 512


#: (at, what, port, text, None): no hop; (at, what, port, text, (frames, sizes?, stamp?, fault?)): a
#: hop or a fault; (at or times, what, port, last frames, envelope): several hops.
_Entry = tuple[Any, What, Any, Any, Any]
_FIELDS, _BODY = 5, 3
#: For each frame but the last: the frame that all have in common, or each one's own.
_Envelope = tuple[bytes | tuple[bytes, ...], ...]
#: Envelopes that are kept once, however often they come.
_ENVELOPES = 1000
_WIRING = frozenset({"bind", "connect", "disconnect", "start"})


class Row(NamedTuple):
    """What is kept of an event.

    The frames are a tuple of their own: the list stays its owner's, who may use it again. `sizes`
    and `stamp` are those of frames whose last may have been cut.
    """

    at: int
    what: What
    port: Port | None = None
    text: str = ""
    frames: tuple[bytes, ...] = ()
    sizes: tuple[int, ...] = ()
    stamp: wire.Stamp | None = None
    fault: FaultKind | Literal[""] = ""


class Tape:
    """The rows of one actor, in its own order; the last `limit` of them, or all.

    What came or went together is kept or goes together, so there may be somewhat more.

    `dropped` counts the rows that went to make room, `gone` the hops among them, by port id and
    what they were.
    """

    def __init__(self, limit: int | None) -> None:
        #: The fields of all entries in a row, `_FIELDS` for each: an object for each would have the
        #: collector look at it again and again.
        self._fields: deque[Any] = deque()
        self._limit = limit
        self._length = 0
        self._bodies: tuple[bytes, ...] = ()
        self._envelopes: dict[_Envelope, _Envelope] = {}
        self.dropped = 0
        self.gone: Counter[tuple[str, What]] = Counter()
        self._wiring: list[_Entry] = []

    def event(self, at: int, what: What, port: Port | None = None, text: str = "") -> None:
        """Write down what is no hop."""
        self._write((at, what, port, text, None), 1)

    def hops(
        self,
        what: What,
        port: Port,
        batch: list[list[bytes]],
        at: int | list[int],
        text: str = "",
    ) -> None:
        """Write down messages that were sent, received or dropped, each by itself."""
        for frames, when in zip(batch, _times(at), strict=False):
            last = frames[-1]
            if len(last) <= HEAD:
                self._write((when, what, port, text, (tuple(frames),)), 1)
                continue
            sizes = tuple(map(len, frames))
            kept = (*frames[:-1], last[:HEAD])
            stamp = wire.read_stamp(last)
            self._write((when, what, port, text, (kept, sizes, stamp)), 1)

    def fault(
        self, fault: FaultKind, port: Port | None, frames: list[bytes], at: int, text: str
    ) -> None:
        """Write down what a fault does: to these frames, or, where there are none, to the actor."""
        if not frames:
            self._write((at, "fault", port, text, ((), (), None, fault)), 1)
            return
        *envelope, last = frames
        sizes, stamp = tuple(map(len, frames)), wire.read_stamp(last)
        kept = (*envelope, last[:HEAD])
        self._write((at, "fault", port, text, (kept, sizes, stamp, fault)), 1)

    def together(
        self, what: What, port: Port, batch: list[list[bytes]], at: int | list[int]
    ) -> bool:
        """Write messages down as one entry; False if they are not alike, or too large."""
        short: _Envelope = ()
        if len(batch[0]) == 1:
            bodies = tuple(chain.from_iterable(batch))
            count = len(batch)
            if len(bodies) != count:
                return False
        else:
            try:
                *envelope, bodies = zip(*batch, strict=True)
            except ValueError:
                return False
            count = len(bodies)
            short = tuple([c[0] if c.count(c[0]) == count else c for c in envelope])
            if len(self._envelopes) < _ENVELOPES:
                short = self._envelopes.setdefault(short, short)
        if bodies == self._bodies:
            bodies = self._bodies  # they came, and go on as they are
        elif max(map(len, bodies)) > HEAD:
            return False
        else:
            self._bodies = bodies
        times = at if type(at) is int else array("q", at)  # type: ignore[arg-type]
        if self._limit is None:
            self._fields.extend((times, what, port, bodies, short))
        else:
            self._write((times, what, port, bodies, short), count)
        return True

    def _write(self, entry: _Entry, weight: int) -> None:
        self._fields.extend(entry)
        if self._limit is not None:
            self._length += weight
            while self._length - _weight(self._fields[_BODY]) >= self._limit:
                self._forget()

    def _forget(self) -> None:
        take = self._fields.popleft
        at, what, port, body, more = take(), take(), take(), take(), take()
        weight = _weight(body)
        self._length -= weight
        if what in _WIRING:
            self._wiring.append((at, what, port, body, more))
            return
        self.dropped += weight
        if more is not None and what != "fault":
            self.gone[port.id, what] += weight

    def copy(self) -> list[_Entry]:
        """What is on it now; the thread may go on writing."""
        while True:
            try:
                fields = iter(list(self._fields))
            except RuntimeError:  # it was written to meanwhile
                continue
            return [*self._wiring, *zip(*[fields] * _FIELDS, strict=True)]


def _times(at: int | Iterable[int]) -> Iterable[int]:
    return repeat(at) if isinstance(at, int) else at


def _weight(body: str | tuple[bytes, ...]) -> int:
    """How many events it is the body of."""
    return 1 if isinstance(body, str) else len(body)


def rows(entries: list[_Entry]) -> Iterator[Row]:
    """A row for each event."""
    for at, what, port, body, more in entries:
        if isinstance(body, str):
            yield Row(at, what, port, body, *(more or ()))
            continue
        columns = [repeat(c) if isinstance(c, bytes) else c for c in more]
        for when, frames in zip(_times(at), zip(*columns, body, strict=False), strict=False):
            yield Row(when, what, port, "", frames)
