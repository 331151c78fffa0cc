"""The switch: the router, and the table that it executes and that the diagram reads.

1. One table, two readers. What can't work in it is found before anything runs.
2. The router executes the table and nothing else. It forwards at once and keeps nothing but whose
   messages are not done yet; the windows of the inbound parts bound everything inside.
3. Acknowledgements give credit back: to an inbound part for its own messages only, and to one that
   blocks the feedback itself.
"""

from __future__ import annotations

import difflib
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

import zmq

from pylm_lab import hook
from pylm_lab.actor import Actor
from pylm_lab.errors import WiringError
from pylm_lab.loop import BATCH
from pylm_lab.port import Port

__all__ = ["ACK", "WINDOW", "Entry", "Router", "Table", "zmq_context"]

#: What hand-built sockets share with the parts: pylm_lab's own context, the default everywhere.
zmq_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

#: Messages that an inbound part may have unacknowledged, unless told otherwise.
WINDOW = 256

#: What a message that is done is answered with.
ACK = b"1"


class Entry:
    """A part as the router knows it.

    `target` is the outbound part that its messages, or its feedback, go to (None: nowhere).
    `blocks`, of an inbound part: it is answered with the feedback; of an outbound part: it answers
    only when its pair has.
    """

    __slots__ = (
        "blocks",
        "credit",
        "held",
        "identity",
        "inbound",
        "log",
        "name",
        "owed",
        "quantum",
        "route",
        "target",
    )

    def __init__(self, name: str, route: str, log: str, *, inbound: bool, blocks: bool) -> None:
        self.name = name
        self.identity = name.encode()
        self.route = route
        self.log = log
        self.inbound = inbound
        self.blocks = blocks
        self.target: Entry | None = None
        #: Of an outbound part: whose messages, and how many in a row, it owes feedback for.
        self.owed: deque[list[Any]] = deque()
        #: Of an outbound part that holds: what waits for its feedback.
        self.held: deque[tuple[Entry | None, bytes]] = deque()
        #: Of an inbound part: messages done, and not yet acknowledged.
        self.credit = 0
        #: How many acknowledgements travel as one.
        self.quantum = 1


class Table:
    """The parts that are registered at a router, and the rows between them."""

    def __init__(self) -> None:
        self.inbound: dict[bytes, Entry] = {}
        self.outbound: dict[bytes, Entry] = {}

    def register(self, name: str, route: str, log: str, *, inbound: bool, blocks: bool) -> Entry:
        """Add a part.

        Raises:
            WiringError: there is one of this name already, or the name can't be a routing id.
        """
        side = "an inbound" if inbound else "an outbound"
        if not isinstance(name, str) or not 0 < len(name.encode()) < 256 or name[0] == "\0":
            raise WiringError(
                f"{side} part can't be called {name!r}: a name has 1 to 255 bytes of UTF-8, since "
                "it is the part's routing id"
            )
        entry = Entry(name, route, log, inbound=inbound, blocks=blocks)
        if entry.identity in self.inbound or entry.identity in self.outbound:
            raise WiringError(
                f"two parts are called {name!r}: give {side} part that you add another name"
            )
        (self.inbound if inbound else self.outbound)[entry.identity] = entry
        return entry

    def check(self) -> None:
        """Resolve every route.

        Raises:
            WiringError: a route names no outbound part. The text names the nearest one.
        """
        names = {entry.name: entry for entry in self.outbound.values()}
        for entry in self.entries():
            entry.target = names.get(entry.route)
            if entry.route and entry.target is None:
                raise WiringError(self._unknown(entry, list(names)))
            if entry.target is entry:
                raise WiringError(
                    f"{entry.name!r} is routed to itself: the feedback would go round for ever"
                )

    def _unknown(self, entry: Entry, names: list[str]) -> str:
        start = f"part {entry.name!r} is routed to {entry.route!r}, but "
        if any(entry.route == other.name for other in self.inbound.values()):
            return f"{start}{entry.route!r} is an inbound part: route to an outbound one {names}"
        near = difflib.get_close_matches(entry.route, names, n=1, cutoff=0.5)
        if near:
            return f"{start}no outbound part has this name: did you mean {near[0]!r}?"
        return f"{start}no outbound part has this name; there is {names or 'none yet'}"

    def __repr__(self) -> str:
        rows = [entry for entry in self.entries() if entry.route]
        lines = [f"{n}  {e.name} {_sign(e)} {e.route}" for n, e in enumerate(rows, start=1)]
        lines += [f"-  {e.name} → nowhere" for e in self.inbound.values() if not e.route]
        return "\n".join(lines) or "no rows"

    def entries(self) -> Iterator[Entry]:
        """Every part, inbound ones first, as registered."""
        yield from self.inbound.values()
        yield from self.outbound.values()

    def rows(self, server: str, ids: dict[str, str]) -> Iterator[hook.Route]:
        """The rows of the table, numbered as registered: inbound parts first."""
        rows = [entry for entry in self.entries() if entry.target is not None]
        for number, entry in enumerate(rows, start=1):
            assert entry.target is not None
            feedback = "on" if not entry.inbound else "waits" if entry.blocks else ""
            yield hook.Route(
                server=server,
                number=number,
                source=ids.get(entry.name, entry.name),
                target=ids.get(entry.target.name, entry.target.name),
                feedback=feedback,  # type: ignore[arg-type]
            )


def _sign(entry: Entry) -> str:
    """How the answer to what this row sends travels."""
    return "⇢" if not entry.inbound else "⇄" if entry.blocks else "→"


class Router(Actor):
    """The switch: two ROUTER sockets and the routing table between them.

    Args:
        inbound_address: where inbound parts connect.
        outbound_address: where outbound parts connect.
        logger: a Logger, or the logging module.
        cache: kept for the parts' sake; the router does not use it.
        messages: end after that many messages from inbound parts.
        window: how many messages an inbound part may have unacknowledged.
        lockstep: one message in the whole router, as documented originally.
        hold: what a blocking outbound part holds while its pair has not answered: the whole
            `server`, or only what is routed to that `part`.
    """

    role = "router"
    drains = True

    def __init__(
        self,
        inbound_address: str = "inproc://inbound",
        outbound_address: str = "inproc://outbound",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        name: str = "router",
        window: int = WINDOW,
        lockstep: bool = False,
        hold: Literal["server", "part"] = "server",
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        super().__init__(name, context=context or zmq_context, logger=logger)
        if hold not in ("server", "part"):
            raise WiringError(f"hold={hold!r}: a blocking part holds the 'server' or the 'part'")
        if not isinstance(window, int) or window < 1:
            raise WiringError(f"window={window!r}: a window is a number of messages, at least 1")
        self.inbound_address = inbound_address
        self.outbound_address = outbound_address
        self.cache = cache
        self.messages = messages
        self.window = 1 if lockstep else window
        self.lockstep = lockstep
        self.hold = hold
        self.table = Table()
        self.part_ids: dict[str, str] = {}
        self.inbound = self.add_port(
            "inbound",
            zmq.ROUTER,
            binds=True,
            outer=False,
            sends="credit",
            receives="message",
            address=inbound_address,
        )
        self.outbound = self.add_port(
            "outbound",
            zmq.ROUTER,
            binds=True,
            outer=False,
            sends="message",
            receives="credit",
            address=outbound_address,
        )

    def register_inbound(
        self, name: str, route: str = "", block: bool = False, log: str = ""
    ) -> Entry:
        """Let messages of the inbound part `name` go to the outbound part `route`.

        Without a route they are acknowledged and go nowhere. With `block` the part is answered with
        the feedback of the outbound part instead of an acknowledgement.
        """
        return self.table.register(name, route, log, inbound=True, blocks=block)

    def register_outbound(
        self, name: str, route: str = "", log: str = "", *, blocks: bool = False
    ) -> Entry:
        """Let the outbound part `name` be routed to.

        With a route of its own its feedback goes on to a second outbound part, once. `blocks` says
        that its pair answers, so `hold` applies.
        """
        return self.table.register(name, route, log, inbound=False, blocks=blocks)

    def declare(self, hooks: hook.Hook | None = None) -> None:
        super().declare(hooks)
        for row in self.table.rows(self.server, self.part_ids):
            (hooks or self.hooks).route_declared(row)

    def open(self) -> None:
        self.table.check()
        super().open()

    def open_ports(self) -> None:
        for port in self.ports:
            port.open(self.context, router_mandatory=1)

    def ready(self) -> None:
        """Let the sockets see every part that has connected, before the first message."""
        for port in self.ports:
            port.can_receive()

    def run(self) -> None:
        inbound, outbound = self.inbound, self.outbound
        for part in self.table.entries():
            part.owed.clear()
            part.held.clear()
            part.credit = 0
        both, answers = (inbound, outbound), (outbound,)
        # Who may have to hold after each message takes one at a time.
        most = 1 if any(map(self._holds, self.table.outbound.values())) else BATCH
        self._holding = 0
        try:
            self._route(both, answers, most)
        finally:
            for part in self.table.outbound.values():
                while part.held:
                    frames = [part.identity, b"", part.held.popleft()[1]]
                    outbound.drop(frames, f"the router ended while {part.name} held it up")

    def _route(self, both: tuple[Port, ...], answers: tuple[Port, ...], most: int) -> None:
        inbound, outbound = self.inbound, self.outbound
        sources = self.table.inbound
        seen = 0
        while seen < self.messages or self._holding or self._waited_for():
            waits = self._holding or seen >= self.messages
            port, batch = self.drain(
                answers if waits else both, max(1, min(most, self.messages - seen))
            )
            if port is outbound:
                for frames in batch:
                    self._feedback(frames)
                continue
            for frames in batch:
                seen += 1
                source = sources.get(frames[0])
                if source is None:
                    inbound.drop(frames, f"no inbound part {frames[0]!r} is registered")
                    self.logger.error("%s: nobody registered %r", self.id, frames[0])
                else:
                    self._forward(source, source.target, frames[-1])

    def _waited_for(self) -> bool:
        """A part still waits for the feedback of one that blocks."""
        return any(
            part.held or (part.owed and part.blocks) for part in self.table.outbound.values()
        )

    def _forward(self, source: Entry | None, target: Entry | None, data: bytes) -> None:
        """Hand a message to an outbound part, which owes the feedback to `source`."""
        if target is None:
            self._acknowledge(source, 1, ACK)
            return
        if target.blocks and self.hold == "part" and target.owed:
            target.held.append((source, data))
            return
        try:
            self.emit(self.outbound, [target.identity, b"", data])
        except zmq.ZMQError as error:
            self._gone(self.outbound, [target.identity, b"", data], error)
            self._acknowledge(source, 1, ACK)
            return
        owed = target.owed
        if owed and owed[-1][0] is source:
            owed[-1][1] += 1
        else:
            owed.append([source, 1])
        if self.lockstep or target.blocks:
            self._holding += self._holds(target)

    def _holds(self, part: Entry) -> bool:
        """While this part has a message, the router forwards nothing."""
        return self.lockstep or (part.blocks and self.hold == "server")

    def _feedback(self, frames: list[bytes]) -> None:
        """An outbound part has done one message, or has done several."""
        part = self.table.outbound.get(frames[0])
        if part is None or not part.owed:
            self.outbound.drop(frames, f"{frames[0]!r} was not handed anything")
            return
        data = frames[-1]
        left = int(data) if part.quantum > 1 else 1
        while left:
            source, count = part.owed[0]
            done = min(left, count)
            left -= done
            if done < count:
                part.owed[0][1] -= done
            else:
                part.owed.popleft()
            self._acknowledge(source, done, data)
        self._holding -= self._holds(part)
        # Once: what has been handed on itself owes its feedback to nobody.
        if part.target is not None and source is not None:
            self._forward(None, part.target, data)
        if part.held and not part.owed:
            source, message = part.held.popleft()
            self._forward(source, part, message)

    def _acknowledge(self, source: Entry | None, count: int, data: bytes) -> None:
        """Messages of this inbound part are done."""
        if source is None:
            return
        if not source.blocks:
            source.credit += count
            if source.credit < source.quantum:
                return
            data = str(source.credit).encode()
            source.credit = 0
        answer = [source.identity, b"", data]
        try:
            self.emit(self.inbound, answer)
        except zmq.ZMQError as error:
            self._gone(self.inbound, answer, error)

    def _gone(self, port: Port, frames: list[bytes], error: zmq.ZMQError) -> None:
        """Drop what was for a part that is there no longer; any other error is one."""
        if error.errno != zmq.EHOSTUNREACH:
            raise error
        name = frames[0].decode(errors="backslashreplace")
        port.drop(frames, f"{name} is not connected to the router")
