"""The switch: the router, which executes its table and nothing else.

1. It forwards at once and keeps nothing but whose messages are not done yet; the windows of the
   inbound parts bound everything inside.
2. Acknowledgements give credit back: to an inbound part for its own messages only, and to one that
   blocks the feedback itself.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

import zmq

from pylm_lab import hook
from pylm_lab.actor import Actor
from pylm_lab.arguments import count
from pylm_lab.errors import WiringError
from pylm_lab.loop import BATCH
from pylm_lab.parts.table import Entry, Table
from pylm_lab.port import Port

__all__ = ["ACK", "WINDOW", "Router", "zmq_context"]

#: What hand-built sockets share with the parts: pylm_lab's own context, the default everywhere.
zmq_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

#: Messages that an inbound part may have unacknowledged, unless told otherwise.
WINDOW = 512

#: What a message that is done is answered with.
ACK = b"1"


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
        count("window", window, "how many messages a part may have unacknowledged")
        self.inbound_address = inbound_address
        self.outbound_address = outbound_address
        self.cache = cache
        self.messages = count("messages", messages, "how many messages to end after", least=0)
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
        self._simple = not (self.lockstep or any(e.blocks for e in self.table.outbound.values()))
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
                for frames in self.each(outbound, batch):
                    self._feedback(frames)
                continue
            seen += len(batch)
            if self._simple:
                self._forward_all(batch)
                continue
            for frames in self.each(inbound, batch):
                source = sources.get(frames[0])
                if source is None:
                    self._unknown(frames)
                else:
                    self._forward(source, source.target, frames[-1])

    def _unknown(self, frames: list[bytes]) -> None:
        self.inbound.drop(frames, f"no inbound part {frames[0]!r} is registered")
        self.logger.error("%s: nobody registered %r", self.id, frames[0])

    def _forward_all(self, batch: list[list[bytes]]) -> None:
        """`_forward` for many, where no outbound part blocks."""
        out: list[list[bytes]] = []
        sources: list[Entry] = []
        name = identity = b""
        for frames in batch:
            if frames[0] != name:
                part = self.table.inbound.get(frames[0])
                if part is None:
                    self._unknown(frames)
                    continue
                if part.target is None:
                    self._acknowledge(part, 1, ACK)
                    continue
                name, source, identity = frames[0], part, part.target.identity
                owed = part.target.owed
                if not owed or owed[-1][0] is not source:
                    owed.append([source, 0])
                run = owed[-1]
            run[1] += 1
            sources.append(source)
            out.append([identity, b"", frames[-1]])

        def refused(at: int, error: zmq.ZMQError) -> None:
            self._gone(self.outbound, out[at], error)
            owed = self.table.outbound[out[at][0]].owed
            n = max(n for n, run in enumerate(owed) if run[0] is sources[at])
            owed[n][1] -= 1
            if not owed[n][1]:
                del owed[n]
            self._acknowledge(sources[at], 1, ACK)

        self.emit_many(self.outbound, out, refused=refused)

    def waits_on(self, ports: tuple[Port, ...], sending: Port | None) -> list[str]:
        late = [part for part in self.table.outbound.values() if part.owed]
        if sending is None and ports == (self.outbound,) and late:
            return [self.part_ids.get(part.name, part.name) for part in late]
        return super().waits_on(ports, sending)

    def wish(self, ports: tuple[Port, ...], sending: Port | None) -> str:
        if sending is None and ports == (self.outbound,):
            late = [part.name for part in self.table.outbound.values() if part.owed]
            if late:
                held = ", and forwards nothing meanwhile" if self._holding else ""
                return f"the feedback of {' and '.join(late)}{held}"
        return super().wish(ports, sending)

    def _waited_for(self) -> bool:
        """A part still waits for the feedback of one that blocks, or whose feedback goes on."""
        return any(
            part.held or (part.owed and (part.blocks or part.target is not None))
            for part in self.table.outbound.values()
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
            self.logger.error("%s: %r was not handed anything", self.id, frames[0])
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
        while part.held and not part.owed:
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
