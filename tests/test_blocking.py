"""Parts that wait for their pair, behind a real router: RepService, RepConnection, PushPullService.

Each runs freely and under seeds, with both kinds of hold; the trace proves that nothing was lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import pytest
import zmq

import pylm_lab as lab
from pylm_lab.errors import PairTimeout, WiringError
from pylm_lab.parts.connections import RepConnection
from pylm_lab.parts.core import Outbound
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    PushPullService,
    PushService,
    RepService,
)

Context = zmq.Context[zmq.Socket[bytes]]
Hold = Literal["server", "part"]

RUNS = [
    pytest.param(seed, hold, id=f"{'free' if seed is None else seed}-{hold}")
    for seed in (None, 1, 2)
    for hold in ("server", "part")
]


class Shouting(lab.Worker):
    """Says everything in capitals."""

    def shout(self, payload: bytes) -> bytes:
        """The same in capitals."""
        return payload.upper()


@pytest.fixture
def context() -> Iterator[Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


def plug(context: Context, kind: int, address: str, *, bind: bool = False) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.rcvtimeo = socket.sndtimeo = 2000
    (socket.bind if bind else socket.connect)(address)
    return socket


def message(payload: bytes) -> bytes:
    return PalmMessage(client="c", cache="k", payload=payload).SerializeToString()


def payload(data: bytes) -> bytes:
    return PalmMessage.FromString(data).payload


def nothing_comes(socket: zmq.Socket[bytes]) -> bool:
    return not socket.poll(30)


# ------------------------------------------------------------------------------- all of it together


def dealing(hold: Hold) -> lab.ServerTemplate:
    """Pull → Deal, which waits for a worker, and whose feedback goes on to Pub."""
    server = lab.ServerTemplate(name="server", hold=hold)
    server.register_inbound(PullService, "Pull", route="Deal")
    server.register_outbound(PushPullService, "Deal", route="Pub")
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    return server


@pytest.mark.parametrize(("seed", "hold"), RUNS)
def test_a_pair_of_sockets_deals_to_workers_and_what_they_answer_goes_on(
    seed: int | None, hold: Hold
) -> None:
    with lab.Cluster(seed=seed) as cluster:
        cluster.add(dealing(hold))
        for _ in range(2):
            cluster.add(Shouting(server="server"))
        client = cluster.client("server", timeout=10.0)
        words = [b"one", b"two", b"three", b"four"]
        assert list(client.job("server.shout", words, messages=4)) == [w.upper() for w in words]
    trace = cluster.trace
    assert trace.check() == []
    ways = [(hop.source, hop.target) for hop in trace.hops if hop.kind == "message"]
    workers = {actor.id for actor in trace.actors if actor.role == "worker"}
    assert sum(a == "server.Deal" and b in workers for a, b in ways) == 4
    assert sum(a in workers and b == "server.Deal" for a, b in ways) == 4


def asks_an_office(hold: Hold, *, binds: bool) -> tuple[lab.ServerTemplate, lab.ServerTemplate]:
    """A server that asks an office by REQ, which has its own workers answer."""
    server = lab.ServerTemplate(name="server", hold=hold)
    server.register_inbound(PullService, "Pull", route="Ask")
    server.register_outbound(
        Outbound, "Ask", "inproc://desk", route="Pub", socket_type=zmq.REQ, bind=not binds
    )
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    office = lab.ServerTemplate(name="office", hold=hold)
    desk = RepService if binds else RepConnection
    office.register_inbound(desk, "Desk", "inproc://desk", route="Deal", block=True)
    office.register_outbound(PushPullService, "Deal")
    office.register_bypass(CacheService, "Cache")
    return server, office


@pytest.mark.parametrize("binds", [True, False], ids=["RepService", "RepConnection"])
@pytest.mark.parametrize(("seed", "hold"), RUNS)
def test_who_asks_a_part_that_was_registered_with_block_gets_the_feedback(
    seed: int | None, hold: Hold, binds: bool
) -> None:
    with lab.Cluster(seed=seed) as cluster:
        for server in asks_an_office(hold, binds=binds):
            cluster.add(server)
        cluster.add(Shouting(server="office"))
        client = cluster.client("server", timeout=10.0)
        words = [b"one", b"two", b"three"]
        assert list(client.job("office.shout", words, messages=3)) == [w.upper() for w in words]
    assert cluster.trace.check() == []
    assert {actor.id for actor in cluster.trace.actors if actor.blocks} >= {
        "office.Desk",
        "office.Deal",
    }


@pytest.mark.parametrize("seed", [3, 4])
def test_the_same_seed_writes_the_same_trace(seed: int) -> None:
    def run() -> list[Any]:
        with lab.Cluster(seed=seed) as cluster:
            for server in asks_an_office("server", binds=True):
                cluster.add(server)
            cluster.add(Shouting(server="office"))
            client = cluster.client("server")
            assert client.eval("office.shout", b"word") == b"WORD"
        return list(cluster.trace.events)

    assert run() == run()


# ------------------------------------------------------------------------------------- one by one


def answering(context: Context, **options: Any) -> lab.ServerTemplate:
    """Rep → Out, a PUSH."""
    server = lab.ServerTemplate(name="server", context=context)
    server.register_inbound(RepService, "Rep", "inproc://in", route="Out", **options)
    server.register_outbound(PushService, "Out", "inproc://out")
    return server


@pytest.mark.parametrize("block", [False, True])
def test_a_rep_service_says_that_a_message_was_taken(context: Context, block: bool) -> None:
    with (
        answering(context, block=block),
        plug(context, zmq.REQ, "inproc://in") as ask,
        plug(context, zmq.PULL, "inproc://out") as pull,
    ):
        for text in (b"1st", b"2nd"):
            ask.send(message(text))
            assert ask.recv() == b"1"
            assert payload(pull.recv()) == text


def test_a_rep_service_answers_what_is_no_message_and_goes_on(context: Context) -> None:
    with (
        answering(context),
        plug(context, zmq.REQ, "inproc://in") as ask,
        plug(context, zmq.PULL, "inproc://out") as pull,
    ):
        ask.send(b"\xff\xff")
        assert ask.recv() == b"1"
        ask.send(message(b"2nd"))
        assert ask.recv() == b"1"
        assert payload(pull.recv()) == b"2nd"


class Office:
    """Rep → Deal, with plain sockets at all three ends."""

    def __init__(self, context: Context, hold: Hold = "server", **options: Any) -> None:
        self.server = lab.ServerTemplate(name="server", context=context, hold=hold)
        self.server.register_inbound(
            RepService, "Rep", "inproc://in", route="Deal", block=True, **options.pop("rep", {})
        )
        self.server.register_inbound(PullService, "Pull", "inproc://other", route="Out")
        self.server.register_outbound(
            options.pop("kind", PushPullService),
            "Deal",
            push_address="inproc://push",
            pull_address="inproc://pull",
            **options,
        )
        self.server.register_outbound(PushService, "Out", "inproc://out")
        self.ask = plug(context, zmq.REQ, "inproc://in")
        self.work = plug(context, zmq.PULL, "inproc://push")
        self.give = plug(context, zmq.PUSH, "inproc://pull")

    def __enter__(self) -> Office:
        self.server.launch()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop()
        for socket in (self.ask, self.work, self.give):
            socket.close(linger=0)


def test_the_feedback_is_what_was_pushed_back_byte_for_byte_watched_or_not(
    context: Context,
) -> None:
    for watched in (False, True):
        office = Office(context)
        if watched:
            office.server.attach(lab.Recorder())
        with office:
            for n in range(2):
                office.ask.send(message(b"%d" % n))
                assert payload(office.work.recv()) == b"%d" % n
                assert nothing_comes(office.ask), "it did not wait"
                office.give.send(b"\xff done %d" % n)
                assert office.ask.recv() == b"\xff done %d" % n


def test_of_many_messages_the_feedback_of_the_last_is_the_answer_and_of_none_there_is_one(
    context: Context,
) -> None:
    def each_word(message: PalmMessage) -> Iterable[PalmMessage]:
        for word in message.payload.split():
            yield PalmMessage(client=message.client, payload=word)

    for at in ("rep", "deal"):
        # Split before the router, or behind it.
        options: dict[str, Any] = {"scatter": each_word}
        with Office(context, **({"rep": options} if at == "rep" else options)) as office:
            office.ask.send(message(b"a b c"))
            for word in (b"a", b"b", b"c"):
                assert payload(office.work.recv()) == word
                assert nothing_comes(office.ask)
                office.give.send(b"done with " + word)
            assert office.ask.recv() == b"done with c"
            office.ask.send(message(b""))
            assert office.ask.recv() == b"1"


def test_feedback_is_heard_and_replaced_on_both_sides_of_the_router(context: Context) -> None:
    heard: list[tuple[str, bytes]] = []

    class Deal(PushPullService):
        def handle_feedback(self, message_data: bytes) -> None:
            heard.append(("Deal", message_data))

        def reply_feedback(self) -> bytes:
            return b"dealt"

    rep = {
        "handle_feedback": lambda data: heard.append(("Rep", data)),
        "reply_feedback": lambda: b"thank you",
    }
    with Office(context, kind=Deal, rep=rep) as office:
        office.ask.send(message(b"x"))
        office.work.recv()
        office.give.send(b"done")
        assert office.ask.recv() == b"thank you"
    assert heard == [("Deal", b"done"), ("Rep", b"dealt")]


@pytest.mark.parametrize("hold", ["server", "part"])
def test_while_it_waits_the_server_does_or_only_what_is_routed_to_it(
    context: Context, hold: Hold
) -> None:
    with (
        Office(context, hold) as office,
        plug(context, zmq.PUSH, "inproc://other") as other,
        plug(context, zmq.PULL, "inproc://out") as out,
    ):
        office.ask.send(message(b"question"))
        office.work.recv()
        other.send(message(b"other"))
        if hold == "server":
            assert nothing_comes(out)
            office.give.send(b"done")
        assert payload(out.recv()) == b"other"
        if hold == "part":
            assert nothing_comes(office.ask)
            office.give.send(b"done")
        assert office.ask.recv() == b"done"


@pytest.mark.parametrize("hold", ["server", "part"])
def test_a_stop_while_it_waits_ends_everything_and_says_what_never_went_on(
    context: Context, hold: Hold
) -> None:
    recorder = lab.Recorder()
    office = Office(context, hold)
    office.server.attach(recorder)
    # Several may be on their way to it, which the router then has to give up.
    office.server.register_inbound(PullService, "More", "inproc://more", route="Deal")
    with plug(context, zmq.PUSH, "inproc://more") as more, office:
        for n in range(3):
            more.send(message(b"%d" % n))
        assert payload(office.work.recv()) == b"0"
        assert nothing_comes(office.work)
        assert office.server.stop()
    lost = [hop for hop in recorder.trace.hops if hop.lost and hop.kind == "message"]
    assert len(lost) == 2
    assert recorder.trace.check() == []


def test_a_pair_of_sockets_waits_no_longer_than_its_timeout(context: Context) -> None:
    office = Office(context, timeout=0.05)
    with office:
        office.ask.send(message(b"x"))
        office.work.recv()
        with pytest.raises(PairTimeout, match=r"Deal has waited 0\.05 s .* at inproc://pull"):
            end_of(office.server)


def end_of(server: lab.ServerTemplate) -> None:
    """Wait until the server has failed, and raise what it failed with."""
    done = threading.Event()
    server.on_failure.append(lambda _: done.set())
    assert server.reason is not None or done.wait(2)
    assert server.reason is not None
    raise server.reason


def test_a_pair_of_sockets_takes_its_two_addresses_under_their_names_only(context: Context) -> None:
    server = lab.ServerTemplate(name="server", context=context)
    server.register_outbound(PushPullService, "A", "inproc://a", pull_address="inproc://b")
    server.register_outbound(PushPullService, "C")
    a, c = server.outbound_components.values()
    assert isinstance(a, PushPullService)
    assert isinstance(c, PushPullService)
    assert (a.push_address, a.pull_address) == ("inproc://a", "inproc://b")
    with server:
        assert [port.address for port in a.ports if port.outer] == ["inproc://a", "inproc://b"]
        places = [port.address for port in c.ports if port.outer]
        assert len(set(places)) == 2
        assert all(place.startswith("tcp://127.0.0.1:") for place in places)
        assert server.cache.get("worker_push_address") == b"inproc://a"
        assert server.cache.get("worker_pull_address") == b"inproc://b"


def test_a_part_without_a_place_of_its_own_takes_no_listen_address() -> None:
    class Nowhere(Outbound):
        placed_by = ()

    server = lab.ServerTemplate(name="server")
    with pytest.raises(WiringError, match="Nowhere takes no listen_address='inproc://x'"):
        server.register_outbound(Nowhere, "N", "inproc://x")
