"""Anybody's sockets: pyzmq sockets that are not ours, recorded.

1. A watched socket is the object that it was. Its class becomes a subclass of its own class, which
   is the door (`pylm_lab.watched`); so nobody who holds it, a poller neither, gets past.
2. Nothing is kept here: a context knows the record of its sockets, a hook who tells it.

What `zmq.proxy` moves is moved in C, and passes no door.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import zmq

from pylm_lab.address import bound_address
from pylm_lab.errors import RunError, WiringError
from pylm_lab.hook import Actor, Hook, Hooks
from pylm_lab.trace.record.recorder import Recorder
from pylm_lab.watched import BINDS, End, Watched
from pylm_lab.witness import witness

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Record", "Watched", "let_go", "watch"]

#: Who can be at the other end.
_OTHERS = {
    "DEALER": ("DEALER", "REP", "ROUTER"),
    "PAIR": ("PAIR",),
    "PUB": ("SUB", "XSUB"),
    "PULL": ("PUSH",),
    "PUSH": ("PULL",),
    "REP": ("DEALER", "REQ"),
    "REQ": ("REP", "ROUTER"),
    "ROUTER": ("DEALER", "REQ", "ROUTER"),
    "SUB": ("PUB", "XPUB"),
    "XPUB": ("SUB", "XSUB"),
    "XSUB": ("PUB", "XPUB"),
}
_KEY = "_pylm_lab_record"
_meeting = threading.Lock()


def watch(socket: zmq.Socket[Any], name: str, *, into: Hook | None = None) -> Watched:
    """Let whatever the socket does be recorded; it is the same socket afterwards, and given back.

        asker = lab.watch(context.socket(zmq.REQ), name="asker")
        server = lab.watch(context.socket(zmq.REP), name="server")
        server.bind("inproc://here")
        asker.connect("inproc://here")
        asker.send(b"hello")
        server.send(server.recv())
        asker.recv()
        asker.trace.spacetime()

    Sockets of one context go into one record, which each of them has as `trace`; it begins anew
    once all that it watches are closed. Sockets of one name belong to one actor, so give those of
    different threads different names. Watch a socket before it is bound or connected: of an earlier
    address only the last is known, and who binds there is assumed. A socket that does both counts
    as what it did first, so what goes over its other links is not matched.

    `trace.check()` says what was lost, and of a question that it was never answered, if its asker
    waited for 0.2 s at least: whoever gave up sooner may only have been in a hurry.

    Args:
        socket: any pyzmq socket, one of `zmq.asyncio` too.
        name: what the one is called who sends and receives there.
        into: a hook that is told, such as `lab.Recorder()` or one that a cluster has, instead of
            the record of the context.

    Raises:
        WiringError: it is no socket, it is closed, or it has no context and `into` is not given;
            or the name is no text.
        RunError: it is watched already, by another name or into something else.
    """
    _check(socket, name, into)
    known = vars(socket).get("_end")
    if known is None:
        with _meeting:
            record = _record(socket, into)
            record.add(socket, name)
    elif known.actor != name or (into is not None and known.record.hook is not into):
        raise RunError(
            f"the socket is watched already, as {known.actor!r}: a socket has one name and one"
            " record"
        )
    return socket  # type: ignore[return-value]  # its class has changed


def let_go(into: Hook) -> None:
    """Let the sockets that are watched into the hook be as they were before, open or closed."""
    record = vars(into).pop(_KEY, None)
    if record is not None:
        record.let_go()


def _check(socket: object, name: object, into: object) -> None:
    if not isinstance(socket, zmq.Socket):
        raise WiringError(
            f"watch({socket!r}) is no pyzmq socket: give it what context.socket(…) made. Servers,"
            " workers and clients of pylm_lab are recorded by their attach(recorder)"
        )
    if socket.closed:
        raise WiringError(f"watch({socket!r}): the socket is closed; watch it when it is made")
    if not isinstance(name, str) or not name:
        raise WiringError(f"name={name!r}: a text that tells who sends and receives there")
    if into is not None and not isinstance(into, Hook):
        raise WiringError(f"into={into!r}: a hook, such as pylm_lab.Recorder(), or nothing")


def _record(socket: zmq.Socket[Any], into: Hook | None) -> Record:
    """Where the socket is to be recorded. A context has no attributes of its own but these."""
    owner: Any = into
    if owner is None:
        owner = socket.context
        while isinstance(getattr(owner, "_shadow_obj", None), zmq.Context):
            owner = owner._shadow_obj  # the asynchronous face of another context
        if owner is None:
            raise WiringError(f"watch({socket!r}): the socket has no context; say into=recorder")
    known: Record | None = vars(owner).get(_KEY)
    if known is None or (into is None and known.is_over):
        known = vars(owner)[_KEY] = Record(into)
    return known


class Record:
    """Sockets that are watched together, and who hears of them."""

    def __init__(self, into: Hook | None) -> None:
        self.hook = Recorder() if into is None else into
        self.hooks = Hooks([self.hook])
        self._ends: list[End] = []
        #: How many sockets of each name are open, and how many of each name and type there were.
        self._open: Counter[str] = Counter()
        self._made: Counter[tuple[str, str]] = Counter()
        self._telling: dict[str, threading.Lock] = {}
        #: Lets who is installed to hear this process hear it no more.
        self._unheard: Callable[[], None] | None = None

    @property
    def trace(self) -> Trace:
        """What the record tells so far."""
        heard = [hook for hook in (self.hook, *self.hooks) if isinstance(hook, Recorder)]
        if not heard:
            raise RunError(
                f"{self.hook!r} keeps no trace: let the sockets be watched into a Recorder"
            )
        return heard[0].trace

    @property
    def is_over(self) -> bool:
        """All that it watched are closed."""
        return not any(self._open.values())

    def telling(self, name: str) -> threading.Lock:
        """What is held while a hop of this actor is told."""
        return self._telling.setdefault(name, threading.Lock())

    def add(self, socket: zmq.Socket[Any], name: str) -> None:
        """Watch a socket."""
        type_ = zmq.SocketType(int(socket.getsockopt(zmq.TYPE))).name
        self._made[name, type_] += 1
        count = self._made[name, type_]
        end = End(self, name, f"{name}:{type_.lower()}{count if count > 1 else ''}", type_)
        self._ends = [*(known for known in self._ends if known.is_open), end]
        if self.is_over:
            self._unheard = witness(self.hooks)
        if not self._open[name]:
            self.hooks.actor_declared(Actor(id=name, label=name, role="program", kind="Program"))
            self.hooks.actor_started(name, time.monotonic_ns())
        self._open[name] += 1
        address = bound_address(socket)
        if address:
            end.joined(address, self._binds_there(end, address))
        end.take(socket)

    def _binds_there(self, end: End, address: str) -> bool:
        """Whether a socket that was at this address before is the one that binds.

        ZeroMQ tells that of none. It is the opposite of what is at the other end, as far as known.
        """
        for other in self._ends:
            if address in other.addresses and other.type in _OTHERS.get(end.type, ()):
                return not other.port.binds
        return end.type in BINDS

    def closed(self, name: str) -> None:
        """A socket of this name is closed."""
        self._open[name] -= 1
        if not self._open[name]:
            self.hooks.actor_stopped(name, time.monotonic_ns())
        if self.is_over and self._unheard is not None:
            self._unheard()
            self._unheard = None

    def let_go(self) -> None:
        """Watch none of them any more."""
        for end in self._ends:
            end.let_go()
