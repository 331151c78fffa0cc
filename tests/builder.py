"""Traces without a run: a Recorder is told what a master, its workers and its clients do.

    build = Build().master()
    build.run(1, worker="worker1")                               # message 1, there and back
    build.run(2, worker="worker2", until="server.Pull:broker")   # message 2, some of the way
    trace = build.end()

Every call is one step, whatever the clock, unless `at` says otherwise.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal

import pytest

from pylm_lab import wire
from pylm_lab.hook import Actor, Decision, FaultKind, Hook, Kind, Port, Route
from pylm_lab.trace import Recorder, Trace
from pylm_lab.trace.columns import Events, Hops

__all__ = ["Build", "count_made", "message", "steps_of"]

#: The ports that a message goes through in a master, which send and receive in turn.
WAY = (
    "{client}:push server.Pull:listen_to server.Pull:broker server.router:inbound "
    "server.router:outbound server.WorkerPush:broker server.WorkerPush:listen_to {worker}:pull "
    "{worker}:push server.WorkerPull:listen_to server.WorkerPull:broker server.router:inbound "
    "server.router:outbound server.Pub:broker server.Pub:listen_to {client}:sub"
)

CLIENTS = ("client", "other")


def message(
    id: int = 0,
    *,
    parent: int = 0,
    clock: int = 1,
    payload: bytes = b"a message",
    function: str = "server.foo",
    stage: int = 0,
) -> bytes:
    """The bytes of a PALM message, with a stamp if it has an id."""
    data = b"\x12\x06client" + (bytes([0x18, stage]) if stage else b"")
    data += _field(4, function.encode()) + _field(6, payload)
    return wire.write_stamp(data, wire.Stamp(id, parent, clock)) if id else data


def _field(number: int, value: bytes) -> bytes:
    size = len(value)
    return bytes([number << 3 | 2, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + value


class Build:
    """Tells a Recorder, or the hook that it is given, what happens."""

    def __init__(self, hook: Hook | None = None, **about: Any) -> None:
        self.recorder = Recorder(**{"clock": "step", **about})
        self.hook = hook or self.recorder
        self.ports: dict[str, Port] = {}
        self.actors: list[str] = []
        self.step = 0

    @property
    def trace(self) -> Trace:
        """What the Recorder wrote."""
        return self.recorder.trace

    def end(self) -> Trace:
        """The trace, after all actors have stopped."""
        for actor in self.actors:
            self.hook.actor_stopped(actor, self.tick())
        return self.trace

    def tick(self, at: int | None = None) -> int:
        """The time of the next event."""
        self.step += 1
        return self.step if at is None else at

    # What is declared

    def actor(self, id: str, role: str, **more: Any) -> Build:
        """An actor, labelled with what follows the dot in its id."""
        about = {"label": id.rpartition(".")[2], "kind": role.title(), **more}
        self.hook.actor_declared(Actor(id=id, role=role, **about))  # type: ignore[arg-type]
        self.actors.append(id)
        return self

    def port(self, id: str, socket: str, address: str = "", **more: Any) -> Build:
        """A port, bound or connected if there is an address."""
        about = {"actor": id.partition(":")[0], "binds": False, "outer": True, **more}
        self.ports[id] = port = Port(id=id, socket=socket, **about)
        self.hook.port_declared(port)
        return self.join(id, address) if address else self

    def join(self, id: str, address: str) -> Build:
        """Bind or connect a port."""
        port = self.ports[id]
        tell = self.hook.port_bound if port.binds else self.hook.port_connected
        tell(port, address, self.tick())
        return self

    def link(self, source: str, target: str, sockets: str = "PUSH PULL", **more: Any) -> Build:
        """Two ports at one address, which messages cross; the target binds. Actors are added."""
        kind: Kind = more.pop("kind", "message")
        address = more.pop("address", f"inproc://{target}")
        sender, receiver = sockets.split()
        for id in (source, target):
            if id.partition(":")[0] not in self.actors:
                self.actor(id.partition(":")[0], "worker")
        if target not in self.ports:
            self.port(target, receiver, address, binds=True, receives=kind, **more)
        return self.port(source, sender, address, sends=kind, **more)

    def part(self, name: str, role: Literal["inbound", "outbound"], socket: str) -> Build:
        """A part of the server, with its two ports."""
        self.actor(f"server.{name}", role, server="server")
        inner: dict[str, Kind] = {"sends": "message", "receives": "credit"}
        outer: dict[str, Kind] = {"receives": "message"}
        if role == "outbound":
            inner, outer = {"sends": "credit", "receives": "message"}, {"sends": "message"}
        self.port(f"server.{name}:listen_to", socket, binds=True, **outer)
        return self.port(f"server.{name}:broker", "DEALER", outer=False, **inner)

    def master(self, workers: int = 2, clients: int = 1, *, joined: bool = True) -> Build:
        """A master with its workers (`worker1`, …) and up to two clients, `client` and `other`."""
        self.actor("server.router", "router", server="server")
        both: dict[str, Any] = {"binds": True, "outer": False}
        self.port("server.router:inbound", "ROUTER", sends="credit", receives="message", **both)
        self.port("server.router:outbound", "ROUTER", sends="message", receives="credit", **both)
        self.part("Pull", "inbound", "PULL").part("WorkerPull", "inbound", "PULL")
        self.part("WorkerPush", "outbound", "PUSH").part("Pub", "outbound", "XPUB")
        self.actor("server.Cache", "bypass", server="server", blocks=True)
        self.port("server.Cache:listen_to", "REP", binds=True, sends="answer", receives="request")
        for number, source, target in ((1, "Pull", "WorkerPush"), (2, "WorkerPull", "Pub")):
            ends: dict[str, Any] = {"source": f"server.{source}", "target": f"server.{target}"}
            self.hook.route_declared(Route(server="server", number=number, **ends))
        for name in (f"worker{n + 1}" for n in range(workers)):
            self.actor(name, "worker", serves="server")
            self.port(f"{name}:db", "REQ", sends="request", receives="answer")
            self.port(f"{name}:pull", "PULL", receives="message")
            self.port(f"{name}:push", "PUSH", sends="message")
        for name in CLIENTS[:clients]:
            self.actor(name, "client", serves="server")
            self.port(f"{name}:db", "REQ", sends="request", receives="answer")
            self.port(f"{name}:push", "PUSH", sends="message")
            self.port(f"{name}:sub", "SUB", receives="message")
        return self.joined() if joined else self

    def joined(self) -> Build:
        """Bind and connect the ports of a master, start everybody, subscribe the clients."""
        places = {"db": "Cache", "pull": "WorkerPush", "sub": "Pub"}
        for id, port in self.ports.items():
            actor, _, name = id.partition(":")
            if port.outer:
                push = "Pull" if actor in CLIENTS else "WorkerPull"
                place = {**places, "push": push, "listen_to": actor.removeprefix("server.")}[name]
            else:
                place = {"broker": "inbound" if port.sends == "message" else "outbound"}.get(
                    name, name
                )
            self.join(id, f"inproc://{place}")
        for actor in self.actors:
            self.hook.actor_started(actor, self.tick())
            if actor in CLIENTS:
                self.subscribe(f"{actor}:sub", actor.encode())
        return self

    # What happens

    def subscribe(self, port: str, topic: bytes, publisher: str = "server.Pub:listen_to") -> Build:
        """Subscribe, and let the publisher see it if it can."""
        self.hook.topic_subscribed(self.ports[port], topic, self.tick())
        if self.ports[publisher].socket == "XPUB":
            self.hook.subscription_seen(self.ports[publisher], topic, True, self.tick())
        return self

    def send(self, port: str, *frames: bytes, at: int | None = None) -> Build:
        """The port sends these frames."""
        self.hook.hop_sent(self.ports[port], list(frames), self.tick(at))
        return self

    def receive(self, port: str, *frames: bytes, at: int | None = None) -> Build:
        """The port receives these frames."""
        self.hook.hop_received(self.ports[port], list(frames), self.tick(at))
        return self

    def drop(
        self, port: str, *frames: bytes, cause: str = "a rule", at: int | None = None
    ) -> Build:
        """These frames are given up at the port."""
        self.hook.hop_dropped(self.ports[port], list(frames), cause, self.tick(at))
        return self

    def fault(
        self,
        where: str,
        fault: FaultKind,
        *frames: bytes,
        why: str = "a rule",
        at: int | None = None,
    ) -> Build:
        """A fault acts on these frames at a port; without frames, on the actor itself.

        What a fault drops is given up at once.
        """
        now = self.tick(at)
        port = self.ports[where] if frames else None
        actor = port.actor if port else where
        self.hook.fault_struck(actor, port, list(frames), fault, why, now)
        if port and fault in ("drop", "part"):
            self.hook.hop_dropped(port, list(frames), why, now)
        return self

    def decide(self, kind: str, actor: str = "", port: str = "", text: str = "") -> Build:
        """A controlled run chooses what happens in the next step."""
        now = self.step + 1
        self.hook.decided(Decision(at=now, kind=kind, actor=actor, port=port, text=text))
        return self

    def cross(self, source: str, target: str, *frames: bytes) -> Build:
        """A send, and at once its receive."""
        return self.send(source, *frames).receive(target, *frames)

    def run(
        self,
        id: int,
        *,
        worker: str = "worker1",
        client: str = "client",
        since: str = "",
        until: str = "",
        data: bytes = b"",
    ) -> Build:
        """Take message `id` through the master, from one port of its way to another."""
        way = WAY.format(client=client, worker=worker).split()
        data = data or message(id)
        # The way touches the router's ports twice: `since` is the first of these, `until` the last.
        begin = way.index(since) if since else 0
        end = len(way) - way[::-1].index(until) if until else len(way)
        for n in range(begin, end):
            tell = self.receive if n % 2 else self.send
            tell(way[n], *self._envelope(way, n, client), data)
        return self

    def _envelope(self, way: list[str], n: int, client: str) -> list[bytes]:
        """The frames before the message: a routing id, a delimiter, a topic, as its link asks."""
        name = way[n].partition(":")[2]
        if name == "broker":
            return [b""]
        if way[n].startswith("server.router"):
            part = way[n - 1] if n % 2 else way[n + 1]
            return [part.partition(":")[0].removeprefix("server.").encode(), b""]
        return [client.encode()] if n >= len(way) - 2 else []


def count_made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many objects are made from columns from now on, by kind."""
    made: Counter[str] = Counter()
    for kind in (Events, Hops):

        def count(
            self: Any, chosen: slice, kind: Any = kind, make: Any = kind._make
        ) -> Iterator[Any]:
            for one in make(self, chosen):
                made[kind.__name__] += 1
                yield one

        monkeypatch.setattr(kind, "_make", count)
    return made


def steps_of(function: Callable[[Trace], object], trace: Trace) -> int:
    """How many instructions of Python the function takes: the same on every machine."""
    steps = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        function(trace)
    finally:
        sys.settrace(before)
    return steps
