"""Party: who takes part in a cluster, from the first one's declaration to the last one's end.

1. Servers start first, in the order in which they were added, but each after those that feed it;
   then workers.
2. An end goes the way of the messages, and all of it has one deadline.
3. It does not know its cluster, which so can be forgotten and is then ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import zmq

from pylm_lab.actor import DEADLINE, Actor, Run
from pylm_lab.address import Places
from pylm_lab.breakage import Breakage
from pylm_lab.choices import Chooser
from pylm_lab.clients import Client
from pylm_lab.errors import Endless, LabError, RunError, WiringError
from pylm_lab.hook import Decision
from pylm_lab.joining import cache_of, gateway_of, has_joined, wait_for
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.remote.browser import Browser
from pylm_lab.remote.server import DebugServer
from pylm_lab.roster import Roster
from pylm_lab.schedule import Gate
from pylm_lab.servers import Worker
from pylm_lab.tasks import Task
from pylm_lab.upstream import (
    adopt,
    connect,
    downstream,
    expect,
    in_order,
    publisher_of,
    subscribers_of,
    wait_for_echo,
)
from pylm_lab.waits import left_to_themselves
from pylm_lab.witness import witness

__all__ = ["Party"]

#: The part of the time for an end that workers may take.
WORKERS = 0.75
#: What may be told of a client.
OPTIONS = ("name", "timeout", "session", "errors", "answers")
_log = logging.getLogger("pylm_lab.cluster")


class Party(Roster):
    """Who takes part in a run."""

    def __init__(self, chooser: Chooser | None, seed: int | None, transport: str) -> None:
        super().__init__()
        gate = None if chooser is None else Gate(chooser)
        places = Places() if gate is None else gate.places
        self.run = Run(
            seed=seed,
            gate=gate,
            transport=transport,
            joins=self._joins,
            places=places,
            breakage=Breakage(places, is_on=gate is not None),
            waiting=self.waiting,
        )
        if gate is not None:
            gate.tell = self.decided
        #: What a record says of this run, and decisions that were taken before it began.
        self.about: dict[str, Any] = {}
        self._early: list[Decision] = []
        #: Lets who is installed to hear it hear no more.
        self._unheard: Callable[[], None] | None = None
        self._ending = False
        #: Held by who ends it.
        self._mutex = threading.RLock()
        #: The ids of actors that had not ended in time.
        self.left: list[str] = []
        self.tasks: list[Task] = []  # without those whose end has been told
        self._calls = 0
        #: What has to be looked at before the start.
        self.checks: list[Callable[[], None]] = []

    # Joining

    def add(self, actor: ServerTemplate | Worker | DebugServer) -> None:
        """Let a server or a worker take part; see `Cluster.add`."""
        self.not_ended()
        if isinstance(actor, DebugServer):
            self.visitors.add(actor, self.unique(actor.name), self.run)
            return
        if not isinstance(actor, ServerTemplate | Worker):
            raise WiringError(
                f"{actor!r} is neither a server nor a worker: add those, and ask for clients with "
                "cluster.client(…)"
            )
        if actor in self.servers or actor in self.workers:
            raise WiringError(f"{actor.name!r} takes part already: add a second one for two")
        if actor.is_running:
            raise RunError(f"{actor.name!r} runs already, elsewhere: stop it first")
        if self.begun:
            if isinstance(actor, Worker):
                self.server(actor.serves, actor.name)  # it must be there
            else:
                adopt(actor, self.servers)
                in_order([actor], self.server)
        if isinstance(actor, Worker) and actor.nameless:
            actor.name, actor.nameless = self.unique("worker"), False
            actor.id = actor.name
        else:
            actor.id = self.unique(actor.name)
        if isinstance(actor, ServerTemplate):
            self.servers.append(actor)
            if self.begun:
                self._start_server(actor)
                self._settle_fed([actor])
        else:
            self.workers.append(actor)
            if self.begun:
                self._start_workers([actor])

    def browser(self, server: str | ServerTemplate, options: dict[str, Any]) -> Browser:
        """A web client of the server; starts everything; see `Cluster.browser`."""
        self.not_ended()
        found = self.server(server, "a browser")
        gateway = gateway_of(found)
        self.begin()
        name = self.unique(options.pop("name", "browser"))
        return self.visitors.browser(gateway, name, self.run, options)

    def client(self, server: str | ServerTemplate, options: dict[str, Any]) -> Client:
        """A client of the server; starts everything; see `Cluster.client`."""
        self.not_ended()
        found = self.server(server, "a client")
        told = options.pop("answers", None) or []
        answers = (
            [self.server(one, "a client") for one in told if one]
            if isinstance(told, list | tuple)
            else [self.server(told, "a client")]
        )
        self.begin()
        if found.failure is not None:
            raise found.failure
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise WiringError(f"a client has no option {unknown[0]!r}: {', '.join(OPTIONS)}")
        options = {"errors": "raise", **options}
        places = [publisher_of(one).listen_to.address for one in answers]
        if places:
            options["sub_address"] = places[0]
        name = self.unique(options.pop("name", "client"))
        cache = cache_of(found)
        try:
            with self._orderly(name, cache.id):
                client = Client(
                    found.name, cache.listen_to.address, name=name, run=self.run, **options
                )
                for place in places[1:]:
                    client.act("connect", client.sub)
                    client.sub.join(place)
                return client
        except BaseException:
            # Who has failed to look up its server has closed its sockets.
            for client in [client for client in self.clients if not client.is_open]:
                self.clients.remove(client)
            raise

    def _orderly(self, *actors: str) -> AbstractContextManager[None]:
        """In a controlled run these move first meanwhile: that somebody joins is no choice."""
        return nullcontext() if self.run.gate is None else self.run.gate.orderly(actors)

    def start(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Task:
        """Begin a call in a thread of its own; see `Cluster.start`."""
        self.not_ended()
        if not callable(function):
            raise WiringError(
                f"start({function!r}): give it a function and its arguments, such as "
                "cluster.start(client.eval, 'server.foo', b'a message')"
            )
        self._calls += 1
        task = Task(f"call {self._calls}", function, args, kwargs, self.run.gate)
        self.tasks = [one for one in self.tasks if not (one.done and one.was_asked)]
        self.tasks.append(task)
        try:
            task.begin()
        except LabError:
            self.tasks.remove(task)
            raise
        return task

    def decided(self, decision: Decision) -> None:
        """Tell the hooks what was chosen."""
        self.run.hooks.decided(decision)
        if not self.begun:
            self._early.append(decision)

    def _joins(self, actor: Actor) -> None:
        """A client is about to speak with its server: if that ends, its calls end."""
        if not isinstance(actor, Client):
            return
        self.clients.append(actor)
        actor.on_close = self._leaves
        own = [server for server in self.servers if actor.serves in (server.name, server.id)]
        for server in downstream(own, self.started, self.server):
            server.on_failure.append(actor.give_up)
            if server.failure is not None:
                actor.give_up(server.failure)

    def _leaves(self, client: Client) -> None:
        """A client is closed: nobody keeps it."""
        if client in self.clients:
            self.clients.remove(client)
        for server in self.servers:
            if client.give_up in server.on_failure:
                server.on_failure.remove(client.give_up)

    def not_ended(self) -> None:
        """Raise RunError if it has ended, or is about to."""
        if self.ended or self._ending:
            raise RunError("the cluster has ended: make a new one")

    # Starting

    def begin(self) -> None:
        """Start what has been added, if it has not been started."""
        if self.begun:
            return
        for worker in self.workers:
            self.server(worker.serves, worker.name)
        for server in self.servers:
            adopt(server, self.servers)
        order = in_order(self.servers, self.server)
        expect(order, self.server)
        for check in self.checks:
            check()
        self._unheard = witness(self.run.hooks, early=self._early, **self.about)
        self.begun = True
        self.run.context = self.run.context or zmq.Context()
        try:
            for server in order:
                self._start_server(server)
            self._settle_fed(order)
            self._start_workers(self.workers)
        except BaseException:
            self.abort()
            raise

    def _start_server(self, server: ServerTemplate) -> None:
        self.not_ended()
        connect(server, self.server)
        server.enter(self.run)
        self.started.append(server)
        server.launch()
        self._settle(server.actors, server.actors)

    def _settle_fed(self, servers: Sequence[ServerTemplate]) -> None:
        """Let publishers get to know those that subscribe to them."""
        fed = [(part, server) for server in servers for part in subscribers_of(server)]
        parts: list[Actor] = [part for part, _ in fed]
        pubs = [publisher_of(self.server(p.upstream, s.id)) for p, s in fed]
        if fed:
            self._settle([*parts, *dict.fromkeys(pubs)], parts)
        for part, server in fed:
            wait_for_echo(part, server)

    def _start_workers(self, workers: list[Worker]) -> None:
        for worker in workers:
            self.not_ended()
            server = self.server(worker.serves, worker.name)
            worker.serves = server.id
            worker.db_found = cache_of(server).listen_to.address
            worker.enter(self.run)
            worker.launch()
        caches = [cache_of(self.server(worker.serves, worker.name)) for worker in workers]
        self._settle([*workers, *caches], workers)
        for worker in workers:
            wait_for(worker, self.server(worker.serves, worker.name))

    def _settle(self, movers: Sequence[Actor], joining: Sequence[Actor]) -> None:
        """Under a gate, let the beginning of those who join run its course, in order."""
        gate = self.run.gate
        if gate is not None:
            gate.settle([actor.id for actor in movers], lambda: all(map(has_joined, joining)))

    # Ending

    def stop(self, timeout: float = DEADLINE) -> bool:
        """End everything in order; True if all have ended; see `Cluster.stop`."""
        if self.ended:
            return not self.left
        here = threading.current_thread()
        threads = [*(task.thread for task in self.tasks), *(a.thread for a in self.actors())]
        if here in threads:
            raise RunError(
                f"{here.name} can't stop the cluster that it is part of: return from there first"
            )
        with self._mutex:
            return self._stop(timeout)

    def _stop(self, timeout: float) -> bool:
        gate = self.run.gate
        if self.ended:
            return not self.left
        try:
            # What is stepped ends where it stands.
            if gate is not None and self.begun and gate.chooser.rests and not gate.is_over:
                gate.rest()
                if gate.chooser.tells_rest and not gate.possible():
                    self.decided(Decision(at=gate.step, kind="quiet"))
        except Endless:
            assert gate is not None
            gate.over()  # it would never come to rest
        finally:
            self._end(timeout)
        return not self.left

    def abort(self) -> None:
        """End at once, in whatever order, unless somebody does so already."""
        if self.ended or not self._mutex.acquire(blocking=False):
            return
        try:
            if not (self.ended or self._ending):
                if self.run.gate is not None:
                    self.run.gate.over()
                self._end(DEADLINE, linger=0)
        finally:
            self._mutex.release()

    def _end(self, timeout: float, linger: float = DEADLINE) -> None:
        # Calls that wait hear of the end from their clients.
        for server in self.servers:
            server.on_failure.clear()
        begun = time.monotonic()
        until = begun + timeout
        self._ending = True
        interrupted = self.run.gate is not None and self.run.gate.is_over
        for task in self.tasks:
            if task.done and task.error and not task.was_asked and not interrupted:
                _log.error(
                    "%s failed, and nobody has asked for its result: %r", task.name, task.error
                )
        if self.run.gate is not None or any(not task.done for task in self.tasks):
            self._end_calls(until)
        # A worker may be busy with a function that never returns; servers have the rest.
        patience = begun + timeout * WORKERS
        for worker in self.workers:
            worker.stop()
            if self.run.gate is not None:
                worker.join(max(0.0, patience - time.monotonic()))
        for worker in self.workers:
            worker.join(max(0.0, patience - time.monotonic()))
        for server in self.started:
            rest = max(0.05, until - time.monotonic())
            server.stop(rest, min(linger, rest))
        # Last, so that whatever is still published finds somebody who says that it came too late.
        # What they have sent to a server that has ended can't arrive any more.
        for client in list(self.clients):
            client.close(linger=0)
        self.visitors.end(until)
        self._end_calls(until)
        for worker in self.workers:
            worker.abandoned = worker.is_running
            if not worker.is_running:
                worker.cleanup(linger=0)
        self.left = [actor.id for actor in self.actors() if actor.is_running]
        self.left += [task.name for task in self.tasks if not task.join(0.0)]
        if self.left:
            _log.error("%s", left_to_themselves(self.left, self.waiting(), timeout))
        if self.run.gate is not None:
            self.run.gate.finish()
        if self.run.context is not None:
            # Sockets of those who are left hold it up: it can't end before they do.
            _term(self.run.context, 0.0 if self.left else max(0.2, until - time.monotonic()))
        if self._unheard is not None:
            self._unheard()
        self.ended = True

    def _end_calls(self, until: float) -> None:
        """Calls that were begun end with an error, and with them their threads."""
        for client in self.clients:
            client.stop()
        self.visitors.end_calls()
        for task in self.tasks:
            task.join(max(0.0, until - time.monotonic()))


def _term(context: zmq.Context[zmq.Socket[bytes]], deadline: float) -> None:
    """Terminate the context; a socket that is still open can't hold us up."""
    ending = threading.Thread(target=context.term, daemon=True, name="pylm_lab.term")
    ending.start()
    ending.join(deadline)
