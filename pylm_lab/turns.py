"""Turns: the places at a gate, of those who move and of those who let them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from pylm_lab.arrivals import Arrivals
from pylm_lab.choices import Operation
from pylm_lab.waits import Wait

__all__ = ["SLICE", "Driver", "Stopped", "Turn", "wish"]

#: How long a wait in the main thread may last before it looks for Ctrl-C, in seconds. Windows does
#: not interrupt a wait for a lock.
SLICE = 0.2


class Stopped(BaseException):
    """Raised in an actor that was told to stop, at its next operation.

    No Exception, so that a user's function that catches those does not take it for its own.
    """


class Door(Protocol):
    """What the gate needs to know of a port."""

    @property
    def id(self) -> str: ...
    @property
    def addresses(self) -> Sequence[str]: ...
    @property
    def owner(self) -> Any: ...
    @property
    def binds(self) -> bool: ...
    @property
    def sends(self) -> str: ...
    @property
    def receives(self) -> str: ...
    @property
    def arrivals(self) -> Arrivals: ...
    def has_arrived(self) -> bool: ...
    def can_send(self) -> bool: ...


@runtime_checkable
class Waiter(Protocol):
    """An actor that can say for what it waits."""

    def waiting(self) -> Wait | None: ...


#: What comes in at a port, in words.
_COMES = {
    "": "a subscription",
    "credit": "credit",
    "answer": "an answer",
    "request": "a request",
    "ready": "an echo",
}


def wish(receives: Sequence[Door], sends: Door | None) -> str:
    """What somebody waits for who waits at these ports, in words."""
    words = [f"{_COMES.get(port.receives, 'a message')} at {port.id}" for port in receives]
    if sends is not None:
        words.append(f"room to send at {sends.id}")
    return " or ".join(words) or "its time"


class Turn:
    """An actor's place at the gate. Changed by the thread that holds the turn, and by a stop."""

    def __init__(self, actor: str, *, caller: bool) -> None:
        self.actor = actor
        self.caller = caller
        self.go = threading.Semaphore(0)
        self.receives: Sequence[Door] = ()
        self.sends: Door | None = None
        self.frames: list[bytes] | None = None
        self.always: Operation | None = None
        self.deadline: float | None = None
        self.waiting = False
        self.stale = False
        self.ready: list[Operation] = []
        self.granted: Operation | None = None
        self.error: BaseException | None = None
        self.stopping = False
        self.since = 0
        #: The thread that waits.
        self.thread = 0

    def look(self) -> None:
        """Find out, in the thread that owns the sockets, what is possible."""
        self.stale = False
        name = self.actor
        ready = [
            Operation(name, "receive", port, port.arrivals.next)
            for port in self.receives
            if port.has_arrived()
        ]
        if self.sends is not None and self.sends.can_send():
            ready.append(Operation(name, "send", self.sends, self.frames))
        if self.always is not None:
            ready.append(self.always)
        self.ready = ready

    def sleep(self) -> None:
        """Wait until somebody gives the turn away to this one."""
        if threading.current_thread() is threading.main_thread():
            while not self.go.acquire(timeout=SLICE):
                pass
        else:
            self.go.acquire()


class Driver(Turn):
    """A caller who lets the others move, until something is so."""

    def __init__(self, until: Callable[[], bool], *, patient: bool) -> None:
        super().__init__("cluster", caller=True)
        self.until = until
        #: It gets the turn back when nothing can move, too.
        self.patient = patient
        self.done = False
        self.thread = threading.get_ident()
