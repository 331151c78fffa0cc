"""What is measured of pylm_lab in one process: a server, its door, and the start of a cluster.

1. They are used as a user uses them: nothing is patched, nothing is switched off.
2. A hook that fails in the middle is removed by the run, which would look fast: that is an error.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import zmq
from zmq.backend import Socket as RawSocket

from pylm_lab.actor import Actor
from pylm_lab.bench.chain import INTO, OUT, Chain, messages
from pylm_lab.bench.job import Job
from pylm_lab.cluster import Cluster
from pylm_lab.errors import RunError
from pylm_lab.hook import Hook
from pylm_lab.loop import Role
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import PullService, PushService
from pylm_lab.servers import Master, Worker

__all__ = ["Idle", "ParsingPush", "Routed", "door", "first_answer"]

#: How often the calls through the door and those at the bare socket take turns.
_TURNS = 10


class Idle(Hook):
    """A hook that overrides nothing."""


class ParsingPush(PushService):
    """A PUSH part that parses and serialises each message, as the raw parts do."""

    def pass_on(self, batch: list[list[bytes]]) -> None:
        """Send many messages to the outside, each parsed and serialised."""
        parse = PalmMessage.FromString
        out = [[parse(frames[-1]).SerializeToString()] for frames in batch]
        self.emit_many(self.listen_to, out, onward=True)


class Routed(Chain):
    """A PULL part, the router and a PUSH part of pylm_lab.

    Args:
        job: how many messages.
        hook: makes the hook that listens; None: nobody does.
        push: the class of the PUSH part.
        options: of the server, such as `window` and `lockstep`.
    """

    name = "pylm_lab"

    def __init__(
        self,
        job: Job,
        *,
        hook: Callable[[], Hook] | None = None,
        push: type[PushService] = PushService,
        **options: Any,
    ) -> None:
        super().__init__(job)
        self._server = ServerTemplate(
            logging.WARNING, name="server", context=self.context, **options
        )
        self._server.register_inbound(PullService, "Pull", INTO, route="Push", messages=job.count)
        self._server.register_outbound(push, "Push", OUT, messages=job.count)
        self._hook = hook() if hook is not None else None
        if self._hook is not None:
            self._server.attach(self._hook)

    def open(self) -> None:
        self._server.open()

    def launch(self) -> None:
        self._server.launch()

    def wait(self) -> None:
        self.wait_for(self._server.outbound_components["Push"].join)

    def verify(self) -> None:
        if self._server.reason is not None:
            raise self._server.reason
        if self._hook is not None and self._hook.failed is not None:
            raise RunError(f"the hook failed: {self._hook.failed}") from self._hook.failed

    def stop(self) -> None:
        self._server.stop()


class _Door(Actor):
    """Somebody with one port to send at and one to receive at, who talks to himself."""

    role: ClassVar[Role] = "bypass"

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        super().__init__("door", context=context)
        # An inner port has no high-water mark: nothing is ever refused.
        both: dict[str, Any] = {"outer": False, "address": "inproc://door"}
        self.out = self.add_port("out", zmq.PUSH, binds=True, sends="message", **both)
        self.into = self.add_port("into", zmq.PULL, binds=False, receives="message", **both)


def door(job: Job, hook: Callable[[], Hook] | None = None) -> float:
    """Nanoseconds that an operation at a port takes longer than the same at its bare socket.

    An operation is `put_many` of one message, or `take`.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    actor = _Door(context)
    if hook is not None:
        actor.attach(hook())
    try:
        actor.open()
        send = RawSocket.send.__get__(actor.out.socket)
        receive = RawSocket.recv.__get__(actor.into.socket)
        put, take = actor.out.put_many, actor.into.take
        (data,) = messages(1)
        batch, noblock = [[data]], int(zmq.NOBLOCK)
        turns = range(max(1, job.count // _TURNS))
        bare, ours = [], []
        for _ in range(_TURNS):
            job.go_on()
            begun = time.perf_counter()
            for _ in turns:
                send(data, noblock)
                receive(noblock)
            between = time.perf_counter()
            for _ in turns:
                put(batch)
                take()
            ours.append(time.perf_counter() - between)
            bare.append(between - begun)
    finally:
        actor.cleanup(linger=0)
        context.term()
    spent = statistics.median(ours) - statistics.median(bare)
    return spent / (2 * len(turns)) * 1e9


def first_answer(transport: Literal["inproc", "tcp"]) -> float:
    """Milliseconds from `Cluster()` to the first answer, with everything recorded.

    Raises:
        RunError: it was not the right one.
    """
    begun = time.perf_counter()
    with Cluster(transport=transport) as cluster:
        cluster.add(Master("server", log_level=logging.WARNING))
        cluster.add(Worker("worker", server="server"))
        answer = cluster.client("server", timeout=10).eval("server.echo", b"a message")
        spent = time.perf_counter() - begun
    if answer != b"a message":
        raise RunError(f"the cluster has answered {answer!r} to b'a message'")
    return spent * 1000
