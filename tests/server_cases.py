"""Traces of the documented clusters of several servers, made by hand as in `router_cases`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from router_cases import Made

from pylm_lab import wire
from pylm_lab.trace import Trace

_PORTS = [("db", "REQ connects"), ("push", "PUSH connects"), ("sub", "SUB connects")]
_WORKS = [("db", "REQ connects"), ("pull", "PULL connects"), ("push", "PUSH connects")]


class Clusters(Made):
    """Several servers in one trace; `self.server` is the one in the making."""

    def single(self, name: str = "server") -> None:
        """A server that works itself."""
        self.server = name
        self.router()
        self.part("Pull", "inbound", "PullService", "PULL binds")
        self._pub_and_cache()
        self.route("Pull", "Pub")

    def fed(self, name: str, *subs: str) -> None:
        """A pipeline, or a sink: fed by other servers."""
        self.server = name
        self.router()
        for sub in subs or ("Sub",):
            self.part(sub, "inbound", "SubConnection", "SUB connects")
        self._pub_and_cache()
        for sub in subs or ("Sub",):
            self.route(sub, "Pub")

    def balancing(self, name: str, first: str = "Pull", *, pub: bool = True) -> None:
        """A master, or a hub."""
        self.server = name
        self.router()
        if first == "Sub":
            self.part("Sub", "inbound", "SubConnection", "SUB connects")
        else:
            self.part("Pull", "inbound", "PullService", "PULL binds")
        self.part("WorkerPull", "inbound", "WorkerPullService", "PULL binds")
        self.part("WorkerPush", "outbound", "WorkerPushService", "PUSH binds")
        if pub:
            self._pub_and_cache()
        self.route(first, "WorkerPush")
        self.route("WorkerPull", "Pub")

    def _pub_and_cache(self) -> None:
        self.part("Pub", "outbound", "PubService", "XPUB binds")
        self.part("Cache", "bypass", "CacheService", "REP binds", blocks=True)

    def crew(self, server: str, count: int = 2) -> list[str]:
        """Workers of a server."""
        found = []
        for k in range(count):
            name = f"worker{k + 1}"
            found.append(self.actor(name, name, "worker", "Worker", _WORKS))
        self.join(f"{server}.WorkerPull:outer", *(f"{w}:push" for w in found))
        self.join(f"{server}.WorkerPush:outer", *(f"{w}:pull" for w in found))
        self.join(f"{server}.Cache:outer", *(f"{w}:db" for w in found))
        return found

    def client(self, server: str, *answers: str, name: str = "client") -> None:
        """A client of a server that takes its answers from others, or from it."""
        self.server = server
        self.actor(name, name, "client", "Client", _PORTS)
        self.join(f"{server}.Pull:outer", f"{name}:push")
        self.join(f"{server}.Cache:outer", f"{name}:db")
        for other in answers or (server,):
            self.join(f"{other}.Pub:outer", f"{name}:sub")
        self.subscribe(f"{name}:sub", name)
        self.ask(f"{name}:db", f"{server}.Cache:outer", 1000)

    def subscribe(self, port: str, topic: str) -> None:
        self.recorder.topic_subscribed(self.ports[port], topic.encode(), self.now())
        self.recorder.topic_subscribed(self.ports[port], b"\xffready:" + topic.encode(), self.now())

    def feed(self, source: str, target: str, topic: str = "", part: str = "Sub") -> None:
        """A server's Pub and the next server's Sub."""
        self.join(f"{source}.Pub:outer", f"{target}.{part}:outer")
        self.subscribe(f"{target}.{part}:outer", topic or source)

    def through(self, server: str, source: str, message: int, target: str = "Pub") -> None:
        self.server = server
        self.forward(source, target, message)


def single(n: int = 5) -> Trace:
    """A client and a server that works itself."""
    m = Clusters()
    m.single()
    m.client("server")
    for k in range(1, n + 1):
        m.hop("client:push", "server.Pull:outer", k)
        m.through("server", "Pull", k)
        m.hop("server.Pub:outer", "client:sub", k)
    return m.stop()


def pipeline(n: int = 6) -> Trace:
    """A server that feeds a second one, whose answers go to the client."""
    m = Clusters()
    m.single()
    m.fed("pipeline")
    m.feed("server", "pipeline")
    m.client("server", "pipeline")
    for k in range(1, n + 1):
        m.hop("client:push", "server.Pull:outer", k)
        m.through("server", "Pull", k)
        m.hop("server.Pub:outer", "pipeline.Sub:outer", k)
        m.through("pipeline", "Sub", k)
        m.hop("pipeline.Pub:outer", "client:sub", k)
    return m.stop()


def tee(n: int = 6) -> Trace:
    """A server that feeds two, one of which gives nothing back."""
    m = Clusters()
    m.single()
    for name in ("pipeline1", "pipeline2"):
        m.fed(name)
        m.feed("server", name)
    m.client("server", "pipeline1")
    for k in range(1, n + 1):
        m.hop("client:push", "server.Pull:outer", k)
        m.through("server", "Pull", k)
        for name in ("pipeline1", "pipeline2"):
            m.hop("server.Pub:outer", f"{name}.Sub:outer", k)
            m.through(name, "Sub", k)
        m.hop("pipeline1.Pub:outer", "client:sub", k)
    return m.stop()


def stream(n: int = 7, *, sink: bool = False) -> Trace:
    """Odd and even messages go to a server each; both answer the client, or feed a sink."""
    m = Clusters()
    m.single()
    for name in ("even", "odd"):
        m.fed(f"{name}_server")
        m.feed("server", f"{name}_server", name)
    if sink:
        m.fed("sink", "Sub1", "Sub2")
        m.feed("even_server", "sink", part="Sub1")
        m.feed("odd_server", "sink", part="Sub2")
    m.client("server", *(("sink",) if sink else ("even_server", "odd_server")))
    for k in range(1, n + 1):
        name = f"{'odd' if k % 2 else 'even'}_server"
        m.hop("client:push", "server.Pull:outer", k)
        m.through("server", "Pull", k)
        m.hop("server.Pub:outer", f"{name}.Sub:outer", k)
        m.through(name, "Sub", k)
        last = name
        if sink:
            sub = "Sub2" if k % 2 else "Sub1"
            m.hop(f"{name}.Pub:outer", f"sink.{sub}:outer", k)
            m.through("sink", sub, k)
            last = "sink"
        m.hop(f"{last}.Pub:outer", "client:sub", k)
    return m.stop()


def hub(n: int = 10, *, after: bool = False) -> Trace:
    """A server that feeds a hub with workers; its answers go to the client, or to one more."""
    m = Clusters()
    m.single()
    m.balancing("hub", "Sub")
    m.feed("server", "hub")
    crew = m.crew("hub")
    last = "hub"
    if after:
        m.fed("pipeline")
        m.feed("hub", "pipeline")
        last = "pipeline"
    m.client("server", last)
    for k in range(1, n + 1):
        worker = crew[k % 2]
        m.hop("client:push", "server.Pull:outer", k)
        m.through("server", "Pull", k)
        m.hop("server.Pub:outer", "hub.Sub:outer", k)
        m.through("hub", "Sub", k, "WorkerPush")
        m.hop("hub.WorkerPush:outer", f"{worker}:pull", k)
        m.hop(f"{worker}:push", "hub.WorkerPull:outer", k)
        m.through("hub", "WorkerPull", k)
        if after:
            m.hop("hub.Pub:outer", "pipeline.Sub:outer", k)
            m.through("pipeline", "Sub", k)
        m.hop(f"{last}.Pub:outer", "client:sub", k)
    return m.stop()


def joined(count: int, n: int = 12, *, name: str = "pipeline") -> Trace:
    """A server that feeds so many, all of which feed one sink."""
    m = Clusters()
    m.single()
    names = [f"{name}{k + 1}" for k in range(count)]
    for each in names:
        m.fed(each)
        m.feed("server", each, each)
    subs = [f"Sub{k + 1}" for k in range(count)]
    m.fed("sink", *subs)
    for each, sub in zip(names, subs, strict=True):
        m.feed(each, "sink", part=sub)
    m.client("server", "sink")
    for k in range(1, n + 1):
        each, sub = names[k % count], subs[k % count]
        m.hop("client:push", "server.Pull:outer", k)
        m.through("server", "Pull", k)
        m.hop("server.Pub:outer", f"{each}.Sub:outer", k, arrives=k != 3)
        if k != 3:
            m.through(each, "Sub", k)
            m.hop(f"{each}.Pub:outer", f"sink.{sub}:outer", k)
            m.through("sink", sub, k)
            m.hop("sink.Pub:outer", "client:sub", k)
    return m.stop()


def http_worker(n: int = 8, *, recorded: bool = True) -> Trace:
    """A web worker is asked by a part; its answers are sent on to Pub."""
    m = Clusters()
    m.router()
    m.part("Pull", "inbound", "PullService", "PULL binds")
    m.part("Http", "outbound", "HttpConnection", "HTTP to a worker connects", blocks=True)
    m.part("Pub", "outbound", "PubService", "XPUB binds")
    m.part("Cache", "bypass", "CacheService", "REP binds", blocks=True)
    m.route("Pull", "Http")
    m.route("Http", "Pub", "on")
    asks, works = "server.Http:outer", "web worker:http"
    if recorded:
        ports = [("http", "HTTP of messages binds")]
        m.actor("web worker", "web worker", "worker", "DebugServer", ports)
        m.join(works, asks)
    m.client("server")
    for k in range(1, n + 1):
        m.hop("client:push", "server.Pull:outer", k)
        m.forward("Pull", "Http", k)
        if recorded:
            m.ask(asks, works, k)
        else:
            m.hop(asks, "", k, arrives=False)
            m.recorder.hop_received(m.ports[asks], [b"answer"], m.now())
        m.hop("server.router:outbound", "server.Pub:broker", k, name="Pub")
        m.hop("server.Pub:outer", "client:sub", k)
    return m.stop()


def http_service(n: int = 8) -> Trace:
    """Requests come by HTTP from nobody knows whom, are worked on, and answered as feedback."""
    m = Clusters()
    m.router()
    m.part("HttpService", "inbound", "HttpService", "HTTP of messages binds", blocks=True)
    m.part("PushPull", "outbound", "PushPullService", "PUSH binds", "PULL binds", blocks=True)
    m.part("Cache", "bypass", "CacheService", "REP binds", blocks=True)
    m.route("HttpService", "PushPull", "waits")
    crew = [m.actor(f"worker{k}", f"worker{k}", "worker", "Worker", _WORKS) for k in (1, 2)]
    m.join("server.PushPull:outer", *(f"{w}:pull" for w in crew))
    m.join("server.PushPull:second", *(f"{w}:push" for w in crew))
    m.join("server.Cache:outer", *(f"{w}:db" for w in crew))
    http = m.ports["server.HttpService:outer"]
    for k in range(1, n + 1):
        message = wire.write_stamp(b"\x32\x01x", wire.Stamp(k, 0, m.at))
        m.recorder.hop_received(http, [message], m.now())
        m.forward("HttpService", "PushPull", k)
        m.hop("server.PushPull:outer", f"{crew[k % 2]}:pull", k)
        m.hop(f"{crew[k % 2]}:push", "server.PushPull:second", k)
        m.recorder.hop_sent(http, [b"answer"], m.now())
    return m.stop()


#: What is drawn of which trace: name → (trace, server).
SERVERS: dict[str, tuple[Callable[[], Trace], str]] = {
    "single": (single, "server"),
    "a pipeline's source": (pipeline, "server"),
    "pipeline": (pipeline, "pipeline"),
    "tee": (tee, "server"),
    "a branch of a tee": (tee, "pipeline2"),
    "stream": (stream, "server"),
    "a branch of a stream": (stream, "odd_server"),
    "sink": (lambda: stream(sink=True), "sink"),
    "sink of three": (lambda: joined(3), "sink"),
    "three fed": (lambda: joined(3), "server"),
    "long names fed": (lambda: joined(2, name="a-server-with-a-long-name-"), "server"),
    "five fed": (lambda: joined(5), "server"),
    "hub": (hub, "hub"),
    "hub in the middle": (lambda: hub(after=True), "hub"),
    "http worker": (http_worker, "server"),
    "http worker that is not recorded": (lambda: http_worker(recorded=False), "server"),
    "http service": (http_service, "server"),
}
SERVERS = {name: (cache(made), server) for name, (made, server) in SERVERS.items()}
