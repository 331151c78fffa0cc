"""Parts that bind: the addresses that others connect to."""

from __future__ import annotations

import itertools
import sys
import uuid
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import zmq
from google.protobuf.message import DecodeError

from pylm_lab.errors import NoAnswer
from pylm_lab.loop import BATCH
from pylm_lab.parts.core import BypassInbound, Inbound, Outbound
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import unreadable
from pylm_lab.port import Port
from pylm_lab.wire import READY

__all__ = [
    "CacheService",
    "PubService",
    "PullService",
    "PushService",
    "RepBypassService",
    "WorkerPullService",
    "WorkerPushService",
]

Context = zmq.Context[zmq.Socket[bytes]]

#: How long, in seconds, and how many messages a publisher keeps for topics that nobody has
#: subscribed to yet.
HOLD_SECONDS = 1.0
HOLD_MESSAGES = 1000
#: Topics that a publisher remembers to have been subscribed to; the oldest is forgotten first.
KNOWN_TOPICS = 10_000


class PullService(Inbound):
    """Takes messages from clients at a PULL socket and hands them to the router."""

    def __init__(
        self,
        name: str,
        listen_address: str,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
    ) -> None:
        super().__init__(
            name,
            listen_address,
            zmq.PULL,
            reply=False,
            broker_address=broker_address,
            bind=True,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
        )


class WorkerPullService(PullService):
    """Takes results from workers at a PULL socket and hands them to the router."""

    fills_cache = False


class PushService(Outbound):
    """Deals messages from the router to those who pull at its PUSH socket, in rounds."""

    def __init__(
        self,
        name: str,
        listen_address: str,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
    ) -> None:
        super().__init__(
            name,
            listen_address,
            zmq.PUSH,
            reply=False,
            broker_address=broker_address,
            bind=True,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
        )


class WorkerPushService(PushService):
    """Deals messages from the router to workers, in rounds."""


class _Held(NamedTuple):
    until: float
    frames: list[bytes]


class PubService(Outbound):
    """Publishes messages from the router, each under a topic.

    Not pipelined, the topic is the message's client, and only that client has subscribed to it;
    pipelined, the topic is the server's name, and the stage rises by one. `handle_stream` decides.

    A subscription is known before the first message goes out under it: whoever subscribes to
    `READY` + topic gets an echo, and what is published under a topic that nobody has ever
    subscribed to, or not for very long, waits, for a second at most, in order. After an unsubscribe
    nothing waits.

    Args:
        pipelined: the next one down the pipeline subscribes, not the client.
        server: the server's name.
    """

    parses = True
    steps = (*Outbound.steps, "handle_stream", "publish")

    def __init__(
        self,
        name: str,
        listen_address: str,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        pipelined: bool = False,
        server: str | None = None,
        *,
        context: Context | None = None,
    ) -> None:
        super().__init__(
            name,
            listen_address,
            zmq.XPUB,
            reply=False,
            broker_address=broker_address,
            bind=True,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
        )
        self.pipelined = pipelined
        self.server_name = server or ""
        self._topics: Counter[bytes] = Counter()
        self._known: dict[bytes, None] = {}
        self._held: deque[_Held] = deque()

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._give_up(lambda _: True, "{name} ended before anybody subscribed to {topic!r}")

    def open_ports(self) -> None:
        self._topics.clear()
        self._known.clear()
        self.listen_to.open(self.context, xpub_verboser=1, xpub_nodrop=1)
        self.broker.open(self.context, routing_id=self.name.encode())

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (self.broker, self.listen_to)

    def drain(
        self,
        ports: tuple[Port, ...],
        most: int = BATCH,
        timeout: float | None = None,
        sending: tuple[Port, list[bytes]] | None = None,
    ) -> tuple[Port, list[list[bytes]]]:
        # While something is held there is a time at which to give it up.
        while self._held:
            left = max(0.0, self._held[0].until - self.seconds())
            try:
                return super().drain(ports, most, left, sending)
            except NoAnswer:
                self._give_up(lambda held: held.until <= self.seconds())
        return super().drain(ports, most, timeout, sending)

    def heard(self, port: Port, frames: list[bytes]) -> None:
        subscribed, topic = frames[0][:1] == b"\1", frames[0][1:]
        self.hooks.subscription_seen(port.declared, topic, subscribed, self.moment())
        self._topics[topic] += 1 if subscribed else -1
        if self._topics[topic] <= 0:
            del self._topics[topic]
        if not subscribed:
            return
        if topic.startswith(READY):
            self.emit(port, [topic, b""])
            return
        self._known[topic] = None
        if len(self._known) > KNOWN_TOPICS:
            del self._known[next(iter(self._known))]
        held, self._held = self._held, deque()
        try:
            while held:
                one = held.popleft()
                if one.frames[0].startswith(topic):
                    self.emit(port, one.frames)
                else:
                    self._held.append(one)
        finally:
            self._held.extend(held)

    def pass_on(self, batch: list[list[bytes]]) -> None:
        parse, own, topics = PalmMessage.FromString, self.server_name.encode(), self._topics
        out = []
        for frames in batch:
            data = frames[-1]
            try:
                message = parse(data)
            except DecodeError:
                unreadable(self.broker, frames)
                continue
            if self.pipelined:
                message.stage += 1
                topic, data = own, message.SerializeToString()
            else:
                topic = message.client.encode()
            if topic in topics or self._subscribed(topic):
                out.append([topic, data])
            else:
                self.publish([topic, data])
        self.emit_many(self.listen_to, out, onward=True)

    def handle_stream(self, message: PalmMessage) -> tuple[str, PalmMessage]:
        """Override it to say under which topic a message is published, and as what."""
        if self.pipelined:
            # A copy: gather may give the same message several times.
            after = PalmMessage()
            after.CopyFrom(message)
            after.stage += 1
            return self.server_name, after
        return message.client, message

    def deliver(self, message: PalmMessage, frames: list[bytes]) -> None:
        try:
            name, message = self.handle_stream(message)
            topic = name.encode() if isinstance(name, str) else bytes(name)
            data = message.SerializeToString()
        except (Exception, SystemExit) as error:
            self.logger.exception("%s: handle_stream failed", self.id)
            cause = f"handle_stream failed: {type(error).__name__}: {error}"
            self.source.drop(frames, cause)
            return
        self.publish([topic, data])

    def publish(self, frames: list[bytes]) -> None:
        """Send under a topic, or keep it for a while, or drop it if nobody asks for it."""
        topic = frames[0]
        if self._subscribed(topic):
            self.emit(self.listen_to, frames)
        elif topic in self._known:
            self.listen_to.drop(frames, "nobody is subscribed to its topic any more")
        else:
            self._held.append(_Held(self.seconds() + HOLD_SECONDS, frames))
            if len(self._held) > HOLD_MESSAGES:
                surplus = itertools.count(len(self._held) - HOLD_MESSAGES, -1)
                self._give_up(lambda _: next(surplus) > 0)

    def _subscribed(self, topic: bytes) -> bool:
        """Somebody has asked for this topic, or for a beginning of it."""
        topics = self._topics
        return topic in topics or any(topic.startswith(asked) for asked in topics)

    def _give_up(
        self,
        too_late: Callable[[_Held], bool],
        cause: str = "nobody subscribed to {topic!r} in time",
    ) -> None:
        while self._held and too_late(self._held[0]):
            frames = self._held.popleft().frames
            topic = frames[0].decode(errors="backslashreplace")
            told = cause.format(name=self.name, topic=topic)
            self.listen_to.drop(frames, told)
            self.logger.warning("%s: %s", self.id, told)


class RepBypassService(BypassInbound):
    """Answers requests at a REP socket, with no wire to the router. Override `handle`."""

    def __init__(
        self,
        name: str,
        listen_address: str,
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
    ) -> None:
        super().__init__(
            name,
            listen_address,
            zmq.REP,
            reply=True,
            bind=True,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
        )


class CacheService(RepBypassService):
    """The server's cache, for workers and clients: `set`, `get` and `delete` over REQ.

    A request is a PALM message whose `function` is `NAME.set`, `NAME.get` or `NAME.delete` (`NAME`
    is not looked at). `set` takes the key in `cache` (a new one if empty) and the value in
    `payload`, and answers the key; `get` and `delete` take the key in `payload` and answer the
    value and the key. Whatever can't be done is answered with nothing, and logged.
    """

    def handle(self, data: bytes) -> bytes:
        try:
            message = PalmMessage.FromString(data)
            operation = message.function.rpartition(".")[2]
            if operation == "set":
                key = message.cache or (str(uuid.uuid4()) if self.seed is None else self.ids.text())
                return str(self.cache.set(key, message.payload)).encode()
            key = message.payload.decode()
        except (DecodeError, UnicodeDecodeError) as error:
            self.logger.error("%s: can't read a request: %s", self.id, error)
            return b""
        if operation == "get":
            return self.cache.get(key) or b""
        if operation == "delete" and self.cache.delete(key) is not None:
            return key.encode()
        self.logger.error("%s: can't %s %r", self.id, operation or "do anything with", key)
        return b""
