"""Parts that bind: the addresses that others connect to."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from typing import Any, Unpack

import zmq
from google.protobuf.message import DecodeError

from pylm_lab import hook
from pylm_lab.parts.fixed import FixedBypassInbound, FixedInbound, FixedOutbound
from pylm_lab.parts.http.service import HttpService
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import PartFunctions
from pylm_lab.parts.publishing import PubService
from pylm_lab.persistence.kv import DictDB
from pylm_lab.port import Port

__all__ = [
    "CacheService",
    "HttpService",
    "PubService",
    "PullService",
    "PushPullService",
    "PushService",
    "RepBypassService",
    "RepService",
    "WorkerPullService",
    "WorkerPushService",
]

Context = zmq.Context[zmq.Socket[bytes]]

#: Characters that the log shows of what somebody asks of the cache.
SHOWN = 200


class RepService(FixedInbound):
    """Takes messages at a REP socket, hands them to the router, and answers each.

    Registered with `block=True` the answer is the feedback of the outbound part, so whoever asks
    waits for that; else it is told at once that the message was taken. `reply_feedback` decides.
    """

    socket = "REP"
    binds = True
    blocking = True


class PullService(FixedInbound):
    """Takes messages from clients at a PULL socket and hands them to the router."""

    socket = "PULL"
    binds = True
    blocking = False


class WorkerPullService(PullService):
    """Takes results from workers at a PULL socket and hands them to the router."""

    fills_cache = False


class PushService(FixedOutbound):
    """Deals messages from the router to those who pull at its PUSH socket, in rounds."""

    socket = "PUSH"
    binds = True
    blocking = False


class WorkerPushService(PushService):
    """Deals messages from the router to workers, in rounds."""


class PushPullService(FixedOutbound):
    """Deals messages from the router at a PUSH socket, and waits at a PULL socket for the answers.

    It waits after each message, so the whole server does, unless its router has `hold="part"`; and
    then only one of those who pull has something to do. What is pushed to its PULL socket next is
    taken for the answer, whoever it comes from, and is its feedback to the router: it goes to an
    inbound part that was registered with `block=True`, or on to the outbound part that its own
    route names.

    Args:
        name: its name, which is its routing id.
        push_address: where its PUSH socket binds.
        pull_address: where its PULL socket binds.
        broker_address: the router's `outbound_address`.
        logger: a Logger, or the logging module.
        cache: the server's cache.
        messages: end after that many messages from the router.
        timeout: how long, in seconds, it waits for an answer; see `Outbound`.
        context: a ZeroMQ context.
        scatter, handle_feedback, reply_feedback: functions in place of the methods.
    """

    socket = "PUSH + PULL"
    binds = True
    blocking = True
    placed_by = ("push_address", "pull_address")

    def __init__(
        self,
        name: str,
        push_address: str,
        pull_address: str,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        timeout: float | None = None,
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            name,
            push_address,
            broker_address,
            logger,
            cache,
            messages,
            timeout=timeout,
            context=context,
            **functions,
        )
        self.pull_address = pull_address
        self.back = self.add_port(
            "pull", zmq.PULL, binds=True, receives="message", address=pull_address
        )
        # It is feedback, which goes on as it came.
        self.back.marks = False

    @property
    def push_address(self) -> str:
        """Where its PUSH socket binds."""
        return self.listen_address

    def directions(self) -> dict[str, hook.Kind]:
        return {"sends": "message"}

    def outside(self) -> Iterator[tuple[Port, str]]:
        yield from super().outside()
        yield self.back, self.pull_address

    def open_ports(self) -> None:
        super().open_ports()
        self.back.open(self.context)


class RepBypassService(FixedBypassInbound):
    """Answers requests at a REP socket, with no wire to the router. Override `handle`."""

    socket = "REP"
    binds = True
    blocking = True


class CacheService(RepBypassService):
    """The server's cache, for workers and clients: `set`, `get` and `delete` over REQ.

    A request is a PALM message whose `function` is `NAME.set`, `NAME.get` or `NAME.delete` (`NAME`
    is not looked at). `set` takes the key in `cache` (a new one if empty) and the value in
    `payload`, and answers the key; `get` and `delete` take the key in `payload` and answer the
    value and the key. Whatever can't be done is answered with nothing, and logged.

    Made by hand and given no `cache`, it has one of its own.
    """

    def open_ports(self) -> None:
        if self.cache is None:
            self.cache = DictDB()
        super().open_ports()

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
        if operation == "delete":
            if self.cache.delete(key) is not None:
                return key.encode()
            self.logger.error("%s: can't delete: there is no key %r", self.id, key[:SHOWN])
            return b""
        asked = repr(operation[:SHOWN]) if operation else "no operation"
        self.logger.error("%s: can't do this: %s of %r", self.id, asked, key[:SHOWN])
        return b""
