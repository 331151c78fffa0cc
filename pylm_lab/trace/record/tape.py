"""Tape: what one actor's thread has written down, undecoded.

1. Only the actor's own thread writes hops: no lock, no global counter. What is no hop may come from
   whoever wires, too: it has rows of its own, and a lock where it brings something new.
2. Hops that are alike but for their last frames are a run: how many, when, what at which port, and
   which frames before the last. That takes 16 bytes a run and 8 bytes a hop, and no object but the
   last frame itself.
3. What goes on as it came takes no room of its own; of a long frame its head is kept, its size and
   its stamp.
4. With a limit it is a ring: the oldest rows go, and are counted. What says how things are wired
   stays.
"""

from __future__ import annotations

import struct
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from pylm_lab import wire
from pylm_lab.hook import FaultKind, Port
from pylm_lab.trace.pool import Pool
from pylm_lab.trace.records import What

__all__ = ["CUT", "HEAD", "WHOLE", "Fact", "Key", "Long", "Tape", "Taped", "long"]

#: Bytes of a message's head that are kept, enough for its fields and the beginning of its payload.
HEAD = 512

#: How a row keeps the last frame: as it is; cut (see `long`); or as a `Long`, with all else.
WHOLE, CUT, TOLD = range(3)
_FORMS = 3
#: Envelopes that are kept once, however often they come. Of those beyond, each row has its own.
_ENVELOPES = 1000
#: Hops of the longest run.
_RUN = 0xFFFF
_WIRING = frozenset({"bind", "connect", "disconnect", "start"})
#: What follows the head of a cut frame: its tail, where a stamp would be, and its size.
_TAIL = wire.TAIL.size
_SIZE = 8
#: A fact: how many hops came before it, when it was, its key, its text.
_FACT = struct.Struct("<QqII")


class Key(NamedTuple):
    """What a row is: what happened at which port, and in which form the last frame is kept."""

    what: What
    port: Port
    form: int


class _FactKey(NamedTuple):
    what: What
    port: Port | None
    fault: FaultKind | Literal[""] = ""


class Fact(NamedTuple):
    """What is no hop: it happened before the hop that has the row `before`."""

    before: int
    at: int
    what: What
    port: Port | None
    text: str
    fault: FaultKind | Literal[""] = ""


class Long(NamedTuple):
    """Frames with all that is to tell of them; of the last, the head.

    `size` is the number of bytes of the last, `stamp` its stamp.
    """

    frames: tuple[bytes, ...]
    size: int
    stamp: wire.Stamp | None
    text: str = ""
    fault: FaultKind | Literal[""] = ""


class Taped(NamedTuple):
    """What was on a tape: columns of runs, the last frame of each hop, and what is no hop.

    `size` tells how many hops a run has; `key` indexes `keys`, `around` indexes `envelopes` (0:
    nothing is before the last frame). `gone` counts the hops that are not on it any more, by port
    id and what they were.
    """

    at: array[int]
    key: array[int]
    around: array[int]
    size: array[int]
    last: list[bytes | Long]
    facts: list[Fact]
    keys: list[Key]
    envelopes: list[tuple[bytes, ...]]
    dropped: int
    gone: Counter[tuple[str, What]]

    def totals(self) -> Counter[tuple[str, What]]:
        """How many hops of each kind there were at each port, forgotten ones included."""
        return self.gone + _counted(self.keys, zip(self.key, self.size, strict=True))


class Tape:
    """The hops and other events of one actor, in its own order; the last `limit` hops, or all."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        #: Hops at which the oldest are forgotten; each has to be moved once, then.
        self._full = 2 * limit if limit else 0
        # A program may have a new port for each thing that it asks: keys have no end.
        self._at, self._key = array("q"), array("I")
        self._around, self._count = array("H"), array("H")
        self._last: list[bytes | Long] = []
        self._facts = bytearray()
        self._fact_keys = Pool[_FactKey]()
        self._texts = Pool[str]()
        #: Held by who writes down a fact that has a key or a text of which there was none. A socket
        #: that is collected as garbage meanwhile tells of its end from within.
        self._mutex = threading.RLock()
        self._keys: list[Key] = []
        self._places: dict[tuple[What, Port], int] = {}
        self._envelopes: dict[tuple[bytes, ...], int] = {(): 0}
        #: The last batch of frames that were too long, as they are kept.
        self._cut: list[bytes] = []
        self._dropped = 0
        self._gone: Counter[tuple[str, What]] = Counter()
        #: Hops that were there before those that are here now.
        self._before = 0
        #: Odd while hops are being forgotten.
        self._turns = 0

    @property
    def dropped(self) -> int:
        """How many events went to make room."""
        return self.copy().dropped if self._limit else 0

    # Writing

    def fact(self, at: int, what: What, port: Port | None = None, text: str = "") -> None:
        """Write down what is no hop."""
        self._fact(at, _FactKey(what, port), text)

    def fault(
        self, fault: FaultKind, port: Port | None, frames: list[bytes], at: int, text: str
    ) -> None:
        """Write down what a fault does: to these frames, or, where there are none, to the actor."""
        if port is not None and frames:
            self._run(self._place("fault", port) + TOLD, 0, [_long(frames, text, fault)], at)
        else:
            self._fact(at, _FactKey("fault", port, fault), text)

    def _fact(self, at: int, key: _FactKey, text: str) -> None:
        keys, texts = self._fact_keys, self._texts
        if key not in keys.codes or text not in texts.codes:
            with self._mutex:
                keys.code(key)
                texts.code(text)
        before = self._before + len(self._last)
        self._facts.extend(_FACT.pack(before, at, keys.codes[key], texts.codes[text]))

    def drop(self, port: Port, frames: list[bytes], at: int, text: str) -> None:
        """Write down frames that were given up, and why."""
        self._run(self._place("drop", port) + TOLD, 0, [_long(frames, text)], at)

    def hops(
        self, what: What, port: Port, batch: Sequence[list[bytes]], at: int | list[int]
    ) -> None:
        """Write down messages that were sent or received together."""
        place = self._places.get((what, port))
        if place is None:
            place = self._place(what, port)
        if len(batch) == 1:
            self._one(place, batch[0], at if isinstance(at, int) else at[0])
            return
        if isinstance(at, int) and len(batch) <= _RUN and self._together(place, batch, at):
            return
        for n, frames in enumerate(batch):
            self._one(place, frames, at if isinstance(at, int) else at[n])

    def _together(self, place: int, batch: Sequence[list[bytes]], at: int) -> bool:
        """Write down a batch as one run; False if they are not alike."""
        try:
            *before, bodies = zip(*batch, strict=True)
        except ValueError:  # they have not the same number of frames
            return False
        around = 0
        if before:
            if any(column.count(column[0]) != len(bodies) for column in before):
                return False
            around = self._envelope(tuple([column[0] for column in before]))
            if around < 0:
                return False
        if max(map(len, bodies)) <= HEAD:
            self._run(place, around, bodies, at)
        elif min(map(len, bodies)) > HEAD:
            self._run(place + CUT, around, self._shortened(bodies), at)
        else:
            return False
        return True

    def _one(self, place: int, frames: list[bytes], at: int) -> None:
        last = frames[-1]
        around = 0 if len(frames) == 1 else self._envelope(tuple(frames[:-1]))
        if around < 0:
            self._run(place + TOLD, 0, [_long(frames)], at)
        elif len(last) > HEAD:
            self._run(place + CUT, around, self._shortened([last]), at)
        else:
            self._run(place, around, (last,), at)

    def _run(self, key: int, around: int, last: Sequence[bytes | Long], at: int) -> None:
        try:
            self._last.extend(last)
            self._at.append(at)
            self._key.append(key)
            self._around.append(around)
            # The count comes last: who reads takes as many runs as there are counts.
            self._count.append(len(last))
        except BaseException:  # Ctrl-C, or a value that has no room: what is half there goes
            runs = len(self._count)
            for column in (self._at, self._key, self._around):
                del column[runs:]
            del self._last[sum(self._count) :]
            raise
        if self._full and len(self._last) >= self._full:
            self._forget()

    def _place(self, what: What, port: Port) -> int:
        """Where the keys of this are, one for each form."""
        found = self._places.get((what, port))
        if found is None:
            found = len(self._keys)
            self._keys.extend(Key(what, port, form) for form in range(_FORMS))
            self._places[what, port] = found
        return found

    def _envelope(self, frames: tuple[bytes, ...]) -> int:
        """The number of these frames; -1 if there are too many different ones."""
        found = self._envelopes.get(frames)
        if found is None:
            found = len(self._envelopes)
            if found >= _ENVELOPES or sum(map(len, frames)) > HEAD:
                return -1
            self._envelopes[frames] = found
        return found

    def _shortened(self, bodies: Sequence[bytes]) -> list[bytes]:
        """What is kept of frames that are too long; the same as last time, if they are."""
        cut = [
            body[:HEAD]
            + (body[-_TAIL:] if wire.read_stamp(body) else bytes(_TAIL))
            + len(body).to_bytes(_SIZE, "little")
            for body in bodies
        ]
        if cut == self._cut:
            return self._cut
        self._cut = cut
        return cut

    def _forget(self) -> None:
        """Let all but the last `limit` hops go."""
        assert self._limit is not None
        gone = len(self._last) - self._limit
        runs, over = self._first(gone)
        facts = self._told()
        dropped, counted, stay = self._without(runs, over, gone, facts)
        self._turns += 1
        try:
            self._dropped, self._gone = dropped, counted
            # Whoever wires may have told more meanwhile.
            self._facts[: len(facts) * _FACT.size] = b"".join(stay)
            self._before += gone
            self._let_go(runs, gone)
            self._count[0] -= over
        finally:
            self._turns += 1

    def _let_go(self, runs: int, hops: int) -> None:
        for column in (self._at, self._key, self._around, self._count):
            del column[:runs]
        del self._last[:hops]

    def _first(self, hops: int) -> tuple[int, int]:
        """How many whole runs the first so many hops are, and how many hops of the next one."""
        for n, count in enumerate(self._count):
            if count > hops:
                return n, hops
            hops -= count
        return len(self._count), 0

    def _without(
        self, runs: int, over: int, hops: int, facts: list[bytes]
    ) -> tuple[int, Counter[tuple[str, What]], list[bytes]]:
        """What is counted, and which facts stay, when the first hops go."""
        going = [*zip(self._key[:runs], self._count[:runs], strict=True)]
        if over:
            going.append((self._key[runs], over))
        first = self._before + hops
        keys = self._fact_keys.values

        def stays(fact: bytes) -> bool:
            before, _, key, _ = _FACT.unpack(fact)
            return before >= first or keys[key].what in _WIRING

        stay = list(filter(stays, facts))
        dropped = self._dropped + hops + len(facts) - len(stay)
        return dropped, self._gone + _counted(self._keys, going), stay

    # Reading

    def copy(self) -> Taped:
        """What is on it now; its thread may go on writing."""
        while True:
            turns = self._turns
            if turns % 2:
                continue
            try:
                taped = self._copied()
            except (IndexError, OverflowError, ValueError):
                if turns == self._turns:
                    raise
                continue  # hops were forgotten meanwhile
            if turns == self._turns:
                return taped

    def _copied(self) -> Taped:
        """What is on it, if no hops are forgotten meanwhile."""
        runs = len(self._count)
        hops = sum(self._count[:runs])
        facts, before = self._told(), self._before
        gone = max(hops - self._limit, 0) if self._limit else 0
        dropped, counted, first, over = self._dropped, self._gone, 0, 0
        if gone:
            first, over = self._first(gone)
            dropped, counted, facts = self._without(first, over, gone, facts)
        at, key, around, size = (
            column[first:runs] for column in (self._at, self._key, self._around, self._count)
        )
        last = self._last[gone:hops]
        if over and size:
            size[0] -= over
        begins = before + gone
        told, place = [], 0
        for row, when, code, text in map(_FACT.unpack, facts):
            what, port, fault = self._fact_keys.values[code]
            # Not before what was told before it: it may say too little while hops are taken off.
            place = max(row - begins, place)
            told.append(Fact(place, when, what, port, self._texts.values[text], fault))
        keys, envelopes = list(self._keys), list(self._envelopes)
        return Taped(at, key, around, size, last, told, keys, envelopes, dropped, counted)

    def _told(self) -> list[bytes]:
        """The facts that are here now."""
        facts = bytes(self._facts)
        return [facts[n : n + _FACT.size] for n in range(0, len(facts), _FACT.size)]

    def take(self) -> Taped:
        """Take off what is on it now; its thread may go on writing. Not for a tape with a limit."""
        taken = self.copy()
        del self._facts[: len(taken.facts) * _FACT.size]
        self._let_go(len(taken.size), len(taken.last))
        # Last, so that what is told meanwhile comes rather too early than too late.
        self._before += len(taken.last)
        return taken


def _counted(keys: Sequence[Key], runs: Iterable[tuple[int, int]]) -> Counter[tuple[str, What]]:
    """How many hops there are in runs, by port id and what they are; a fault is none."""
    found: Counter[tuple[str, What]] = Counter()
    for key, count in runs:
        what, port, _ = keys[key]
        if what != "fault":
            found[port.id, what] += count
    return found


def long(kept: bytes) -> tuple[bytes, int, wire.Stamp | None]:
    """The head of a frame that was cut, its size in bytes, and its stamp."""
    head, tail, size = kept[:HEAD], kept[HEAD:-_SIZE], kept[-_SIZE:]
    return head, int.from_bytes(size, "little"), wire.read_stamp(tail)


def _long(frames: Sequence[bytes], text: str = "", fault: Any = "") -> Long:
    *before, last = frames
    return Long((*before, last[:HEAD]), len(last), wire.read_stamp(last), text, fault)
