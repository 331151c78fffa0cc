"""A server: a router and parts that run in one process.

1. `open` makes every socket, the router's first, in the thread that starts the server: when it
   returns, every address is bound and every part is known to the router, so nothing that is sent
   afterwards can be too early.
2. A stop goes the way of the messages: inbound parts, router, outbound parts, bypass parts. The
   router and the outbound parts first do what has reached them.
3. A part that ends with an error ends its server; `reason` is that error.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from pylm_lab.actor import DEADLINE, Actor
from pylm_lab.errors import RunError
from pylm_lab.foreground import Foreground
from pylm_lab.parts.core import Part
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.plan import Plan
from pylm_lab.parts.services import (
    PubService,
    PullService,
    PushPullService,
    WorkerPullService,
    WorkerPushService,
)
from pylm_lab.schedule import SLICE
from pylm_lab.waits import Wait, left_to_themselves
from pylm_lab.witness import witness

__all__ = ["BaseMaster", "ServerTemplate", "replaced"]

#: The keys under which a server's cache tells the addresses of its parts, by what they are.
_KEYS: tuple[tuple[type[Part], str], ...] = (
    (WorkerPullService, "worker_pull_address"),
    (PullService, "pull_address"),
    (WorkerPushService, "worker_push_address"),
    (PubService, "pub_address"),
)


class ServerTemplate(Plan):
    """A router, and the parts that are registered at it.

    Args:
        logging_level: of the server's logger.
        router_messages: end after that many messages from inbound parts.
        name: the server's name, and the beginning of its parts' ids in a trace.
        window: how many messages an inbound part may have unacknowledged.
        lockstep: one message in the whole router.
        hold: what a blocking outbound part holds; see `Router`.
        context: a ZeroMQ context; the default is `parts.core.zmq_context`.

    `reason` is the error of the part that has ended it, or None.
    """

    def __init__(
        self,
        logging_level: int = logging.INFO,
        router_messages: int = sys.maxsize,
        **options: Any,
    ) -> None:
        super().__init__(logging_level, router_messages, **options)
        #: The error that ended it, or None.
        self.reason: BaseException | None = None
        self.is_open = False
        #: Lets who is installed to hear it hear no more.
        self._unheard: Callable[[], None] | None = None
        self._done = threading.Event()
        #: A stop from another thread waits until everything is launched.
        self._changing = threading.RLock()
        #: Who is told, by an error, when a part has failed.
        self.on_failure: list[Callable[[RunError], None]] = []
        #: What they are told, or None.
        self.failure: RunError | None = None
        self._falling: threading.Thread | None = None
        self._falling_mutex = threading.Lock()

    def open(self) -> None:
        """Bind and connect everything. Does nothing if it is open.

        Raises:
            WiringError: a route names no outbound part.
            AddressError: an address is taken.
        """
        if self.is_open:
            return
        self._was_opened = True
        self.reason = self.failure = None
        self._done.clear()
        self.name_actors()
        self._unheard = witness(self.shared.hooks, self.id)
        try:
            for actor in self.actors:
                actor.enter(self.shared)
            self._agree()
            for actor in self.actors:
                actor.open()
            self._trust()
            self.router.ready()
            for part in self.outbound_components.values():
                part.broker.can_receive()
        except BaseException:
            for actor in self.actors:
                actor.cleanup(linger=0)
            self._unheard()
            raise
        self._publish()
        self.is_open = True

    def _publish(self) -> None:
        """Tell the cache the name and the addresses, as clients and workers look them up.

        What the user has preset stays.
        """
        found = {"name": self.name}
        for part in self.parts_by_name.values():
            key = next((key for kind, key in _KEYS if isinstance(part, kind)), "")
            if key:
                found.setdefault(key, part.listen_to.address)
            if isinstance(part, PushPullService):
                found.setdefault("worker_push_address", part.listen_to.address)
                found.setdefault("worker_pull_address", part.back.address)
        for key, value in found.items():
            if key not in self._preset:
                self.cache.set(key, value.encode())

    def launch(self) -> None:
        """Run in threads of its own; `stop` ends it.

        Raises:
            RunError: it runs already.
        """
        with self._changing:
            self.router.not_running()
            self.open()
            try:
                for actor in self.actors:
                    actor.on_end = self._ended_by(actor)
                    actor.launch()
            except BaseException:
                self.stop()
                raise

    def _ended_by(self, actor: Actor) -> Callable[[], None]:
        def ended() -> None:
            if actor.reason is not None:
                self._fall(actor, actor.reason)
            elif actor is self.router:
                self._done.set()

        return ended

    def _fall(self, actor: Actor, reason: BaseException) -> None:
        """End the server, since an actor of its own has failed; called in that actor's thread."""
        with self._falling_mutex:
            if self.reason is not None:
                return
            self.reason = reason
            self._done.set()
        told = RunError(
            f"the server {self.id!r} has ended: {actor.id} failed with "
            f"{type(reason).__name__}: {reason}"
        )
        told.__cause__ = reason
        self.failure = told
        if self.shared.gate is not None:
            self.shared.gate.fail(told)
            return
        for tell in self.on_failure:
            tell(told)
        # Nobody can wait for the end of the thread that it runs in.
        self._falling = threading.Thread(target=self.stop, name=f"{self.id}.stop", daemon=True)
        self._falling.start()

    def start(self) -> bytes:
        """Run until ended, by `stop` or Ctrl-C, by the router's limit, or by a part that fails.

        Returns the server's name. What a part failed with is raised when everything has ended, and
        so is what Ctrl-C raises: see `Foreground`, which also says when log lines go to standard
        output.
        """
        with Foreground() as here:
            self.launch()
            try:
                self.logger.info("%s is ready", self.id)
                while not here.interrupted and not self._done.wait(SLICE):
                    pass
            finally:
                if not self.stop():
                    left = [actor.id for actor in self.actors if actor.is_running]
                    told = left_to_themselves(left, self.waiting(), DEADLINE)
                    self.logger.error("%s", told)
        if self.reason is not None:
            raise self.reason
        return self.name.encode()

    def stop(self, timeout: float = DEADLINE, linger: float = DEADLINE) -> bool:
        """End everything, from any thread; True if every thread has ended within `timeout` seconds.

        What has reached the router leaves before; what could not, is dropped and told so. What was
        sent to the outside may still leave for `linger` seconds after that.
        """
        with self._changing:
            ended = self._stop(time.monotonic() + timeout, linger)
        self._done.set()
        if self.failure is None and self.shared.gate is None:
            for tell in self.on_failure:
                tell(RunError(f"the server {self.id!r} was stopped"))
        falling = self._falling
        if falling is not None and falling is not threading.current_thread():
            falling.join(timeout)
        return ended

    def waiting(self) -> list[Wait]:
        """Who of its actors waits, where, for what and how long."""
        return [wait for actor in self.actors if (wait := actor.waiting()) is not None]

    def _stop(self, until: float, linger: float) -> bool:
        ended = True
        for group in self._stop_order():
            for actor in group:
                actor.stop()
                if (
                    self.shared.gate is not None
                ):  # one by one, so that a seeded run ends the same way
                    ended &= actor.join(max(0.05, until - time.monotonic()))
            for actor in group:
                ended &= actor.join(max(0.05, until - time.monotonic()))
        for actor in self.actors:
            actor.abandoned = actor.is_running
            if not actor.is_running:
                actor.cleanup(linger)
        if self._unheard is not None:
            self._unheard()
        self.is_open = False
        return ended

    def _stop_order(self) -> Iterator[list[Actor]]:
        yield list(self.inbound_components.values())
        yield [self.router]
        yield list(self.outbound_components.values())
        yield list(self.bypass_components.values())

    @property
    def is_running(self) -> bool:
        """Its router's thread is alive."""
        return self.router.is_running

    def __enter__(self) -> Self:
        self.launch()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(self.parts_by_name) or 'no parts'}>"


def replaced(server: object, method: str, base: type) -> Any:
    """The server's method, if the user has overridden it or passed a function; else None.

    `base` is the class whose own it is otherwise.
    """
    if method in vars(server) or getattr(type(server), method) is not getattr(base, method):
        return getattr(server, method)
    return None


class BaseMaster:
    """What a master's user may override: how messages are split, joined and addressed."""

    def change_payload(self, message: PalmMessage, new_payload: bytes) -> PalmMessage:
        """Put another payload into the message; returns the message.

        That a function has failed stays told: where the new payload makes up for that, say
        `message.ClearField("error")`.
        """
        message.payload = new_payload
        return message

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Make none, one or many messages for the workers out of one of a client."""
        yield message

    def gather(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Make none, one or many answers out of a worker's one."""
        yield message

    def handle_stream(self, message: PalmMessage) -> tuple[str, PalmMessage]:
        """Say under which topic an answer is published, and as what."""
        parts = getattr(self, "outbound_components", {}).values()
        pub = next((part for part in parts if isinstance(part, PubService)), None)
        return (message.client, message) if pub is None else PubService.handle_stream(pub, message)
