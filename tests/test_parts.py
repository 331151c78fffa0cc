"""The parts, one by one: facing plain sockets, bad messages, and users' functions that fail."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
import zmq

from pylm_lab.hook import GAVE_NOTHING, Hook, Port
from pylm_lab.parts import publishing
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.publishing import HOLD_MESSAGES
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    PushService,
    WorkerPullService,
)
from pylm_lab.persistence.kv import DictDB
from pylm_lab.trace import Recorder
from pylm_lab.wire import READY, strip_stamp

Context = zmq.Context[zmq.Socket[bytes]]


class Drops(Hook):
    """Remembers why messages were dropped."""

    def __init__(self) -> None:
        self.causes: list[str] = []
        self.happened = threading.Event()

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        self.causes.append(cause)
        self.happened.set()


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


def message(payload: bytes, client: str = "c" * 16, cache: str = "k") -> bytes:
    return PalmMessage(client=client, cache=cache, payload=payload).SerializeToString()


def payload(data: bytes) -> bytes:
    return PalmMessage.FromString(data).payload


def a_server(context: Context, **options: object) -> ServerTemplate:
    return ServerTemplate(name="server", context=context, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [zmq.REP, zmq.ROUTER])
def test_an_inbound_part_works_with_a_plain_socket_in_the_router_s_place(
    context: Context, kind: int
) -> None:
    with context.socket(kind) as stranger:
        stranger.rcvtimeo = 2000
        stranger.bind("inproc://stranger")
        part = PullService("Pull", "inproc://pull", "inproc://stranger", context=context)
        with part, plug(context, zmq.PUSH, "inproc://pull") as push:
            for text in (b"1", b"2", b"3"):
                push.send(message(text))
            for text in (b"1", b"2", b"3"):
                frames = stranger.recv_multipart()
                assert payload(frames[-1]) == text
                assert frames[:-1] == ([] if kind == zmq.REP else [b"Pull", b""])
                assert not stranger.poll(20), "it did not wait for its acknowledgement"
                stranger.send_multipart([*frames[:-1], b"whatever"])


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.ROUTER])
def test_an_outbound_part_works_with_a_plain_socket_in_the_router_s_place(
    context: Context, kind: int
) -> None:
    with context.socket(kind) as stranger:
        stranger.rcvtimeo = 2000
        stranger.bind("inproc://stranger")
        part = PushService("Push", "inproc://push", "inproc://stranger", context=context)
        with part, plug(context, zmq.PULL, "inproc://push") as pull:
            stranger.get(zmq.EVENTS)
            for text in (b"1", b"2"):
                start = [] if kind == zmq.REQ else [b"Push", b""]
                stranger.send_multipart([*start, message(text)])
                assert payload(pull.recv()) == text
                assert stranger.recv_multipart() == [*start, b"1"]


def test_an_inbound_part_gives_a_message_without_one_an_id_and_a_worker_pull_does_not(
    context: Context,
) -> None:
    for kind, filled in ((PullService, True), (WorkerPullService, False)):
        server = a_server(context)
        server.register_inbound(kind, "In", "inproc://in", route="Out")
        server.register_outbound(PushService, "Out", "inproc://out")
        with (
            server,
            plug(context, zmq.PUSH, "inproc://in") as push,
            plug(context, zmq.PULL, "inproc://out") as pull,
        ):
            push.send(message(b"x", cache=""))
            assert bool(PalmMessage.FromString(pull.recv()).cache) is filled


def test_bytes_that_are_no_message_are_dropped_and_the_part_goes_on(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    drops = Drops()
    server = a_server(context).attach(drops)
    server.register_inbound(PullService, "In", "inproc://in", route="Out")
    server.register_outbound(PushService, "Out", "inproc://out")
    with (
        caplog.at_level(logging.ERROR, "pylm_lab"),
        server,
        plug(context, zmq.PUSH, "inproc://in") as push,
        plug(context, zmq.PULL, "inproc://out") as pull,
    ):
        push.send(b"\xff\xff\xff")
        push.send(message(b"fine"))
        assert payload(pull.recv()) == b"fine"
    assert drops.causes == ["it is no PALM message"]
    assert [r.getMessage() for r in caplog.records] == ["server.In: 3 bytes are no PALM message"]


class Splitting(PullService):
    """Makes as many messages as the payload says, and fails for what is no number."""

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        for position in range(int(message.payload)):
            message.payload = str(position).encode()
            yield message


def test_scatter_makes_none_one_or_many_and_an_error_is_that_message_s_trouble(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    drops = Drops()
    server = a_server(context, window=2).attach(drops)
    server.register_inbound(Splitting, "In", "inproc://in", route="Out")
    server.register_outbound(PushService, "Out", "inproc://out")
    with (
        caplog.at_level(logging.ERROR, "pylm_lab"),
        server,
        plug(context, zmq.PUSH, "inproc://in") as push,
        plug(context, zmq.PULL, "inproc://out") as pull,
    ):
        for text in (b"0", b"3", b"many", b"1"):
            push.send(message(text))
        assert [payload(pull.recv()) for _ in range(4)] == [b"0", b"1", b"2", b"0"]
    assert drops.causes == [
        GAVE_NOTHING,
        "scatter failed: ValueError: invalid literal for int() with base 10: b'many'",
    ]


class FromScratch(PullService):
    """Answers every message with two that it makes itself."""

    def scatter(self, message: PalmMessage) -> Iterator[PalmMessage]:
        for n in range(2):
            yield PalmMessage(client="c", cache="k", payload=message.payload + b".%d" % n)


def test_what_scatter_makes_from_scratch_is_a_child_of_what_it_was_made_of(
    context: Context,
) -> None:
    heard = Recorder()
    server = ServerTemplate(name="server", context=context)
    server.register_inbound(FromScratch, "Pull", "inproc://in", route="Push")
    server.register_outbound(PushService, "Push", "inproc://out")
    server.attach(heard)
    with plug(context, zmq.PUSH, "inproc://in") as push:
        for n in range(5):
            push.send(message(b"%d" % n))
        with server, plug(context, zmq.PULL, "inproc://out") as pull:  # it finds all five
            for _ in range(10):
                pull.recv()
    events = heard.trace.events
    came = {e.message: e.excerpt for e in events if e.port == "server.Pull:listen_to" and e.kind}
    made = [e for e in events if e.port == "server.Pull:broker" and e.what == "send"]
    assert sorted(came.values()) == ["0", "1", "2", "3", "4"]
    assert [(came[e.parent], e.excerpt) for e in made] == [
        (str(n), f"{n}.{k}") for n in range(5) for k in range(2)
    ]


@pytest.mark.parametrize("heard", ["server", "Push", "Pull"])
def test_whoever_is_heard_messages_arrive_as_they_were_sent(context: Context, heard: str) -> None:
    server = a_server(context)
    server.register_inbound(PullService, "Pull", "inproc://in", route="Push")
    server.register_outbound(PushService, "Push", "inproc://out")
    recorder = Recorder()
    whole = heard == "server"
    (server if whole else server.parts_by_name[heard]).attach(recorder)
    sent = [message(b"%d" % n) for n in range(200)]
    with plug(context, zmq.PUSH, "inproc://in") as push:
        for data in sent:
            push.send(data)
        with server, plug(context, zmq.PULL, "inproc://out") as pull:
            came = [pull.recv() for _ in sent]
    assert [strip_stamp(data) for data in came] == sent
    ids = {e.message for e in recorder.trace.events if e.kind == "message"}
    assert len(ids) == 200


def test_more_than_the_window_passes_and_keeps_its_order(context: Context) -> None:
    server = a_server(context, window=4)
    server.register_inbound(PullService, "In", "inproc://in", route="Out")
    server.register_outbound(PushService, "Out", "inproc://out")
    with (
        server,
        plug(context, zmq.PUSH, "inproc://in") as push,
        plug(context, zmq.PULL, "inproc://out") as pull,
    ):
        wanted = [str(n).encode() for n in range(500)]
        for text in wanted:
            push.send(message(text))
        assert [payload(pull.recv()) for _ in wanted] == wanted


def test_a_part_without_credit_stops_reading_its_socket(context: Context) -> None:
    received: list[str] = []

    class Watch(Hook):
        def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
            received.append(port.id)

    server = a_server(context, window=3).attach(Watch())
    server.register_inbound(PullService, "In", "inproc://in", route="Out")
    server.register_outbound(PushService, "Out", "inproc://out")  # nobody pulls
    with server, plug(context, zmq.PUSH, "inproc://in") as push:
        for _ in range(20):
            push.send(message(b"x"))
        with plug(context, zmq.PULL, "inproc://out") as pull:
            for _ in range(20):
                pull.recv()
    # Never more than the window ahead of what was pushed out.
    taken = [n for n, port in enumerate(received) if port == "server.In:listen_to"]
    done = [n for n, port in enumerate(received) if port == "server.In:broker"]
    assert len(taken) == 20
    for position, n in enumerate(taken):
        assert position - sum(d < n for d in done) <= 3


# Publishing


def a_publisher(context: Context, hook: Hook | None = None) -> ServerTemplate:
    server = a_server(context)
    if hook:
        server.attach(hook)
    server.register_inbound(PullService, "In", "inproc://in", route="Pub")
    server.register_outbound(PubService, "Pub", "inproc://pub")
    return server


def test_the_echo_tells_that_the_subscription_is_known(context: Context) -> None:
    with a_publisher(context), plug(context, zmq.PUSH, "inproc://in") as push:
        for _ in range(200):
            with plug(context, zmq.SUB, "inproc://pub", b"topic", READY + b"topic") as sub:
                assert sub.recv_multipart() == [READY + b"topic", b""]
                push.send(message(b"answer", client="topic"))
                assert payload(sub.recv_multipart()[1]) == b"answer"


def test_what_is_published_before_the_first_subscription_waits_for_it_in_order(
    context: Context,
) -> None:
    with a_publisher(context), plug(context, zmq.PUSH, "inproc://in") as push:
        for text in (b"1", b"2", b"3"):
            push.send(message(text, client="late"))
        with plug(context, zmq.SUB, "inproc://pub", b"other", READY + b"other") as other:
            other.recv_multipart()  # the three have been published by now, or come in order
            with plug(context, zmq.SUB, "inproc://pub", b"late") as sub:
                found = [payload(sub.recv_multipart()[1]) for _ in range(3)]
    assert found == [b"1", b"2", b"3"]


def test_after_an_unsubscribe_nothing_waits(context: Context) -> None:
    drops = Drops()
    with (
        a_publisher(context, drops),
        plug(context, zmq.PUSH, "inproc://in") as push,
        plug(context, zmq.SUB, "inproc://pub", b"topic", READY + b"topic") as sub,
    ):
        sub.recv_multipart()
        sub.unsubscribe(b"topic")
        sub.subscribe(READY + b"again")
        sub.recv_multipart()  # the unsubscription went before this one
        push.send(message(b"surplus", client="topic"))
        assert drops.happened.wait(2)
        sub.subscribe(b"topic")
        sub.subscribe(READY + b"third")
        assert sub.recv_multipart()[0] == READY + b"third"
        assert not sub.poll(30)
    assert drops.causes == ["nobody is subscribed to its topic any more"]


def test_a_publisher_does_not_remember_every_topic_for_ever(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylm_lab.parts.publishing.KNOWN_TOPICS", 3)
    server = a_publisher(context)
    with server:
        for n in range(9):
            topic = b"topic %d" % n
            with plug(context, zmq.SUB, "inproc://pub", topic, READY + topic) as sub:
                sub.recv_multipart()
        pub = server.outbound_components["Pub"]
        assert isinstance(pub, PubService)
        assert list(pub._known) == [b"topic 6", b"topic 7", b"topic 8"]


def test_what_nobody_ever_asks_for_is_held_within_bounds_and_dropped_by_name(
    context: Context,
) -> None:
    drops = Drops()
    with (
        a_publisher(context, drops),
        plug(context, zmq.PUSH, "inproc://in") as push,
        plug(context, zmq.SUB, "inproc://pub", b"other", READY + b"other") as sub,
    ):
        sub.recv_multipart()
        for _ in range(HOLD_MESSAGES + 7):
            push.send(message(b"x", client="nobody"))
        push.send(message(b"last", client="other"))
        assert payload(sub.recv_multipart()[1]) == b"last"
        assert drops.causes == ["nobody subscribed to 'nobody' in time"] * 7


def test_that_nobody_subscribes_is_told_once_until_somebody_does(
    context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "HOLD_SECONDS", 0.05)
    drops = Drops()

    def told() -> list[str]:
        return [text for text in caplog.messages if "nobody subscribed" in text]

    with (
        a_publisher(context, drops),
        plug(context, zmq.PUSH, "inproc://in") as push,
        plug(context, zmq.SUB, "inproc://pub", b"frist", READY + b"frist") as sub,
    ):
        sub.recv_multipart()

        def dropped(client: str, count: int) -> None:
            drops.causes.clear()
            for _ in range(count):
                drops.happened.clear()
                push.send(message(b"x", client=client))
                assert drops.happened.wait(2)
            assert drops.causes == [f"nobody subscribed to {client!r} in time"] * count

        dropped("first", 3)
        assert len(told()) == 1
        assert told()[0].endswith("to 'first' in time (0.05 s, 1000 messages): there are 'frist'")
        dropped("second", 1)
        assert len(told()) == 2
        # What it no longer knows is held once more.
        monkeypatch.setattr(publishing, "KNOWN_TOPICS", 1)
        for topic in (b"first", b"other"):  # at one socket, so that one comes after the other
            sub.subscribe(topic)
            sub.subscribe(READY + topic)
            sub.recv_multipart()
            sub.unsubscribe(topic)
        dropped("first", 2)
        assert len(told()) == 3


def test_a_full_publisher_that_is_stopped_names_all_that_it_has_not_published(
    context: Context,
) -> None:
    recorder = Recorder()
    server = ServerTemplate(name="server", context=context)
    server.register_inbound(PullService, "Pull", "inproc://in", route="Pub")
    server.register_outbound(PubService, "Pub", "inproc://pub")
    server.attach(recorder)
    pause = threading.Event()
    with (
        plug(context, zmq.PUSH, "inproc://in") as push,
        server,
        context.socket(zmq.SUB) as sub,
    ):
        sub.rcvhwm = 1
        sub.connect("inproc://pub")
        sub.subscribe(b"A")
        for topic in (b"A", READY + b"A"):
            sub.subscribe(topic)
        sub.recv_multipart()
        for n in range(3000):
            push.send(message(b"x", client="A" if n % 2 else f"Z{n % 7}"))
        while not any("room to send at server.Pub" in str(w) for w in server.waiting()):
            pause.wait(0.005)
        assert server.stop()
    counts = Counter((e.port, e.what) for e in recorder.trace.events if e.kind == "message")
    came = counts["server.Pub:broker", "receive"]
    told = counts["server.Pub:listen_to", "send"] + counts["server.Pub:listen_to", "drop"]
    swept = [e for e in recorder.trace.events if "ended before it received it" in e.text]
    at_broker = [e for e in swept if e.port == "server.Pub:broker"]
    assert came == told + counts["server.Pub:broker", "drop"] - len(at_broker)
    assert came > 1000


def test_what_a_publisher_holds_when_it_ends_is_dropped_by_name(context: Context) -> None:
    drops = Drops()
    received = threading.Event()

    class Received(Hook):
        def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
            if port.id == "server.Pub:broker":
                received.set()

    server = a_publisher(context, drops).attach(Received())
    with server, plug(context, zmq.PUSH, "inproc://in") as push:
        push.send(message(b"x", client="nobody"))
        assert received.wait(2)
    assert drops.causes == ["Pub ended before anybody subscribed to 'nobody'"]


# The cache


@pytest.fixture
def ask(context: Context) -> Iterator[zmq.Socket[bytes]]:
    part = CacheService("Cache", "inproc://cache", cache=DictDB(), context=context)
    with part, plug(context, zmq.REQ, "inproc://cache") as req:
        yield req


def request(socket: zmq.Socket[bytes], operation: str, payload: bytes, cache: str = "") -> bytes:
    data = PalmMessage(function=f"anybody.{operation}", cache=cache, payload=payload)
    socket.send(data.SerializeToString())
    return socket.recv()


def test_the_cache_keeps_gives_and_forgets(ask: zmq.Socket[bytes]) -> None:
    assert request(ask, "set", b"value", "key") == b"key"
    assert request(ask, "get", b"key") == b"value"
    assert request(ask, "delete", b"key") == b"key"
    assert request(ask, "get", b"key") == b""


def test_the_cache_makes_up_a_key_where_none_is_given(ask: zmq.Socket[bytes]) -> None:
    key = request(ask, "set", b"value")
    assert key
    assert request(ask, "get", key) == b"value"


@pytest.mark.parametrize(
    ("operation", "payload"),
    [("delete", b"absent"), ("frobnicate", b"x"), ("get", b"\xff"), ("", b"")],
)
def test_what_the_cache_can_not_do_is_answered_with_nothing_and_it_goes_on(
    ask: zmq.Socket[bytes], operation: str, payload: bytes
) -> None:
    assert request(ask, operation, payload) == b""
    assert request(ask, "set", b"value", "key") == b"key"


def test_a_cache_request_that_is_no_message_is_answered_with_nothing(
    ask: zmq.Socket[bytes],
) -> None:
    ask.send(b"\xff\xff")
    assert ask.recv() == b""
    assert request(ask, "set", b"", "empty") == b"empty"
