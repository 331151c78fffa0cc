"""Roster: who takes part in a cluster, by name and by id."""

from __future__ import annotations

import difflib

from pylm_lab.actor import Actor
from pylm_lab.clients import Client
from pylm_lab.errors import WiringError
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.servers import Worker
from pylm_lab.visitors import Visitors
from pylm_lab.waits import Waits

__all__ = ["Roster"]


class Roster:
    """Who takes part; it starts and ends nobody."""

    def __init__(self) -> None:
        self.begun = self.ended = False
        self.servers: list[ServerTemplate] = []
        #: Those that were started, in that order.
        self.started: list[ServerTemplate] = []
        self.workers: list[Worker] = []
        self.clients: list[Client] = []
        #: Who speaks HTTP with a server, from outside.
        self.visitors = Visitors()
        self._ids: set[str] = set()
        self._numbers: dict[str, int] = {}

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

    def unique(self, name: str) -> str:
        """An id that nobody has, which is the name or begins with it."""
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

    def declared(self) -> list[Actor]:
        """All who have been added; parts have their ids when their server has started."""
        for server in self.servers:
            server.name_actors()
        return self.actors()

    def actors(self) -> list[Actor]:
        """Everybody: parts and routers, workers, clients."""
        inside: list[Actor] = [actor for server in self.servers for actor in server.actors]
        return [*inside, *self.workers, *self.clients, *self.visitors]

    def waiting(self) -> Waits:
        """Who waits; see `Cluster.waiting`."""
        inside = [wait for server in self.servers for wait in server.waiting()]
        outside = (*self.workers, *self.clients, *self.visitors)
        others = [actor.waiting() for actor in outside]
        return Waits([*inside, *(wait for wait in others if wait is not None)])

    def describe(self) -> str:
        """Who takes part."""
        state = "ended" if self.ended else "running" if self.begun else "not started"
        names = [server.id for server in self.servers]
        names += [actor.id for actor in (*self.workers, *self.clients, *self.visitors)]
        return f"{', '.join(names) or 'nobody yet'} ({state})"
