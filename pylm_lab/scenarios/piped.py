"""Clusters of servers that run their functions themselves, and of servers that feed servers."""

from __future__ import annotations

from pylm_lab.cluster import Cluster
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.scenarios.balanced import Greeter
from pylm_lab.servers import Hub, Master, Pipeline, Server, Sink

__all__ = [
    "Adding",
    "Beginning",
    "Listening",
    "Parting",
    "Uniting",
    "master_pipeline",
    "pipeline",
    "server_hub",
    "single",
    "sink",
    "stream",
    "tee",
]


class Beginning(Server):
    """A server whose answers say that they were there."""

    def foo(self, payload: bytes) -> bytes:
        """Say that the server has had the payload."""
        return self.name.encode() + b"(" + payload + b")"


class Adding(Pipeline):
    """A pipeline server that adds its name to what comes."""

    def foo(self, payload: bytes) -> bytes:
        """Say that the server has had the payload."""
        return self.name.encode() + b"(" + payload + b")"


class Listening(Pipeline):
    """A pipeline server that gives nothing back."""

    def foo(self, payload: bytes) -> None:
        """Take note of the payload, in the log; what returns None sends nothing."""
        self.logger.debug("%s heard %r", self.id, payload)


class Parting(Server):
    """A server that parts odd numbers from even ones."""

    def foo(self, payload: bytes) -> bytes:
        """Return the payload, which is a number."""
        return payload

    def handle_stream(self, message: PalmMessage) -> tuple[str, PalmMessage]:
        """Publish for one pipeline or for the other, as the next step."""
        message.stage += 1
        return ("odd" if int(message.payload) % 2 else "even"), message


class Uniting(Sink):
    """A sink that adds its name to what comes, from wherever."""

    def foo(self, payload: bytes) -> bytes:
        """Say that the sink has had the payload."""
        return self.name.encode() + b"(" + payload + b")"


def _numbers(messages: int) -> list[bytes]:
    return [str(number).encode() for number in range(1, messages + 1)]


def single(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """A client, and a server that works itself: its function runs in the part that publishes."""
    cluster.add(Beginning("server"))
    client = cluster.client("server")
    return list(client.job("server.foo", _numbers(messages), messages=messages))


def pipeline(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """A server whose results go on to a second one, which answers the client: two steps."""
    cluster.add(Beginning("server", pipelined=True))
    cluster.add(Adding("pipeline", upstream="server"))
    client = cluster.client("server", answers="pipeline")
    steps = ["server.foo", "pipeline.foo"]
    return list(client.job(steps, _numbers(messages), messages=messages))


def tee(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """A server whose results go to two: both get each message, and only one of them answers."""
    cluster.add(Beginning("server", pipelined=True))
    # Both have the name that the client's function asks for.
    answering = cluster.add(Adding("pipeline", upstream="server"))
    cluster.add(Listening("pipeline", upstream="server"))
    client = cluster.client("server", answers=answering.id)
    steps = ["server.foo", "pipeline.foo"]
    return list(client.job(steps, _numbers(messages), messages=messages))


def stream(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """A server that sends odd numbers to one pipeline server, and even ones to another."""
    cluster.add(Parting("server"))
    odd = cluster.add(Adding("pipeline", previous="odd", upstream="server"))
    even = cluster.add(Adding("pipeline", previous="even", upstream="server"))
    client = cluster.client("server", answers=[odd.id, even.id])
    steps = ["server.foo", "pipeline.foo"]
    return list(client.job(steps, _numbers(messages), messages=messages))


def sink(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """Two streams, of odd and of even numbers, that a sink joins again before the client."""
    cluster.add(Parting("server"))
    branches = [
        cluster.add(Adding("pipeline", previous=topic, to_client=False, upstream="server"))
        for topic in ("odd", "even")
    ]
    cluster.add(Uniting("sink", upstream=[branch.id for branch in branches]))
    client = cluster.client("server", answers="sink")
    steps = ["server.foo", "pipeline.foo", "sink.foo"]
    return list(client.job(steps, _numbers(messages), messages=messages))


def master_pipeline(cluster: Cluster, messages: int = 4, workers: int = 2) -> list[bytes]:
    """A master whose workers' results go on to a pipeline server, which answers the client."""
    cluster.add(Master("server", pipelined=True))
    cluster.add(Adding("pipeline", upstream="server"))
    for position in range(1, workers + 1):
        cluster.add(Greeter(f"worker{position}", server="server"))
    client = cluster.client("server", answers="pipeline")
    steps = ["server.foo", "pipeline.foo"]
    return list(client.job(steps, _numbers(messages), messages=messages))


def server_hub(cluster: Cluster, messages: int = 4, workers: int = 2) -> list[bytes]:
    """A server whose results go on to a hub, which deals them to workers and answers the client."""
    cluster.add(Beginning("server", pipelined=True))
    cluster.add(Hub("hub", upstream="server"))
    for position in range(1, workers + 1):
        cluster.add(Greeter(f"worker{position}", server="hub"))
    client = cluster.client("server", answers="hub")
    steps = ["server.foo", "hub.foo"]
    return list(client.job(steps, _numbers(messages), messages=messages))
