"""Port, the door.

1. Every message enters or leaves an actor through a `Port`. Hooks, schedules and faults act here
   and nowhere else; no actor knows that it is watched.
2. `put` and `take` never wait: who has to wait does so in `Loop.next`, which hears a stop.
3. When nobody hears hops, a port pays one attribute test, and messages carry no stamp.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import length_hint
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import zmq
from zmq.backend import Socket as RawSocket

from pylm_lab import hook
from pylm_lab.address import bound_address, explain, free
from pylm_lab.errors import AddressError, RunError

if TYPE_CHECKING:
    from pylm_lab.loop import Loop

__all__ = ["Port"]

_NOBLOCK = int(zmq.NOBLOCK)
_MORE = _NOBLOCK | int(zmq.SNDMORE)
_EVENTS = int(zmq.EVENTS)
_RCVMORE = int(zmq.RCVMORE)
#: Messages that are given up by name when an actor ends: somebody may push more all the time.
SWEEP = 50_000


class Port:
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
        #: Number of frames of whatever comes in, where that is agreed; 0: unknown. What is pulled
        #: has one: should somebody push several at once, each is a message.
        self.frames = int(socket_type == zmq.PULL)
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
        self._recv: Any = _closed
        self._send: Any = _closed
        self._get: Any = _closed

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
            socket=self.socket_type.name,
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
        # The methods of pyzmq's base class: half the time of a send is checks that we don't need.
        self._recv = RawSocket.recv.__get__(socket)
        self._send = RawSocket.send.__get__(socket)
        self._get = RawSocket.get.__get__(socket)
        hooks = self.owner.hooks
        self._watched = hooks.active
        self._timed = self.owner.gate is None and (hooks.precise or self.owner.precise)
        if self.address:
            self.join(self.address)

    def join(self, address: str) -> None:
        """Bind or connect the socket.

        Raises:
            AddressError: the address is taken, or none that ZeroMQ knows.
        """
        owner = self.owner
        try:
            if self.binds:
                self.socket.bind(address)
                address = bound_address(self.socket)
            else:
                self.socket.connect(address)
        except zmq.ZMQError as error:
            raise AddressError(explain(self.id, address, error, binds=self.binds)) from error
        self.address = address
        self.addresses.append(address)
        if owner.gate is not None:
            owner.gate.joined(self, address)
        tell = owner.hooks.port_bound if self.binds else owner.hooks.port_connected
        tell(self._declared, address, owner.tick())

    def can_receive(self) -> bool:
        """Something is there. Reading `EVENTS` lets ZeroMQ see what has come by now."""
        return bool(self._get(_EVENTS) & zmq.POLLIN)

    def can_send(self) -> bool:
        """There is room for another message."""
        return bool(self._get(_EVENTS) & zmq.POLLOUT)

    # The door

    def put(self, frames: list[bytes], *, onward: bool = False) -> None:
        """Send the frames now; raises zmq.Again where there is no room."""
        self.put_many([frames], onward=onward)

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
        owner.hooks.hops_sent(self._declared, batch, times or owner.clock())
        return count

    def _put(self, batch: list[list[bytes]]) -> int:
        send, rest = self._send, iter(batch)
        # Written out for the usual counts: this is where the time of the router goes.
        count = len(batch[0])
        try:
            if count == 1:
                for (data,) in rest:
                    send(data, _NOBLOCK)
            elif count == 2:
                for first, data in rest:
                    send(first, _MORE)
                    send(data, _NOBLOCK)
            elif count == 3:
                for first, second, data in rest:
                    send(first, _MORE)
                    send(second, _MORE)
                    send(data, _NOBLOCK)
            else:
                for frames in rest:
                    for frame in frames[:-1]:
                        send(frame, _MORE)
                    send(frames[-1], _NOBLOCK)
        except zmq.ZMQError:
            sent = len(batch) - length_hint(rest) - 1
            if not sent:
                raise
            return sent
        return len(batch)

    def _put_timed(self, batch: list[list[bytes]], times: list[int]) -> int:
        """`_put`, one by one, with the time of each."""
        send, now = self._send, time.monotonic_ns
        try:
            for frames in batch:
                for frame in frames[:-1]:
                    send(frame, _MORE)
                send(frames[-1], _NOBLOCK)
                times.append(now())
        except zmq.ZMQError:
            if not times:
                raise
        return len(times)

    def take(self) -> list[bytes]:
        """Receive what is there; raises zmq.Again where nothing is."""
        frames = self._take()
        if self._watched:
            self._tell([frames], self.owner.clock())
        return frames

    def take_many(self, most: int) -> list[list[bytes]]:
        """Receive what is there, `most` at the most; raises zmq.Again where nothing is."""
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
            self._tell(found, times or self.owner.clock())
        return found

    def _tell(self, batch: list[list[bytes]], at: int | list[int]) -> None:
        if not self.receives:
            return
        owner, told = self.owner, batch
        if self.marks:
            if self.fed:
                told = [list(frames) for frames in batch]
            owner.stamps.mark(batch, ours=self.ours)
        owner.hooks.hops_received(self._declared, told, at)

    def _take(self) -> list[bytes]:
        recv, count = self._recv, self.frames
        # Written out, as in `_put`.
        if count == 1:
            return [recv(_NOBLOCK)]
        if count == 3:
            return [recv(_NOBLOCK), recv(_NOBLOCK), recv(_NOBLOCK)]
        if count == 2:
            return [recv(_NOBLOCK), recv(_NOBLOCK)]
        # A frame that is not copied would tell whether more follow, and swallow a Ctrl-C that comes
        # while it is freed.
        frames = [recv(_NOBLOCK)]
        while self._get(_RCVMORE):
            frames.append(recv(_NOBLOCK))
        return frames

    def _take_more(self, found: list[list[bytes]], most: int) -> None:
        """`_take`, until there is nothing left."""
        recv, count = self._recv, self.frames
        if count == 1:
            while len(found) < most:
                found.append([recv(_NOBLOCK)])
        elif count == 3:
            while len(found) < most:
                found.append([recv(_NOBLOCK), recv(_NOBLOCK), recv(_NOBLOCK)])
        elif count == 2:
            while len(found) < most:
                found.append([recv(_NOBLOCK), recv(_NOBLOCK)])
        else:
            while len(found) < most:
                found.append(self._take())

    def _take_timed(self, found: list[list[bytes]], times: list[int], most: int) -> None:
        """`_take_more`, one by one, with the time of each."""
        take, now = self._take, time.monotonic_ns
        times.append(now())
        while len(found) < most:
            found.append(take())
            times.append(now())

    def drop(self, frames: list[bytes], cause: str) -> None:
        """Give up these frames, and say why."""
        if self._watched:
            self.owner.hooks.hop_dropped(self._declared, frames, cause, self.owner.clock())

    def sweep(self, cause: str) -> None:
        """Give up the messages that have come and will not be received any more."""
        if not self._watched or self.receives not in ("message", "request"):
            return
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
            self._recv = self._send = self._get = _closed
            while self.addresses:
                if self.binds and not socket.context.closed:
                    free(socket, self.addresses[-1])
                self.addresses.pop()
            socket.close(linger=linger)
            self._socket = None


def _closed(*_: Any) -> NoReturn:
    raise RunError("the port is not open: start its actor first")
