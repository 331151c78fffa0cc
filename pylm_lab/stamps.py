"""What an actor gives to the messages that it handles while somebody hears: ids and a clock.

1. A message that comes without a stamp gets one. The first that goes on after a receive keeps its
   id; whatever follows, and what is made from scratch, is a child of it.
2. Every id comes from the seed, the actor's name and a count.
3. The clock (Lamport's) counts who made a message or has worked on it. A server hands a message on
   with the stamp that it came with: what happens inside one process is ordered without.
"""

from __future__ import annotations

import hashlib
import os

from pylm_lab import wire

__all__ = ["Ids", "Stamps"]

#: A clock that is beyond this is nobody's: to follow it would leave no room to count on.
_LATEST = 1 << 63


class Ids:
    """The ids that an actor gives away: the same for the same seed, actor and count.

    Without a seed they differ from run to run and from process to process.
    """

    def __init__(self, seed: int | None, actor: str) -> None:
        salt = os.urandom(8).hex() if seed is None else str(seed)
        digest = hashlib.blake2b(f"{salt}/{actor}".encode(), digest_size=4).digest()
        #: An id is the base, which no other actor has, and a count.
        self.base = int.from_bytes(digest, "big") << 32
        self.count = 0

    def number(self) -> int:
        """A new id as a 64-bit number, never 0."""
        self.count += 1
        return self.base | self.count

    def text(self) -> str:
        """A new id as 16 hexadecimal digits."""
        return f"{self.number():016x}"


class Stamps:
    """The stamps that one actor gives, in one run.

    `originates`: what it sends begins with it, and is no child of what it received. `carries`: a
    message that it hands on keeps its whole stamp.
    """

    def __init__(self, ids: Ids, *, originates: bool, carries: bool) -> None:
        self.ids = ids
        self.originates = originates
        self._carries = carries
        self._clock = 0
        #: The message at hand, and the ids that have gone on since it came.
        self._current = 0
        self._sent: set[int] = set()

    def at_hand(self, data: bytes) -> None:
        """This message, which has a stamp, is the one at hand."""
        self._current = wire.tail(data)[0]
        self._sent.clear()

    def mark(self, batch: list[list[bytes]], *, ours: bool) -> None:
        """Messages have come, the last of them is at hand; `ours`: none is without a stamp."""
        clock, write, key, last = self._clock, wire.TAIL.pack, wire.KEY, wire.KEY[-1]
        base, number = self.ids.base, self.ids.count
        id = 0
        for frames in batch:
            data = frames[-1]
            # Mostly one byte tells that there is none.
            if ours or (len(data) > 29 and data[-25] == last and wire.read_stamp(data)):
                id, _, told = wire.tail(data)
                if clock < told < _LATEST:
                    clock = told
            else:
                number += 1
                id = base | number
                frames[-1] = data + write(key, id, 0, clock)
            clock += 1
        self._clock, self.ids.count = clock, number
        if not self.originates:
            self._current = id
            self._sent.clear()

    def put(self, batch: list[list[bytes]]) -> None:
        """Give messages the stamps under which they leave."""
        for frames in batch:
            frames[-1] = self._stamped(frames[-1])

    def preview(self, data: bytes) -> tuple[int, int]:
        """The id under which this message would leave, 0 for a new one, and its parent's."""
        stamp = wire.read_stamp(data)
        if stamp is None:
            return 0, 0 if self.originates else self._current
        if stamp.id in self._sent:
            return 0, stamp.id
        return stamp.id, stamp.parent

    def take_back(self, data: bytes) -> None:
        """This message, stamped, has not left."""
        self._sent.discard(wire.tail(data)[0])

    def _stamped(self, data: bytes) -> bytes:
        stamp = wire.read_stamp(data)
        if stamp is None:
            id, parent = self.ids.number(), 0 if self.originates else self._current
            if self.originates:
                self._clock += 1
                return wire.write_stamp(data, wire.Stamp(id, parent, self._clock))
        elif stamp.id in self._sent:
            id, parent = self.ids.number(), stamp.id
        elif self._carries:
            self._sent.add(stamp.id)
            return data
        else:
            id, parent = stamp.id, stamp.parent
        self._sent.add(id)
        self._clock += 1
        return wire.write_stamp(data, wire.Stamp(id, parent, self._clock))
