"""Anybody's sockets: a watched pyzmq socket is recorded, and does what it did."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.asyncio
from builder import Build

import pylm_lab as lab
from pylm_lab.cli import main
from pylm_lab.errors import LabError, RunError, WiringError
from pylm_lab.hook import Hook, Port
from pylm_lab.trace import Recorder, Trace
from pylm_lab.watched import Watched
from pylm_lab.watching import let_go
from pylm_lab.witness import install

#: Milliseconds that a socket waits for what has to come.
SOON = 10_000


class Context(zmq.Context[zmq.Socket[bytes]]):
    """One whose sockets are there until it is destroyed, and do not wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[zmq.Socket[bytes]] = []

    def socket(self, *kind: Any, **options: Any) -> zmq.Socket[bytes]:
        socket = super().socket(*kind, **options)
        socket.rcvtimeo = socket.sndtimeo = SOON
        self.made.append(socket)
        return socket

    made: list[zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[Context]:
    """A context of the test's own, whose sockets are closed at its end."""
    context = Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def make(context: Context) -> Callable[..., Watched]:
    """A new watched socket."""

    def make(kind: int, name: str, **more: Any) -> Watched:
        return lab.watch(context.socket(kind), name=name, **more)

    return make


Make = Callable[..., Watched]


def crossed(trace: Trace) -> list[tuple[str, str, str]]:
    """From, to and payload of each hop."""
    return [(hop.source, hop.target, trace.events[hop.begins].excerpt) for hop in trace.hops]


def closed(*sockets: Watched) -> Trace:
    """The trace once these are closed."""
    for socket in sockets:
        socket.close(linger=0)
    return sockets[0].trace


def whats(trace: Trace, *wanted: str) -> list[tuple[str, str, str]]:
    """What happened besides hops, where, and what is told of it."""
    return [(e.what, e.port or e.actor, e.text) for e in trace.events if e.what in wanted]


# ------------------------------------------------------------------------------------- what is told


def test_a_question_and_its_answer_are_two_hops(make: Make) -> None:
    asker, server = make(zmq.REQ, "asker"), make(zmq.REP, "server")
    server.bind("inproc://here")
    asker.connect("inproc://here")
    asker.send(b"hello")
    assert server.recv() == b"hello"
    server.send(b"world")
    assert asker.recv() == b"world"
    trace = closed(asker, server)
    assert crossed(trace) == [("asker", "server", "hello"), ("server", "asker", "world")]
    assert [(actor.id, actor.role) for actor in trace.actors] == [
        ("asker", "program"),
        ("server", "program"),
    ]
    assert [(port.id, port.socket, port.binds) for port in trace.ports] == [
        ("server:rep", "REP", True),
        ("asker:req", "REQ", False),
    ]
    assert trace.check() == []
    assert trace.wiring.number_of_edges() == 2
    assert trace.graph.number_of_edges() == 2
    assert "hello" in repr(trace)
    assert "2 hops" in repr(trace)


def test_a_question_leads_to_its_answer(make: Make) -> None:
    server, one, other = make(zmq.REP, "server"), make(zmq.REQ, "one"), make(zmq.REQ, "other")
    server.bind("inproc://here")
    for asker in (one, other):
        asker.connect("inproc://here")
        asker.send(b"hello")
    for _ in range(2):
        server.send(server.recv())
    for asker in (one, other):
        asker.recv()
    trace = closed(one, other, server)
    graph = trace.message_graph
    ends = [[(trace.hops[n].source, trace.hops[n].target) for n in edge] for edge in graph.edges()]
    assert ends == [
        [("one", "server"), ("server", "one")],
        [("other", "server"), ("server", "other")],
    ]


def test_what_happens_is_told_in_its_order(make: Make) -> None:
    push, pull = make(zmq.PUSH, "push"), make(zmq.PULL, "pull")
    pull.bind("inproc://here")
    push.connect("inproc://here")
    push.send(b"one")
    pull.recv()
    push.disconnect("inproc://here")
    pull.unbind("inproc://here")
    trace = closed(push, pull)
    assert [(event.what, event.actor, event.text) for event in trace.events] == [
        ("start", "push", ""),
        ("start", "pull", ""),
        ("bind", "pull", "inproc://here"),
        ("connect", "push", "inproc://here"),
        ("send", "push", ""),
        ("receive", "pull", ""),
        ("disconnect", "push", "inproc://here"),
        ("disconnect", "pull", "inproc://here"),
        ("stop", "push", ""),
        ("stop", "pull", ""),
    ]


def test_each_of_two_workers_gets_what_it_got(make: Make) -> None:
    push = make(zmq.PUSH, "dealer")
    push.bind("inproc://work")
    workers = [make(zmq.PULL, f"worker{n}") for n in (1, 2)]
    for worker in workers:
        worker.connect("inproc://work")
    for n in range(10):
        push.send(b"task %d" % n)
    # The later worker reads first: neither order nor time tells what it has got.
    got = {(f"worker{n}", workers[n - 1].recv().decode()) for n in (2, 1) for _ in range(5)}
    trace = closed(push, *workers)
    assert {(target, payload) for _, target, payload in crossed(trace)} == got
    assert len(got) == 10
    assert trace.check() == []


def test_what_a_subscriber_missed_is_named(make: Make) -> None:
    publisher, subscriber = make(zmq.PUB, "weather"), make(zmq.SUB, "listener")
    publisher.bind("tcp://127.0.0.1:*")
    subscriber.subscribe(b"rain")
    publisher.send(b"rain at noon")  # nobody is connected yet
    publisher.send(b"sun at noon")  # nobody wants it
    subscriber.connect(publisher.last_endpoint)
    while not subscriber.poll(5):
        publisher.send(b"rain at night")
    subscriber.recv()
    while subscriber.poll(5):
        subscriber.recv()
    trace = closed(publisher, subscriber)
    lost = [str(finding) for finding in trace.check()]
    assert len(lost) == 1
    assert "sent by weather and never received" in lost[0]
    missed = [hop for hop in trace.hops if hop.received is None]
    told = {trace.events[hop.begins].excerpt: hop.target for hop in missed}
    assert told["rain at noon"] == "listener"
    assert told["sun at noon"] == ""


def test_what_a_slow_subscriber_has_no_room_for_is_named(make: Make) -> None:
    publisher, subscriber = make(zmq.XPUB, "fast"), make(zmq.SUB, "slow")
    publisher.sndhwm = subscriber.rcvhwm = 2
    publisher.bind("inproc://news")
    subscriber.connect("inproc://news")
    subscriber.subscribe("")
    assert publisher.recv() == b"\1"
    for n in range(10):
        publisher.send(b"news %d" % n)
    count = 0
    while subscriber.poll(0):
        subscriber.recv()
        count += 1
    assert 0 < count < 10
    trace = closed(publisher, subscriber)
    assert whats(trace, "seen") == [("seen", "fast:xpub", "")]
    (finding,) = trace.check()
    assert len(finding.hops) == 10 - count
    assert "between fast and slow" in str(finding)


def test_what_is_not_read_when_its_reader_ends_is_named(make: Make) -> None:
    push, pull = make(zmq.PUSH, "push"), make(zmq.PULL, "pull")
    pull.bind("inproc://here")
    push.connect("inproc://here")
    push.send(b"one")
    push.send(b"two")
    pull.recv()
    assert push.trace.check() == []  # it may be read yet
    (finding,) = closed(push, pull).check()
    assert str(finding) == (
        "A message without an id was sent by push and never received: it is lost between push and"
        " pull."
    )


def test_a_question_that_is_never_answered_is_named(make: Make) -> None:
    asker, server = make(zmq.REQ, "asker"), make(zmq.REP, "server")
    server.bind("inproc://here")
    asker.connect("inproc://here")
    asker.send(b"hello")
    server.recv()
    asker.rcvtimeo = 300
    with pytest.raises(zmq.Again):
        asker.recv()
    (finding,) = closed(asker, server).check()
    assert "asker" in str(finding)
    assert "server" in str(finding)
    assert "answer" in str(finding)


def test_questions_pass_through_a_broker(make: Make) -> None:
    """ROUTER and DEALER between REQ and REP, in a thread of its own."""
    front, back = make(zmq.ROUTER, "broker"), make(zmq.DEALER, "broker")
    front.bind("inproc://front")
    back.bind("inproc://back")
    askers = [make(zmq.REQ, f"asker{n}") for n in (1, 2)]
    servers = [make(zmq.REP, f"server{n}") for n in (1, 2)]
    for asker in askers:
        asker.connect("inproc://front")
    for server in servers:
        server.connect("inproc://back")

    def broker() -> None:
        poller = zmq.Poller()
        poller.register(front, zmq.POLLIN)
        poller.register(back, zmq.POLLIN)
        left = 4
        while left:
            for socket, _ in poller.poll(SOON):
                other = back if socket is front else front
                other.send_multipart(socket.recv_multipart())
                left -= 1

    thread = threading.Thread(target=broker)
    thread.start()
    for n, asker in enumerate(askers):
        asker.send_string(f"question {n}")
    for server in servers:
        question = server.recv_string()
        server.send_string(f"answer to {question}")
    for n, asker in enumerate(askers):
        assert asker.recv_string() == f"answer to question {n}"
    thread.join(10)
    trace = closed(front, back, *askers, *servers)
    assert [port.id for port in trace.ports if port.actor == "broker"] == [
        "broker:router",
        "broker:dealer",
    ]
    assert len(trace.hops) == 8
    assert all(hop.source and hop.target and hop.received is not None for hop in trace.hops)
    assert Counter(hop.target for hop in trace.hops)["broker"] == 4
    assert trace.check() == []


def test_a_receive_that_waits_in_its_thread_is_told_when_something_comes(make: Make) -> None:
    server, asker = make(zmq.REP, "server"), make(zmq.REQ, "asker")
    server.bind("inproc://here")
    asker.connect("inproc://here")

    def serve() -> None:
        for _ in range(3):
            server.send(b"re: " + server.recv())

    thread = threading.Thread(target=serve)
    thread.start()
    for n in range(3):
        asker.send(b"%d" % n)
        assert asker.recv() == b"re: %d" % n
    thread.join(10)
    trace = closed(asker, server)
    assert len(trace.hops) == 6
    assert trace.check() == []


def test_each_answer_goes_to_who_asked_where_all_say_the_same(make: Make) -> None:
    server = make(zmq.REP, "server")
    server.bind("inproc://here")

    def ask(name: str) -> None:
        with make(zmq.REQ, name) as asker:
            asker.connect("inproc://here")
            for _ in range(25):
                asker.send(b"hello")
                asker.recv()

    threads = [threading.Thread(target=ask, args=(f"asker{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        server.recv()
        server.send(b"world")
    for thread in threads:
        thread.join(10)
    trace = closed(server)
    turns = [
        hop.source if hop.target == "server" else hop.target
        for hop in sorted(trace.hops, key=lambda hop: at_server(hop.sent, hop.received, hop.source))
    ]
    assert len(turns) == 200
    assert turns[::2] == turns[1::2]
    assert trace.check() == []


def at_server(sent: int | None, received: int | None, source: str) -> int:
    """When it was at the server."""
    assert sent is not None
    assert received is not None
    return sent if source == "server" else received


def test_who_was_answered_before_has_not_asked_what_came_later() -> None:
    build = Build()
    both: dict[str, Any] = {"sends": "message", "receives": "message"}
    build.actor("server", "program").actor("one", "program").actor("two", "program")
    build.port("server:rep", "REP", "inproc://here", binds=True, **both)
    build.port("one:req", "REQ", "inproc://here", **both)
    build.port("two:req", "REQ", "inproc://here", **both)
    # Somebody who is not recorded answers the first.
    build.send("one:req", b"hello").receive("one:req", b"world")
    build.cross("two:req", "server:rep", b"hello").cross("server:rep", "two:req", b"world")
    assert [hop.link for hop in build.trace.hops if hop.received is not None] == [
        ("", "one"),
        ("two", "server"),
        ("server", "two"),
    ]


@pytest.mark.parametrize(
    "subscribe",
    [
        lambda sub: sub.subscribe("news"),
        lambda sub: sub.subscribe(b"news"),
        lambda sub: sub.setsockopt(zmq.SUBSCRIBE, b"news"),
        lambda sub: sub.set(zmq.SUBSCRIBE, b"news"),
        lambda sub: sub.setsockopt_string(zmq.SUBSCRIBE, "news"),
        lambda sub: sub.set_string(zmq.SUBSCRIBE, "news"),
        lambda sub: setattr(sub, "subscribe", "news"),
    ],
)
def test_every_way_to_subscribe_is_told(make: Make, subscribe: Callable[[Watched], None]) -> None:
    subscriber = make(zmq.SUB, "sub")
    subscribe(subscriber)
    subscriber.unsubscribe("news")
    trace = closed(subscriber)
    assert whats(trace, "subscribe", "unsubscribe") == [
        ("subscribe", "sub:sub", "news"),
        ("unsubscribe", "sub:sub", "news"),
    ]


def test_subscriptions_of_raw_frames_are_told_as_subscriptions(make: Make) -> None:
    publisher, subscriber = make(zmq.XPUB, "pub"), make(zmq.XSUB, "sub")
    publisher.bind("inproc://news")
    subscriber.connect("inproc://news")
    subscriber.send(b"\1news")
    assert publisher.recv() == b"\1news"
    publisher.send_multipart([b"news", b"of today"])
    assert subscriber.recv_multipart() == [b"news", b"of today"]
    subscriber.send(b"\0news")
    assert publisher.recv() == b"\0news"
    trace = closed(publisher, subscriber)
    told = whats(trace, "subscribe", "seen", "unsubscribe", "unseen")
    assert [what for what, _, _ in told] == ["subscribe", "seen", "unsubscribe", "unseen"]
    assert crossed(trace) == [("pub", "sub", "of today")]
    assert trace.check() == []


def test_frames_that_are_sent_one_by_one_are_one_message(make: Make) -> None:
    push, pull = make(zmq.PUSH, "push"), make(zmq.PULL, "pull")
    pull.bind("inproc://here")
    push.connect("inproc://here")
    push.send(b"a", zmq.SNDMORE)
    push.send(b"bc", flags=zmq.SNDMORE)
    push.send(b"def")
    assert [pull.recv(), pull.recv(), pull.recv()] == [b"a", b"bc", b"def"]
    trace = closed(push, pull)
    assert [event.sizes for event in trace.events if event.what in ("send", "receive")] == [
        (1, 2, 3),
        (1, 2, 3),
    ]


def test_every_way_to_send_and_to_receive_is_told(make: Make) -> None:
    one, other = make(zmq.PAIR, "one"), make(zmq.PAIR, "other")
    other.bind("inproc://here")
    one.connect("inproc://here")
    room = bytearray(10)
    ways: list[tuple[Callable[[], Any], Callable[[], Any], Any]] = [
        (lambda: one.send(memoryview(b"view")), other.recv, b"view"),
        (lambda: one.send(bytearray(b"array")), other.recv, b"array"),
        (lambda: one.send(zmq.Frame(b"frame")), lambda: bytes(other.recv(copy=False)), b"frame"),
        (lambda: one.send(b"x", copy=False), lambda: other.recv(0, False).bytes, b"x"),
        (lambda: one.send_string("ü"), other.recv_string, "ü"),
        (lambda: one.send_json({"a": 1}), other.recv_json, {"a": 1}),
        (lambda: one.send_pyobj((1, 2)), other.recv_pyobj, (1, 2)),
        (lambda: one.send_multipart([b"a", b"b"]), other.recv_multipart, [b"a", b"b"]),
        (
            lambda: one.send_multipart([b"a", b"b"], copy=False),
            lambda: [frame.bytes for frame in other.recv_multipart(copy=False)],
            [b"a", b"b"],
        ),
        (
            lambda: one.send_serialized("s", lambda s: [s.encode()]),
            lambda: other.recv_serialized(lambda frames: frames[0].decode()),
            "s",
        ),
    ]
    if hasattr(zmq.Socket, "recv_into"):
        ways.append((lambda: one.send(b"into"), lambda: other.recv_into(room), 4))
    for send, receive, expected in ways:
        send()
        assert receive() == expected
    trace = closed(one, other)
    assert len(trace.hops) == len(ways)
    assert all(hop.received is not None for hop in trace.hops)
    assert trace.check() == []


def test_what_asyncio_awaits_is_told() -> None:
    async def talk() -> Trace:
        context = zmq.asyncio.Context()
        asker: Any = lab.watch(context.socket(zmq.DEALER), name="asker")
        server: Any = lab.watch(context.socket(zmq.ROUTER), name="server")
        assert zmq.asyncio.Socket in type(asker).__mro__
        server.bind("inproc://here")
        asker.connect("inproc://here")
        coming = asyncio.ensure_future(server.recv_multipart())
        await asyncio.wait_for(asker.send_multipart([b"", b"hello"]), 10)
        await asyncio.wait_for(server.send_multipart(await asyncio.wait_for(coming, 10)), 10)
        assert await asyncio.wait_for(asker.recv_multipart(), 10) == [b"", b"hello"]
        waiting = asyncio.ensure_future(asker.recv())
        await asyncio.sleep(0)  # it begins to wait, and is given up
        waiting.cancel()
        asker.close(linger=0)
        server.close(linger=0)
        context.term()
        trace: Trace = asker.trace
        return trace

    trace = asyncio.run(talk())
    assert crossed(trace) == [("asker", "server", "hello"), ("server", "asker", "hello")]
    assert trace.check() == []


# ------------------------------------------------------------------------------- nothing is changed


def test_the_socket_stays_the_object_that_it_was(
    context: Context,
) -> None:
    socket = context.socket(zmq.PULL)
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    watched = lab.watch(socket, name="pull")
    assert watched is socket
    assert isinstance(socket, zmq.Socket)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    with context.socket(zmq.PUSH) as push, push.connect(f"tcp://127.0.0.1:{port}"):
        push.send(b"x")
        assert dict(poller.poll(SOON)) == {socket: zmq.POLLIN}
        assert zmq.select([socket], [], [], 10)[0] == [socket]
        assert socket.poll(SOON) == zmq.POLLIN
        assert socket.recv() == b"x"
    # An option that was set is still one, and one that there is not is none.
    socket.rcvhwm = 7
    assert socket.rcvhwm == socket.getsockopt(zmq.RCVHWM) == 7
    with pytest.raises(AttributeError, match="no such option"):
        socket.rcvhwmm = 7
    trace = watched.trace
    assert [(hop.source, hop.target) for hop in trace.hops] == [("", "pull")]
    assert trace.check() == []


@pytest.mark.parametrize("payload", [b"", b"\0", b"x" * 100_000, b"\x12\x06client", b"\xff\xfe"])
def test_no_byte_that_is_sent_is_another(context: Context, make: Make, payload: bytes) -> None:
    push = make(zmq.PUSH, "push")
    with context.socket(zmq.PULL) as plain:
        plain.bind("inproc://here")
        push.connect("inproc://here")
        push.send(payload)
        assert plain.recv() == payload
        assert not plain.getsockopt(zmq.RCVMORE)


def test_what_was_not_sent_or_received_is_not_told(make: Make) -> None:
    push, pull = make(zmq.PUSH, "push"), make(zmq.PULL, "pull")
    pull.bind("inproc://here")
    with pytest.raises(zmq.Again):
        pull.recv(zmq.NOBLOCK)
    with pytest.raises(zmq.Again):
        pull.recv_multipart(zmq.NOBLOCK)
    pull.rcvtimeo = push.sndtimeo = 1
    with pytest.raises(zmq.Again):
        pull.recv()
    with pytest.raises(zmq.Again):
        push.send(b"nobody is connected", zmq.NOBLOCK)
    with pytest.raises(zmq.Again):
        push.send_multipart([b"nobody", b"is connected"])
    assert pull.poll(0) == 0
    push.connect("inproc://here")
    push.send(b"x")
    assert pull.recv(zmq.NOBLOCK) == b"x"
    assert crossed(closed(push, pull)) == [("push", "pull", "x")]


def test_errors_are_what_they_were(make: Make) -> None:
    asker, server = make(zmq.REQ, "asker"), make(zmq.REP, "server")
    server.bind("inproc://here")
    asker.connect("inproc://here")
    with pytest.raises(zmq.ZMQError) as order:
        asker.recv()
    assert order.value.errno == zmq.EFSM
    with pytest.raises(TypeError):
        asker.send("text")
    with pytest.raises(TypeError, match="Frame 1"):
        asker.send_multipart([b"a", 1])  # type: ignore[list-item]
    with pytest.raises(zmq.ZMQError) as taken:
        asker.bind("inproc://here")
    assert taken.value.errno == zmq.EADDRINUSE
    with pytest.raises(zmq.ZMQError):
        asker.connect("nowhere")
    with pytest.raises(zmq.ZMQError):
        server.unbind("inproc://there")
    asker.send(b"hello")
    assert server.recv() == b"hello"
    assert whats(asker.trace, "bind", "connect", "disconnect") == [
        ("bind", "server:rep", "inproc://here"),
        ("connect", "asker:req", "inproc://here"),
    ]
    assert len(asker.trace.hops) == 1


@pytest.mark.may_leak(
    "threads", "descriptors", "sockets", reason="what pyzmq collects with outlives every message"
)
def test_a_tracked_message_has_its_tracker(make: Make) -> None:
    push, pull = make(zmq.PUSH, "push"), make(zmq.PULL, "pull")
    pull.bind("inproc://here")
    push.connect("inproc://here")
    push.copy_threshold = 0
    tracker = push.send(b"x" * 1000, copy=False, track=True)
    assert isinstance(tracker, zmq.MessageTracker)
    assert pull.recv() == b"x" * 1000
    tracker.wait(10)


def test_a_hook_that_fails_does_not_disturb(make: Make) -> None:
    class Broken(Hook):
        def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
            raise ValueError(port)

    broken = Broken()
    push, pull = make(zmq.PUSH, "push", into=broken), make(zmq.PULL, "pull")
    pull.bind("inproc://here")
    push.connect("inproc://here")
    push.send(b"x")
    assert pull.recv() == b"x"
    assert isinstance(broken.failed, ValueError)


def test_a_socket_of_somebodys_own_class_is_told_as_it_is_on_the_wire(
    context: Context, make: Make
) -> None:
    class Shouting(zmq.Socket[bytes]):
        def send(self, data: Any, *more: Any, **options: Any) -> Any:
            return super().send(data.upper(), *more, **options)

        def recv(self, *how: Any, **options: Any) -> Any:
            return super().recv(*how, **options).decode()

    pair = lab.watch(Shouting(context, zmq.PAIR), name="shouting")
    plain = make(zmq.PAIR, "plain")
    assert isinstance(pair, Shouting)
    plain.bind("inproc://here")
    pair.connect("inproc://here")
    pair.send(b"hello")
    plain.send(plain.recv())
    assert pair.recv() == "HELLO"
    assert crossed(closed(pair, plain)) == [
        ("shouting", "plain", "HELLO"),
        ("plain", "shouting", "HELLO"),
    ]


# --------------------------------------------------------------------------------- which record


def test_sockets_of_one_context_share_a_record_and_of_two_do_not(make: Make) -> None:
    one, two = make(zmq.PUSH, "one"), make(zmq.PUSH, "two")
    with zmq.Context() as other, other.socket(zmq.PULL) as socket:
        third = lab.watch(socket, name="three")
        assert [actor.id for actor in third.trace.actors] == ["three"]
    assert one.trace is two.trace
    assert [actor.id for actor in one.trace.actors] == ["one", "two"]


def test_a_record_begins_anew_when_all_are_closed(make: Make) -> None:
    """A cell of a notebook that runs twice tells of its own run."""
    first, second = make(zmq.PUSH, "one"), make(zmq.PULL, "two")
    first.close()
    third = make(zmq.PULL, "three")
    assert [actor.id for actor in first.trace.actors] == ["one", "two", "three"]
    second.close()
    third.close()
    again = make(zmq.PUSH, "one")
    assert [actor.id for actor in again.trace.actors] == ["one"]
    assert len(first.trace.actors) == 3


def test_sockets_of_two_contexts_go_into_one_recorder(make: Make) -> None:
    recorder = Recorder()
    pull = make(zmq.PULL, "pull", into=recorder)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    with zmq.Context() as other, other.socket(zmq.PUSH) as socket:
        push = lab.watch(socket, "push", into=recorder)
        push.connect(f"tcp://localhost:{port}")
        push.send(b"x")
        assert pull.recv() == b"x"
    pull.close()
    trace = recorder.trace
    assert pull.trace is trace
    assert crossed(trace) == [("push", "pull", "x")]
    assert trace.check() == []


def test_sockets_of_one_name_are_ports_of_one_actor(make: Make) -> None:
    sockets = [make(kind, "hub") for kind in (zmq.PULL, zmq.PUB, zmq.PULL)]
    for n, socket in enumerate(sockets):
        socket.bind(f"inproc://{n}")
    trace = closed(*sockets)
    assert [actor.id for actor in trace.actors] == ["hub"]
    assert [port.id for port in trace.ports] == ["hub:pull", "hub:pub", "hub:pull2"]
    assert whats(trace, "start", "stop") == [("start", "hub", ""), ("stop", "hub", "")]


def test_threads_of_one_name_do_not_mix_up_what_they_did(make: Make) -> None:
    many = 3_000
    pairs = [(make(zmq.PUSH, "program"), make(zmq.PULL, "program"), b"%d" % n) for n in range(4)]
    for push, pull, _ in pairs:
        address = f"inproc://{pull.fileno()}"
        pull.bind(address)
        push.connect(address)

    def work(push: Watched, pull: Watched, word: bytes) -> None:
        for _ in range(many):
            push.send_multipart([word] * int(word) + [b"is", word])
            pull.recv_multipart()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    trace = pairs[0][0].trace
    said = {
        port: {
            (event.excerpt, event.what)
            for event in trace.events
            if event.port == port and event.kind
        }
        for port in {event.port for event in trace.events if event.kind}
    }
    assert sorted(map(sorted, said.values())) == sorted(
        [(f"{n}", what)] for n in range(4) for what in ("receive", "send")
    )


def test_a_hook_without_a_trace_says_so(make: Make) -> None:
    hook = Hook()
    socket = make(zmq.PUSH, "push", into=hook)
    with pytest.raises(RunError, match="keeps no trace"):
        _ = socket.trace


def test_what_is_installed_for_the_process_hears(make: Make) -> None:
    heard: list[Recorder] = []

    def factory(**about: Any) -> Hook:
        heard.append(Recorder(**about))
        return heard[-1]

    install(factory)
    try:
        push, pull = make(zmq.PUSH, "push"), make(zmq.PULL, "pull")
        pull.bind("inproc://here")
        push.connect("inproc://here")
        push.send(b"x")
        pull.recv()
        trace = closed(push, pull)
    finally:
        install(None)
    assert [crossed(recorder.trace) for recorder in heard] == [[("push", "pull", "x")]]
    assert [event.what for event in heard[0].trace.events] == [e.what for e in trace.events]
    assert make(zmq.PUSH, "push").trace.events
    assert len(heard) == 1


ASKS = """
import sys, zmq, pylm_lab as lab
with zmq.Context() as context, lab.watch(context.socket(zmq.REQ), name="asker") as asker:
    asker.connect(sys.argv[1])
    for n in range(3):
        asker.send(b"%d" % n)
        asker.recv()
"""
ANSWERS = """
import sys, zmq, pylm_lab as lab
with zmq.Context() as context, lab.watch(context.socket(zmq.REP), name="server") as server:
    server.bind("tcp://127.0.0.1:*")
    print(server.last_endpoint.decode(), flush=True)
    for n in range(3):
        server.send(b"re: " + server.recv())
"""


def test_two_processes_are_one_trace_once_they_are_merged(tmp_path: Path) -> None:
    records = tmp_path / "records"
    environment = {**os.environ, "PYLM_LAB_TRACE": str(records)}
    python = [sys.executable, "-c"]
    with subprocess.Popen([*python, ANSWERS], env=environment, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        address = server.stdout.readline().decode().strip()
        subprocess.run([*python, ASKS, address], env=environment, check=True, timeout=60)
        assert server.wait(60) == 0
    merged = tmp_path / "merged.jsonl"
    assert main(["merge", str(records), "-o", str(merged)]) == 0
    trace = Trace.load(merged)
    assert crossed(trace) == [
        hop
        for n in range(3)
        for hop in (("asker", "server", f"{n}"), ("server", "asker", f"re: {n}"))
    ]
    assert trace.check() == []


# ----------------------------------------------------------------------------- watched late, twice


def test_where_a_socket_was_before_is_told(context: Context) -> None:
    push, one, two = (context.socket(kind) for kind in (zmq.PUSH, zmq.PULL, zmq.PULL))
    push.bind("inproc://work")
    for worker in (one, two):
        worker.rcvtimeo = SOON
        worker.connect("inproc://work")
    for n, socket in enumerate((push, one, two)):
        lab.watch(socket, name=f"program{n}")
    for n in range(2):
        push.send(b"%d" % n)
    got = [one.recv(), two.recv()]
    trace = lab.watch(push, name="program0").trace
    assert crossed(trace) == [("program0", "program1", "0"), ("program0", "program2", "1")]
    assert got == [b"0", b"1"]


def test_a_socket_is_watched_once(make: Make) -> None:
    socket = make(zmq.PUSH, "push")
    assert lab.watch(socket, name="push") is socket
    assert type(socket) is Watched
    with pytest.raises(RunError, match="watched already, as 'push'"):
        lab.watch(socket, name="other")
    with pytest.raises(RunError, match="one record"):
        lab.watch(socket, name="push", into=Recorder())
    assert whats(socket.trace, "start") == [("start", "push", "")]


def test_a_socket_may_be_closed_twice(make: Make) -> None:
    with make(zmq.PULL, "pull") as socket:
        socket.bind("inproc://here")
        socket.close()
        socket.close(linger=0)
    assert whats(socket.trace, "disconnect", "stop") == [
        ("disconnect", "pull:pull", "inproc://here"),
        ("stop", "pull", ""),
    ]
    with pytest.raises(zmq.ZMQError):
        socket.recv()


def test_an_actor_ends_with_the_last_of_its_sockets(make: Make) -> None:
    one, other = make(zmq.PULL, "hub"), make(zmq.PULL, "hub")
    one.close()
    one.close()
    assert whats(one.trace, "stop") == []
    other.close()
    assert whats(one.trace, "stop") == [("stop", "hub", "")]


def test_what_the_context_closes_is_told(make: Make) -> None:
    socket = make(zmq.PULL, "pull")
    socket.context.destroy(linger=0)
    assert socket.closed
    assert whats(socket.trace, "stop") == [("stop", "pull", "")]


def test_a_copy_is_watched_with_its_original(make: Make) -> None:
    push, pull = make(zmq.PUSH, "push"), make(zmq.PULL, "pull")
    pull.bind("inproc://here")
    push.connect("inproc://here")
    copy.copy(push).send(b"x")
    assert pull.recv() == b"x"
    assert crossed(closed(push, pull)) == [("push", "pull", "x")]


def test_another_of_its_class_is_not_watched(make: Make) -> None:
    socket = make(zmq.PUSH, "push")
    with type(socket)(socket.context, zmq.PULL) as other:
        other.bind("inproc://here")
        with pytest.raises(RunError, match="not watched"):
            _ = other.trace


# -------------------------------------------------------------------------------- what is no socket


def test_what_is_no_socket_is_one_clear_error(context: Context) -> None:
    socket = context.socket(zmq.PUSH)
    with pytest.raises(WiringError, match=r"'tcp://\*:5555'.*no pyzmq socket"):
        lab.watch("tcp://*:5555", name="x")  # type: ignore[arg-type]
    with pytest.raises(WiringError, match="attach"):
        lab.watch(lab.Master("server"), name="x")  # type: ignore[arg-type]
    with pytest.raises(WiringError, match="name=''"):
        lab.watch(socket, name="")
    with pytest.raises(WiringError, match="name=3"):
        lab.watch(socket, name=3)  # type: ignore[arg-type]
    with pytest.raises(WiringError, match=r"into=.*Recorder\(\)"):
        lab.watch(socket, name="x", into=[])  # type: ignore[arg-type]
    assert type(socket) is zmq.Socket
    socket.close()
    with pytest.raises(WiringError, match="closed"):
        lab.watch(socket, name="x")


def test_what_has_no_server_can_not_be_drawn_and_says_what_can(make: Make, tmp_path: Path) -> None:
    socket = make(zmq.PUSH, "push")
    with pytest.raises(LabError, match=r"trace\.spacetime\(\).*trace\.export\(\"mermaid\"\)"):
        lab.draw(socket.trace)
    # The player has a list of events, and needs no server for that.
    assert "push" in lab.play(socket.trace).save(tmp_path / "x.html").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------- nothing is left


def test_sockets_that_are_let_go_are_plain_again(make: Make) -> None:
    recorder = Recorder()
    push, pull = make(zmq.PUSH, "push", into=recorder), make(zmq.PULL, "pull", into=recorder)
    pull.bind("inproc://here")
    push.connect("inproc://here")
    push.send(b"x")
    before = len(recorder.trace.events)
    let_go(recorder)
    let_go(recorder)
    assert type(push) is type(pull) is zmq.Socket
    assert pull.recv() == b"x"
    assert len(recorder.trace.events) == before
    assert lab.watch(push, name="another") is push


def test_no_record_outlives_its_sockets(context: Context, make: Make) -> None:
    push = make(zmq.PUSH, "push")
    record = weakref.ref(vars(push)["_end"].record)
    push.close()
    del push
    make(zmq.PULL, "pull")  # the context has another record now
    del context.made[0]
    gc.collect()
    assert record() is None
