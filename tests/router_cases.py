"""Traces to draw, made by hand: what a run of each shape would have recorded.

They go through the real Recorder, so they are what it makes of such events.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from pylm_lab import wire
from pylm_lab.hook import Actor, Kind, Port, Route
from pylm_lab.trace import Recorder, Trace

Role = Literal["inbound", "outbound", "bypass", "router", "worker", "client"]

#: What a port of a socket type sends and receives.
CARRIES: dict[str, tuple[Kind | Literal[""], Kind | Literal[""]]] = {
    "PULL": ("", "message"),
    "SUB": ("", "message"),
    "PUSH": ("message", ""),
    "PUB": ("message", ""),
    "XPUB": ("message", ""),
    "REQ": ("request", "answer"),
    "REP": ("answer", "request"),
    "ROUTER": ("answer", "message"),
    "REQ of messages": ("message", "answer"),
    "DEALER": ("message", ""),
    "HTTP": ("answer", "request"),
    "HTTP client": ("request", "answer"),
    "HTTP of messages": ("answer", "message"),
    "HTTP to a worker": ("message", "answer"),
}


@dataclass
class Made:
    """A trace in the making."""

    server: str = "server"
    recorder: Recorder = field(default_factory=lambda: Recorder(schedule="seeded", clock="step"))
    ports: dict[str, Port] = field(default_factory=dict)
    routes: dict[str, int] = field(default_factory=dict)
    at: int = 0
    last: int = 0

    def now(self) -> int:
        self.at += 1
        return self.at

    def id(self, label: str) -> str:
        return f"{self.server}.{label}" if self.server else label

    def actor(
        self,
        id: str,
        label: str,
        role: Role,
        kind: str,
        ports: Sequence[tuple[str, str]] = (),
        *,
        server: str = "",
        blocks: bool = False,
    ) -> str:
        """Declare an actor with outer ports `(name, "PULL binds")`; returns its id."""
        serves = self.server if role in ("worker", "client") else ""
        actor = Actor(
            id=id, label=label, role=role, kind=kind, server=server, serves=serves, blocks=blocks
        )
        self.recorder.actor_declared(actor)
        for name, what in ports:
            socket, _, way = what.rpartition(" ")
            sends, receives = CARRIES[socket]
            self.port(id, name, socket.split()[0], way == "binds", True, sends, receives)
        return id

    def port(
        self,
        actor: str,
        name: str,
        socket: str,
        binds: bool,
        outer: bool,
        sends: Kind | Literal[""],
        receives: Kind | Literal[""],
    ) -> None:
        port = Port(
            id=f"{actor}:{name}",
            actor=actor,
            socket=socket,
            binds=binds,
            outer=outer,
            sends=sends,
            receives=receives,
        )
        self.ports[port.id] = port
        self.recorder.port_declared(port)

    def router(self) -> None:
        id = self.actor(self.id("router"), "router", "router", "Router", server=self.server)
        self.port(id, "inbound", "ROUTER", True, False, "credit", "message")
        self.port(id, "outbound", "ROUTER", True, False, "message", "credit")

    def part(self, label: str, role: Role, kind: str, *ports: str, blocks: bool = False) -> str:
        """Declare a part with an outer port for each of `ports` (`PULL binds`)."""
        names = ["outer", "second", "third"]
        id = self.actor(
            self.id(label),
            label,
            role,
            kind,
            list(zip(names, ports, strict=False)),
            server=self.server,
            blocks=blocks,
        )
        if role == "inbound":
            self.port(id, "broker", "DEALER", False, False, "message", "credit")
        if role == "outbound":
            self.port(id, "broker", "DEALER", False, False, "credit", "message")
        return id

    def route(self, source: str, target: str, feedback: Literal["", "waits", "on"] = "") -> None:
        number = self.routes[self.server] = self.routes.get(self.server, 0) + 1
        self.recorder.route_declared(
            Route(
                server=self.server,
                number=number,
                source=self.id(source),
                target=self.id(target),
                feedback=feedback,
            )
        )

    def join(self, service: str, *others: str) -> None:
        """Bind one port and connect the others to it."""
        address = f"inproc://{service}"
        self.recorder.port_bound(self.ports[service], address, self.now())
        for other in others:
            self.recorder.port_connected(self.ports[other], address, self.now())

    def hop(
        self, source: str, target: str, message: int, *, name: str = "", arrives: bool = True
    ) -> None:
        """A message from port to port; `name` is the routing id where a ROUTER is at an end."""
        body = b"\x12\x06client" + b"\x32\x01x"
        frames = [wire.write_stamp(body, wire.Stamp(message, 0, self.at))]
        if self.ports[source].socket in ("PUB", "XPUB"):
            frames = [b"client", *frames]
        routed = [name.encode("utf-8", "backslashreplace"), b"", *frames]

        def seen(port: str) -> list[bytes]:
            return routed if self.ports[port].socket == "ROUTER" else frames

        self.recorder.hop_sent(self.ports[source], seen(source), self.now())
        if arrives:
            self.recorder.hop_received(self.ports[target], seen(target), self.now())

    def drop(self, source: str, message: int, cause: str = "a rule drops it") -> None:
        """A message that its sender gives up."""
        frames = [wire.write_stamp(b"\x32\x01x", wire.Stamp(message, 0, self.at))]
        self.recorder.hop_dropped(self.ports[source], frames, cause, self.now())

    def forward(
        self, source: str, target: str, message: int, *, arrives: tuple[bool, bool] = (True, True)
    ) -> None:
        """A message from an inbound part through the router to an outbound one, by label."""
        router = self.id("router")
        inner = f"{self.id(source)}:broker"
        self.hop(inner, f"{router}:inbound", message, name=source, arrives=arrives[0])
        if target and arrives[0]:
            port = f"{self.id(target)}:broker"
            self.hop(f"{router}:outbound", port, message, name=target, arrives=arrives[1])

    def ask(self, client: str, service: str, message: int) -> None:
        """A request and its answer."""
        request = [wire.write_stamp(b"\x32\x01x", wire.Stamp(message, 0, self.at))]
        a, b = self.ports[client], self.ports[service]
        for tell, port, frames in (
            (self.recorder.hop_sent, a, request),
            (self.recorder.hop_received, b, request),
            (self.recorder.hop_sent, b, [b"answer"]),
            (self.recorder.hop_received, a, [b"answer"]),
        ):
            tell(port, frames, self.now())

    def stop(self) -> Trace:
        """Everybody ends."""
        for actor in dict.fromkeys(port.actor for port in self.ports.values()):
            self.recorder.actor_stopped(actor, self.now())
        return self.recorder.trace


def master_parts(m: Made, *, cache: bool = True, names: dict[str, str] | None = None) -> None:
    """The router and the parts of a master, with their routes."""
    called = names or {}
    name = {n: called.get(n, n) for n in ("Pull", "WorkerPull", "WorkerPush", "Pub", "Cache")}
    m.router()
    m.part(name["Pull"], "inbound", "PullService", "PULL binds")
    m.part(name["WorkerPull"], "inbound", "WorkerPullService", "PULL binds")
    m.part(name["WorkerPush"], "outbound", "WorkerPushService", "PUSH binds")
    m.part(name["Pub"], "outbound", "PubService", "XPUB binds")
    if cache:
        m.part(name["Cache"], "bypass", "CacheService", "REP binds", blocks=True)
    m.route(name["Pull"], name["WorkerPush"])
    m.route(name["WorkerPull"], name["Pub"])


def master(
    n: int = 10,
    *,
    workers: int = 2,
    clients: int = 1,
    lost: Sequence[int] = (),
    lost_back: Sequence[int] = (),
    lost_inside: Sequence[int] = (),
    lost_out: Sequence[int] = (),
    dropped: Sequence[int] = (),
    cache: bool = True,
    names: dict[str, str] | None = None,
    crew: Callable[[int], str] = lambda k: f"worker{k + 1}",
    guests: Callable[[int], str] | None = None,
    stopped: bool = True,
    server: str = "server",
) -> Trace:
    """A run of a master."""
    called = names or {}
    m = Made(server=server)
    pull, worker_pull, worker_push, pub, store = (
        called.get(k, k) for k in ("Pull", "WorkerPull", "WorkerPush", "Pub", "Cache")
    )
    master_parts(m, cache=cache, names=names)
    who = [
        m.actor(
            crew(k),
            crew(k),
            "worker",
            "Worker",
            [("db", "REQ connects"), ("pull", "PULL connects"), ("push", "PUSH connects")],
        )
        for k in range(workers)
    ]
    title = guests or (lambda k: "client" if clients == 1 else f"client{k + 1}")
    asking = [
        m.actor(
            title(k),
            title(k),
            "client",
            "Client",
            [("db", "REQ connects"), ("push", "PUSH connects"), ("sub", "SUB connects")],
        )
        for k in range(clients)
    ]
    ports = {
        label: f"{m.id(label)}:outer" for label in (pull, worker_pull, worker_push, pub, store)
    }
    m.join(ports[pull], *(f"{c}:push" for c in asking))
    m.join(ports[worker_pull], *(f"{w}:push" for w in who))
    m.join(ports[worker_push], *(f"{w}:pull" for w in who))
    m.join(ports[pub], *(f"{c}:sub" for c in asking))
    if cache:
        m.join(ports[store], *(f"{a}:db" for a in (*who, *asking)))
        for k, c in enumerate(asking):
            m.ask(f"{c}:db", ports[store], 1000 + k)
    for k in range(n if asking else 0):
        message = k + 1
        client = asking[k % len(asking)]
        m.hop(f"{client}:push", ports[pull], message)
        m.forward(pull, worker_push, message, arrives=(True, message not in lost_inside))
        if message in dropped:
            m.drop(ports[worker_push], message)
        elif who and message not in lost_inside:
            worker = who[k % len(who)]
            m.hop(ports[worker_push], f"{worker}:pull", message, arrives=message not in lost)
            if message not in lost:
                arrives = message not in lost_back
                m.hop(f"{worker}:push", ports[worker_pull], message, arrives=arrives)
                if arrives:
                    m.forward(worker_pull, pub, message)
                    m.hop(ports[pub], f"{client}:sub", message, arrives=message not in lost_out)
    return m.stop() if stopped else m.recorder.trace


def declared(*, cache: bool = True) -> Trace:
    """A master that has not run."""
    m = Made()
    master_parts(m, cache=cache)
    return m.recorder.trace


def many(
    n: int = 33, *, workers: int = 12, lost: Sequence[int] = (7,), waits: bool = True
) -> Trace:
    """Three in, three out: a second way in, an HTTP way out, feedback that goes on."""
    m = Made()
    m.router()
    m.part("Pull", "inbound", "PullService", "PULL binds")
    m.part("WorkerPull", "inbound", "WorkerPullService", "PULL binds")
    m.part("Sub", "inbound", "SubConnection", "SUB connects")
    m.part("WorkerPush", "outbound", "WorkerPushService", "PUSH binds")
    m.part("Pub", "outbound", "PubService", "XPUB binds")
    m.part("HttpConnection", "outbound", "HttpConnection", "HTTP client connects", blocks=True)
    m.part("Cache", "bypass", "CacheService", "REP binds", blocks=True)
    m.route("Pull", "WorkerPush")
    m.route("WorkerPull", "Pub")
    m.route("Sub", "HttpConnection", "waits" if waits else "")
    m.route("HttpConnection", "Pub", "on")
    crew = [
        m.actor(
            f"worker{k + 1}",
            f"worker{k + 1}",
            "worker",
            "Worker",
            [("db", "REQ connects"), ("pull", "PULL connects"), ("push", "PUSH connects")],
        )
        for k in range(workers)
    ]
    m.actor("web worker", "web worker", "worker", "RequestHandler", [("http", "HTTP binds")])
    m.actor(
        "client",
        "client",
        "client",
        "Client",
        [("db", "REQ connects"), ("push", "PUSH connects"), ("sub", "SUB connects")],
    )
    m.actor("server0.router", "router", "router", "Router", server="server0")
    m.actor(
        "server0.Pub", "Pub", "outbound", "PubService", [("outer", "XPUB binds")], server="server0"
    )
    m.join("server.Pull:outer", "client:push")
    m.join("server.WorkerPull:outer", *(f"{w}:push" for w in crew))
    m.join("server.WorkerPush:outer", *(f"{w}:pull" for w in crew))
    m.join("server.Pub:outer", "client:sub")
    m.join("server.Cache:outer", "client:db", *(f"{w}:db" for w in crew))
    m.join("server0.Pub:outer", "server.Sub:outer")
    m.join("web worker:http", "server.HttpConnection:outer")
    m.ask("client:db", "server.Cache:outer", 1000)
    for k in range(n):
        message, worker = k + 1, crew[k % len(crew)]
        m.hop("client:push", "server.Pull:outer", message)
        m.forward("Pull", "WorkerPush", message)
        m.hop("server.WorkerPush:outer", f"{worker}:pull", message, arrives=message not in lost)
        if message not in lost:
            m.hop(f"{worker}:push", "server.WorkerPull:outer", message)
            m.forward("WorkerPull", "Pub", message)
            m.hop("server.Pub:outer", "client:sub", message)
    for k in range(4):
        message = 500 + k
        m.hop("server0.Pub:outer", "server.Sub:outer", message)
        m.forward("Sub", "HttpConnection", message)
        m.ask("server.HttpConnection:outer", "web worker:http", 700 + k)
        m.hop("server.router:outbound", "server.Pub:broker", 600 + k, name="Pub")
        m.hop("server.Pub:outer", "client:sub", 600 + k)
    return m.stop()


def sides(inbound: int, outbound: int, bypass: int = 0, *, peers: bool = True) -> Trace:
    """A server with so many parts on each side, each with another server beside it."""
    m = Made()
    m.router()
    for k in range(inbound):
        m.part(f"In{k + 1}", "inbound", "SubConnection", "SUB connects")
    for k in range(outbound):
        m.part(f"Out{k + 1}", "outbound", "PushConnection", "PUSH connects")
    for k in range(bypass):
        m.part(f"Store{k + 1}", "bypass", "CacheService", "REP binds", blocks=True)
    for k in range(inbound if outbound else 0):
        m.route(f"In{k + 1}", f"Out{(k * 2 + 1) % outbound + 1}")
    if peers:
        for k in range(inbound):
            id = f"source{k + 1}.Pub"
            m.actor(
                id,
                "Pub",
                "outbound",
                "PubService",
                [("outer", "XPUB binds")],
                server=f"source{k + 1}",
            )
            m.join(f"{id}:outer", f"server.In{k + 1}:outer")
            m.hop(f"{id}:outer", f"server.In{k + 1}:outer", k + 1)
        for k in range(outbound):
            id = f"sink{k + 1}.Pull"
            m.actor(
                id,
                "Pull",
                "inbound",
                "PullService",
                [("outer", "PULL binds")],
                server=f"sink{k + 1}",
            )
            m.join(f"{id}:outer", f"server.Out{k + 1}:outer")
            m.hop(f"server.Out{k + 1}:outer", f"{id}:outer", k + 100, arrives=k != 1)
    return m.stop()


def unrouted() -> Trace:
    """A part whose messages go nowhere beside one that has a route."""
    m = Made()
    m.router()
    m.part("Pull", "inbound", "PullService", "PULL binds")
    m.part("Log", "inbound", "PullService", "PULL binds")
    m.part("Push", "outbound", "PushService", "PUSH binds")
    m.part("Spare", "outbound", "PubService", "XPUB binds")
    m.route("Pull", "Push")
    m.actor(
        "client",
        "client",
        "client",
        "Client",
        [("push", "PUSH connects"), ("log", "PUSH connects")],
    )
    m.actor("reader", "reader", "client", "Client", [("pull", "PULL connects")])
    m.join("server.Pull:outer", "client:push")
    m.join("server.Log:outer", "client:log")
    m.join("server.Push:outer", "reader:pull")
    for k in range(6):
        m.hop("client:push", "server.Pull:outer", k + 1)
        m.forward("Pull", "Push", k + 1)
        m.hop("server.Push:outer", "reader:pull", k + 1)
    for k in range(3):
        m.hop("client:log", "server.Log:outer", 100 + k)
        m.forward("Log", "", 100 + k)
    return m.stop()


def two_ports() -> Trace:
    """A part with two ports to the workers, and two parts that they feed."""
    m = Made()
    m.router()
    m.part("Rep", "inbound", "RepService", "REP binds", blocks=True)
    m.part("Pull", "inbound", "PullService", "PULL binds")
    m.part("Results", "inbound", "WorkerPullService", "PULL binds")
    m.part("Extra", "inbound", "WorkerPullService", "PULL binds")
    m.part("PushPull", "outbound", "PushPullService", "PUSH binds", "PULL binds", blocks=True)
    m.part("WorkerPush", "outbound", "WorkerPushService", "PUSH binds")
    m.part("Pub", "outbound", "PubService", "XPUB binds")
    m.route("Rep", "PushPull", "waits")
    m.route("Pull", "WorkerPush")
    m.route("Results", "Pub")
    m.route("Extra", "Pub")
    crew = [
        m.actor(
            f"worker{k + 1}",
            f"worker{k + 1}",
            "worker",
            "Worker",
            [
                ("pull", "PULL connects"),
                ("push", "PUSH connects"),
                ("more", "PUSH connects"),
                ("jobs", "PULL connects"),
                ("done", "PUSH connects"),
            ],
        )
        for k in range(3)
    ]
    m.actor("asker", "asker", "client", "Client", [("req", "REQ connects")])
    m.actor(
        "client", "client", "client", "Client", [("push", "PUSH connects"), ("sub", "SUB connects")]
    )
    m.join("server.Rep:outer", "asker:req")
    m.join("server.Pull:outer", "client:push")
    m.join("server.Pub:outer", "client:sub")
    m.join("server.Results:outer", *(f"{w}:push" for w in crew))
    m.join("server.Extra:outer", *(f"{w}:more" for w in crew[1:]))
    m.join("server.WorkerPush:outer", *(f"{w}:pull" for w in crew))
    m.join("server.PushPull:outer", *(f"{w}:jobs" for w in crew))
    m.join("server.PushPull:second", *(f"{w}:done" for w in crew))
    for k in range(3):
        message = k + 1
        m.hop("client:push", "server.Pull:outer", message)
        m.forward("Pull", "WorkerPush", message)
        m.hop("server.WorkerPush:outer", f"{crew[k]}:pull", message)
        m.hop(f"{crew[k]}:push", "server.Results:outer", message)
        m.forward("Results", "Pub", message)
        m.hop("server.Pub:outer", "client:sub", message)
        m.ask("asker:req", "server.Rep:outer", 50 + k)
        m.hop("server.PushPull:outer", f"{crew[k]}:jobs", 80 + k)
        m.hop(f"{crew[k]}:done", "server.PushPull:second", 80 + k)
    m.hop("worker2:more", "server.Extra:outer", 99)
    m.forward("Extra", "Pub", 99)
    m.hop("server.Pub:outer", "client:sub", 99)
    return m.stop()


def forwarding() -> Trace:
    """A Pub that a client and the next server hear, and a part that two servers feed."""
    m = Made(server="stage2")
    m.router()
    m.part("Sub", "inbound", "SubConnection", "SUB connects")
    m.part("Pub", "outbound", "PubService", "XPUB binds")
    m.route("Sub", "Pub")
    for name in ("even", "odd"):
        id = m.actor(
            f"{name}.Pub", "Pub", "outbound", "PubService", [("outer", "XPUB binds")], server=name
        )
        m.join(f"{id}:outer", "stage2.Sub:outer")
    m.actor("client", "client", "client", "Client", [("sub", "SUB connects")])
    m.actor(
        "sink.Sub", "Sub", "inbound", "SubConnection", [("outer", "SUB connects")], server="sink"
    )
    m.join("stage2.Pub:outer", "client:sub", "sink.Sub:outer")
    for k in range(8):
        m.hop(f"{'odd' if k % 2 else 'even'}.Pub:outer", "stage2.Sub:outer", k + 1)
        m.forward("Sub", "Pub", k + 1)
        m.hop("stage2.Pub:outer", "client:sub" if k % 2 else "sink.Sub:outer", k + 1)
    return m.stop()


LONG = "AnExceedinglyLongNameForAPartThatNobodyWouldTypeTwice"
CASES: dict[str, Callable[[], Trace]] = {
    "master": master,
    "one worker": lambda: master(1, workers=1),
    "six workers": lambda: master(60, workers=6),
    "seven workers": lambda: master(70, workers=7),
    "twelve workers": lambda: master(33, workers=12),
    "no worker": lambda: master(3, workers=0),
    "nobody": lambda: master(0, workers=0, clients=0),
    "declared": declared,
    "declared without cache": lambda: declared(cache=False),
    "lost": lambda: master(lost=(7,)),
    "lost back": lambda: master(lost_back=(2, 5)),
    "lost inside": lambda: master(lost_inside=(4,)),
    "lost on the way out": lambda: master(lost_out=(10,)),
    "dropped": lambda: master(dropped=(3,)),
    "lost everywhere": lambda: master(
        30, lost=(1, 7), lost_back=(2, 5), lost_inside=(3, 4), lost_out=(10, 11), dropped=(20,)
    ),
    "under way": lambda: master(lost=(9, 10), stopped=False),
    "long names": lambda: master(
        names={"Pull": LONG, "Pub": LONG[::-1], "WorkerPull": f"{LONG} {LONG}"},
        crew=lambda k: f"worker-in-a-data-centre-far-away-{k}",
        guests=lambda k: f"client-with-a-name-that-is-longer-than-any-line-has-room-for-{k}",
        server="the-server-of-the-quite-long-name-on-the-third-floor-of-the-building",
    ),
    "hostile names": lambda: master(
        names={"Pull": "$$x^2$$\x1b[0m\u202eevil", "Pub": "😀漢字 ünïcödé", "Cache": "a\nb\tc"},
        crew=lambda k: f"w\u0301\u0301\u0301\u0301{k}😀" * 3,
        guests=lambda k: "x" * 200_000,
    ),
    "two clients": lambda: master(9, clients=2),
    "three clients": lambda: master(9, clients=3, workers=3),
    "nine clients": lambda: master(27, clients=9, workers=4),
    "no cache": lambda: master(cache=False),
    "many": many,
    "many, small": lambda: many(4, workers=2, lost=(), waits=False),
    "one each": lambda: sides(1, 1),
    "one in, three out": lambda: sides(1, 3),
    "four in, two out": lambda: sides(4, 2, 1),
    "six each": lambda: sides(6, 6, 2),
    "six in, one out": lambda: sides(6, 1, 3),
    "six each, alone": lambda: sides(6, 6, 4, peers=False),
    "only in": lambda: sides(2, 0),
    "only out": lambda: sides(0, 2),
    "unrouted": unrouted,
    "two ports": two_ports,
    "forwarding": forwarding,
    "thousands": lambda: master(1200, workers=2),
}


def gateway(n: int = 10) -> Trace:
    """A master behind HTTP: parts that are wired to each other."""
    m = Made()
    m.router()
    m.part("gateway_router", "inbound", "GatewayRouter", "ROUTER binds")
    m.part("WorkerPull", "inbound", "WorkerPullService", "PULL binds")
    m.part("WorkerPush", "outbound", "WorkerPushService", "PUSH binds")
    m.part("gateway_dealer", "outbound", "GatewayDealer", "DEALER connects")
    m.part(
        "HttpGateway",
        "bypass",
        "HttpGateway",
        "HTTP binds",
        "REQ of messages connects",
        blocks=True,
    )
    m.part("Cache", "bypass", "CacheService", "REP binds", blocks=True)
    m.route("gateway_router", "WorkerPush")
    m.route("WorkerPull", "gateway_dealer")
    crew = [
        m.actor(
            f"worker{k + 1}",
            f"worker{k + 1}",
            "worker",
            "Worker",
            [("db", "REQ connects"), ("pull", "PULL connects"), ("push", "PUSH connects")],
        )
        for k in range(2)
    ]
    m.actor("browser", "HTTP client", "client", "browser", [("http", "HTTP client connects")])
    m.join(
        "server.gateway_router:outer", "server.gateway_dealer:outer", "server.HttpGateway:second"
    )
    m.join("server.WorkerPull:outer", *(f"{w}:push" for w in crew))
    m.join("server.WorkerPush:outer", *(f"{w}:pull" for w in crew))
    m.join("server.Cache:outer", *(f"{w}:db" for w in crew))
    m.join("server.HttpGateway:outer", "browser:http")
    for k in range(n):
        message, worker = k + 1, crew[k % 2]
        m.ask("browser:http", "server.HttpGateway:outer", 100 + message)
        m.hop(
            "server.HttpGateway:second", "server.gateway_router:outer", message, name="HttpGateway"
        )
        m.forward("gateway_router", "WorkerPush", message)
        m.hop("server.WorkerPush:outer", f"{worker}:pull", message)
        m.hop(f"{worker}:push", "server.WorkerPull:outer", message)
        m.forward("WorkerPull", "gateway_dealer", message)
        m.hop("server.gateway_dealer:outer", "server.gateway_router:outer", message, name="dealer")
    return m.stop()


def mixed() -> Trace:
    """Parts that both workers and clients reach, among parts with servers beside them."""
    m = Made()
    m.router()
    for k in range(3):
        m.part(f"In{k + 1}", "inbound", "PullService", "PULL binds")
        m.part(f"Out{k + 1}", "outbound", "PubService", "XPUB binds")
    m.route("In1", "Out2")
    m.route("In2", "Out2")
    m.route("In3", "Out1")
    for k in range(2):
        m.actor(
            f"worker{k + 1}",
            f"worker{k + 1}",
            "worker",
            "Worker",
            [("push", "PUSH connects"), ("sub", "SUB connects")],
        )
    m.actor(
        "client", "client", "client", "Client", [("push", "PUSH connects"), ("sub", "SUB connects")]
    )
    m.actor(
        "before.Push",
        "Push",
        "outbound",
        "PushConnection",
        [("outer", "PUSH connects")],
        server="before",
    )
    m.actor(
        "after.Sub", "Sub", "inbound", "SubConnection", [("outer", "SUB connects")], server="after"
    )
    m.join("server.In1:outer", "worker1:push", "worker2:push", "client:push")
    m.join("server.In2:outer", "before.Push:outer")
    m.join("server.Out1:outer", "worker1:sub", "worker2:sub", "client:sub")
    m.join("server.Out3:outer", "after.Sub:outer")
    for k in range(4):
        m.hop("client:push", "server.In1:outer", k + 1)
        m.forward("In1", "Out2", k + 1)
        m.hop("before.Push:outer", "server.In2:outer", k + 20)
        m.hop("server.Out1:outer", "worker1:sub", k + 40)
        m.hop("worker2:push", "server.In1:outer", k + 60)
    return m.stop()


def crowded(n: int, *, workers: int, clients: int, lost: bool = False) -> Trace:
    """So many parts on each side, all of them reached by every worker or every client."""
    m = Made()
    m.router()
    role = "worker" if workers else "client"
    for k in range(n):
        m.part(f"In{k + 1}", "inbound", "PullService", "PULL binds")
        m.part(f"Out{k + 1}", "outbound", "PushService", "PUSH binds")
        m.route(f"In{k + 1}", f"Out{n - k}")
    ports = [(f"push{k + 1}", "PUSH connects") for k in range(n)]
    ports += [(f"pull{k + 1}", "PULL connects") for k in range(n)]
    who = [
        m.actor(f"{role}{j + 1}", f"{role}{j + 1}", role, role.capitalize(), ports)  # type: ignore[arg-type]
        for j in range(workers or clients)
    ]
    for k in range(n):
        m.join(f"server.In{k + 1}:outer", *(f"{w}:push{k + 1}" for w in who))
        m.join(f"server.Out{k + 1}:outer", *(f"{w}:pull{k + 1}" for w in who))
        for j, w in enumerate(who):
            message = 100 * k + j + 1
            m.hop(f"{w}:push{k + 1}", f"server.In{k + 1}:outer", message)
            m.forward(f"In{k + 1}", f"Out{n - k}", message)
            port = f"server.Out{n - k}:outer"
            m.hop(port, f"{w}:pull{n - k}", message, arrives=not (lost and j == 0))
    return m.stop()


def asked_at_two_ports() -> Trace:
    """A part that one other server reaches at both of its ports, and one that two servers ask."""
    m = Made()
    m.router()
    m.part("Both", "inbound", "Both", "REP binds", "PULL binds", blocks=True)
    m.part("Rep", "inbound", "RepService", "REP binds", blocks=True)
    m.part("Push", "outbound", "PushService", "PUSH binds")
    m.route("Both", "Push")
    m.route("Rep", "Push", "waits")
    for name in ("east", "west"):
        id = f"{name}.Out"
        ports = [("req", "REQ connects"), ("push", "PUSH connects"), ("more", "REQ connects")]
        m.actor(id, "Out", "outbound", "Out", ports, server=name)
    m.join("server.Both:outer", "east.Out:req")
    m.join("server.Both:second", "east.Out:push")
    m.join("server.Rep:outer", "west.Out:req", "east.Out:more")
    m.ask("east.Out:req", "server.Both:outer", 1)
    m.hop("east.Out:push", "server.Both:second", 2)
    m.ask("west.Out:req", "server.Rep:outer", 3)
    return m.stop()


def hooks() -> Trace:
    """Feedback that goes on past another part, and some that comes back up."""
    m = Made()
    m.router()
    for k in range(3):
        m.part(f"In{k + 1}", "inbound", "PullService", "PULL binds")
    m.part("Ask", "outbound", "HttpConnection", "HTTP client connects", blocks=True)
    m.part("WorkerPush", "outbound", "WorkerPushService", "PUSH binds")
    m.part("Pub", "outbound", "PubService", "XPUB binds")
    m.route("In1", "WorkerPush")
    m.route("In2", "Ask", "waits")
    m.route("In3", "Pub")
    m.route("WorkerPush", "Pub", "on")
    m.route("Ask", "WorkerPush", "on")
    m.actor("web", "web", "worker", "RequestHandler", [("http", "HTTP binds")])
    m.actor("worker1", "worker1", "worker", "Worker", [("pull", "PULL connects")])
    ports = [(f"push{k + 1}", "PUSH connects") for k in range(3)]
    m.actor("client", "client", "client", "Client", [*ports, ("sub", "SUB connects")])
    for k in range(3):
        m.join(f"server.In{k + 1}:outer", f"client:push{k + 1}")
    m.join("web:http", "server.Ask:outer")
    m.join("server.WorkerPush:outer", "worker1:pull")
    m.join("server.Pub:outer", "client:sub")
    for k in range(2):
        m.hop("client:push2", "server.In2:outer", k + 1)
        m.forward("In2", "Ask", k + 1)
        m.ask("server.Ask:outer", "web:http", k + 10)
        m.hop("server.router:outbound", "server.WorkerPush:broker", k + 20, name="WorkerPush")
        m.hop("server.WorkerPush:outer", "worker1:pull", k + 20)
    return m.stop()


def bundles() -> Trace:
    """Many wires to the first of many parts, and several rows from one part."""
    m = Made()
    m.router()
    m.part("WorkerPull", "inbound", "WorkerPullService", "PULL binds")
    m.part("WorkerPush", "outbound", "WorkerPushService", "PUSH binds")
    for k in range(8):
        m.part(f"In{k + 1}", "inbound", "PullService", "PULL binds")
        m.part(f"Out{k + 1}", "outbound", "PushService", "PUSH binds")
        m.route(f"In{k + 1}", "WorkerPush" if k < 7 else "Out1")
    for k in range(3):
        m.route("WorkerPull", f"Out{k + 1}")
    return m.recorder.trace


def stores() -> Trace:
    """Two caches that the client and the workers ask, and one that nobody does."""
    m = Made()
    m.router()
    m.part("Pull", "inbound", "PullService", "PULL binds")
    m.part("Pub", "outbound", "PubService", "XPUB binds")
    for name in ("Cache", "Archive", "Spare"):
        m.part(name, "bypass", "CacheService", "REP binds", blocks=True)
    m.route("Pull", "Pub")
    ports = [("db", "REQ connects"), ("more", "REQ connects")]
    for k in range(2):
        m.actor(f"worker{k + 1}", f"worker{k + 1}", "worker", "Worker", ports)
    wires = [("push", "PUSH connects"), ("sub", "SUB connects")]
    m.actor("client", "client", "client", "Client", [*ports, *wires])
    m.join("server.Pull:outer", "client:push")
    m.join("server.Pub:outer", "client:sub")
    m.join("server.Cache:outer", "client:db", "worker1:db", "worker2:db")
    m.join("server.Archive:outer", "client:more", "worker1:more", "worker2:more")
    for k in range(3):
        m.ask("client:db", "server.Cache:outer", 10 + k)
        m.ask("worker1:more", "server.Archive:outer", 20 + k)
        m.hop("client:push", "server.Pull:outer", k + 1)
        m.forward("Pull", "Pub", k + 1)
        m.hop("server.Pub:outer", "client:sub", k + 1)
    return m.stop()


CASES |= {
    "gateway": gateway,
    "mixed": mixed,
    "crowded with workers": lambda: crowded(3, workers=4, clients=0, lost=True),
    "crowded with clients": lambda: crowded(3, workers=0, clients=1),
    "crowded with two clients": lambda: crowded(2, workers=0, clients=2, lost=True),
    "overcrowded": lambda: crowded(6, workers=6, clients=0, lost=True),
    "overcrowded with clients": lambda: crowded(6, workers=0, clients=2),
    "asked at two ports": asked_at_two_ports,
    "bundles": bundles,
    "twelve in, two out": lambda: sides(12, 2),
    "hooks": hooks,
    "stores": stores,
}
#: Who can be joined to a part's socket, and which of the two asks.
_PAIRS = {
    "PULL": "PUSH",
    "SUB": "XPUB",
    "REP": "REQ",
    "PUSH": "PULL",
    "XPUB": "SUB",
    "HTTP": "HTTP",
}
_NAMES = ("a", "Pull", "WorkerPull", "HttpConnection", "gateway_router", "a-name-of-some-length")


def mesh(seed: int) -> Trace:
    """Any parts, any routes, any peers linked to any of them: worse than anybody would wire."""
    r = random.Random(seed)
    m = Made(server=r.choice(["server", "a-rather-long-server-name"]))
    m.router()
    sides: dict[str, list[str]] = {"inbound": [], "outbound": [], "bypass": []}
    sockets: dict[str, str] = {}
    offers: tuple[tuple[Role, int, int, tuple[str, ...]], ...] = (
        ("inbound", 0, 5, ("PULL binds", "SUB connects", "REP binds")),
        ("outbound", 1, 5, ("PUSH binds", "XPUB binds", "HTTP client connects")),
        ("bypass", 0, 3, ("REP binds",)),
    )
    for side, least, most, ports in offers:
        for k in range(r.randint(least, most)):
            label = f"{r.choice([*_NAMES, 'X' * r.randint(1, 40)])}.{side[0]}{k}"
            sides[side].append(label)
            sockets[label] = r.choice(ports)
            kind = r.choice(["PullService", "WorkerPullService"])
            m.part(label, side, kind, sockets[label], blocks=r.random() < 0.3)
    for source in sides["inbound"]:
        if r.random() < 0.85:
            m.route(source, r.choice(sides["outbound"]), r.choice(("", "", "waits")))
    for source in sides["outbound"]:
        others = [label for label in sides["outbound"] if label != source]
        if others and r.random() < 0.25:
            m.route(source, r.choice(others), "on")
    message = 0
    for k in range(r.randint(0, 9)):
        role = r.choice(["worker", "worker", "client", "server"])
        name = f"{r.choice(['w', 'worker', 'peer-with-name'])}{k}"
        joined = [label for label in sockets if r.random() < 0.35]
        wanted: list[tuple[str, str]] = []
        for n, label in enumerate(joined):
            socket, way = sockets[label].split()[0], sockets[label].split()[-1]
            wanted.append(
                (f"p{n}", f"{_PAIRS[socket]} {'connects' if way == 'binds' else 'binds'}")
            )
        id = f"{name}.P" if role == "server" else name
        served = role == "server"
        actor_role: Role = "outbound" if served else role  # type: ignore[assignment]
        m.actor(id, "P" if served else name, actor_role, "K", wanted, server=name * served)
        for n, label in enumerate(joined):
            mine, theirs = f"{id}:p{n}", f"{m.id(label)}:outer"
            binds = m.ports[theirs].binds
            m.join(*((theirs, mine) if binds else (mine, theirs)))
            for _ in range(r.choice([0, 1, 3])):
                message += 1
                asks, sends = m.ports[mine].sends, m.ports[theirs].sends
                if asks == "request" or sends == "request":
                    m.ask(*((mine, theirs) if asks == "request" else (theirs, mine)), message)
                else:
                    ends = (mine, theirs) if asks == "message" else (theirs, mine)
                    m.hop(*ends, message, arrives=r.random() > 0.15)
    return m.stop()


# A trace does not change, so one of each is enough.
CASES = {name: cache(made) for name, made in CASES.items()}
