"""Part: what all network cards have.

1. A bad message, or a user's `scatter` that fails, is that message's trouble: it is dropped, named
   in the log and in the trace, and the part goes on.
2. What a user may override, he may as well pass: `scatter=…` takes the place of the method of that
   name, in this one part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypedDict

import zmq
from google.protobuf.message import DecodeError

from pylm_lab import hook
from pylm_lab.actor import Actor
from pylm_lab.arguments import count
from pylm_lab.errors import NoAnswer, PairTimeout
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.routing import zmq_context
from pylm_lab.port import Port
from pylm_lab.wire import strip_stamp

__all__ = [
    "Part",
    "PartFunctions",
    "PubFunctions",
    "read",
    "take_over",
    "unreadable",
]


class PartFunctions(TypedDict, total=False):
    """Functions that may be passed to a part, in place of its methods."""

    scatter: Callable[[PalmMessage], Iterable[PalmMessage] | None] | None
    handle_feedback: Callable[[bytes], None] | None
    reply_feedback: Callable[[], bytes] | None


class PubFunctions(PartFunctions, total=False):
    """Functions that may be passed to a part that publishes, in place of its methods."""

    handle_stream: Callable[[PalmMessage], tuple[str, PalmMessage]] | None


def take_over(owner: object, functions: Mapping[str, Any], known: Iterable[str]) -> None:
    """Let these functions take the place of the owner's methods; None leaves the method.

    Raises:
        TypeError: there is no such method, or it is no function.
    """
    for name, function in functions.items():
        if name not in known:
            kind = type(owner).__name__
            raise TypeError(f"{kind} takes no {name}=: of functions it takes {', '.join(known)}")
        if function is None:
            continue
        if not callable(function):
            raise TypeError(f"{name}={function!r}: pass a function, or override the method")
        setattr(owner, name, function)


def read(port: Port, frames: list[bytes]) -> PalmMessage | None:
    """The message that the port received, or None: then it is dropped, and told so."""
    try:
        return PalmMessage.FromString(frames[-1])
    except DecodeError:
        unreadable(port, frames)
        return None


def unreadable(port: Port, frames: list[bytes]) -> None:
    """Drop what is no message, and tell so."""
    port.drop(frames, "it is no PALM message")
    size = len(strip_stamp(frames[-1]))
    port.owner.logger.error("%s: %d bytes are no PALM message", port.owner.id, size)


class Part(Actor):
    """What all parts have: the socket to the outside, the server's cache, a limit of messages."""

    carries = True
    #: The parameters that say where it is; the first is what `register_…` calls listen_address.
    placed_by: ClassVar[tuple[str, ...]] = ("listen_address",)
    #: The classifications, which `catalog` reads. None: each instance is told.
    #: A service binds, a connection connects.
    binds: ClassVar[bool | None] = None
    #: It has no wire to the router.
    bypass: ClassVar[bool] = False
    #: Which way the first message goes, as the router sees it.
    direction: ClassVar[Literal["inbound", "outbound", ""]] = ""
    #: It expects its pair to send something back, or its pair does.
    blocking: ClassVar[bool | None] = None
    #: What it holds towards the outside, such as `PULL`; the name of a ZeroMQ socket type, if any.
    socket: ClassVar[str] = ""
    #: The methods that a passed function may take the place of.
    replaceable: ClassVar[tuple[str, ...]] = ()
    #: The server before, by its name in the same cluster.
    upstream = ""
    #: The part of the same server that it connects to if it was given no address, by its name.
    beside: ClassVar[str] = ""

    def __init__(
        self,
        name: str,
        listen_address: str,
        socket_type: int,
        reply: bool,
        bind: bool,
        logger: Any,
        cache: Any,
        messages: int,
        context: zmq.Context[zmq.Socket[bytes]] | None,
        functions: Mapping[str, Any] | None = None,
    ) -> None:
        self.reply = reply
        take_over(self, functions or {}, self.replaceable)
        super().__init__(name, context=context or zmq_context, logger=logger)
        self.listen_address = listen_address
        self.cache = cache
        self.limit(messages)
        self.listen_to = self.add_port(
            "listen_to",
            socket_type,
            binds=bind,
            address=listen_address,
            **self.directions(),
        )
        #: Where its pair answers.
        self.back = self.listen_to

    def limit(self, messages: int) -> None:
        """Let it end after that many messages.

        Raises:
            WiringError: it is no whole number.
        """
        self.messages = count("messages", messages, "how many messages to end after", least=0)

    @property
    def blocks(self) -> bool:
        return self.reply

    @property
    def place(self) -> str:
        """Where it binds or connects, as far as it is told; empty if it is not."""
        return self.listen_address

    @property
    def nowhere(self) -> str:
        """What its user is told if it is to connect, and nothing says where."""
        if self.beside:
            return (
                f"{self.id} finds no {self.beside}: register it in this server too, or say where "
                "another one is, by listen_address"
            )
        return f"{self.id} connects to nowhere: give it listen_address when you register it"

    def meet(self, guests: Sequence[Part]) -> None:
        """Hear which parts of its server name it as the one they are `beside`.

        Raises:
            WiringError: it can't do its work with them alone.
        """

    def outside(self) -> Iterator[tuple[Port, str]]:
        """Its outer ports, each with the place that it was told."""
        yield self.listen_to, self.place

    def directions(self) -> dict[str, hook.Kind]:
        """What the outer port `sends` and `receives`."""
        raise NotImplementedError

    def answer(self, timeout: float | None) -> list[bytes]:
        """What the pair answers to what was sent last.

        Raises:
            PairTimeout: nothing within `timeout` seconds; None: never.
        """
        try:
            return self.next((self.back,), None, timeout)[1]
        except NoAnswer as error:
            raise PairTimeout(
                f"{self.id} has waited {timeout:g} s for the answer of its pair at "
                f"{self.back.address}. Is somebody there, and does it answer? A longer "
                "timeout=, or None, waits on"
            ) from error

    def hears_feedback(self, data: bytes) -> None:
        """Let `handle_feedback` see it; an error in it is told, and changes nothing."""
        try:
            self.handle_feedback(data)
        except (Exception, SystemExit):
            self.logger.exception("%s: handle_feedback failed", self.id)

    def gives_feedback(self, otherwise: bytes) -> bytes:
        """What `reply_feedback` says; an error in it is told, and it is what was to be otherwise.

        A pair, or the router, waits for it.
        """
        try:
            data = self.reply_feedback()
            if not isinstance(data, bytes):
                raise TypeError(f"it returned {type(data).__name__}, not bytes")
        except (Exception, SystemExit):
            self.logger.exception("%s: reply_feedback failed", self.id)
            return otherwise
        return data

    def handle_feedback(self, message_data: bytes) -> None:
        """Override it, or pass it, to see what is answered."""

    def reply_feedback(self) -> bytes:
        """Override it, or pass it, to say what is answered."""
        raise NotImplementedError

    @property
    def source(self) -> Port:
        """The port at which the messages come that it hands on."""
        return self.listen_to

    def scattered(self, message: PalmMessage, frames: list[bytes]) -> Iterator[PalmMessage]:
        """What `scatter` makes of a message; an error in it is that message's trouble."""
        gave = False
        try:
            for one in self.scatter(message) or ():
                if one is None:
                    continue
                gave = True
                if not isinstance(one, PalmMessage):
                    raise TypeError(f"it gave {type(one).__name__}, not a message")
                yield one
        except (Exception, SystemExit) as error:
            # A master's user has called it otherwise.
            name = getattr(self.scatter, "__name__", "scatter")
            self.logger.exception("%s: %s failed", self.id, name)
            self.source.drop(frames, f"{name} failed: {type(error).__name__}: {error}")
            return
        if not gave:
            self.source.drop(frames, hook.GAVE_NOTHING)

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Override it, or pass it, to make none, one or many messages out of one."""
        yield message

    def overrides(self, method: str) -> bool:
        """The user has replaced this method, by a subclass or by a function of the instance."""
        if method in vars(self):
            return True
        owner = next(kind for kind in type(self).__mro__ if method in vars(kind))
        return not owner.__module__.startswith("pylm_lab.parts.")
