"""One server of each kind, with bare sockets at every place where something comes in."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import zmq
from foreign import Peers, decode, encode

from pylm_lab.parts.core import Router
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import CacheService, PubService, RepService
from pylm_lab.servers import Hub, Master, Pipeline, Server, Sink, Worker
from pylm_lab.trace import Recorder

__all__ = ["Bystander", "House", "Lines", "Place", "besieged"]


class Shop:
    """The functions that may be called."""

    number = 3

    def turn(self, payload: bytes) -> bytes:
        """Return the payload backwards."""
        return payload[::-1]

    def fail(self, payload: bytes) -> bytes:
        """Fail."""
        raise ValueError("planned")

    def text(self, payload: bytes) -> Any:
        """Return what is no payload."""
        return "text"

    def leave(self, payload: bytes) -> bytes:
        """Try to end it all."""
        raise SystemExit(3)

    def _private(self, payload: bytes) -> bytes:
        return b"secret"


class ShopWorker(Shop, Worker):
    """A worker with them."""


class ShopServer(Shop, Server):
    """A server with them."""


class ShopPipeline(Shop, Pipeline):
    """A pipeline with them."""


class ShopSink(Shop, Sink):
    """A sink with them."""


class Bystander:
    """Asks at a place, and wants each of its answers, in order."""

    def __init__(self, send: zmq.Socket[bytes], envelope: list[bytes], answers: Any) -> None:
        self.send, self.envelope, self.answers = send, envelope, answers
        self.asked = self.answered = 0

    def ask(self, count: int) -> None:
        for _ in range(count):
            self.asked += 1
            data = encode(
                client="bystander", function="server.turn", payload=b"no. %d" % self.asked
            )
            self.send.send_multipart([*self.envelope, data])

    def listen(self) -> None:
        while self.answered < self.asked:
            answer = decode(self.answers.recv_multipart()[-1])
            if answer.get(2) == b"bystander":  # a bare master hears what everybody gets
                self.answered += 1
                assert answer[6] == (b"no. %d" % self.answered)[::-1]


class Place(NamedTuple):
    """Where to send, with what before it, where answers come, and who else is there."""

    send: zmq.Socket[bytes]
    envelope: list[bytes]
    answers: zmq.Socket[bytes] | None
    bystander: Bystander


class Lines(logging.Handler):
    """What is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.queue: queue.Queue[logging.LogRecord] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.queue.put(record)


class House:
    """One server of each kind, with all its sockets; every server is called `server`."""

    def __init__(self, *, recorded: bool) -> None:
        self.peers = Peers()
        self.is_recorded = recorded
        self.recorders: list[Recorder] = []
        self.lines = Lines()
        self.running: list[Any] = []
        self.places: dict[str, Place] = {}
        self.bystanders: list[Bystander] = []

    def build(self) -> None:
        pub, self.upstream = self.peers.bind(zmq.XPUB)
        master = self.run(Master("server"))
        piped = self.run(Master("server", pipelined=True))
        server = self.run(ShopServer("server"))
        pipeline = self.run(ShopPipeline("server", sub_address=self.upstream, previous="pipeline"))
        sink = self.run(
            ShopSink("server", sub_addresses=[self.upstream] * 2, previous=["sink", "sink2"])
        )
        hub = self.run(Hub("server", sub_address=self.upstream, previous="hub"))
        for one in (master, piped, hub):
            worker = self.run(ShopWorker("worker", db_address=cache_of(one)))
            assert worker.is_ready.wait(5)
        self.clients_of("pull", master, "Pull")
        self.clients_of("server", server, "Pull")
        by = self.bystanders[0]
        connect = self.peers.connect
        sub = self.places["pull"].answers
        results = connect(zmq.PUSH, address(master, "WorkerPull"))
        self.places["results"] = Place(results, [], sub, by)
        self.places["pub"] = Place(connect(zmq.XSUB, address(master, "Pub")), [], None, by)
        self.places["cache"] = Place(*self.asker(master, "Cache"), by)
        piped_sub = connect(zmq.SUB, address(piped, "Pub"), [b"server"])
        push = connect(zmq.PUSH, address(piped, "WorkerPull"))
        self.places["piped"] = Place(push, [], piped_sub, by)
        self.router(by)
        for name, one in (("pipeline", pipeline), ("sink", sink), ("hub", hub)):
            self.fed(name, one, pub)
        # Each of the four has subscribed to its topic, and then for its echo.
        for _ in range(8):
            assert pub.recv().startswith(b"\1")
        self.worker_of_ours()
        self.rep()

    def clients_of(self, name: str, server: ServerTemplate, part: str) -> None:
        """A bad client and a bystander."""
        push = self.peers.connect(zmq.PUSH, address(server, part))
        sub, own = self.subscribers(server)
        self.bystanders.append(Bystander(push, [], own))
        self.places[name] = Place(push, [], sub, self.bystanders[-1])

    def subscribers(self, server: ServerTemplate) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        """Those to whom what the bad client asked is answered, and the bystander."""
        sub = self.peers.connect(zmq.SUB, address(server, "Pub"), [b"bad"])
        return sub, self.peers.connect(zmq.SUB, address(server, "Pub"), [b"bystander"])

    def fed(self, name: str, server: ServerTemplate, pub: zmq.Socket[bytes]) -> None:
        """A bad publisher before it, and a bystander who publishes too."""
        sub, own = self.subscribers(server)
        topic = name.encode()
        self.bystanders.append(Bystander(pub, [topic], own))
        self.places[name] = Place(pub, [topic], sub, self.bystanders[-1])
        self.places[f"{name}:raw"] = Place(pub, [], sub, self.bystanders[-1])

    def worker_of_ours(self) -> None:
        """A worker of a bare master."""
        push, pushes = self.peers.bind(zmq.PUSH)
        pull, pulls = self.peers.bind(zmq.PULL)
        self.run(ShopWorker("worker", push_address=pushes, pull_address=pulls))
        self.bystanders.append(Bystander(push, [], pull))
        self.places["worker"] = Place(push, [], pull, self.bystanders[-1])

    def rep(self) -> None:
        """A server that acknowledges each message at a REP socket; its Pub part echoes."""
        server = ServerTemplate(name="server")
        server.register_inbound(RepService, "Rep", "tcp://127.0.0.1:*", route="Pub")
        server.register_outbound(PubService, "Pub", "tcp://127.0.0.1:*")
        server.register_bypass(CacheService, "Cache", "tcp://127.0.0.1:*")
        self.run(server)
        self.places["rep"] = Place(*self.asker(server, "Rep"), self.bystanders[0])

    def router(self, bystander: Bystander) -> None:
        """A router by itself, whose inner sockets anybody can reach."""
        router = Router("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", name="server.router")
        router.register_inbound("In", route="Out")
        router.register_outbound("Out")
        self.run(router)
        for port in router.ports:
            dealer = self.peers.connect(zmq.DEALER, port.address)
            self.places[port.name] = Place(dealer, [], None, bystander)

    def asker(
        self, server: ServerTemplate, part: str
    ) -> tuple[zmq.Socket[bytes], list[bytes], zmq.Socket[bytes]]:
        """Who asks a REP as it likes."""
        dealer = self.peers.connect(zmq.DEALER, address(server, part))
        return dealer, [], dealer

    def run(self, actor: Any) -> Any:
        if self.is_recorded:
            self.recorders.append(Recorder())  # each its own: the servers have the same name
            actor.attach(self.recorders[-1])
        actor.__enter__()
        self.running.append(actor)
        return actor

    def settle(self) -> None:
        """Everybody has done what was sent to him."""
        for bystander in self.bystanders:
            bystander.ask(1)
        for bystander in self.bystanders:
            bystander.listen()

    def close(self) -> None:
        for actor in reversed(self.running):
            actor.__exit__(None, None, None)
        self.peers.__exit__(None, None, None)


def address(server: ServerTemplate, part: str) -> str:
    return server.parts_by_name[part].listen_to.address


def cache_of(server: ServerTemplate) -> str:
    return address(server, "Cache")


@contextmanager
def besieged(*, recorded: bool) -> Iterator[House]:
    """A house, and all that is logged in it; at the end no thread of it is left."""
    threads = set(threading.enumerate())
    house = House(recorded=recorded)
    logger = logging.getLogger("pylm_lab")
    logger.addHandler(house.lines)
    try:
        house.build()
        yield house
    finally:
        house.close()
        logger.removeHandler(house.lines)
    assert set(threading.enumerate()) <= threads
