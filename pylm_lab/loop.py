"""The one loop: how every actor waits for what it can do next.

1. `next(ports)` waits for the next operation at any of the actor's ports, its stop socket among
   them; `drain` takes all that has come to one. Nothing else waits, and nothing else asks the gate.
2. A send never blocks: what cannot be sent now waits here for the port to be writable.
3. Free, it polls and drains without blocking, which is where the speed comes from. Under a gate it
   does the one operation that it is granted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import zmq
from zmq.backend import zmq_poll

from pylm_lab import hook
from pylm_lab.breakage import Breakage
from pylm_lab.errors import NoAnswer
from pylm_lab.patience import Patience
from pylm_lab.port import Port
from pylm_lab.schedule import SLICE, Gate, Operation, Stopped
from pylm_lab.stamps import Ids, Stamps
from pylm_lab.waits import Wait

__all__ = ["BATCH", "Loop", "Wait"]

Role = Literal["inbound", "outbound", "bypass", "router", "worker", "client"]

_IN = int(zmq.POLLIN)
_OUT = int(zmq.POLLOUT)
#: Messages taken from one port before the others, and the stop, are looked at again.
BATCH = 128
#: Nanoseconds: who looked for a message and had it sooner did not sleep.
BUSY_NS = 20_000
#: Milliseconds that a wait lasts before it looks again.
SLICE_MS = int(SLICE * 1000)
#: Milliseconds until a full publisher is asked again.
_FULL_MS = 5


class Loop(Patience):
    """An actor as its ports see it: who waits, hears, and gives messages their stamps.

    `id` is unique in a run; `hooks` hear what happens; `gate` is None in a free run.
    """

    role: ClassVar[Role]
    #: On a stop, go on until nothing more comes in.
    drains: ClassVar[bool] = False
    #: Read the clock at every event instead of once a batch.
    precise: ClassVar[bool] = False
    #: What `Stamps` ask of it.
    originates: ClassVar[bool] = False
    carries: ClassVar[bool] = False

    def __init__(self, name: str, logger: Any = None) -> None:
        super().__init__()
        self.name = name
        #: Unique in a run; a server and a cluster replace it by something longer.
        self.id = name
        self.logger: Any = logger if logger is not None else logging.getLogger(f"pylm_lab.{name}")
        self.hooks = hook.Hooks()
        #: What its run breaks on purpose.
        self.breakage: Breakage | None = None
        #: Messages that faults hold back before its ports.
        self.holds_back = 0
        self._ears: zmq.Socket[bytes] | None = None
        self._tells_waiting = False
        self._last: Port | None = None
        self._taken: tuple[Port, Iterator[list[bytes]]] | None = None
        self._now = 0
        self._is_busy = False
        #: What it sends at the moment has come in, and goes on as it is.
        self.onward = False
        self._stopping = False
        self._restart(None)

    def _restart(self, seed: int | None) -> None:
        """Forget what an earlier run has left."""
        self.ids = Ids(seed, self.id)
        self.stamps = Stamps(self.ids, originates=self.originates, carries=self.carries)
        self._taken = self._last = None
        self.holds_back = 0

    def next(
        self,
        ports: tuple[Port, ...],
        sending: tuple[Port, list[bytes]] | None = None,
        timeout: float | None = None,
    ) -> tuple[Port, list[bytes]]:
        """Wait for the next operation at one of these ports.

        Args:
            ports: where something may be received.
            sending: a port and the frames to send at it as soon as there is room.
            timeout: seconds after which to give up; None: never.

        Returns:
            The port and the frames that it received, or what `sending` held, once it is sent.

        Raises:
            Stopped: the actor was told to end.
            NoAnswer: the timeout is over.
        """
        if self.gate is not None:
            return self._next_in_turn(self.gate, ports, sending, timeout)
        if self._is_busy and len(ports) == 1 and sending is None and not self._stopping:
            # While there is more and more, to look first would take longer than the message does.
            try:
                frames = ports[0].take()
                if frames is not None:
                    return ports[0], frames
            except zmq.Again:
                self._is_busy = False
        port, batch = self._next_when_ready(ports, sending, timeout, 1)
        return port, batch[0]

    def drain(
        self,
        ports: tuple[Port, ...],
        most: int = BATCH,
        timeout: float | None = None,
        sending: tuple[Port, list[bytes]] | None = None,
    ) -> tuple[Port, list[list[bytes]]]:
        """Wait as `next` does, and take what has come to one port, `most` messages at the most.

        Under a gate it is one message.
        """
        if self.gate is not None:
            port, frames = self._next_in_turn(self.gate, ports, sending, timeout)
            return port, [frames]
        return self._next_when_ready(ports, sending, timeout, most)

    def each(self, port: Port, batch: list[list[bytes]]) -> Iterator[list[bytes]]:
        """Each of the messages that `drain` took, as the one at hand.

        What is made from scratch meanwhile is its child. What is left when the actor ends is
        dropped, and told so.

        Raises:
            Stopped: the actor was told to end, and does not do first what it has.
        """
        rest = iter(batch)
        self._taken = port, rest
        marks = len(batch) > 1 and port.is_marking and not self.originates
        for frames in rest:
            if marks:
                self.stamps.at_hand(frames[-1])
            yield frames
            if self._stopping and not self.drains:
                raise Stopped

    def _drop_taken(self) -> None:
        """Give up what was taken, and not yet handled when the loop ended."""
        if self._taken is not None:
            port, batch = self._taken
            for frames in batch:
                port.drop(frames, f"{self.name} ended before its turn came")

    def emit(self, port: Port, frames: list[bytes]) -> None:
        """Send the frames at the port as soon as there is room.

        Raises:
            Stopped: the actor was told to end before; the frames are dropped, and told so.
        """
        if self.gate is None:
            try:
                port.put(frames, onward=self.onward)
                return
            except zmq.Again:
                pass
        try:
            self.next((), (port, frames))
        except Stopped:
            port.drop(frames, f"{self.name} was stopped before it could be sent")
            raise

    def emit_many(
        self,
        port: Port,
        batch: list[list[bytes]],
        *,
        onward: bool = False,
        refused: Callable[[int, zmq.ZMQError], None] | None = None,
    ) -> None:
        """Send these messages, in order, as soon as there is room; all have as many frames.

        Args:
            port: where to send.
            batch: the messages.
            onward: each has come in, and goes on as it is, the one time.
            refused: called with the position and the error of a message that can't be sent at all;
                the others are. Without it the error is raised.

        Raises:
            Stopped: the actor was told to end before; the rest is dropped, and told so.
        """
        at = 0
        while at < len(batch):
            try:
                if self.gate is None:
                    at += port.put_many(batch[at:] if at else batch, onward=onward)
                    continue
            except zmq.Again:
                pass
            except zmq.ZMQError as error:
                if refused is None:
                    raise
                refused(at, error)
                at += 1
                continue
            try:
                self.onward = onward
                self.emit(port, batch[at])
            except zmq.ZMQError as error:
                if refused is None:
                    raise
                refused(at, error)
            except Stopped:
                for frames in batch[at + 1 :]:
                    port.drop(frames, f"{self.name} was stopped before it could be sent")
                raise
            finally:
                self.onward = False
            at += 1

    def _next_in_turn(
        self,
        gate: Gate,
        ports: tuple[Port, ...],
        sending: tuple[Port, list[bytes]] | None,
        timeout: float | None,
    ) -> tuple[Port, list[bytes]]:
        deadline = None if timeout is None else gate.time + timeout
        out, leaving = sending or (None, None)
        while True:
            operation = gate.ask(self, ports, out, frames=leaving, deadline=deadline)
            if operation.kind == "timeout":
                raise NoAnswer(self._timed_out(ports, sending, timeout))
            port = operation.port
            assert isinstance(port, Port)
            try:
                if operation.kind == "send" and sending is not None:
                    port.put(sending[1], onward=self.onward)
                    return sending
                frames = port.take()
                if frames is not None:
                    return port, frames
            except zmq.Again:
                pass  # there was room for a part of it
            finally:
                gate.touch(port)

    def _next_when_ready(
        self,
        ports: tuple[Port, ...],
        sending: tuple[Port, list[bytes]] | None,
        timeout: float | None,
        most: int,
    ) -> tuple[Port, list[list[bytes]]]:
        until = None if timeout is None else time.monotonic() + timeout
        ears: Any = self._ears
        wanted: list[tuple[Any, int]] = [(ears, _IN)]
        wanted += [(port.socket, _IN) for port in ports]
        if sending is not None:
            wanted.append((sending[0].socket, _OUT))
        # Somebody who wants to hear of waiting is told before the sleep, not before every look.
        asleep = not self._tells_waiting
        begun = 0
        while True:
            asked = time.monotonic_ns()
            self._waits_at = ports, sending[0] if sending else None, begun or asked
            begun = begun or asked
            patience = self._patience(until) if asleep else 0
            if self.holds_back:
                found = self._held_back(ports)
                if found is not None:
                    return found
                patience = min(patience, self._until_it_arrives(ports))
            try:
                ready = dict(zmq_poll(wanted, patience))
            finally:
                self._waits_at = None
            self._now = time.monotonic_ns()
            self._is_busy = self._now - asked < BUSY_NS
            stopped = ears in ready
            if stopped and ports and not self.drains:
                raise Stopped
            port = self._whose_turn(ports, ready)
            if port is not None:
                try:
                    batch = port.take_many(most)
                except zmq.Again:
                    continue
                self._last = port
                if batch:
                    return port, batch
            if sending is not None and ready.get(sending[0].socket, 0) & _OUT:
                try:
                    sending[0].put(sending[1], onward=self.onward)
                    return sending[0], [sending[1]]
                except zmq.Again:
                    # An XPUB that drops nothing says that there is room while one of its
                    # subscribers has none; nothing tells when that one has some.
                    self._waits_at = ports, sending[0], begun
                    try:
                        zmq_poll([(ears, _IN)], _FULL_MS)
                    finally:
                        self._waits_at = None
            if stopped:
                raise Stopped
            if until is not None and time.monotonic() >= until:
                raise NoAnswer(self._timed_out(ports, sending, timeout))
            if not asleep:
                asleep = True
                waits = ports if sending is None else (*ports, sending[0])
                self.hooks.actor_waiting(self.id, tuple(p.declared for p in waits), self._now)

    def _whose_turn(self, ports: tuple[Port, ...], ready: dict[Any, int]) -> Port | None:
        """A port where something has come; not the last one again if another has."""
        chosen = None
        for port in ports:
            if ready.get(port.socket, 0) & _IN:
                if port is not self._last:
                    return port
                chosen = port
        return chosen

    def _held_back(self, ports: tuple[Port, ...]) -> tuple[Port, list[list[bytes]]] | None:
        """What a fault has held back until now."""
        for port in ports:
            if port.arrivals.is_due(self.seconds()) and (frames := port.take()) is not None:
                return port, [frames]
        return None

    def _until_it_arrives(self, ports: tuple[Port, ...]) -> int:
        """Milliseconds until the next of what faults hold back arrives."""
        times = [at for port in ports if (at := port.arrivals.due) is not None]
        return int(max(0.0, min(times) - self.seconds()) * 1000) + 1 if times else SLICE_MS

    def _patience(self, until: float | None) -> int:
        """Milliseconds to wait at once."""
        longest = SLICE if threading.current_thread() is threading.main_thread() else 3600.0
        if until is not None:
            longest = min(longest, max(0.0, until - time.monotonic()))
        return int(longest * 1000) + (1 if longest else 0)

    def _timed_out(
        self,
        ports: tuple[Port, ...],
        sending: tuple[Port, list[bytes]] | None,
        timeout: float | None,
    ) -> str:
        what = [f"nothing came to {port.id} ({port.address})" for port in ports]
        if sending is not None:
            what.append(f"nobody takes what {sending[0].id} sends ({sending[0].address})")
        return f"{' and '.join(what)} within {timeout:g} s"

    # What the door asks of its owner

    def moment(self) -> int:
        """The time of an event."""
        if self.gate is not None:
            return self.gate.step
        return time.monotonic_ns() if self.precise or self.hooks.precise else self._now

    def seconds(self) -> float:
        """The time on its clock: that of the run where it is controlled, else the machine's."""
        return time.monotonic() if self.gate is None else self.gate.time

    def tick(self) -> int:
        """The time of an event that is no operation."""
        return time.monotonic_ns() if self.gate is None else self.gate.tick()

    def act(self, kind: str, port: Port) -> None:
        """Wait for the turn to do something at the port that is possible at any time."""
        if self.gate is not None:
            self.gate.ask(self, always=Operation(self.id, kind, port))
