"""The part that publishes: a message goes to those who have subscribed to its topic."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Unpack

import zmq
from google.protobuf.message import DecodeError

from pylm_lab.arguments import count
from pylm_lab.errors import NoAnswer
from pylm_lab.loop import BATCH
from pylm_lab.parts.core import Outbound
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import PubFunctions, unreadable
from pylm_lab.port import Port
from pylm_lab.schedule import Stopped
from pylm_lab.wire import READY

__all__ = ["PubService"]

Context = zmq.Context[zmq.Socket[bytes]]

#: How long, in seconds, and how many messages a publisher keeps for topics that nobody has
#: subscribed to yet.
HOLD_SECONDS = 1.0
HOLD_MESSAGES = 1000
#: Topics that a publisher remembers to have been subscribed to; the oldest is forgotten first.
KNOWN_TOPICS = 10_000
#: Topics of others that a warning shows.
SHOWN = 5
#: Bytes of the longest topic that somebody can subscribe to: names and ids are much shorter.
LONGEST_TOPIC = 65_536
#: Seconds that a client's answer waits for room, while the client takes nothing.
STUCK_SECONDS = 5.0
#: The largest stage that a message can have.
LAST = (1 << 63) - 1


class _Held(NamedTuple):
    until: float
    frames: list[bytes]
    wanted: int


class PubService(Outbound):
    """Publishes messages from the router, each under a topic.

    Not pipelined, the topic is the message's client, and only that client has subscribed to it;
    pipelined, the topic is the server's name, and the stage rises by one. `handle_stream` decides.

    A subscription is known before the first message goes out under it: whoever subscribes to
    `READY` + topic gets an echo, and what is published under a topic that nobody has ever
    subscribed to, or not for very long, waits, for a second at most, in order. After an unsubscribe
    nothing waits.

    A topic that is no client's may have several subscribers: with `subscribers=2`, as for a tee,
    the first messages under it wait until two are there, and so does the echo. When the second is
    over they go to whoever is there.

    It drops nothing because a subscriber is slow: it waits until there is room. Only what is for a
    client that has taken nothing for five seconds is dropped, as long as it takes nothing, since
    all others wait meanwhile; not so in a controlled run.

    Args:
        pipelined: the next one down the pipeline subscribes, not the client.
        server: the server's name.
        subscribers: how many subscribe to a topic that is no client's; or, by topic, to each. None
            is one, or in a cluster those that name this server in `upstream=`.
        handle_stream: a function in place of the method; and so `scatter`, as in `Outbound`.
    """

    replaceable = (*Outbound.replaceable, "handle_stream")
    socket = "PUB"
    binds = True
    blocking = False
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
        subscribers: int | Mapping[str, int] | None = None,
        context: Context | None = None,
        **functions: Unpack[PubFunctions],
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
            **functions,  # type: ignore[misc]
        )
        self.pipelined = pipelined
        self.server_name = server or ""
        told = subscribers.values() if isinstance(subscribers, Mapping) else [subscribers]
        for each in filter(lambda one: one is not None, told):
            count("subscribers", each, "how many subscribe to one topic")
        #: As told; where nothing was, a cluster finds out.
        self.subscribers = subscribers
        self.found: Mapping[str, int] = {}
        self._topics: Counter[bytes] = Counter()
        self._known: dict[bytes, None] = {}
        #: Topics whose subscribers want to know when it is ready, which it is not yet.
        self._unready: dict[bytes, None] = {}
        self._held: deque[_Held] = deque()
        #: Topics that nobody was there for, and whether the part had ended: told once each.
        self._told: dict[tuple[bytes, bool], None] = {}
        #: Topics of clients that had no room for a message, and have not taken one since.
        self._stuck: dict[bytes, None] = {}

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._give_up(lambda _: True, ended=True)

    def open_ports(self) -> None:
        self._topics.clear()
        self._known.clear()
        self._unready.clear()
        self._stuck.clear()
        self._told.clear()
        self._streams = self.overrides("handle_stream")
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
        if not subscribed and frames[0][:1] != b"\0":  # an XSUB may send anything
            self.logger.error("%s: %d bytes are no subscription", self.id, len(frames[0]))
            return
        if len(topic) > LONGEST_TOPIC:
            if subscribed:
                self.logger.error("%s: %d bytes are too long a topic", self.id, len(topic))
            return
        self.hooks.subscription_seen(port.declared, topic, subscribed, self.moment())
        self._topics[topic] += 1 if subscribed else -1
        if self._topics[topic] <= 0:
            del self._topics[topic]
            self._unready.pop(topic.removeprefix(READY), None)
            self._stuck.pop(topic, None)
        if not subscribed:
            return
        if topic.startswith(READY):
            self._unready[topic.removeprefix(READY)] = None
        else:
            if self._has_all(topic, self._wanted(topic)):
                self._get_to_know(topic)
            for told in [one for one in self._told if one[0].startswith(topic)]:
                del self._told[told]
            self._release(topic)
        for about in [one for one in self._unready if self._has_all(one, self._wanted(one))]:
            del self._unready[about]
            self.emit(port, [READY + about, b""])

    def _get_to_know(self, topic: bytes) -> None:
        """From now on nothing waits under this topic."""
        self._known[topic] = None
        if len(self._known) > KNOWN_TOPICS:
            del self._known[next(iter(self._known))]

    def _release(self, topic: bytes) -> None:
        """Publish what is held under topics that begin so, where all are there now."""
        held, self._held = self._held, deque()
        try:
            while held:
                one = held.popleft()
                if one.frames[0].startswith(topic) and self._may_leave(one.frames[0], one.wanted):
                    self.emit(self.listen_to, one.frames)
                else:
                    self._held.append(one)
        finally:
            self._held.extend(held)

    def emit(self, port: Port, frames: list[bytes]) -> None:
        # A client that reads no more holds up all others, but not for ever. The next one down a
        # pipeline may be as slow as it likes; and under a gate who waits for whom is to be seen.
        if port is not self.listen_to or self.gate is not None or not self._is_for_clients:
            super().emit(port, frames)
            return
        topic = frames[0]
        try:
            if topic in self._stuck:
                port.put(frames, onward=self.onward)
                del self._stuck[topic]
            else:
                self._emit_in_time(port, frames)
        except (zmq.Again, NoAnswer) as error:
            if isinstance(error, NoAnswer):
                self._stuck[topic] = None
                self.logger.error(
                    "%s: whoever subscribed to %r takes nothing: what comes for it is dropped",
                    self.id,
                    topic.decode(errors="backslashreplace"),
                )
            port.drop(frames, f"its subscriber took nothing for {STUCK_SECONDS:g} s")

    def _emit_in_time(self, port: Port, frames: list[bytes]) -> None:
        """`emit`, or NoAnswer when there was no room for too long."""
        try:
            port.put(frames, onward=self.onward)
        except zmq.Again:
            try:
                self.next((), (port, frames), STUCK_SECONDS)
            except Stopped:
                port.drop(frames, f"{self.name} was stopped before it could be sent")
                raise

    @property
    def _is_for_clients(self) -> bool:
        """Under each topic only a client reads."""
        return not (self.pipelined or self._streams)

    def pass_on(self, batch: list[list[bytes]]) -> None:
        parse, own, topics = PalmMessage.FromString, self.server_name.encode(), self._topics
        wanted = self._wanted(own) if self.pipelined else 1
        waits = wanted > 1 and own not in self._known
        out = []
        for frames in batch:
            data = frames[-1]
            try:
                message = parse(data)
            except DecodeError:
                unreadable(self.broker, frames)
                continue
            if self.pipelined:
                if message.stage == LAST:
                    self._refuse(frames)
                    continue
                message.stage += 1
                topic, data = own, message.SerializeToString()
            else:
                topic = message.client.encode()
            if not waits and (topic in topics or self._subscribed(topic)):
                out.append([topic, data])
            else:
                self.publish([topic, data], wanted)
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

    def _refuse(self, frames: list[bytes]) -> None:
        """Drop what there is no next step for, and tell so."""
        self.broker.drop(frames, "it is at the last stage that a number can tell")
        self.logger.error("%s: no stage follows %d", self.id, LAST)

    def deliver(self, message: PalmMessage, frames: list[bytes]) -> None:
        if self.pipelined and message.stage == LAST and not self.overrides("handle_stream"):
            self._refuse(frames)
            return
        try:
            name, message = self.handle_stream(message)
            if not isinstance(name, str | bytes):
                raise TypeError(f"it gave the topic {name!r}, which is neither text nor bytes")
            topic = name.encode() if isinstance(name, str) else name
            wanted = 1 if name == message.client else self._wanted(topic)
            data = message.SerializeToString()
        except (Exception, SystemExit) as error:
            self.logger.exception("%s: handle_stream failed", self.id)
            cause = f"handle_stream failed: {type(error).__name__}: {error}"
            self.source.drop(frames, cause)
            return
        self.publish([topic, data], wanted)

    def publish(self, frames: list[bytes], wanted: int = 1) -> None:
        """Send under a topic, or keep it until all are there, or drop it if nobody is any more."""
        topic = frames[0]
        if self._may_leave(topic, wanted):
            if wanted > 1:
                self._get_to_know(topic)
            self.emit(self.listen_to, frames)
        elif topic in self._known:
            self.listen_to.drop(frames, "nobody is subscribed to its topic any more")
        else:
            self._held.append(_Held(self.seconds() + HOLD_SECONDS, frames, wanted))
            if len(self._held) > HOLD_MESSAGES:
                self._give_up(lambda _: len(self._held) > HOLD_MESSAGES)

    def _may_leave(self, topic: bytes, wanted: int) -> bool:
        """Those who are to have subscribed to the topic are there, or have been."""
        if wanted == 1 or topic in self._known:
            return self._subscribed(topic)
        return self._has_all(topic, wanted)

    def _has_all(self, topic: bytes, wanted: int) -> bool:
        """So many have subscribed to the topic, or to a beginning of it; one is not counted."""
        if wanted == 1:
            return True
        return wanted <= sum(n for asked, n in self._topics.items() if topic.startswith(asked))

    def _wanted(self, topic: bytes) -> int:
        """How many are to subscribe to the topic, unless it is a client's."""
        told = self.found if self.subscribers is None else self.subscribers
        if isinstance(told, Mapping):
            return told.get(topic.decode(errors="replace"), 1)
        own = self._streams or (self.pipelined and topic == self.server_name.encode())
        return told if own else 1

    def _subscribed(self, topic: bytes) -> bool:
        """Somebody has asked for this topic, or for a beginning of it."""
        topics = self._topics
        return topic in topics or any(topic.startswith(asked) for asked in topics)

    def _give_up(self, too_late: Callable[[_Held], bool], ended: bool = False) -> None:
        """Wait no longer with what is too late: it goes to whoever is there, or is dropped."""
        while self._held and too_late(self._held[0]):
            frames, wanted = self._held.popleft()[1:]
            topic = frames[0].decode(errors="backslashreplace")
            who = "anybody" if wanted == 1 else f"all {wanted}"
            if ended:
                told = f"{self.name} ended before {who} subscribed to {topic!r}"
            elif self._subscribed(frames[0]):
                self.logger.warning("%s: not %s subscribed to %r in time", self.id, who, topic)
                self._get_to_know(frames[0])
                self.emit(self.listen_to, frames)
                self._release(frames[0])
                continue
            else:
                told = f"nobody subscribed to {topic!r} in time"
            if (frames[0], ended) not in self._told:
                self._told[frames[0], ended] = None
                if len(self._told) > KNOWN_TOPICS:
                    del self._told[next(iter(self._told))]
                self.logger.warning("%s: %s%s", self.id, told, "" if ended else self._others())
            self.listen_to.drop(frames, told)

    def _others(self) -> str:
        """How long was in time, and which topics there are: one may be the misspelt one."""
        topics = [one for one in self._topics if not one.startswith(READY)]
        shown = ", ".join(repr(one.decode(errors="backslashreplace")) for one in topics[:SHOWN])
        there = f"there are {shown}" if shown else "there is no subscription"
        more = f", … ({len(topics)} in all)" if len(topics) > SHOWN else ""
        return f" ({HOLD_SECONDS:g} s, {HOLD_MESSAGES} messages): {there}{more}"
