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
from itertools import repeat
from typing import Any, NamedTuple

from pylm_lab import wire
from pylm_lab.hook import Port
from pylm_lab.trace.records import What

__all__ = ["HEAD", "Row", "Tape", "rows"]

#: Bytes of a message's head that are kept, enough for its fields and the beginning of its payload.
HEAD = 512


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


class Tape:
    """The rows of one actor, in its own order; the last `limit` of them, or all.

    What came or went together is kept or goes together, so there may be somewhat more.

    `dropped` counts the rows that went to make room, `gone` the hops among them, by port id and
    what they were.
    """

    def __init__(self, limit: int | None) -> None:
        self._entries: deque[tuple[Any, ...]] = deque()
        self._limit = limit
        self._length = 0
        self._bodies: tuple[bytes, ...] = ()
        self.dropped = 0
        self.gone: Counter[tuple[str, What]] = Counter()
        self._wiring: list[tuple[Any, ...]] = []

    def event(self, at: int, what: What, port: Port | None = None, text: str = "") -> None:
        """Write down what is no hop."""
        self._write((at, what, port, text), 1)

    def hops(
        self,
        what: What,
        port: Port,
        batch: list[list[bytes]],
        at: int | list[int],
        text: str = "",
    ) -> None:
        """Write down messages that were sent, received or dropped together."""
        if len(batch) > 1 and self._together(what, port, batch, at):
            return
        for frames, when in zip(batch, _times(at), strict=False):
            last = frames[-1]
            if len(last) <= HEAD:
                self._write((when, what, port, text, tuple(frames)), 1)
                continue
            sizes = tuple(map(len, frames))
            kept = (*frames[:-1], last[:HEAD])
            stamp = wire.read_stamp(last)
            self._write((when, what, port, text, kept, sizes, stamp), 1)

    def _together(
        self, what: What, port: Port, batch: list[list[bytes]], at: int | list[int]
    ) -> bool:
        """Write them down as one entry; False if they are not alike, or too large."""
        try:
            *envelope, bodies = zip(*batch, strict=True)
        except ValueError:
            return False
        if bodies == self._bodies:
            bodies = self._bodies  # they came, and go on as they are
        elif max(map(len, bodies)) > HEAD:
            return False
        self._bodies = bodies
        count = len(bodies)
        short = [c[0] if c.count(c[0]) == count else c for c in envelope]
        times = at if isinstance(at, int) else array("q", at)
        self._write((times, what, port, bodies, *short), count)
        return True

    def _write(self, entry: tuple[Any, ...], weight: int) -> None:
        self._entries.append(entry)
        if self._limit is not None:
            self._length += weight
            while self._length - self._weight(self._entries[0]) >= self._limit:
                self._forget()

    def _forget(self) -> None:
        oldest = self._entries.popleft()
        if oldest[1] in _WIRING:
            self._wiring.append(oldest)
            self._length -= 1
            return
        weight = self._weight(oldest)
        self._length -= weight
        self.dropped += weight
        if _is_batch(oldest) or len(oldest) > 4:
            self.gone[oldest[2].id, oldest[1]] += weight

    def _weight(self, entry: tuple[Any, ...]) -> int:
        return len(entry[3]) if _is_batch(entry) else 1

    def copy(self) -> list[tuple[Any, ...]]:
        """What is on it now; the thread may go on writing."""
        while True:
            try:
                return [*self._wiring, *self._entries]
            except RuntimeError:  # it was written to meanwhile
                continue


def _times(at: int | Iterable[int]) -> Iterable[int]:
    return repeat(at) if isinstance(at, int) else at


def _is_batch(entry: tuple[Any, ...]) -> bool:
    """An entry is (at, what, port, text, …), or (at, what, port, last frames, envelope, …)."""
    return len(entry) > 3 and type(entry[3]) is tuple


def rows(entries: list[tuple[Any, ...]]) -> Iterator[Row]:
    """A row for each event."""
    for entry in entries:
        if _is_batch(entry):
            at, what, port, bodies, *envelope = entry
            columns = [repeat(c) if isinstance(c, bytes) else c for c in envelope]
            for when, frames in zip(_times(at), zip(*columns, bodies, strict=False), strict=False):
                yield Row(when, what, port, "", frames)
        else:
            yield Row(*entry)
