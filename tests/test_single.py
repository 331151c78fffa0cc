"""Servers that run their own functions: Server, Pipeline, Sink; hubs; functions that are passed."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import zmq

import pylm_lab as lab
from pylm_lab.errors import WiringError
from pylm_lab.parts.connections import SubConnection
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    PushService,
    RepBypassService,
)
from pylm_lab.servers import Hub, Pipeline, Server, Sink

Context = zmq.Context[zmq.Socket[bytes]]
TOPIC = "c" * 16


@pytest.fixture
def context() -> Iterator[Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


def plug(context: Context, kind: int, address: str, *topics: bytes) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.rcvtimeo = socket.sndtimeo = 2000
    for topic in topics:
        socket.subscribe(topic)
    socket.connect(address)
    return socket


def message(payload: bytes, function: str, stage: int = 0) -> bytes:
    told = PalmMessage(client=TOPIC, cache="k", function=function, payload=payload, stage=stage)
    return told.SerializeToString()


class Shouting(Server):
    """What the tests call."""

    def shout(self, payload: bytes) -> bytes:
        return payload.upper() + b" " + self.message.client[:1].encode()

    def fail(self, payload: bytes) -> bytes:
        raise ValueError("no")

    def remember(self, payload: bytes) -> bytes:
        return (self.cache.get("before") or b"") + payload


def test_a_server_runs_its_own_functions_for_plain_sockets(context: Context) -> None:
    server = Shouting("server", "inproc://db", "inproc://pull", "inproc://pub", context=context)
    server.preset_cache(before="> ")
    with (
        server,
        plug(context, zmq.SUB, "inproc://pub", TOPIC.encode()) as sub,
        plug(context, zmq.PUSH, "inproc://pull") as push,
    ):
        answers = []
        for function in ("server.shout", "server.remember", "server.echo", "server.fail", "x.echo"):
            push.send(message(b"hey", function))
            topic, data = sub.recv_multipart()
            assert topic == TOPIC.encode()
            answers.append(PalmMessage.FromString(data))
    assert [one.payload for one in answers] == [b"HEY c", b"> hey", b"hey", b"0", b"0"]
    assert [one.stage for one in answers] == [0] * 5
    assert [one.error.kind for one in answers] == ["", "", "", "ValueError", "WrongServer"]


def test_what_the_library_defines_on_a_server_can_not_be_called() -> None:
    server = Shouting("server")
    refused = {n for n in dir(server) if n not in ("echo", "shout", "fail", "remember")}
    assert {"start", "stop", "cache", "handle_stream", "register_inbound"} <= refused
    assert [name for name in sorted(refused) if server.function(name) is not None] == []


@pytest.mark.parametrize("seed", [None, 1])
def test_a_function_that_runs_is_told_by_waiting(seed: int | None) -> None:
    seen: list[str] = []

    class Asking(Server):
        def foo(self, payload: bytes) -> bytes:
            seen.append(str(cluster.waiting()))
            return payload

    with lab.Cluster(seed) as cluster:
        cluster.add(Asking("server"))
        cluster.client("server").eval("server.foo", b"")
    assert "Pub waits for its function foo to return" in seen[0]


@pytest.mark.parametrize("schedule", ["free", "stepped"])
def test_a_function_that_waits_itself_is_told_once(schedule: Any) -> None:
    class Sleepy(Server):
        def foo(self, payload: bytes) -> bytes:
            self.clock.sleep(0.2)
            return payload

    with lab.Cluster(schedule=schedule) as cluster:
        cluster.add(Sleepy("server"))
        client = cluster.client("server")
        task = cluster.start(client.eval, "server.foo", b"x")
        found = ""
        while "its time" not in found and not task.done:
            found = str(cluster.waiting())
            if schedule == "stepped":
                cluster.step()
        if schedule == "stepped":
            cluster.run()
        assert "server.Pub waits for its time" in found
        assert task.result() == b"x"


def test_a_server_ends_after_its_messages_and_its_cache_after_its_own(context: Context) -> None:
    server = Server(
        "server", "inproc://db", "inproc://pull", "inproc://pub", messages=2, context=context
    )
    ended: list[bytes] = []
    thread = threading.Thread(target=lambda: ended.append(server.start(cache_messages=1)))
    with (
        plug(context, zmq.SUB, "inproc://pub", TOPIC.encode()) as sub,
        plug(context, zmq.PUSH, "inproc://pull") as push,
        plug(context, zmq.REQ, "inproc://db") as req,
    ):
        thread.start()
        try:
            req.send(PalmMessage(function="server.get", payload=b"name").SerializeToString())
            assert req.recv() == b"server"
            server.bypass_components["Cache"].join(2)
            for text in (b"1", b"2"):
                push.send(message(text, "server.echo"))
                assert PalmMessage.FromString(sub.recv_multipart()[1]).payload == text
            thread.join(5)
            assert ended == [b"server"]
        finally:
            server.stop()
            thread.join(5)
    with pytest.raises(WiringError, match="messages=-1"):
        server.start(cache_messages=-1)


class Step(Pipeline):
    """A pipeline server that takes every payload but the empty one."""

    def foo(self, payload: bytes) -> bytes | None:
        return b"p" + payload if payload else None


@pytest.mark.parametrize(
    ("to_client", "topic", "stage"), [(True, TOPIC.encode(), 1), (False, b"pipe", 2)]
)
def test_a_pipeline_server_publishes_for_the_client_or_for_the_next(
    context: Context, to_client: bool, topic: bytes, stage: int
) -> None:
    with context.socket(zmq.XPUB) as pub:
        pub.rcvtimeo = 2000
        pub.bind("inproc://before")
        pipeline = Step(
            "pipe", "", "inproc://before", "inproc://pub", "first", to_client, context=context
        )
        with pipeline, plug(context, zmq.SUB, "inproc://pub", topic) as sub:
            assert pub.recv() == b"\1first"
            for text in (b"", b"1"):
                pub.send_multipart([b"first", message(text, "first.x pipe.foo", 1)])
            got, data = sub.recv_multipart()
    assert got == topic
    assert (PalmMessage.FromString(data).payload, PalmMessage.FromString(data).stage) == (
        b"p1",
        stage,
    )


def test_a_sink_wants_one_of_each_for_each_stream() -> None:
    sink = Sink("sink", "", ["inproc://a", "inproc://b"], "", ["one", "two"])
    subs = [part for part in sink.inbound_components.values() if isinstance(part, SubConnection)]
    assert [(s.name, s.listen_address, s.topic) for s in subs] == [
        ("Sub1", "inproc://a", b"one"),
        ("Sub2", "inproc://b", b"two"),
    ]
    with pytest.raises(
        WiringError, match=r"'sink' needs one of each .* not 2 sub_addresses, 1 pre"
    ):
        Sink("sink", "", ["inproc://a", "inproc://b"], "", ["one"])
    with pytest.raises(WiringError, match="previous='one' is one text"):
        Sink("sink", "", ["inproc://a"], "", "one")
    with pytest.raises(WiringError, match="'sink' joins nothing"):
        Sink("sink")


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (Server, "name db_address pull_address pub_address pipelined log_level messages"),
        (
            Pipeline,
            "name db_address sub_address pub_address previous to_client log_level messages",
        ),
        (
            Sink,
            "name db_address sub_addresses pub_address previous to_client log_level messages",
        ),
        (
            Hub,
            "name sub_address pub_address worker_pull_address worker_push_address db_address "
            "previous pipelined cache log_level",
        ),
    ],
)
def test_parameters_are_the_documented_ones_in_order(kind: type, parameters: str) -> None:
    told = inspect.signature(kind).parameters.values()
    assert [p.name for p in told if p.kind is p.POSITIONAL_OR_KEYWORD] == parameters.split()
    defaults = {p.name: p.default for p in told}
    assert defaults["log_level"] == logging.INFO
    assert defaults.get("to_client", True) is True
    assert defaults.get("pipelined", False) is False


# ------------------------------------------------------------------------ functions that are passed


def twice(message: PalmMessage) -> Iterable[PalmMessage]:
    """The same message two times."""
    return [message, message]


def run(server: ServerTemplate, messages: int, wanted: int) -> list[bytes]:
    with lab.Cluster(seed=1) as cluster:
        cluster.add(server)
        cluster.add(lab.Worker("worker", server=server.name))
        job = cluster.client(server.name).job("server.echo", [b"a"] * messages, messages=wanted)
        answers = list(job)
    assert cluster.trace.check() == []
    assert not [hop for hop in cluster.trace.hops if hop.lost]
    return answers


def test_a_master_takes_functions_in_place_of_its_methods() -> None:
    def gather(message: PalmMessage) -> list[PalmMessage] | None:
        seen.append(message)
        message.payload += b"!"
        return [message] if len(seen) > 1 else None

    def handle_stream(message: PalmMessage) -> tuple[str, PalmMessage]:
        message.payload += b"?"
        return message.client, message

    seen: list[PalmMessage] = []
    master = lab.Master("server", scatter=twice, gather=gather, handle_stream=handle_stream)
    assert run(master, 2, 3) == [b"a!?"] * 3  # of four, the first is not given on
    assert len(seen) == 4


def test_methods_that_are_overridden_do_the_same() -> None:
    class Mine(lab.Master):
        def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
            return twice(message)

        def gather(self, message: PalmMessage) -> Iterable[PalmMessage]:
            yield self.change_payload(message, b"b")

    assert run(Mine("server"), 1, 2) == [b"b", b"b"]
    assert run(lab.Master("server", scatter=twice), 1, 2) == [b"a", b"a"]


def test_the_method_under_an_overridden_handle_stream_knows_of_the_pipeline() -> None:
    class Mine(lab.Master):
        def handle_stream(self, message: PalmMessage) -> tuple[str, PalmMessage]:
            return super().handle_stream(message)

    given = PalmMessage(client=TOPIC, stage=1)
    topic, after = Mine("server", pipelined=True).handle_stream(given)
    assert (topic, after.stage, given.stage) == ("server", 2, 1)
    assert Mine("server").handle_stream(given) == (TOPIC, given)


def test_parts_take_functions_too() -> None:
    server = ServerTemplate(name="server")
    fed: list[bytes] = []
    server.register_inbound(
        PullService, "Pull", route="Pub", scatter=twice, handle_feedback=fed.append
    )
    server.register_outbound(
        PubService, "Pub", handle_stream=lambda m: (m.client, m), reply_feedback=lambda: b"seen"
    )
    server.register_bypass(CacheService, "Cache")
    with lab.Cluster(seed=1) as cluster:
        cluster.add(server)
        assert cluster.client("server").eval("server.x", b"a", messages=2) == [b"a", b"a"]
    assert len(fed) == 2


def test_a_function_that_does_not_fit_is_an_error_at_once() -> None:
    with pytest.raises(TypeError, match="PushService takes no handle_stream=: of functions it"):
        PushService("Push", "inproc://x", handle_stream=twice)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="scatter=3: pass a function"):
        PullService("Pull", "inproc://x", scatter=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="scatter"):
        RepBypassService("Rep", "inproc://x", scatter=twice)  # type: ignore[call-arg]
    wrong: Any = b"x"
    with pytest.raises(TypeError, match="gather=b'x': pass a function"):
        lab.Master("server", gather=wrong)
