"""Parts that connect, behind a real router and, the bypass ones, beside one: free and seeded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

import pylm_lab as lab
from pylm_lab.errors import WiringError
from pylm_lab.parts.connections import (
    PullBypassConnection,
    PullConnection,
    PushBypassConnection,
    PushConnection,
)
from pylm_lab.parts.core import Part
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.services import CacheService, PubService, PullService, PushService

Context = zmq.Context[zmq.Socket[bytes]]
SEEDS = pytest.mark.parametrize("seed", [None, 1, 2])


@pytest.fixture
def context() -> Iterator[Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


def message(payload: bytes) -> bytes:
    return PalmMessage(client="c" * 16, cache="k", payload=payload).SerializeToString()


def payload(data: bytes) -> bytes:
    return PalmMessage.FromString(data).payload


def a_server(name: str, pushes_to: str, pulls_from: str) -> lab.ServerTemplate:
    """Pull → Out, Back → Pub: what clients ask goes out at one service and comes in at another."""
    server = lab.ServerTemplate(name=name)
    server.register_inbound(PullService, "Pull", route="Out")
    server.register_inbound(PullService, "Back", pulls_from, route="Pub")
    server.register_outbound(PushService, "Out", pushes_to)
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    return server


class Loud(PushConnection):
    """Says everything in capitals."""

    def scatter(self, message: PalmMessage) -> Iterator[PalmMessage]:
        message.payload = message.payload.upper()
        yield message


@SEEDS
def test_a_server_between_two_services_of_another_needs_no_address_of_its_own(
    seed: int | None,
) -> None:
    between = lab.ServerTemplate(name="between")
    between.register_inbound(PullConnection, "In", "inproc://out", route="Out")
    between.register_outbound(Loud, "Out", "inproc://back")
    with lab.Cluster(seed=seed) as cluster:
        cluster.add(between)  # before those that it connects to
        cluster.add(a_server("server", "inproc://out", "inproc://back"))
        client = cluster.client("server", timeout=10.0)
        words = [b"one", b"two", b"three"]
        assert list(client.job("server.x", words, messages=3)) == [b"ONE", b"TWO", b"THREE"]
    assert cluster.trace.check() == []
    ports = {port.id: port.binds for port in cluster.trace.ports if port.outer}
    assert not ports["between.In:listen_to"]
    assert not ports["between.Out:listen_to"]


class Copying(PushBypassConnection):
    """Sends each number once, and is never told anything."""

    def run(self) -> None:
        for n in range(3):
            self.send(message(b"%d" % n))


@SEEDS
def test_what_a_bypass_part_sends_is_like_a_client_s(seed: int | None) -> None:
    heard: list[bytes] = []

    class Listening(PullBypassConnection):
        def handle(self, data: bytes) -> bytes:
            heard.append(payload(data))
            return b"nobody gets this"

    server = lab.ServerTemplate(name="server")
    server.register_inbound(PullService, "Pull", "inproc://in", route="Out")
    server.register_outbound(PushService, "Out", "inproc://out")
    server.register_outbound(PubService, "Pub")  # for the client, whose coming starts it all
    server.register_bypass(CacheService, "Cache")
    server.register_bypass(Copying, "Copying", "inproc://in")
    server.register_bypass(Listening, "Listening", "inproc://out", messages=3)
    with lab.Cluster(seed=seed) as cluster:
        cluster.add(server)
        cluster.client("server")
        part = server.bypass_components["Listening"]
        if seed is None:
            assert part.join(5.0)
    assert heard == [b"0", b"1", b"2"]
    assert cluster.trace.check() == []
    links = {(hop.source, hop.target) for hop in cluster.trace.hops if hop.kind == "message"}
    assert {("server.Copying", "server.Pull"), ("server.Out", "server.Listening")} <= links


def test_recv_waits_for_the_next_and_answers_nobody_where_none_is_expected(
    context: Context,
) -> None:
    heard: list[bytes] = []

    class Reading(PullBypassConnection):
        def run(self) -> None:
            heard.append(self.recv())
            heard.append(self.recv(b"nobody gets this"))

    with context.socket(zmq.PUSH) as push:
        push.bind("inproc://somebody")
        part = Reading("Reading", "inproc://somebody", context=context)
        part.open()
        push.send(b"1")
        push.send(b"2")
        assert part.start() == b"Reading"
    assert heard == [b"1", b"2"]


def test_a_push_that_expects_no_answer_gives_none(context: Context) -> None:
    given: list[bytes | None] = []

    class Sending(PushBypassConnection):
        def run(self) -> None:
            given.append(self.send(b"data"))

    with context.socket(zmq.PULL) as pull:
        pull.bind("inproc://somebody")
        pull.rcvtimeo = 2000
        assert Sending("Sending", "inproc://somebody", context=context).start() == b"Sending"
        assert pull.recv() == b"data"
    assert given == [None]


@pytest.mark.parametrize("kind", [PullConnection, PushConnection, PullBypassConnection])
def test_a_connection_without_an_address_is_told_at_the_start(kind: type[Part]) -> None:
    server = lab.ServerTemplate(name="server")
    if issubclass(kind, PullConnection):
        server.register_inbound(kind, "Part")
    elif issubclass(kind, PushConnection):
        server.register_outbound(kind, "Part")
    else:
        server.register_bypass(kind, "Part")
    with pytest.raises(WiringError, match="Part connects to nowhere"):
        server.open()
