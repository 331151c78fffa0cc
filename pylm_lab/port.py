"""Port, the door.

1. Every message enters or leaves an actor through a `Port`. Hooks, schedules and faults act here
   and nowhere else; no actor knows that it is watched.
2. `put` and `take` never wait: who has to wait does so in `Loop.next`, which hears a stop.
3. When nobody hears hops, a port pays one attribute test, and messages carry no stamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import zmq

from pylm_lab import hook, wire
from pylm_lab.address import bound_address, explain, free
from pylm_lab.arrivals import Arrivals
from pylm_lab.errors import AddressError, RunError
from pylm_lab.line import Line

if TYPE_CHECKING:
    from pylm_lab.breakage import Breakage
    from pylm_lab.loop import Loop

__all__ = ["Port"]

#: What a REP answers to a request that a fault has lost; an answer of somebody's has one frame.
NOTHING = [b"\xfflost", b""]
#: Messages that are given up by name when an actor ends: somebody may push more all the time.
SWEEP = 50_000


class Port(Line):
    """One end of a link, owned by one actor.

    It is declared when the actor is made, and gets its socket when the actor is opened. It behaves
    like the socket that it holds: `recv`, `send`, `recv_multipart` and `send_multipart` wait, but
    hear a stop, and go through the door.
    """

    def __init__(
        self,
        owner: Loop,
        name: str,
        socket_type: int,
        *,
        binds: bool,
        outer: bool = True,
        sends: hook.Kind | Literal[""] = "",
        receives: hook.Kind | Literal[""] = "",
        address: str = "",
    ) -> None:
        self.owner = owner
        self.name = name
        self.socket_type = zmq.SocketType(socket_type)
        self.binds = binds
        self.outer = outer
        self.sends = sends
        self.receives = receives
        #: Where it binds or connects; `open` replaces a free tcp port by the one it got.
        self.address = address
        self.addresses: list[str] = []
        super().__init__(int(socket_type == zmq.PULL))
        self._socket: zmq.Socket[bytes] | None = None
        self._stamps = sends in ("message", "request") and owner.role != "router"
        #: What comes gets an id if it has none, and is the one at hand, once it is received.
        self.marks = receives in ("message", "request") and owner.role != "router"
        #: Both ends belong to one server: while somebody hears, what comes ends in a stamp.
        self.ours = False
        #: What comes may be feedback without a stamp: it is told as it came, as the router has.
        self.fed = False
        #: Somebody hears hops. The one thing that a port asks when nobody does.
        self._watched = False
        #: They hear the time of each hop, not one for all that happen together.
        self._timed = False
        #: What has come and is not received yet, apart from what is in the socket.
        self.arrivals = Arrivals()
        #: What acts on purpose on messages that it is about to receive; None: nothing.
        self.faults: Breakage | None = None
        #: What comes is taken off the socket when it is received, not before.
        self._direct = True

    @property
    def id(self) -> str:
        """Its name in the trace."""
        return f"{self.owner.id}:{self.name}"

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The ZeroMQ socket.

        Raises:
            RunError: the actor is not open.
        """
        if self._socket is None:
            raise RunError(f"{self.id} is not open: start {self.owner.id} first")
        return self._socket

    @property
    def kind(self) -> str:
        """What hooks are told that it is: the socket's type."""
        return self.socket_type.name

    @property
    def is_open(self) -> bool:
        """It has a socket."""
        return self._socket is not None

    @property
    def is_marking(self) -> bool:
        """What it receives has a stamp, since somebody hears."""
        return self._watched and self.marks

    @property
    def is_watched(self) -> bool:
        """Somebody hears its hops."""
        return self._watched

    @property
    def declared(self) -> hook.Port:
        """What hooks are told of it; one and the same object for as long as the actor is open."""
        return self._declared

    def declare(self) -> None:
        """Tell the owner's hooks that the port is there."""
        self._declared = hook.Port(
            id=self.id,
            actor=self.owner.id,
            socket=self.kind,
            binds=self.binds,
            outer=self.outer,
            sends=self.sends,
            receives=self.receives,
        )
        self.owner.hooks.port_declared(self._declared)

    def open(self, context: zmq.Context[zmq.Socket[bytes]], **options: int | bytes) -> None:
        """Make the socket; bind or connect it if the port has an address."""
        socket = context.socket(self.socket_type)
        if not self.outer:
            socket.sndhwm = socket.rcvhwm = 0
        for option, value in options.items():
            setattr(socket, option, value)
        self._socket = socket
        self._hold(socket)
        hooks = self.owner.hooks
        self.arrivals.clear()
        breakage = self.owner.breakage
        self.faults, self._direct = None, self.owner.gate is None
        if breakage is not None and breakage.is_on:
            self.break_by(breakage)
        self._watched = hooks.active
        self._timed = self.owner.gate is None and (hooks.precise or self.owner.precise)
        if self.address:
            self.join(self.address)

    def join(self, address: str) -> None:
        """Bind or connect the socket.

        Raises:
            AddressError: the address is taken, or none that ZeroMQ knows.
        """
        try:
            if self.binds:
                self.socket.bind(address)
                address = bound_address(self.socket)
            else:
                self.socket.connect(address)
        except zmq.ZMQError as error:
            # What ZeroMQ says of it is told: a script's user has no use for where it said so.
            raise AddressError(explain(self.id, address, error, binds=self.binds)) from None
        self.joined(address)

    def joined(self, address: str) -> None:
        """Tell that it is bound, or connected, there."""
        owner = self.owner
        self.address = address
        self.addresses.append(address)
        if owner.places is not None:
            owner.places.join(self, address)
        if owner.gate is not None:
            owner.gate.touch(self)
        tell = owner.hooks.port_bound if self.binds else owner.hooks.port_connected
        tell(self._declared, address, owner.tick())

    # What has come and is not received yet

    def has_arrived(self) -> bool:
        """Something is there; it is taken off the socket, and waits for the turn."""
        late = self.arrivals
        if late.next is None:
            late.was_held = late.is_due(self.owner.seconds())
            if late.was_held:
                late.next = self._release()
            while late.next is None and self.can_receive():
                taken = self._take()
                late.next = None if taken == NOTHING else taken
        return late.next is not None

    def hold(self, frames: list[bytes], at: float, after: str = "") -> None:
        """Let these frames arrive at that time of the owner's clock; see `Arrivals.hold`."""
        self.arrivals.hold(frames, at, after)
        self.owner.holds_back += 1

    def _release(self) -> list[bytes]:
        self.owner.holds_back -= 1
        return self.arrivals.release()

    def break_by(self, faults: Breakage | None) -> None:
        """Let faults act from now on, or no more."""
        self.faults, self._direct = faults, faults is None and self.owner.gate is None

    def strike(self, frames: list[bytes], fault: hook.FaultKind, why: str) -> None:
        """Tell that a fault acts on what the port was about to receive."""
        owner = self.owner
        owner.hooks.fault_struck(owner.id, self._declared, frames, fault, why, owner.moment())

    # The door

    def put(self, frames: list[bytes], *, onward: bool = False) -> None:
        """Send the frames now; raises zmq.Again where there is no room."""
        self.put_many([frames], onward=onward)

    def _forget_late_answers(self) -> None:
        """What a fault has held back is no answer to the question that is asked now."""
        while len(self.arrivals):
            self.drop(self._release(), "it answers an earlier question")

    def free_of_debt(self) -> None:
        """A request was lost: let a REP take the next one, which it does when it has answered."""
        if self.socket_type == zmq.REP:
            self._put([NOTHING])

    def preview(self, frames: list[bytes]) -> tuple[int, int]:
        """The id under which these frames would be sent, 0 for a new one, and its parent's."""
        if self._watched and self._stamps and not self.owner.onward:
            return self.owner.stamps.preview(frames[-1])
        stamp = wire.read_stamp(frames[-1])
        return (stamp.id, stamp.parent) if stamp else (0, 0)

    def put_many(self, batch: list[list[bytes]], *, onward: bool = False) -> int:
        """Send what there is room for, in order; returns how many of the messages that was.

        They have the same number of frames each. Where the very first can't be sent, what ZeroMQ
        says of that is raised (zmq.Again: there is no room). `onward`: each is a message that came
        in and goes on as it is, the one time.
        """
        if not self._watched:
            return self._put(batch)
        owner, stamps = self.owner, self._stamps and not onward
        if stamps:
            plain = [frames[-1] for frames in batch]
            owner.stamps.put(batch)
        faults = self.faults
        if faults is not None:
            faults.note(self, batch)  # before anybody can receive it
        if self.sends == "request" and not self._direct:
            self._forget_late_answers()
        times: list[int] = []
        count = 0
        try:
            count = self._put_timed(batch, times) if self._timed else self._put(batch)
        finally:
            if count < len(batch):
                if stamps:
                    # What has not left is sent for the first time the next time.
                    for frames, data in zip(batch[count:], plain[count:], strict=True):
                        owner.stamps.take_back(frames[-1])
                        frames[-1] = data
                batch = batch[:count]
        owner.hooks.hops_sent(self._declared, batch, times or owner.moment())
        return count

    def take(self) -> list[bytes] | None:
        """Receive what is there; raises zmq.Again where nothing is. None: a fault has taken it."""
        if not self._direct:
            return self._take_what_arrived()
        frames = self._take()
        if self._watched:
            self._tell([frames], self.owner.moment())
        return frames

    def _take_what_arrived(self) -> list[bytes] | None:
        """`take`, where something may wait here already, or a fault may act."""
        if self.faults is not None and self.owner.gate is None:
            self.faults.retire(self)
        frames, was_held = self._arrived()
        if not self._watched:
            return frames
        if frames == NOTHING:
            return None
        struck = frames if was_held else self._strike(frames)
        if struck is not None:
            self._tell([struck], self.owner.moment())
        return struck

    def _arrived(self) -> tuple[list[bytes], bool]:
        """What is there, and whether it was held back until now."""
        late = self.arrivals
        if late.next is not None:
            frames, late.next = late.next, None
            return frames, late.was_held
        if late.is_due(self.owner.seconds()):
            return self._release(), True
        return self._take(), False

    def take_many(self, most: int) -> list[list[bytes]]:
        """Receive what is there, `most` at the most; raises zmq.Again where nothing is.

        Where faults act it is one, or none if they have taken it.
        """
        if not self._direct:
            frames = self.take()
            return [] if frames is None else [frames]
        times: list[int] = []
        found = [self._take()]
        # A message that comes alone is not kept waiting by a second look, which takes longer.
        if most > 1 and self.can_receive():
            try:
                if self._timed and self._watched:
                    self._take_timed(found, times, most)
                else:
                    self._take_more(found, most)
            except zmq.Again:
                pass
        if self._watched:
            self._tell(found, times or self.owner.moment())
        return found

    def _strike(self, frames: list[bytes]) -> list[bytes] | None:
        """What faults leave of a message that has come."""
        if self.faults is None:
            return frames
        if self.marks and self.faults.planted and wire.read_stamp(frames[-1]) is None:
            self.owner.stamps.mark([frames], ours=self.ours)  # so that it can be told by its id
        return self.faults.strike(self, frames)

    def _tell(self, batch: list[list[bytes]], at: int | list[int]) -> None:
        if not self.receives:
            return
        owner, told = self.owner, batch
        if self.marks:
            if self.fed:
                told = [list(frames) for frames in batch]
            owner.stamps.mark(batch, ours=self.ours)
        owner.hooks.hops_received(self._declared, told, at)

    def drop(self, frames: list[bytes], cause: str) -> None:
        """Give up these frames, and say why."""
        if self._watched:
            self.owner.hooks.hop_dropped(self._declared, frames, cause, self.owner.moment())

    def sweep(self, cause: str) -> None:
        """Give up the messages that have come and will not be received any more."""
        if not self._watched or self.receives not in ("message", "request"):
            return
        late = self.arrivals
        while late.next is not None or len(late):
            self.drop(self._arrived()[0] if late.next is not None else self._release(), cause)
        for _ in range(SWEEP):
            if not self.can_receive():
                break
            self.drop(self._take(), cause)

    # What the documented `part.listen_to` and `part.broker` can do

    def recv_multipart(self) -> list[bytes]:
        """The next frames; waits for them."""
        return self.owner.next((self,))[1]

    def recv(self) -> bytes:
        """The last of the next frames; waits for them."""
        return self.recv_multipart()[-1]

    def send_multipart(self, frames: Sequence[bytes]) -> None:
        """Send these frames; waits for room."""
        self.owner.emit(self, list(frames))

    def send(self, data: bytes) -> None:
        """Send one message, with the delimiter that the socket needs; waits for room."""
        self.owner.emit(self, [b"", data] if self.socket_type == zmq.DEALER else [data])

    def close(self, linger: int = 0) -> None:
        """Close the socket; what was sent may leave for `linger` milliseconds."""
        socket = self._socket
        if socket is not None:
            self._let_go()
            while self.addresses:
                if self.binds and not socket.context.closed:
                    free(socket, self.addresses[-1])
                self.addresses.pop()
            # What a SUB has not sent are subscriptions, to a publisher that is gone.
            socket.close(linger=0 if self.socket_type == zmq.SUB else linger)
            self._socket = None
