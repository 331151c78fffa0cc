"""Clusters of one master and its workers."""

from __future__ import annotations

from collections.abc import Iterable

from pylm_lab.cluster import Cluster
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)
from pylm_lab.servers import Master, MuxWorker, Worker

__all__ = [
    "Counting",
    "Finishing",
    "Greeter",
    "Halving",
    "Reporting",
    "Thrice",
    "Tripling",
    "build_master",
    "cache",
    "error",
    "gather",
    "logging",
    "mux",
    "parallel",
    "scatter",
    "template",
]


class Greeter(Worker):
    """A worker whose answers say who gave them."""

    def foo(self, payload: bytes) -> bytes:
        """Say who processed a message; the payload is not looked at."""
        return self.name.encode() + b" processed " + payload


def _workers(cluster: Cluster, count: int) -> None:
    for position in range(1, count + 1):
        cluster.add(Greeter(f"worker{position}", server="server"))


def _ask(cluster: Cluster, messages: int, answers: int) -> list[bytes]:
    client = cluster.client("server")
    return list(client.job("server.foo", [b"a message"] * messages, messages=answers))


def parallel(cluster: Cluster, messages: int = 10, workers: int = 2) -> list[bytes]:
    """A client, a master and some workers: the messages are dealt in rounds."""
    cluster.add(Master("server"))
    _workers(cluster, workers)
    return _ask(cluster, messages, messages)


class Counting(Worker):
    """A worker that keeps a number in the server's cache."""

    def foo(self, payload: bytes) -> bytes:
        """Read the number under the key in the payload, and give it back in words."""
        return b"the cache says " + (self.get(payload.decode()) or b"nothing")


def cache(cluster: Cluster, messages: int = 3) -> list[bytes]:
    """The client stores a value in the server's cache, and a worker reads it: no router between."""
    cluster.add(Master("server"))
    cluster.add(Counting("worker1", server="server"))
    client = cluster.client("server")
    key = client.set(b"forty-two", "answer")
    answers = list(client.job("server.foo", [key.encode()] * messages, messages=messages))
    client.delete(key)
    return answers


class Tripling(Master):
    """A master that gives each message to the workers three times."""

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Three messages for one."""
        for _ in range(3):
            yield message


def scatter(cluster: Cluster, messages: int = 4, workers: int = 2) -> list[bytes]:
    """The master makes three messages out of each, and every one is answered."""
    cluster.add(Tripling("server"))
    _workers(cluster, workers)
    return _ask(cluster, messages, 3 * messages)


class Finishing(Master):
    """A master that changes the last of a number of answers."""

    def __init__(self, name: str, last: int) -> None:
        self.last = last
        self.seen = 0
        super().__init__(name)

    def gather(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Let each answer pass, and replace the payload of the last."""
        self.seen += 1
        if self.seen == self.last:
            message = self.change_payload(message, b"the last one")
        yield message


def gather(cluster: Cluster, messages: int = 6, workers: int = 2) -> list[bytes]:
    """The master replaces the payload of the last answer on its way back."""
    cluster.add(Finishing("server", last=messages))
    _workers(cluster, workers)
    return _ask(cluster, messages, messages)


class Thrice(MuxWorker):
    """A worker that has three answers to every message."""

    def foo(self, payload: bytes) -> Iterable[bytes]:
        """Give three results for one message."""
        for part in (b"first", b"second", b"third"):
            yield part + b" part of " + payload


def mux(cluster: Cluster, messages: int = 4, workers: int = 2) -> list[bytes]:
    """Workers that give three results for each message: many answers to one question."""
    cluster.add(Master("server"))
    for position in range(1, workers + 1):
        cluster.add(Thrice(f"worker{position}", server="server"))
    return _ask(cluster, messages, 3 * messages)


class Reporting(Worker):
    """A worker that writes what it does into its log."""

    def foo(self, payload: bytes) -> bytes:
        """Say which message it has, and give its payload back."""
        self.logger.info("%s has %r of %s", self.name, payload, self.message.function)
        return payload


def logging(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """A worker that writes a line into its log for each message; its `log_level` decides."""
    cluster.add(Master("server"))
    cluster.add(Reporting("worker1", server="server"))
    return _ask(cluster, messages, messages)


class Halving(Worker):
    """A worker whose function fails with an odd number."""

    def foo(self, payload: bytes) -> bytes:
        """Halve a number."""
        number = int(payload)
        if number % 2:
            raise ValueError(f"{number} is odd")
        return str(number // 2).encode()


def error(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """A function that fails with every other message: it answers `b'0'`, and the worker goes on."""
    cluster.add(Master("server"))
    cluster.add(Halving("worker1", server="server"))
    client = cluster.client("server", errors="return")
    numbers = [str(number).encode() for number in range(1, messages + 1)]
    return list(client.job("server.foo", numbers, messages=messages))


def build_master(name: str = "server") -> ServerTemplate:
    """A master built from its parts: a router, four service parts and a cache."""
    server = ServerTemplate(name=name)
    server.register_inbound(PullService, "Pull", route="WorkerPush")
    server.register_inbound(WorkerPullService, "WorkerPull", route="Pub")
    server.register_outbound(WorkerPushService, "WorkerPush")
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    return server


def template(cluster: Cluster, messages: int = 10, workers: int = 2) -> list[bytes]:
    """The parallel cluster, with a master built from its parts."""
    cluster.add(build_master())
    _workers(cluster, workers)
    return _ask(cluster, messages, messages)
