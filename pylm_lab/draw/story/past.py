"""Past: what earlier hops of a message say of the one that begins."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from typing import Literal

from pylm_lab.trace import Event, Hop, Trace

__all__ = ["Past", "names_server"]


def names_server(name: str, server: str) -> bool:
    """Whether a name is that of the server of this id: ids of equal names end in a number."""
    if not name or not server.startswith(name):
        return False
    return re.fullmatch(r"-?[0-9]*", server.removeprefix(name)) is not None


class Past:
    """What is known of the hop that `begin` was told last.

    `returns`: its target gave the same message to its source before. `ran`: the function that the
    server of its source ran on it, in this part; `changed`: the part made another payload of it.
    `answers`: the id of the message to which an HTTP answer belongs. `unrecorded` says of HTTP
    ports whose other end is not in the record who is there.
    """

    def __init__(self, trace: Trace) -> None:
        self.returns = self.changed = False
        self.ran = self.answers = ""
        self.unrecorded: dict[str, Literal["client", "worker"]] = {
            port.id: "client" if port.binds else "worker"
            for port in trace.ports
            if port.socket == "HTTP" and not trace.declared.peers(port.id)
        }
        self._events = trace.events
        self._actors = {actor.id: actor for actor in trace.actors}
        self._http = {port.id for port in trace.ports if port.socket == "HTTP"}
        self._outer = {port.id for port in trace.ports if port.outer}
        self._crossed: set[tuple[str, str, str]] = set()
        #: Servers, with messages on which a worker of theirs has worked.
        self._worked: set[tuple[str, str]] = set()
        self._asked: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._came: dict[tuple[str, str], list[int]] = defaultdict(list)
        for hop in trace.hops:
            if hop.kind == "message" and hop.received is not None:
                actor = self._actors.get(hop.target)
                if actor is not None and actor.role == "outbound":
                    self._came[hop.target, hop.message].append(hop.received)
        for positions in self._came.values():
            positions.sort()

    def begin(self, hop: Hop) -> None:
        """A hop begins."""
        event = self._events[hop.begins]
        self.returns = self.changed = False
        self.ran = self.answers = ""
        if hop.kind == "answer":
            if event.port in self._http:
                self._answered(hop)
            return
        if hop.kind != "message" or not hop.message:
            return
        source = self._actors.get(hop.source)
        self.returns = (hop.target, hop.source, hop.message) in self._crossed
        self._crossed.add((hop.source, hop.target, hop.message))
        if event.port in self._http and hop.sent is not None:
            self._asked[hop.source, hop.target].append(hop.message)
        if source is None:
            return
        if source.role == "worker":
            self._worked.add((source.serves, hop.message))
        elif source.role == "outbound" and event.port in self._outer:
            self._was_run(hop, event, source.server)

    def _answered(self, hop: Hop) -> None:
        open_ = self._asked[hop.target, hop.source]
        # With several under way, nothing tells which one it is.
        if len(open_) == 1:
            self.answers = open_[0]
        if open_:
            open_.pop(0)

    def _was_run(self, hop: Hop, event: Event, server: str) -> None:
        came = self._came.get((hop.source, hop.message), [])
        at = bisect_left(came, hop.begins)
        before = self._events[came[at - 1]] if at else None
        if before is None or before.excerpt == event.excerpt:
            return
        self.changed = True
        steps = before.function.split()
        function = steps[before.stage] if 0 <= before.stage < len(steps) else ""
        named = function.partition(".")[0]
        if (server, hop.message) not in self._worked and names_server(named, server):
            self.ran = function
