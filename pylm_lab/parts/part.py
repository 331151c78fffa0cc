"""Part: what all network cards have.

A bad message, or a user's `scatter` that fails, is that message's trouble: it is dropped, named in
the log and in the trace, and the part goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

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

__all__ = ["Part", "read", "unreadable"]


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
    ) -> None:
        self.reply = reply
        super().__init__(name, context=context or zmq_context, logger=logger)
        self.listen_address = listen_address
        self.cache = cache
        self.messages = count("messages", messages, "how many messages to end after", least=0)
        self.listen_to = self.add_port(
            "listen_to",
            socket_type,
            binds=bind,
            address=listen_address,
            **self.directions(),
        )

    @property
    def blocks(self) -> bool:
        return self.reply

    def directions(self) -> dict[str, hook.Kind]:
        """What the outer port `sends` and `receives`."""
        raise NotImplementedError

    def answer(self, timeout: float | None) -> list[bytes]:
        """What the pair answers to what was sent last.

        Raises:
            PairTimeout: nothing within `timeout` seconds; None: never.
        """
        try:
            return self.next((self.listen_to,), None, timeout)[1]
        except NoAnswer as error:
            raise PairTimeout(
                f"{self.id} has waited {timeout:g} s for the answer of its pair at "
                f"{self.listen_to.address}. Is somebody there, and does it answer? A longer "
                "timeout=, or None, waits on"
            ) from error

    @property
    def source(self) -> Port:
        """The port at which the messages come that it hands on."""
        return self.listen_to

    def scattered(self, message: PalmMessage, frames: list[bytes]) -> Iterator[PalmMessage]:
        """What `scatter` makes of a message; an error in it is that message's trouble."""
        try:
            for one in self.scatter(message):
                if not isinstance(one, PalmMessage):
                    raise TypeError(f"it gave {type(one).__name__}, not a message")
                yield one
        except (Exception, SystemExit) as error:
            # A master's user has called it otherwise.
            name = getattr(self.scatter, "__name__", "scatter")
            self.logger.exception("%s: %s failed", self.id, name)
            self.source.drop(frames, f"{name} failed: {type(error).__name__}: {error}")

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Override it to make none, one or many messages out of one."""
        yield message

    def overrides(self, method: str) -> bool:
        """The user has replaced this method, by a subclass or by a function of the instance."""
        if method in vars(self):
            return True
        owner = next(kind for kind in type(self).__mro__ if method in vars(kind))
        return not owner.__module__.startswith("pylm_lab.parts.")
