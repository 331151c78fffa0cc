"""The door in front of a socket that is not ours: what a watched socket tells, and when.

1. Each method does what the socket's own did, and then tells; what raises tells nothing.
2. No byte, no result, no error and no wait changes.
3. What a socket has still to tell (the frames of a message that is not complete) is the socket's.

`pylm_lab.watching` says who is watched, and who hears of it.
"""

from __future__ import annotations

import functools
import weakref
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import zmq

from pylm_lab.address import bound_address
from pylm_lab.errors import RunError
from pylm_lab.hook import Port

if TYPE_CHECKING:
    from pylm_lab.trace import Trace
    from pylm_lab.watching import Record

__all__ = ["BINDS", "End", "Watched"]

#: Types that bind as a rule: it is assumed of what was bound or connected before it was watched.
BINDS = frozenset({"PUB", "PULL", "REP", "ROUTER", "XPUB"})
_SENDS_ONLY = frozenset({"PUB", "PUSH", "XPUB"})
_RECEIVES_ONLY = frozenset({"PULL", "SUB", "XSUB"})
_MORE = int(zmq.SNDMORE)
_MORE_COMES = zmq.RCVMORE
_ASKS = (b"\0", b"\1")


class End:
    """What a watched socket tells, and what it has not told yet."""

    def __init__(self, record: Record, name: str, id: str, type_: str) -> None:
        self.record = record
        self.hooks = record.hooks
        self.actor = name
        self.id = id
        self.type = type_
        self.is_open = True
        self.addresses: list[str] = []
        self._declared: Port | None = None
        self._before: list[tuple[weakref.ref[zmq.Socket[Any]], type]] = []
        #: The first frames of a message whose others are still to come.
        self._leaving: list[bytes] = []
        self._coming: list[bytes] = []
        #: Held while a hop is told: sockets of one name may be those of several threads, and of one
        #: actor one hop is told at a time.
        self._telling = record.telling(name)

    def take(self, socket: zmq.Socket[Any]) -> None:
        """Stand in front of the socket."""
        # What an asynchronous socket sends and receives goes through a plain one that it has.
        for one in (socket, vars(socket).get("_shadow_sock")):
            if isinstance(one, zmq.Socket) and not isinstance(one, Watched):
                cls: Any = type(one)
                self._before.append((weakref.ref(one), cls))
                vars(one)["_end"] = self
                one.__class__ = _watched(cls)

    def let_go(self) -> None:
        """Give the socket back as it was."""
        while self._before:
            reference, cls = self._before.pop()
            socket = reference()
            if socket is not None:
                socket.__class__ = cls
                del vars(socket)["_end"]

    @property
    def port(self) -> Port:
        """What hooks are told of it. Whether it binds is known when it first does something."""
        return self._declared or self._declare(self.type in BINDS)

    def _declare(self, binds: bool) -> Port:
        self._declared = Port(
            id=self.id,
            actor=self.actor,
            socket=self.type,
            binds=binds,
            outer=True,
            sends="" if self.type in _RECEIVES_ONLY else "message",
            receives="" if self.type in _SENDS_ONLY else "message",
        )
        self.hooks.port_declared(self._declared)
        return self._declared

    def joined(self, address: str, binds: bool) -> None:
        """It is bound, or connected, there."""
        if self._declared is None:
            self._declare(binds)
        self.addresses.append(address)
        tell = self.hooks.port_bound if binds else self.hooks.port_connected
        tell(self.port, address, monotonic_ns())

    def left(self, address: str) -> None:
        """It is bound, or connected, there no more."""
        if address in self.addresses:
            self.addresses.remove(address)
        self.hooks.port_disconnected(self.port, address, monotonic_ns())

    def subscribed(self, option: int, topic: bytes) -> None:
        """It wants a topic, or wants it no more, if this is what the option says."""
        if self.type == "SUB" and option in (zmq.SUBSCRIBE, zmq.UNSUBSCRIBE):
            subscribes = option == zmq.SUBSCRIBE
            tell = self.hooks.topic_subscribed if subscribes else self.hooks.topic_unsubscribed
            tell(self.port, bytes(topic), monotonic_ns())

    def sent(self, data: Any, flags: int, now: int) -> None:
        """A frame has been sent; `now` is when that began."""
        frame = data if type(data) is bytes else memoryview(data).tobytes()
        if flags & _MORE:
            self._leaving.append(frame)
            return
        frames = [frame]
        if self._leaving:
            frames = [*self._leaving, frame]
            self._leaving.clear()
        if self.type == "XSUB" and frame[:1] in _ASKS and len(frames) == 1:
            told = self.hooks.topic_subscribed if frame[0] else self.hooks.topic_unsubscribed
            told(self.port, frame[1:], now)
        else:
            port = self._declared or self.port
            with self._telling:
                self.hooks.hops_sent(port, [frames], now)

    def received(self, data: Any, more: int) -> None:
        """A frame has been received."""
        frame = data if type(data) is bytes else memoryview(data).tobytes()
        if more:
            self._coming.append(frame)
            return
        frames = [frame]
        if self._coming:
            frames = [*self._coming, frame]
            self._coming.clear()
        if self.type == "XPUB" and frame[:1] in _ASKS and len(frames) == 1:
            self.hooks.subscription_seen(self.port, frame[1:], bool(frame[0]), monotonic_ns())
        else:
            port = self._declared or self.port
            with self._telling:
                self.hooks.hops_received(port, [frames], monotonic_ns())

    def closed(self) -> None:
        """The socket is closed."""
        if self.is_open:
            self.is_open = False
            while self.addresses:
                self.left(self.addresses[0])
            self.record.closed(self.actor)


_send: Any = zmq.Socket.send
_recv: Any = zmq.Socket.recv
_get: Any = zmq.Socket.get


class Watched(zmq.Socket[Any]):
    """A pyzmq socket that is watched: `watch` makes it of one that is not.

    It does what it did. `trace` is what is recorded so far of all that are watched with it.
    """

    # Some may be made without `watch`, by whoever asks for another of the same class.
    _end: End | None = None

    @property
    def trace(self) -> Trace:
        """All that its record tells so far: a Trace, the same until something more happens.

        Raises:
            RunError: it is watched into a hook that keeps no trace.
        """
        if self._end is None:
            raise RunError(f"{self!r} is not watched: give it to pylm_lab.watch")
        return self._end.record.trace

    def bind(self, addr: Any) -> Any:
        done = super().bind(addr)
        if self._end is not None:
            self._end.joined(bound_address(self), True)
        return done

    def connect(self, addr: Any) -> Any:
        done = super().connect(addr)
        if self._end is not None:
            self._end.joined(_text(addr), False)
        return done

    def unbind(self, addr: Any) -> None:
        super().unbind(addr)
        if self._end is not None:
            self._end.left(_text(addr))

    def disconnect(self, addr: Any) -> None:
        super().disconnect(addr)
        if self._end is not None:
            self._end.left(_text(addr))

    def set(self, option: int, optval: Any) -> None:
        super().set(option, optval)
        if self._end is not None:
            self._end.subscribed(option, optval)

    setsockopt = set

    # What is next to this class is always zmq.Socket, and `super` takes its time.

    def send(self, data: Any, flags: int = 0, *more: Any, **options: Any) -> Any:
        now = monotonic_ns()  # before anybody can have received it
        done = _send(self, data, flags, *more, **options)
        if self._end is not None:
            self._end.sent(data, flags, now)
        return done

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        data = _recv(self, flags, copy, track)
        if self._end is not None:
            self._end.received(data, _get(self, _MORE_COMES))
        return data

    def recv_into(self, buffer: Any, /, **options: Any) -> Any:
        size = super().recv_into(buffer, **options)
        if self._end is not None:
            head = memoryview(buffer).cast("B")[:size]
            self._end.received(head, _get(self, _MORE_COMES))
        return size

    def close(self, linger: int | None = None) -> None:
        super().close(linger)
        if self._end is not None:
            self._end.closed()

    def __copy__(self, memo: Any | None = None) -> Any:
        copied = super().__copy__(memo)
        vars(copied)["_end"] = self._end
        return copied

    __deepcopy__ = __copy__


@functools.cache
def _watched(cls: Any) -> Any:
    """A class like this one whose sockets are watched, where they meet ZeroMQ."""
    if cls is zmq.Socket:
        return Watched
    return type(f"Watched{cls.__name__}", (cls, Watched), {"__module__": __name__})


def _text(address: str | bytes) -> str:
    return address.decode("utf-8", "backslashreplace") if isinstance(address, bytes) else address
