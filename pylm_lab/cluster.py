"""Cluster: servers, workers and clients together in one process.

1. `add` declares. The first client starts everything, servers first, in the order of `add`.
2. Every run has a context of its own and fresh addresses, so two clusters never meet, and the same
   lines run twice work twice.
3. With a seed the very same threads and sockets move one operation at a time, in an order that the
   seed decides; the time of a trace is then the step number.
4. Everything ends with the `with` block, or with `stop`: every thread, socket, port and address.
"""

from __future__ import annotations

import difflib
import logging
import threading
import time
import weakref
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import zmq

from pylm_lab.actor import DEADLINE, Actor, Run
from pylm_lab.arguments import count
from pylm_lab.clients import Client
from pylm_lab.errors import Endless, RunError, WiringError
from pylm_lab.hook import Hook
from pylm_lab.loop import Wait
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import CacheService
from pylm_lab.schedule import Gate
from pylm_lab.servers import Worker
from pylm_lab.trace import Recorder, Trace

__all__ = ["Cluster"]

T = TypeVar("T", ServerTemplate, Worker)
_log = logging.getLogger("pylm_lab.cluster")


class Cluster:
    """Runs servers, workers and clients in this process, and records every hop.

    Args:
        seed: None runs free; a number runs one operation at a time, in the order that it decides.
        transport: `inproc` or `tcp` for addresses that are not given. A seeded run needs `inproc`.
        record: False records nothing; then `trace` is empty.
        limit: steps after which a call in a seeded run is given up as endless; None: never.
        scenario: the name that the trace carries.

    Use it in a `with` block, which ends everything.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        transport: Literal["inproc", "tcp"] = "inproc",
        record: bool = True,
        limit: int | None = None,
        scenario: str = "",
    ) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise WiringError(f"seed={seed!r}: a seed is a whole number, or None to run free")
        if transport not in ("inproc", "tcp"):
            raise WiringError(f"transport={transport!r}: choose 'inproc' or 'tcp'")
        if seed is not None and transport != "inproc":
            raise WiringError(
                "a seeded run needs transport='inproc': over tcp nothing tells when a message "
                "has arrived"
            )
        if limit is not None:
            count("limit", limit, "steps after which a call is given up, or None for never")
        self.seed = seed
        self._recorder = Recorder(
            schedule="free" if seed is None else "seeded",
            seed=seed,
            clock="ns" if seed is None else "step",
            scenario=scenario,
        )
        self._party = _Party(seed, transport)
        if self._party.run.gate is not None:
            self._party.run.gate.limit = limit
        if record:
            self._party.run.hooks.add(self._recorder)
        # A cluster that is forgotten, or still running at the end of the process, is ended.
        self._end = weakref.finalize(self, self._party.abort)

    def add(self, actor: T) -> T:
        """Let a server or a worker take part; returns it.

        A worker names its server with `server=`; where there is one server only, it need not.

        Raises:
            WiringError: it is neither, it takes part already, or its server is unknown.
            RunError: the cluster has ended.
        """
        self._party.add(actor)
        return actor

    def client(self, server: str | ServerTemplate = "", **options: Any) -> Client:
        """A client of the server; starts everything that has been added.

        Args:
            server: its name, or the server itself; may be left out where there is only one.
            options: `name`, `timeout` and `session`, as `Client` takes them.
        """
        return self._party.client(server, options)

    def attach(self, hook: Hook) -> Self:
        """Let the hook hear everything in this cluster. Returns the cluster.

        Raises:
            RunError: it has started.
        """
        if self._party.begun:
            raise RunError("the cluster has started: attach hooks before its first client")
        self._party.run.hooks.add(hook)
        return self

    def waiting(self) -> list[Wait]:
        """Who waits, where, for what and how long: in seconds, or in steps of a seeded run.

        From any thread, at any time; whoever does something at the moment is not in it.
        """
        return self._party.waiting()

    @property
    def trace(self) -> Trace:
        """What has been recorded so far."""
        return self._recorder.trace

    @property
    def wiring(self) -> Any:
        """What has been declared so far, as a networkx.MultiDiGraph."""
        return self.trace.wiring

    def stop(self, timeout: float = DEADLINE) -> None:
        """End everything within `timeout` seconds; a second time does nothing.

        A seeded run first runs on until nothing can move any more. A stop goes the way of the
        messages: workers, then of each server the inbound parts, the router, the outbound and the
        bypass parts, at last clients. Router and outbound parts first do what has reached them.
        Who has not ended in time is named in the log, and left to its daemon thread.
        """
        self._party.stop(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self._party.abort()

    def __repr__(self) -> str:
        return f"<Cluster of {self._party.describe()}>"


class _Party:
    """Who takes part in a run. It doesn't know the cluster, which so can be forgotten."""

    def __init__(self, seed: int | None, transport: str) -> None:
        gate = None if seed is None else Gate.seeded(seed)
        self.run = Run(seed=seed, gate=gate, transport=transport)
        self.begun = False
        self.ended = False
        self.servers: list[ServerTemplate] = []
        self.workers: list[Worker] = []
        self.clients: list[Client] = []
        self._ids: set[str] = set()
        self._me = object()
        if self.run.gate is not None:
            self.run.gate.announce(self._me, "cluster", thread=False)

    # Joining

    def add(self, actor: ServerTemplate | Worker) -> None:
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
        self._not_ended()
        found = self.server(server, "a client")
        self.begin()
        if found.reason is not None:
            raise RunError(f"the server {found.id!r} has ended: {found.reason}") from found.reason
        unknown = sorted(set(options) - {"name", "timeout", "session"})
        if unknown:
            raise WiringError(f"a client has no option {unknown[0]!r}: name, timeout or session")
        name = self._unique(options.pop("name", "client"))
        client = Client(found.name, _cache_of(found), name=name, run=self.run, **options)
        self.clients.append(client)
        found.on_failure.append(client.give_up)
        return client

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
        chosen, number = name, 1
        while chosen in self._ids or chosen in parts:
            number += 1
            chosen = f"{name}{number}" if not name[-1:].isdigit() else f"{name}-{number}"
        self._ids.add(chosen)
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
            _wait_for(worker)

    def _settle(self) -> None:
        """Under a gate, let the beginning run its course, in order."""
        if self.run.gate is not None:
            self.run.gate.orderly = True
            self.run.gate.settle(self._me)
            self.run.gate.orderly = False

    # Ending

    def stop(self, timeout: float = DEADLINE) -> None:
        gate = self.run.gate
        if self.ended:
            return
        try:
            if gate is not None and self.begun:
                gate.settle(self._me)
        except Endless:
            assert gate is not None
            gate.abort()  # it would never come to rest
        finally:
            self._end(timeout)

    def abort(self) -> None:
        """End at once, in whatever order."""
        if self.ended:
            return
        if self.run.gate is not None:
            self.run.gate.abort()
        self._end(DEADLINE, linger=0)

    def _end(self, timeout: float, linger: float = DEADLINE) -> None:
        until = time.monotonic() + timeout
        for worker in self.workers:
            worker.stop()
            if self.run.gate is not None:
                worker.join(max(0.0, until - time.monotonic()))
        for worker in self.workers:
            worker.join(max(0.0, until - time.monotonic()))
        for server in self.servers:
            left_over = max(0.1, until - time.monotonic())
            server.stop(left_over, min(linger, left_over))
        # Last, so that whatever is still published finds somebody who says that it came too late.
        # What they have sent to a server that has ended can't arrive any more.
        for client in self.clients:
            client.close(linger=0)
        for worker in self.workers:
            worker.abandoned = worker.is_running
            if not worker.is_running:
                worker.cleanup(linger=0)
        left = [actor.id for actor in self._actors() if actor.is_running]
        if left:
            _log.error(
                "still running after %g s, and left to themselves: %s", timeout, ", ".join(left)
            )
        elif self.run.gate is not None:
            self.run.gate.finish()
        for server in self.servers:
            server.on_failure.clear()
        if self.run.context is not None:
            _term(self.run.context, max(0.2, until - time.monotonic()))
        self.ended = True

    def _actors(self) -> list[Actor]:
        inside: list[Actor] = [actor for server in self.servers for actor in server.actors]
        return [*inside, *self.workers, *self.clients]

    def waiting(self) -> list[Wait]:
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


def _wait_for(worker: Worker, timeout: float = 5.0) -> None:
    """Wait until the worker is connected, or has failed."""
    until = time.monotonic() + timeout
    while not worker.is_ready.wait(0.05):
        if worker.reason is not None:
            raise worker.reason
        if time.monotonic() > until:
            raise RunError(f"{worker.id} is not ready after {timeout:g} s: {worker.db.address}")


def _term(context: zmq.Context[zmq.Socket[bytes]], deadline: float) -> None:
    """Terminate the context; a socket that is still open can't hold us up."""
    ending = threading.Thread(target=context.term, daemon=True, name="pylm_lab.term")
    ending.start()
    ending.join(deadline)
