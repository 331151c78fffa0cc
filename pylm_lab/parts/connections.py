"""Parts that connect: to addresses that others have bound."""

from __future__ import annotations

import sys
import threading
from typing import Any, Unpack

import zmq

from pylm_lab.errors import WiringError
from pylm_lab.loop import BATCH
from pylm_lab.parts.core import Inbound
from pylm_lab.parts.fixed import (
    FixedBypassInbound,
    FixedBypassOutbound,
    FixedInbound,
    FixedOutbound,
)
from pylm_lab.parts.http.connection import HttpConnection
from pylm_lab.parts.part import PartFunctions
from pylm_lab.port import Port
from pylm_lab.wire import READY

__all__ = [
    "HttpConnection",
    "PullBypassConnection",
    "PullConnection",
    "PushBypassConnection",
    "PushConnection",
    "RepConnection",
    "SubConnection",
]

Context = zmq.Context[zmq.Socket[bytes]]


class RepConnection(FixedInbound):
    """Takes messages at a REP socket that connects, hands them to the router, and answers each.

    What it answers is as with `RepService`.
    """

    socket = "REP"
    binds = False
    blocking = True


class PullConnection(FixedInbound):
    """Pulls messages from somebody who has bound, and hands them to the router."""

    socket = "PULL"
    binds = False
    blocking = False


class PushConnection(FixedOutbound):
    """Pushes messages from the router to somebody who has bound."""

    socket = "PUSH"
    binds = False
    blocking = False


class PullBypassConnection(FixedBypassInbound):
    """Pulls messages from somebody who has bound, with no wire to the router. Override `handle`."""

    socket = "PULL"
    binds = False
    blocking = False


class PushBypassConnection(FixedBypassOutbound):
    """Pushes to somebody who has bound, with no wire to the router.

    Override `run`, and call `send` in it.
    """

    socket = "PUSH"
    binds = False
    blocking = False


class SubConnection(Inbound):
    """Takes from a publisher what it publishes under one topic, and hands it to the router.

    A SUB socket filters by the beginning of a topic; here the whole topic has to be the one.

    It subscribes to the topic and then to `READY` + topic, which our publishers echo: then
    `is_ready` is set, and nothing that is published is too early any more. It works from the
    beginning, whether anybody echoes or not, so any PUB socket may be at the other end, and may
    come later.

    Args:
        previous: the topic, which is the name of the server before, unless that server's
            `handle_stream` says otherwise.
        upstream: the server before, by its name in the same cluster, which finds out the address
            and the topic that are not given.
    """

    socket = "SUB"
    binds = False
    blocking = False

    def __init__(
        self,
        name: str,
        listen_address: str,
        previous: str = "",
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        upstream: str = "",
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            name,
            listen_address,
            zmq.SUB,
            reply=False,
            broker_address=broker_address,
            bind=False,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
            **functions,
        )
        for key, told in {"previous": previous, "upstream": upstream}.items():
            if isinstance(told, list | tuple):
                raise WiringError(
                    f"{name}: {key}={told!r} is a list, and one name is wanted (a Sink takes a "
                    "list: it joins several)"
                )
        self.previous = previous
        self.upstream = upstream
        #: What a cluster has found out of the server before: its address, and its topic.
        self.found = "", ""
        #: Set when the publisher has echoed: it knows of the subscription.
        self.is_ready = threading.Event()

    @property
    def topic(self) -> bytes:
        """What it subscribes to."""
        return (self.previous or self.found[1]).encode()

    @property
    def place(self) -> str:
        """The publisher's address, as far as it is known."""
        return self.listen_address or self.found[0]

    @property
    def nowhere(self) -> str:
        return (
            f"{self.server!r} is fed by nobody that it knows ({self.name} has "
            f"previous={self.previous!r}): say upstream=, the name of a server in the same "
            "cluster, or give sub_address (the listen_address of a part that you register)"
        )

    def open_ports(self) -> None:
        self.is_ready.clear()
        if not self.listen_to.address:
            raise WiringError(
                f"{self.id} knows no publisher: upstream={self.upstream!r} is for a server in the "
                "same cluster. Add both to one, or give the address"
            )
        if not self.topic:
            raise WiringError(f"{self.id}: previous='' is no topic: name the server before")
        super().open_ports()

    def run(self) -> None:
        for topic in (self.topic, READY + self.topic):
            self.act("subscribe", self.listen_to)
            self.listen_to.socket.subscribe(topic)
            self.hooks.topic_subscribed(self.listen_to.declared, topic, self.moment())
            if self.gate is not None:
                self.gate.touch(self.listen_to)
        super().run()

    def drain(
        self,
        ports: tuple[Port, ...],
        most: int = BATCH,
        timeout: float | None = None,
        sending: tuple[Port, list[bytes]] | None = None,
    ) -> tuple[Port, list[list[bytes]]]:
        while True:
            port, batch = super().drain(ports, most, timeout, sending)
            if port is not self.listen_to:
                return port, batch
            batch = [frames for frames in batch if self._is_for_us(frames)]
            if batch:
                if port.is_marking:
                    self.stamps.at_hand(batch[-1][-1])  # others may have come after it
                return port, batch

    def _is_for_us(self, frames: list[bytes]) -> bool:
        if len(frames) != 2:
            self.listen_to.drop(frames, "it is no topic and message")
            self.logger.error("%s: %d frames are no topic and message", self.id, len(frames))
            return False
        topic = frames[0]
        if topic == self.topic:
            return True
        if topic == READY + self.topic:
            self.is_ready.set()
        elif not topic.startswith(READY):
            self.listen_to.drop(frames, "it has another topic, which begins alike")
        return False
