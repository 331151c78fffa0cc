"""The four kinds of part: a server's network cards. The router is beside it, in `routing`.

1. A part has one socket to the outside (`listen_to`) and, unless it is a bypass part, one to the
   router (`broker`). It never looks at who watches.
2. Between a part and a router of one server a window of messages may be on its way, and
   acknowledgements may travel together. Facing anybody else the window is 1, nothing but
   `identity, empty, message` crosses, and any reply is one acknowledgement.
3. One bad message is that message's trouble: it is dropped, named in the log and in the trace, and
   the part goes on.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar, Unpack

import zmq
from google.protobuf.message import DecodeError

from pylm_lab import hook
from pylm_lab.arguments import seconds
from pylm_lab.loop import BATCH
from pylm_lab.parts.bypass import BypassInbound, BypassOutbound
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import Part, PartFunctions, read, unreadable
from pylm_lab.parts.routing import ACK, Router, zmq_context
from pylm_lab.port import Port
from pylm_lab.schedule import Stopped

__all__ = [
    "BypassInbound",
    "BypassOutbound",
    "Inbound",
    "Outbound",
    "Part",
    "Router",
    "read",
    "zmq_context",
]


class Inbound(Part):
    """A part that takes messages from outside and hands them to the router.

    Args:
        name: its name, which is its routing id.
        listen_address: where it binds or connects.
        socket_type: its outer socket's type, such as `zmq.PULL`.
        reply: its pair expects an answer.
        broker_address: the router's `inbound_address`.
        bind: it is a service, which binds; else a connection, which connects.
        logger: a Logger, or the logging module.
        cache: the server's cache.
        messages: end after that many messages from outside.
        scatter, handle_feedback, reply_feedback: functions in place of the methods.
    """

    role = direction = "inbound"
    replaceable: ClassVar[tuple[str, ...]] = ("scatter", "handle_feedback", "reply_feedback")
    #: Give a message that has none an id in its `cache` field.
    fills_cache: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        listen_address: str,
        socket_type: int,
        reply: bool = True,
        broker_address: str = "inproc://broker",
        bind: bool = False,
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            name,
            listen_address,
            socket_type,
            reply,
            bind,
            logger,
            cache,
            messages,
            context,
            functions,
        )
        self.broker_address = broker_address
        self.broker = self.add_port(
            "broker",
            zmq.DEALER,
            binds=False,
            outer=False,
            sends="message",
            receives="credit",
            address=broker_address,
        )
        #: Messages that may be unacknowledged, and whether acknowledgements come counted.
        self.window = self._credit = 1
        self.counted = False
        #: What the router has answered last.
        self._feedback = ACK

    def directions(self) -> dict[str, hook.Kind]:
        return {"receives": "message", "sends": "answer"} if self.reply else {"receives": "message"}

    def open_ports(self) -> None:
        self.listen_to.open(self.context)
        self.broker.open(self.context, routing_id=self.name.encode())

    def run(self) -> None:
        listen_to, broker = self.listen_to, self.broker
        both, acks = (listen_to, broker), (broker,)
        self._credit = self.window
        self._listens = self.overrides("handle_feedback")
        scatters = self.overrides("scatter")
        one_to_one = not scatters and not self.reply
        seen = 0
        while seen < self.messages:
            most = min(self._credit, BATCH, self.messages - seen)
            port, batch = self.drain(both if most > 0 else acks, max(1, most))
            if port is broker:
                for frames in batch:
                    self._acknowledged(frames)
                continue
            seen += len(batch)
            if one_to_one:
                self._pass_on(batch)
                continue
            for frames in self.each(listen_to, batch):
                self._feedback = ACK
                message = self._read(frames)
                if message is None:
                    pass
                elif scatters:
                    for one in self.scattered(message, frames):
                        self._hand_in(one)
                else:
                    self._hand_in(message)
                if self.reply:
                    if message is not None:
                        self._wait_for_credit()
                    self.emit(listen_to, [self.gives_feedback(self._feedback)])

    def _read(self, frames: list[bytes]) -> PalmMessage | None:
        message = read(self.listen_to, frames)
        if message is not None and self.fills_cache and not message.cache:
            message.cache = self.ids.text()
        return message

    def _pass_on(self, batch: list[list[bytes]]) -> None:
        """Give messages to the router as they are; there is credit for them."""
        parse, fills = PalmMessage.FromString, self.fills_cache
        out = []
        for frames in batch:
            data = frames[-1]
            try:
                message = parse(data)
            except DecodeError:
                unreadable(self.listen_to, frames)
                continue
            if fills and not message.cache:
                message.cache = self.ids.text()
            after = message.SerializeToString()
            # Mostly nothing has changed: whoever keeps both then keeps one.
            out.append([b"", data if after == data else after])
        self._credit -= len(out)
        self.emit_many(self.broker, out, onward=True)

    def _hand_in(self, message: PalmMessage) -> None:
        """Give a message to the router, as soon as there is credit for it."""
        frames = [b"", message.SerializeToString()]
        try:
            self._wait_for_credit()
        except Stopped:
            self.broker.drop(frames, f"{self.name} was stopped before there was credit for it")
            raise
        self._credit -= 1
        self.emit(self.broker, frames)

    def wish(self, ports: tuple[Port, ...], sending: Port | None) -> str:
        if sending is None and ports == (self.broker,):
            return f"credit at {self.broker.id} ({self._in_flight()} not done yet)"
        return super().wish(ports, sending)

    def _in_flight(self) -> str:
        count = self.window - self._credit
        return "its message is" if count == 1 else f"{count} of its messages are"

    def _wait_for_credit(self) -> None:
        while self._credit <= 0:
            self._acknowledged(self.next((self.broker,))[1])

    def _acknowledged(self, frames: list[bytes]) -> None:
        count = int(frames[-1]) if self.counted else 1
        self._credit += count
        self._feedback = ACK if self.counted else frames[-1]
        if self._listens:
            for _ in range(count):
                self.hears_feedback(self._feedback)

    def handle_feedback(self, message_data: bytes) -> None:
        """Override it to see what the router answers: once for each message."""

    def reply_feedback(self) -> bytes:
        """Override it to say what a pair that expects an answer gets, instead of the feedback.

        That is what the outbound part has told the router of the message, of the last one where
        `scatter` made several, if the part was registered with `block=True`; else `ACK`.
        """
        return self._feedback


class Outbound(Part):
    """A part that takes messages from the router and hands them to the outside.

    The arguments are those of `Inbound`; `broker_address` is the router's `outbound_address`, and
    `reply` says that the pair answers, which makes it a blocking part. `timeout` is how long, in
    seconds, it waits for an answer; then it ends, and with it its server, with `PairTimeout`.
    Without one it waits as long as it takes, and `waiting` tells.
    """

    role = direction = "outbound"
    replaceable: ClassVar[tuple[str, ...]] = ("scatter", "handle_feedback", "reply_feedback")
    drains = True
    #: It looks into the messages that it sends.
    parses: ClassVar[bool] = False
    #: What a message goes through here that a user may override.
    steps: ClassVar[tuple[str, ...]] = ("scatter", "deliver", "hand_out")

    def __init__(
        self,
        name: str,
        listen_address: str,
        socket_type: int,
        reply: bool = True,
        broker_address: str = "inproc://broker",
        bind: bool = False,
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        timeout: float | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            name,
            listen_address,
            socket_type,
            reply,
            bind,
            logger,
            cache,
            messages,
            context,
            functions,
        )
        self.timeout = seconds("timeout", timeout)
        self.broker_address = broker_address
        self.broker = self.add_port(
            "broker",
            zmq.DEALER,
            binds=False,
            outer=False,
            sends="credit",
            receives="message",
            address=broker_address,
        )
        #: How many messages are done before the router is told; 1: each, with its feedback.
        self.quantum = 1
        #: What the pair has answered to the message at hand.
        self._feedback = ACK

    def directions(self) -> dict[str, hook.Kind]:
        return {"sends": "message", "receives": "answer"} if self.reply else {"sends": "message"}

    def open_ports(self) -> None:
        self.listen_to.open(self.context)
        self.broker.open(self.context, routing_id=self.name.encode())

    @property
    def source(self) -> Port:
        return self.broker

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The ports that it listens to."""
        return (self.broker,)

    def heard(self, port: Port, frames: list[bytes]) -> None:
        """Something came in at another port than the router's."""

    def run(self) -> None:
        broker, quantum = self.broker, self.quantum
        parses = self.parses or self.overrides("scatter") or self.overrides("deliver")
        # Nobody asks about each, and nobody of the user's looks at one.
        together = not (self.reply or quantum == 1 or any(map(self.overrides, self.steps)))
        broker.marks = not (together and broker.ours)
        seen = done = 0
        while seen < self.messages:
            port, batch = self.drain(self.inputs, min(BATCH, self.messages - seen))
            if port is not broker:
                for frames in batch:
                    self.heard(port, frames)
                continue
            seen += len(batch)
            if together:
                self.pass_on(batch)
                done += len(batch)
                if done >= quantum:
                    self.emit(broker, [b"", str(done).encode()])
                    done = 0
                continue
            for frames in self.each(broker, batch):
                self._feedback = ACK
                if parses:
                    message = read(broker, frames)
                    if message is not None:
                        for one in self.scattered(message, frames):
                            self.deliver(one, frames)
                else:
                    self.hand_out([frames[-1]])
                done += 1
                if quantum == 1:
                    self.emit(broker, [b"", self.gives_feedback(self._feedback)])
                elif done == quantum:
                    done = 0
                    self.emit(broker, [b"", str(quantum).encode()])

    def pass_on(self, batch: list[list[bytes]]) -> None:
        """Send many messages to the outside, one for one."""
        out = [[frames[-1]] for frames in batch]
        self.emit_many(self.listen_to, out, onward=True)

    def deliver(self, message: PalmMessage, frames: list[bytes]) -> None:
        """Send one message to the outside; `frames` are those it came in."""
        self.hand_out([message.SerializeToString()])

    def hand_out(self, frames: list[bytes]) -> None:
        """Send these frames to the pair and, if it answers, wait for that."""
        self.emit(self.listen_to, frames)
        if self.reply:
            self._feedback = self.answer(self.timeout)[-1]
            self.hears_feedback(self._feedback)

    def handle_feedback(self, message_data: bytes) -> None:
        """Override it to see what the pair answers."""

    def reply_feedback(self) -> bytes:
        """Override it to say what the router is told of each message, instead of the feedback.

        That is what the pair answered, the last time where `scatter` made several, or `ACK`.
        """
        return self._feedback
