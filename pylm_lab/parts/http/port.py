"""HttpPort: the door of an actor that speaks HTTP.

1. On the actor's side it is a ZeroMQ socket like any other port's, so whoever hears, hears each
   body that enters and each answer that leaves; on the other side are threads of a web server, or
   of web clients, which never touch the actor.
2. Its address is a URL, so both ends of a link find each other by it.
3. It runs free only: nothing tells when a request is about to arrive.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import zmq
from zmq.backend import zmq_poll

from pylm_lab import hook
from pylm_lab.address import free
from pylm_lab.errors import AddressError, WiringError
from pylm_lab.port import Port

if TYPE_CHECKING:
    from pylm_lab.loop import Loop

__all__ = ["FAILED", "Answer", "EndedError", "HttpPort", "Side"]

#: In place of an answer: there was none, and why.
FAILED = b"\xfffailed"

_IN = int(zmq.POLLIN)
_WEEKS = 2_000_000


class Answer(NamedTuple):
    """What a caller of the other side gives back for a question.

    `number` is the question's; `failed` is empty, or says in a word what is wrong (`HTTP 404`, or
    the class of an error); `came` tells an answer over HTTP from one that never came.
    """

    caller: bytes
    number: bytes
    failed: str
    body: bytes
    came: bool

    @property
    def text(self) -> str:
        """The body, as far as it is text."""
        return self.body.decode(errors="backslashreplace").strip()

    @classmethod
    def of(cls, frames: list[bytes]) -> Answer:
        """Read `caller, number, status, body`, or `caller, number, FAILED, kind, why`."""
        caller, number, status = frames[:3]
        if status == FAILED:
            return cls(caller, number, frames[3].decode(), frames[4], False)
        failed = "" if status == b"200" else f"HTTP {status.decode()}"
        return cls(caller, number, failed, frames[3], True)


class EndedError(Exception):
    """The port was closed while a request waited."""


class Side(Protocol):
    """What an HTTP port has on its other side: threads that speak HTTP."""

    #: Where it listens, or whom it asks.
    url: str

    def close(self) -> None:
        """End every thread and connection."""


class HttpPort(Port):
    """One end of a link over HTTP.

    Args:
        owner, name, binds, sends, receives, address: as `Port` takes them; `address` is a URL.
        socket_type: of the socket on the actor's side, which binds.
        side: makes the other side, once the port is open.
    """

    def __init__(
        self,
        owner: Loop,
        name: str,
        socket_type: int,
        *,
        side: Callable[[HttpPort], Side],
        binds: bool,
        sends: hook.Kind,
        receives: hook.Kind,
        address: str,
    ) -> None:
        super().__init__(
            owner, name, socket_type, binds=binds, sends=sends, receives=receives, address=address
        )
        self._make = side
        self._side: Side | None = None
        #: Where the threads of the other side reach the actor.
        self.inner = ""
        #: Held at both ends while it is open: what is sent at one is heard by all who wait.
        self._rope: socket.socket | None = None
        self._bell: socket.socket | None = None
        #: Held by who ends it: its actor, or whoever does not wait for that any longer.
        self._shutting = threading.Lock()

    @property
    def kind(self) -> str:
        return "HTTP"

    @property
    def bell(self) -> int:
        """The descriptor that is ready to be read from the moment on that the port ends.

        Raises:
            EndedError: it has.
        """
        if self._bell is None:
            raise EndedError
        return self._bell.fileno()

    def open(self, context: zmq.Context[zmq.Socket[bytes]], **options: int | bytes) -> None:
        if self.owner.gate is not None:
            raise WiringError(
                f"{self.owner.id} speaks HTTP, and that runs free only: without a seed, a "
                "schedule or a replay, since nothing tells when a request arrives"
            )
        super().open(context, **options)

    def join(self, address: str) -> None:
        self.inner = f"inproc://http.{id(self):x}"
        self.socket.bind(self.inner)
        self._rope, self._bell = socket.socketpair()
        try:
            self._side = self._make(self)
        except AddressError as error:
            raise AddressError(f"{self.id} {error}") from error
        self.joined(self._side.url)

    def shut(self) -> None:
        """End the other side: who waits there for an answer hears it."""
        with self._shutting:
            side, self._side = self._side, None
            if self._rope is not None:
                self._rope.send(b"!")
            if side is not None:
                side.close()
            for end in (self._rope, self._bell):
                if end is not None:
                    end.close()
            self._rope = self._bell = None

    def close(self, linger: int = 0) -> None:
        self.shut()
        if self._socket is not None:
            if self.inner and not self._socket.context.closed:
                free(self._socket, self.inner)
            self.inner = ""
            self.addresses.clear()
        super().close(linger)

    def exchange(self, frames: list[bytes], timeout: float | None) -> list[bytes] | None:
        """Ask the actor, from a thread of the other side; None: no answer within the timeout.

        Raises:
            EndedError: the port has ended, without an answer.
        """
        # Weeks are as good as for ever, and ZeroMQ counts no further.
        wait = -1 if timeout is None or timeout > _WEEKS else int(timeout * 1000)
        try:
            bell = self.bell
            with self.owner_context.socket(zmq.REQ) as asking:
                asking.linger = 0
                asking.connect(self.inner)
                asking.send_multipart(frames)
                ready: list[tuple[Any, int]] = [(asking, _IN), (bell, _IN)]
                if not zmq_poll(ready, wait):
                    return None
                try:
                    # What was answered at the last moment counts.
                    return asking.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    raise EndedError from None
        except zmq.ContextTerminated:
            raise EndedError from None

    @property
    def owner_context(self) -> zmq.Context[zmq.Socket[bytes]]:
        """The context of the actor's sockets."""
        return self.socket.context

    def _tell(self, batch: list[list[bytes]], at: int | list[int]) -> None:
        # That there was no answer is none.
        if not self.binds:
            batch = [frames for frames in batch if frames[2] != FAILED]
            at = at if isinstance(at, int) else at[: len(batch)]
        if batch:
            super()._tell(batch, at)
