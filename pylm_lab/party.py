"""Party: who takes part in a cluster, from the first one's declaration to the last one's end.

1. Servers start first, in the order in which they were added, then workers.
2. An end goes the way of the messages, and all of it has one deadline.
3. It does not know its cluster, which so can be forgotten and is then ended.
"""

from __future__ import annotations

import difflib
import logging
import threading
import time
from typing import Any

import zmq

from pylm_lab.actor import DEADLINE, Actor, Run
from pylm_lab.clients import Client
from pylm_lab.errors import Endless, RunError, WiringError
from pylm_lab.loop import Wait
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import CacheService
from pylm_lab.schedule import Gate
from pylm_lab.servers import Worker

__all__ = ["Party"]

#: The part of the time for an end that workers may take.
WORKERS = 0.75
_log = logging.getLogger("pylm_lab.cluster")


class Party:
    """Who takes part in a run."""

    def __init__(self, seed: int | None, transport: str) -> None:
        gate = None if seed is None else Gate.seeded(seed)
        self.run = Run(seed=seed, gate=gate, transport=transport, joins=self._joins)
        self.begun = False
        self.ended = False
        #: The ids of actors that had not ended in time.
        self.left: list[str] = []
        self.servers: list[ServerTemplate] = []
        self.workers: list[Worker] = []
        self.clients: list[Client] = []
        self._ids: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._me = object()
        if self.run.gate is not None:
            self.run.gate.announce(self._me, "cluster", thread=False)

    # Joining

    def add(self, actor: ServerTemplate | Worker) -> None:
        """Let a server or a worker take part; see `Cluster.add`."""
        self._not_ended()
        if not isinstance(actor, ServerTemplate | Worker):
            raise WiringError(
                f"{actor!r} is neither a server nor a worker: add those, and ask for clients with "
                "cluster.client(…)"
            )
        if actor in self.servers or actor in self.workers:
            raise WiringError(f"{actor.name!r} takes part already: add a second one for two")
        if actor.is_running:
            raise RunError(f"{actor.name!r} runs already, elsewhere: stop it first")
        if isinstance(actor, Worker) and self.begun:
            self.server(actor.serves, actor.name)  # it must be there
        if isinstance(actor, Worker) and actor.nameless:
            actor.name, actor.nameless = self._unique("worker"), False
            actor.id = actor.name
        else:
            actor.id = self._unique(actor.name)
        if isinstance(actor, ServerTemplate):
            self.servers.append(actor)
            if self.begun:
                self._start_server(actor)
        else:
            self.workers.append(actor)
            if self.begun:
                self._start_workers([actor])

    def client(self, server: str | ServerTemplate, options: dict[str, Any]) -> Client:
        """A client of the server; starts everything; see `Cluster.client`."""
        self._not_ended()
        found = self.server(server, "a client")
        self.begin()
        if found.failure is not None:
            raise found.failure
        unknown = sorted(set(options) - {"name", "timeout", "session"})
        if unknown:
            raise WiringError(f"a client has no option {unknown[0]!r}: name, timeout or session")
        name = self._unique(options.pop("name", "client"))
        client = Client(found.name, _cache_of(found), name=name, run=self.run, **options)
        self.clients.append(client)
        return client

    def _joins(self, actor: Actor) -> None:
        """A client is about to speak with its server: if that ends, its calls end."""
        if not isinstance(actor, Client):
            return
        actor.on_close = self._leaves
        for server in self.servers:
            if actor.serves in (server.name, server.id):
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

    def server(self, wanted: str | ServerTemplate, who: str) -> ServerTemplate:
        """The server that is meant.

        Raises:
            WiringError: there is none, or more than one.
        """
        if isinstance(wanted, ServerTemplate):
            if wanted not in self.servers:
                raise WiringError(f"{wanted.name!r} does not take part: add it to the cluster")
            return wanted
        if not self.servers:
            raise WiringError(f"there is no server for {who}: add one first")
        if not wanted:
            if len(self.servers) > 1:
                raise WiringError(f"{who} must say which server it means: {self._names()}")
            return self.servers[0]
        for server in self.servers:
            if wanted in (server.id, server.name):
                return server
        near = difflib.get_close_matches(wanted, [s.id for s in self.servers], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {self._names()}"
        raise WiringError(f"{who} asks for the server {wanted!r}, which takes no part: {hint}")

    def _names(self) -> str:
        return ", ".join(repr(server.id) for server in self.servers)

    def _unique(self, name: str) -> str:
        parts = {f"{s.id}.{actor.name}" for s in self.servers for actor in s.actors}
        # From where the last one of this name was found.
        number = self._numbers.get(name, 1)
        chosen = name if number == 1 else ""
        while not chosen or chosen in self._ids or chosen in parts:
            number += 1
            chosen = f"{name}{number}" if not name[-1:].isdigit() else f"{name}-{number}"
        self._ids.add(chosen)
        self._numbers[name] = number
        return chosen

    def _not_ended(self) -> None:
        if self.ended:
            raise RunError("the cluster has ended: make a new one")

    # Starting

    def begin(self) -> None:
        """Start what has been added, if it has not been started."""
        if self.begun:
            return
        for worker in self.workers:
            self.server(worker.serves, worker.name)
        self.begun = True
        self.run.context = zmq.Context()
        try:
            for server in self.servers:
                self._start_server(server)
            self._start_workers(self.workers)
        except BaseException:
            self.abort()
            raise

    def _start_server(self, server: ServerTemplate) -> None:
        server.enter(self.run)
        server.launch()
        self._settle()

    def _start_workers(self, workers: list[Worker]) -> None:
        for worker in workers:
            server = self.server(worker.serves, worker.name)
            worker.serves = server.id
            worker.db_found = _cache_of(server)
            worker.enter(self.run)
            worker.launch()
        self._settle()
        for worker in workers:
            _wait_for(worker, self.server(worker.serves, worker.name))

    def _settle(self) -> None:
        """Under a gate, let the beginning run its course, in order."""
        if self.run.gate is not None:
            self.run.gate.orderly = True
            self.run.gate.settle(self._me)
            self.run.gate.orderly = False

    # Ending

    def stop(self, timeout: float = DEADLINE) -> bool:
        """End everything in order; True if all have ended; see `Cluster.stop`."""
        gate = self.run.gate
        if self.ended:
            return not self.left
        try:
            if gate is not None and self.begun:
                gate.settle(self._me)
        except Endless:
            assert gate is not None
            gate.over()  # it would never come to rest
        finally:
            self._end(timeout)
        return not self.left

    def abort(self) -> None:
        """End at once, in whatever order."""
        if self.ended:
            return
        if self.run.gate is not None:
            self.run.gate.over()
        self._end(DEADLINE, linger=0)

    def _end(self, timeout: float, linger: float = DEADLINE) -> None:
        # Calls that wait hear of the end from their clients.
        for server in self.servers:
            server.on_failure.clear()
        begun = time.monotonic()
        until = begun + timeout
        # A worker may be busy with a function that never returns; servers have the rest.
        patience = begun + timeout * WORKERS
        for worker in self.workers:
            worker.stop()
            if self.run.gate is not None:
                worker.join(max(0.0, patience - time.monotonic()))
        for worker in self.workers:
            worker.join(max(0.0, patience - time.monotonic()))
        for server in self.servers:
            rest = max(0.05, until - time.monotonic())
            server.stop(rest, min(linger, rest))
        # Last, so that whatever is still published finds somebody who says that it came too late.
        # What they have sent to a server that has ended can't arrive any more.
        for client in list(self.clients):
            client.close(linger=0)
        for worker in self.workers:
            worker.abandoned = worker.is_running
            if not worker.is_running:
                worker.cleanup(linger=0)
        self.left = [actor.id for actor in self._actors() if actor.is_running]
        if self.left:
            names = ", ".join(self.left)
            _log.error("still running after %g s, and left to themselves: %s", timeout, names)
        elif self.run.gate is not None:
            self.run.gate.finish()
        if self.run.context is not None:
            # Sockets of those who are left hold it up: it can't end before they do.
            _term(self.run.context, 0.0 if self.left else max(0.2, until - time.monotonic()))
        self.ended = True

    def _actors(self) -> list[Actor]:
        inside: list[Actor] = [actor for server in self.servers for actor in server.actors]
        return [*inside, *self.workers, *self.clients]

    def waiting(self) -> list[Wait]:
        """Who waits; see `Cluster.waiting`."""
        return [wait for actor in self._actors() if (wait := actor.waiting()) is not None]

    def describe(self) -> str:
        """Who takes part, in words."""
        state = "ended" if self.ended else "running" if self.begun else "not started"
        names = [server.id for server in self.servers]
        names += [actor.id for actor in (*self.workers, *self.clients)]
        return f"{', '.join(names) or 'nobody yet'} ({state})"


def _cache_of(server: ServerTemplate) -> str:
    """Where the server's cache listens."""
    for part in server.parts_by_name.values():
        if isinstance(part, CacheService):
            return part.listen_to.address
    raise WiringError(
        f"{server.name!r} has no cache service, so nobody can look up its addresses: "
        "register_bypass(CacheService, 'Cache')"
    )


def _wait_for(worker: Worker, server: ServerTemplate, timeout: float = 5.0) -> None:
    """Wait until the worker is connected; raise what has failed instead, it or its server."""
    until = time.monotonic() + timeout
    while not worker.is_ready.wait(0.05):
        if server.failure is not None:
            raise server.failure
        if worker.reason is not None:
            raise worker.reason
        if time.monotonic() > until:
            raise RunError(f"{worker.id} is not ready after {timeout:g} s: {worker.db.address}")


def _term(context: zmq.Context[zmq.Socket[bytes]], deadline: float) -> None:
    """Terminate the context; a socket that is still open can't hold us up."""
    ending = threading.Thread(target=context.term, daemon=True, name="pylm_lab.term")
    ending.start()
    ending.join(deadline)
