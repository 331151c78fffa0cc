"""Servers that feed servers: subscriptions, a publisher that waits for several, and upstream=."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import zmq

import pylm_lab as lab
from pylm_lab.choices import Operation
from pylm_lab.errors import FunctionError, RunError, WiringError
from pylm_lab.hook import Hook, Port
from pylm_lab.parts import publishing
from pylm_lab.parts.connections import SubConnection
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import PubService, PullService, PushService
from pylm_lab.servers import Hub, Pipeline, Server, Sink
from pylm_lab.trace import Recorder
from pylm_lab.wire import READY, tail

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


class Drops(Hook):
    """Remembers why messages were dropped."""

    def __init__(self) -> None:
        self.causes: list[str] = []

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        self.causes.append(cause)


def plug(context: Context, kind: int, address: str, *topics: bytes) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.rcvtimeo = socket.sndtimeo = 2000
    for topic in topics:
        socket.subscribe(topic)
    socket.connect(address)
    return socket


def message(payload: bytes, client: str = "c" * 16) -> bytes:
    return PalmMessage(client=client, cache="k", payload=payload).SerializeToString()


def payload(frames: list[bytes]) -> bytes:
    return PalmMessage.FromString(frames[-1]).payload


def subscriber(context: Context, **options: Any) -> ServerTemplate:
    """A server that takes from a publisher, and pushes on."""
    server = ServerTemplate(name="next", context=context)
    server.register_inbound(
        SubConnection, "Sub", "inproc://pub", route="Out", previous="pipe", **options
    )
    server.register_outbound(PushService, "Out", "inproc://out")
    return server


def publisher(context: Context, **options: Any) -> ServerTemplate:
    """A server that publishes whatever is pushed to it, under its own name."""
    server = ServerTemplate(name="pipe", context=context)
    server.register_inbound(PullService, "Pull", "inproc://pull", route="Pub")
    server.register_outbound(
        PubService, "Pub", "inproc://pub", pipelined=True, server="pipe", **options
    )
    return server


# ------------------------------------------------------------------------------- the part that asks


def test_a_topic_that_begins_alike_is_for_others(context: Context) -> None:
    drops = Drops()
    server = subscriber(context).attach(drops)
    with context.socket(zmq.XPUB) as pub:
        pub.rcvtimeo = 2000
        pub.bind("inproc://pub")
        with server, plug(context, zmq.PULL, "inproc://out") as pull:
            assert [pub.recv(), pub.recv()] == [b"\1pipe", b"\1" + READY + b"pipe"]
            for topic in (b"pipe", b"pipeline", b"pipe2", b"pipe"):
                pub.send_multipart([topic, message(topic)])
            pub.send_multipart([b"pipe"])
            pub.send_multipart([b"pipe", b"\xff"])
            pub.send_multipart([b"pipe", message(b"last")])
            assert [payload([pull.recv()]) for _ in range(3)] == [b"pipe", b"pipe", b"last"]
    another = "it has another topic, which begins alike"
    assert drops.causes[:2] == [another] * 2
    assert drops.causes[2:] == ["it is no topic and message", "it is no PALM message"]


def test_what_is_made_of_a_message_is_its_child_though_another_topic_s_came_after_it(
    context: Context,
) -> None:
    part = SubConnection("Sub", "inproc://pub", "pipe", "inproc://router", context=context)
    part.attach(Recorder())
    with context.socket(zmq.PUB) as pub, context.socket(zmq.ROUTER) as router:
        pub.bind("inproc://pub")
        router.bind("inproc://router")
        part.open()
        part.listen_to.socket.subscribe(b"pipe")
        for topic in (b"pipe", b"pipeline"):
            for _ in range(200):  # until the publisher knows of it
                pub.send_multipart([topic, message(topic)])
                if topic == b"pipeline" or part.listen_to.socket.poll(10):
                    break
        _, batch = part.drain((part.listen_to,))
        assert [payload(frames) for frames in batch] == [b"pipe"]
        assert part.stamps.preview(b"")[1] == tail(batch[0][-1])[0]
        part.cleanup()


def test_it_is_ready_when_the_publisher_has_echoed_and_hands_the_echo_to_nobody(
    context: Context,
) -> None:
    server = subscriber(context)
    sub = server.inbound_components["Sub"]
    assert isinstance(sub, SubConnection)
    with context.socket(zmq.XPUB) as pub:
        pub.rcvtimeo = 2000
        pub.bind("inproc://pub")
        with server, plug(context, zmq.PULL, "inproc://out") as pull:
            assert [pub.recv(), pub.recv()] == [b"\1pipe", b"\1" + READY + b"pipe"]
            pub.send_multipart([b"pipe", message(b"first")])
            assert payload([pull.recv()]) == b"first"  # it does not wait for the echo
            assert not sub.is_ready.is_set()
            pub.send_multipart([READY + b"pipe", b""])
            pub.send_multipart([b"pipe", message(b"next")])
            assert sub.is_ready.wait(2)
            assert payload([pull.recv()]) == b"next"
    assert not sub.is_running


def test_a_publisher_that_echoes_nothing_and_comes_later_will_do(context: Context) -> None:
    server = ServerTemplate(name="next", context=context)
    address = "inproc://late"
    server.register_inbound(SubConnection, "Sub", address, route="Out", previous="pipe")
    server.register_outbound(PushService, "Out", "inproc://out")
    with server, plug(context, zmq.PULL, "inproc://out") as pull, context.socket(zmq.PUB) as pub:
        pub.bind(address)
        got: list[bytes] = []
        for _ in range(200):  # a PUB tells nobody when it knows its subscribers
            pub.send_multipart([b"pipe", message(b"x")])
            if pull.poll(10):
                got.append(payload([pull.recv()]))
                break
        assert got == [b"x"]


def test_nobody_to_subscribe_to_is_an_error_that_says_so(context: Context) -> None:
    server = ServerTemplate(name="next", context=context)
    server.register_inbound(SubConnection, "Sub", route="Out", previous="pipe")
    server.register_outbound(PushService, "Out", "inproc://out")
    with pytest.raises(WiringError, match=r"'next' is fed by nobody .*previous='pipe'.*upstream=,"):
        server.launch()
    with pytest.raises(
        WiringError, match=r"next\.Sub knows no publisher: upstream='server' is for"
    ):
        Pipeline("next", upstream="server", context=context).launch()
    with pytest.raises(WiringError, match=r"next\.Sub: previous='' is no topic"):
        Pipeline("next", sub_address="inproc://pub", context=context).launch()


# ------------------------------------------------------------------ the part that waits for several


def push(context: Context, *texts: bytes) -> zmq.Socket[bytes]:
    socket = plug(context, zmq.PUSH, "inproc://pull")
    for text in texts:
        socket.send(message(text))
    return socket


def test_what_is_published_and_the_echo_wait_for_all_subscribers(context: Context) -> None:
    topics = b"pipe", READY + b"pipe"
    with (
        publisher(context, subscribers=2),
        push(context, b"1", b"2") as more,
        plug(context, zmq.SUB, "inproc://pub", *topics) as one,
    ):
        assert not one.poll(100), "it has been sent to the first one alone"
        with plug(context, zmq.SUB, "inproc://pub", *topics) as two:
            for sub in (one, two):
                got = [sub.recv_multipart() for _ in range(3)]
                texts = [payload(frames) for frames in got if frames[0] == b"pipe"]
                assert texts == [b"1", b"2"]
                assert [READY + b"pipe", b""] in got
            with plug(context, zmq.SUB, "inproc://pub", READY + b"other") as third:
                assert third.recv_multipart() == [READY + b"other", b""]
                while two.poll(20):  # the first may have asked for an echo before it
                    two.recv_multipart()
                with plug(context, zmq.SUB, "inproc://pub", READY + b"more") as fourth:
                    assert fourth.recv_multipart() == [READY + b"more", b""]
                    more.send(message(b"3"))
                    assert payload(two.recv_multipart()) == b"3"  # and no echo once more


def test_a_subscriber_that_asks_for_no_echo_completes_them_too(context: Context) -> None:
    with (
        publisher(context, subscribers=2),
        plug(context, zmq.SUB, "inproc://pub", b"pipe", READY + b"pipe") as one,
        push(context, b"1"),
        plug(context, zmq.SUB, "inproc://pub", b"") as any_topic,
    ):
        got = {one.recv_multipart()[0] for _ in range(2)}
        assert got == {b"pipe", READY + b"pipe"}
        got = {any_topic.recv_multipart()[0] for _ in range(2)}
        assert got == {b"pipe", READY + b"pipe"}


def test_when_not_all_come_in_time_it_goes_to_those_who_are_there(
    context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publishing, "HOLD_SECONDS", 0.1)
    with (
        publisher(context, subscribers=3),
        plug(context, zmq.SUB, "inproc://pub", b"pipe") as one,
        push(context, b"1", b"2") as more,
    ):
        assert [payload(one.recv_multipart()) for _ in range(2)] == [b"1", b"2"]
        more.send(message(b"3"))
        assert payload(one.recv_multipart()) == b"3"  # without a wait
    assert "pipe.Pub: not all 3 subscribed to 'pipe' in time" in caplog.text


def test_more_than_it_may_hold_goes_to_those_who_are_there(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "HOLD_SECONDS", 60.0)
    monkeypatch.setattr(publishing, "HOLD_MESSAGES", 3)
    texts = [b"%d" % n for n in range(5)]
    with (
        publisher(context, subscribers=2),
        plug(context, zmq.SUB, "inproc://pub", b"pipe") as one,
        push(context, *texts),
    ):
        assert [payload(one.recv_multipart()) for _ in texts] == texts


def test_a_client_s_topic_has_one_subscriber_whatever_the_others_have(context: Context) -> None:
    def for_client_or_pair(message: PalmMessage) -> tuple[str, PalmMessage]:
        return ("pair" if message.payload == b"2" else message.client), message

    server = publisher(context, subscribers=2, handle_stream=for_client_or_pair)
    with (
        server,
        plug(context, zmq.SUB, "inproc://pub", b"c" * 16, b"pair") as one,
        push(context, b"2", b"1"),
    ):
        assert payload(one.recv_multipart()) == b"1"
        with plug(context, zmq.SUB, "inproc://pub", b"pair") as two:
            assert payload(two.recv_multipart()) == payload(one.recv_multipart()) == b"2"


def test_how_many_subscribe_may_differ_by_topic() -> None:
    pub = PubService("Pub", "inproc://pub", subscribers={"pair": 2})
    assert [pub._wanted(topic) for topic in (b"pair", b"other")] == [2, 1]
    with pytest.raises(WiringError, match="subscribers=0: how many subscribe to one topic"):
        PubService("Pub", "inproc://pub", subscribers=0)
    with pytest.raises(WiringError, match="subscribers='2'"):
        PubService("Pub", "inproc://pub", subscribers={"pair": "2"})  # type: ignore[dict-item]


# ---------------------------------------------------------------------------------------- a cluster


class First(Server):
    """The beginning of what the tests build."""

    def foo(self, payload: bytes) -> bytes:
        return b"first " + payload


class Step(Pipeline):
    """One step more."""

    def foo(self, payload: bytes) -> bytes:
        if payload.endswith(b"bad"):
            raise ValueError("bad")
        return self.id.encode() + b" " + payload


RUNS = [(None, "inproc"), (None, "tcp"), (1, "inproc")]


@pytest.mark.parametrize(("seed", "transport"), RUNS)
def test_servers_may_be_added_in_any_order_and_start_after_what_feeds_them(
    seed: int | None, transport: str
) -> None:
    with lab.Cluster(seed, transport=transport) as cluster:  # type: ignore[arg-type]
        cluster.add(Step("last", upstream="step"))
        cluster.add(Step("step", to_client=False, upstream="server"))
        cluster.add(First("server", pipelined=True))
        client = cluster.client("server", answers="last")
        answer = client.eval(["server.foo", "step.foo", "last.foo"], b"x")
        assert answer == b"last step first x"
        again = cluster.client("server", answers="last")
        assert again.eval("server.echo step.echo last.echo", b"y") == b"y"
    assert cluster.trace.check() == []
    parts = [a.id for a in cluster.trace.actors if a.role == "router"]
    assert parts == ["server.router", "step.router", "last.router"]


@pytest.mark.parametrize(("seed", "transport"), RUNS)
def test_a_server_joins_a_cluster_that_runs(seed: int | None, transport: str) -> None:
    with lab.Cluster(seed, transport=transport) as cluster:  # type: ignore[arg-type]
        cluster.add(First("server", pipelined=True))
        step = cluster.add(Step("step", upstream="server"))
        client = cluster.client("server", answers="step")
        assert client.eval("server.foo step.foo", b"x") == b"step first x"
        late = cluster.add(Step("step", upstream="server"))
        both = cluster.client("server", answers=[step.id, late.id])
        answers = both.eval("server.foo step.foo", b"y", messages=2)
        assert sorted(answers) == [b"step first y", b"step2 first y"]
        answers = both.eval("server.foo step.foo", b"z", messages=2)
        assert sorted(answers) == [b"step first z", b"step2 first z"]
        with pytest.raises(WiringError, match="did you mean 'server'"):
            cluster.add(Step("other", upstream="servre"))


def last_of_all(options: Sequence[Operation]) -> int:
    """Lets the second publisher hear of subscriptions when nothing else can happen."""
    late = [op.port is not None and op.port.id == "step2.Pub:listen_to" for op in options]
    return late.index(False) if False in late else 0


def test_a_client_of_two_publishers_waits_for_both_before_each_call() -> None:
    with lab.Cluster(schedule=last_of_all) as cluster:
        cluster.add(First("server", pipelined=True))
        steps = [cluster.add(Step("step", upstream="server")) for _ in range(2)]
        client = cluster.client("server", answers=[step.id for step in steps])
        for _ in range(2):
            client.eval("server.foo step.foo", b"x", messages=2)
            cluster.run()  # both have heard that it asks no longer
    assert not [hop for hop in cluster.trace.hops if hop.dropped is not None]


def test_a_subscriber_whose_publisher_has_gone_does_not_hold_up_the_end() -> None:
    with lab.Cluster(transport="tcp") as cluster:
        cluster.add(First("server", pipelined=True))
        cluster.add(Step("step", upstream="server"))
        client = cluster.client("server", answers="step")
        assert client.eval("server.foo step.foo", b"x") == b"step first x"
        begun = time.monotonic()
        assert cluster.stop()
        assert time.monotonic() - begun < 1.5  # subscriptions that nobody takes would wait for 2 s


def test_the_publisher_learns_how_many_are_to_subscribe() -> None:
    with lab.Cluster(seed=1) as cluster:
        server = cluster.add(First("server", pipelined=True))
        told = cluster.add(First("told", pipelined=True, subscribers=1))
        for name in ("a", "b"):
            cluster.add(Step(name, upstream="server"))
            cluster.add(Step(f"{name}{name}", upstream="told"))
        cluster.client("server", answers="a")
        pubs: list[Any] = [one.outbound_components["Pub"] for one in (server, told)]
        assert [pub._wanted(pub.server_name.encode()) for pub in pubs] == [2, 1]
        subs = [part for s in cluster._party.servers for part in s.inbound_components.values()]
        ready = [part.is_ready.is_set() for part in subs if isinstance(part, SubConnection)]
        assert ready == [True] * 4


def test_a_server_that_is_not_there_is_named_with_the_nearest() -> None:
    for wrong in (Step("step", upstream="servr"), Hub("step", upstream="servr")):
        cluster = lab.Cluster(seed=1)
        cluster.add(First("server", pipelined=True))
        cluster.add(wrong)
        with pytest.raises(WiringError, match="step asks for the server 'servr', which takes no p"):
            cluster.client("server")
        cluster.stop()


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (
            lambda c: (c.add(First("server")), c.add(Step("step", upstream="server"))),
            "'step' would hear nothing: 'server' publishes for its clients only",
        ),
        (
            lambda c: (
                c.add(First("server")),
                c.add(Step("a", to_client=False, upstream="b")),
                c.add(Step("b", to_client=False, upstream="a")),
            ),
            "a, b feed each other in a circle",
        ),
        (
            lambda c: (c.add(First("server")), c.add(Sink("sink", upstream=["server", "sever"]))),
            "sink asks for the server 'sever', which takes no part: did you mean 'server'",
        ),
        (
            lambda c: (c.add(First("server")), c.add(Step("step", previous="sever"))),
            "'step' is fed by nobody that it knows .*previous='sever'.*sub_address",
        ),
        (
            lambda c: (c.add(First("server")), c.add(Step("step", previous="server"))),
            "'step' would hear nothing: 'server' publishes for its clients only",
        ),
    ],
)
def test_what_can_not_work_is_said_at_the_start(
    build: Callable[[lab.Cluster], object], told: str
) -> None:
    with lab.Cluster(seed=1) as cluster:
        build(cluster)
        with pytest.raises(WiringError, match=told):
            cluster.client("server")


@pytest.mark.parametrize("key", ["previous", "upstream"])
def test_a_list_where_one_server_feeds_is_an_error_that_wants_one_name(key: str) -> None:
    told: dict[str, Any] = {key: ["server"]}
    with pytest.raises(WiringError, match=rf"{key}=\['server'\] is a list, and one name is wanted"):
        Pipeline("step", **told)


@pytest.mark.parametrize("seed", [None, 1])
def test_in_a_cluster_previous_alone_names_the_server_before(seed: int | None) -> None:
    with lab.Cluster(seed) as cluster:
        cluster.add(Sink("sink", previous=["step"]))
        cluster.add(Step("step", previous="server", to_client=False))
        cluster.add(First("server", pipelined=True))
        client = cluster.client("server", answers="sink")
        assert client.eval("server.foo step.foo sink.echo", b"x") == b"step first x"
        late = cluster.add(Step("late", previous="step"))
        assert late.inbound_components["Sub"].upstream == "step"


@pytest.mark.parametrize("seed", [None, 1])
def test_a_function_that_fails_down_the_pipeline_is_an_error_at_the_client(
    seed: int | None,
) -> None:
    with lab.Cluster(seed) as cluster:
        cluster.add(First("server", pipelined=True))
        cluster.add(Step("step", upstream="server"))
        client = cluster.client("server", answers="step")
        with pytest.raises(FunctionError, match="bad") as caught:
            client.eval("server.foo step.foo", b"bad")
        assert (caught.value.server, caught.value.function) == ("step", "step.foo")
        assert client.eval("server.foo step.foo", b"x") == b"step first x"


@pytest.mark.parametrize("seed", [None, 1])
def test_a_server_that_ends_down_the_pipeline_ends_the_calls_that_need_it(
    seed: int | None,
) -> None:
    class Breaking(PushService):
        def deliver(self, message: PalmMessage, frames: list[bytes]) -> None:
            raise OSError("the disk is full")

    ended = ServerTemplate(name="last")
    ended.register_inbound(SubConnection, "Sub", route="Out", upstream="server")
    ended.register_outbound(Breaking, "Out")
    with lab.Cluster(seed) as cluster:
        cluster.add(First("server", pipelined=True))
        cluster.add(Step("step", upstream="server"))
        cluster.add(ended)
        client = cluster.client("server", answers="step")
        with pytest.raises(RunError, match="the disk is full"):
            for _ in client.job("server.foo step.foo", [b"x"] * 3):
                pass


def test_scripts_may_start_in_any_order(context: Context) -> None:
    """The documented style: addresses by hand, a thread for each, the last one first."""
    hub = Hub("hub", "inproc://pub", "inproc://end", previous="server", context=context)
    server = First(
        "server", "inproc://db", "inproc://pull", "inproc://pub", pipelined=True, context=context
    )
    threads = [threading.Thread(target=one.start) for one in (hub, server)]
    worker = lab.Worker("w", context=context)
    try:
        threads[0].start()
        while not hub.is_open:
            threads[0].join(0.01)
            assert threads[0].is_alive()
        worker.db_address = hub.bypass_components["Cache"].listen_to.address
        worker.launch()
        threads[1].start()
        client = lab.Client(
            "server", "inproc://db", sub_address="inproc://end", context=context, timeout=5
        )
        with client:
            assert client.eval("server.foo hub.echo", b"x") == b"first x"
    finally:
        for one in (worker, server, hub):
            one.stop()
        worker.join()
        worker.cleanup()
        for thread in threads:
            thread.join(5)
