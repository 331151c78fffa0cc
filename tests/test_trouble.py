"""Whoever does something wrong is alone in trouble: a user's method, a subscriber, a cache."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

import pylm_lab as lab
from pylm_lab import subscribing
from pylm_lab.errors import RunError, WiringError
from pylm_lab.hook import GAVE_NOTHING
from pylm_lab.parts import publishing
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    PushPullService,
    RepBypassService,
    RepService,
)

Context = zmq.Context[zmq.Socket[bytes]]
SLOW = "s" * 16


@pytest.fixture
def context() -> Iterator[Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


def plug(context: Context, kind: int, address: str, **options: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.rcvtimeo = socket.sndtimeo = 2000
    for option, value in options.items():
        setattr(socket, option, value)
    socket.connect(address)
    return socket


def message(payload: bytes = b"x", **fields: str) -> bytes:
    return PalmMessage(cache="k", payload=payload, **fields).SerializeToString()  # type: ignore[arg-type]


def fails(*_: Any) -> bytes:
    raise KeyError("planned")


def leaves(*_: Any) -> bytes:
    raise SystemExit(1)


def text(*_: Any) -> str:
    return "no bytes"


# ------------------------------------------------------------------------------- a user's method


@pytest.mark.parametrize("wrong", [fails, leaves, text])
@pytest.mark.parametrize("method", ["handle_feedback", "reply_feedback"])
def test_a_part_goes_on_whatever_its_feedback_methods_do(
    context: Context, caplog: pytest.LogCaptureFixture, method: str, wrong: Callable[..., Any]
) -> None:
    server = ServerTemplate(context=context)
    functions: dict[str, Any] = {method: wrong}
    server.register_inbound(RepService, "Rep", "inproc://rep", "Deal", block=True, **functions)
    server.register_outbound(
        PushPullService, "Deal", push_address="inproc://push", pull_address="inproc://pull",
        **functions,
    )  # fmt: skip
    with (
        server,
        plug(context, zmq.REQ, "inproc://rep") as ask,
        plug(context, zmq.PULL, "inproc://push") as work,
        plug(context, zmq.PUSH, "inproc://pull") as give,
    ):
        for _ in range(2):
            ask.send(message())
            work.recv()
            give.send(b"done")
            assert ask.recv() == b"done"
        assert server.reason is None
    told = {record.getMessage() for record in caplog.records}
    # What handle_feedback returns, nobody looks at.
    quiet = method == "handle_feedback" and wrong is text
    assert told == (set() if quiet else {f"server.{n}: {method} failed" for n in ("Rep", "Deal")})


@pytest.mark.parametrize("wrong", [fails, leaves, text])
def test_a_bypass_part_goes_on_whatever_handle_does(
    context: Context, caplog: pytest.LogCaptureFixture, wrong: Callable[..., Any]
) -> None:
    class Moody(RepBypassService):
        def handle(self, data: bytes) -> bytes:
            return data if data == b"fine" else wrong(data)

    with (
        Moody("moody", "inproc://moody", context=context),
        plug(context, zmq.REQ, "inproc://moody") as ask,
    ):
        for data, answer in ((b"x", b""), (b"fine", b"fine")):
            ask.send(data)
            assert ask.recv() == answer
    assert [record.getMessage() for record in caplog.records] == ["moody: handle failed"]


def test_a_cache_service_made_by_hand_has_a_cache(context: Context) -> None:
    with (
        CacheService("Cache", "inproc://cache", context=context),
        plug(context, zmq.REQ, "inproc://cache") as ask,
    ):
        ask.send(message(b"value", function="a.set"))
        assert ask.recv() == b"k"
        ask.send(message(b"k", function="a.get"))
        assert ask.recv() == b"value"


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("where", ["mux", "scatter", "gather", "pipeline"])
def test_that_nothing_comes_of_a_message_on_purpose_is_told_and_is_no_finding(
    where: str, seed: int | None
) -> None:
    def some(message: PalmMessage) -> Iterator[PalmMessage]:
        if message.payload != b"2":
            yield message

    class Some(lab.MuxWorker):
        def foo(self, payload: bytes) -> Iterator[bytes]:
            if payload != b"2" or where != "mux":
                yield payload

    class Next(lab.Pipeline):
        def foo(self, payload: bytes) -> bytes | None:
            return payload if payload != b"2" or where != "pipeline" else None

    passed: dict[str, Any] = {where: some} if where in ("scatter", "gather") else {}
    with lab.Cluster(seed) as cluster:
        cluster.add(lab.Master("server", pipelined=True, **passed))
        cluster.add(Some("worker", server="server"))
        cluster.add(Next("next", upstream="server"))
        client = cluster.client("server", answers="next", timeout=5)
        payloads = [b"1", b"2", b"3"]
        assert sorted(client.job("server.foo next.foo", payloads, messages=2)) == [b"1", b"3"]
    assert [event.text for event in cluster.trace.events if event.what == "drop"] == [GAVE_NOTHING]
    assert cluster.trace.check() == []


def test_a_topic_that_is_no_text_is_that_message_s_trouble(context: Context) -> None:
    def handle_stream(message: PalmMessage) -> tuple[Any, PalmMessage]:
        return 5 if message.payload == b"odd" else "c", message

    recorder = lab.Recorder()
    server = ServerTemplate(context=context).attach(recorder)
    server.register_inbound(PullService, "Pull", "inproc://pull", "Pub")
    server.register_outbound(PubService, "Pub", "inproc://pub", handle_stream=handle_stream)
    with (
        server,
        plug(context, zmq.SUB, "inproc://pub") as sub,
        plug(context, zmq.PUSH, "inproc://pull") as push,
    ):
        sub.subscribe(b"")
        for data in (b"odd", b"fine"):
            push.send(message(data))
        assert PalmMessage.FromString(sub.recv_multipart()[1]).payload == b"fine"
    (cause,) = [event.text for event in recorder.trace.events if event.what == "drop"]
    assert cause.startswith("handle_stream failed: TypeError: it gave the topic 5")


# --------------------------------------------------------------------------------- a subscriber


def test_a_client_that_reads_no_more_holds_up_the_others_only_for_a_while(
    context: Context, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STUCK_SECONDS", 0.1)
    recorder = lab.Recorder()
    server = lab.Server("server", "inproc://db", "inproc://pull", "inproc://pub", context=context)
    sent = 3000  # of which some 1,000 have room
    with (
        server.attach(recorder),
        lab.Client("server", "inproc://db", context=context, timeout=5) as client,
        plug(context, zmq.SUB, "inproc://pub", rcvhwm=1) as sub,
        plug(context, zmq.PUSH, "inproc://pull") as push,
    ):
        sub.subscribe(SLOW)
        push.send(message(b"first", client=SLOW, function="server.echo"))
        assert PalmMessage.FromString(sub.recv_multipart()[1]).payload == b"first"
        for _ in range(sent):
            push.send(message(client=SLOW, function="server.echo"))
        assert client.eval("server.echo", b"hello") == b"hello"
        read = 0
        while sub.poll(50):
            sub.recv_multipart()
            read += 1
        push.send(message(b"again", client=SLOW, function="server.echo"))
        assert PalmMessage.FromString(sub.recv_multipart()[1]).payload == b"again"
        assert client.eval("server.echo", b"hello") == b"hello"
        # It is waited for as patiently as before.
        assert not server.outbound_components["Pub"]._stuck  # type: ignore[attr-defined]
    drops = [event.text for event in recorder.trace.events if event.what == "drop"]
    assert set(drops) == {"its subscriber took nothing for 0.1 s"}
    assert read + len(drops) == sent
    assert [record.getMessage() for record in caplog.records] == [
        f"server.Pub: whoever subscribed to {SLOW!r} takes nothing: what comes for it is dropped"
    ]


def test_a_publisher_that_waits_for_a_subscriber_says_so_all_the_time(context: Context) -> None:
    server = ServerTemplate(context=context)
    server.register_inbound(PullService, "Pull", "inproc://pull", "Pub")
    server.register_outbound(PubService, "Pub", "inproc://pub", pipelined=True, server="server")
    pause = threading.Event()
    with (
        server,
        plug(context, zmq.SUB, "inproc://pub", rcvhwm=1) as sub,
        plug(context, zmq.PUSH, "inproc://pull") as push,
    ):
        sub.subscribe(b"server")
        for _ in range(2000):
            push.send(message())
        seen = 0
        for _ in range(100):
            seen += "room to send at server.Pub" in str(server.waiting())
            pause.wait(0.003)
        assert seen > 25


def test_a_topic_longer_than_any_name_is_refused(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    server = ServerTemplate(context=context)
    server.register_inbound(PullService, "Pull", "inproc://pull", "Pub")
    server.register_outbound(PubService, "Pub", "inproc://pub")
    pub = server.outbound_components["Pub"]
    assert isinstance(pub, PubService)
    with (
        server,
        plug(context, zmq.XSUB, "inproc://pub") as sub,
        plug(context, zmq.PUSH, "inproc://pull") as push,
    ):
        long = b"t" * (publishing.LONGEST_TOPIC + 1)
        for data in (b"\1" + long, b"\0" + long, b"\1c"):
            sub.send(data)
        push.send(message(client="c"))
        assert sub.recv_multipart()[0] == b"c"
        assert list(pub._topics) == [b"c"]
    assert [record.getMessage() for record in caplog.records] == [
        f"server.Pub: {len(long)} bytes are too long a topic"
    ]


def test_a_publisher_that_never_echoes_is_waited_for_once_whatever_it_publishes(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "ECHO_SECONDS", 0.2)
    with context.socket(zmq.PUB) as pub, context.socket(zmq.PULL) as pull:
        pub.bind("inproc://pub")
        pull.bind("inproc://pull")
        client = lab.Client(
            "server", "", "inproc://pull", "inproc://pub", this_config=True, context=context
        )
        stopped = threading.Event()

        def publish() -> None:
            for number in itertools.count():
                if stopped.wait(0.02):
                    return
                pub.send_multipart([client.uuid.encode(), message(b"%d" % number, pipeline="old")])

        other = threading.Thread(target=publish)
        other.start()

        def ask() -> None:
            with contextlib.suppress(RunError):  # it is stopped
                client.eval("server.foo", b"x")

        answer = threading.Thread(target=ask)
        try:
            answer.start()
            assert pull.poll(2000), "the client never begins its call"
        finally:
            stopped.set()
            other.join(5)
            client.stop()
            answer.join(5)
            client.close()


# ----------------------------------------------------------------------------- somebody's cache


def test_a_cache_whose_answer_is_no_text_is_named(context: Context) -> None:
    with context.socket(zmq.REP) as rep:
        rep.bind("inproc://db")

        rep.rcvtimeo = 2000

        def answer() -> None:
            with contextlib.suppress(zmq.Again):
                for _ in range(3):
                    rep.recv()
                    rep.send(b"\xff\xfe")

        other = threading.Thread(target=answer)
        other.start()
        try:
            with pytest.raises(WiringError, match=r"inproc://db for get 'name'.*is no text"):
                lab.Client("server", "inproc://db", context=context, timeout=2)
            with lab.Client(
                "server", "inproc://db", "inproc://a", "inproc://b", this_config=True,
                context=context, timeout=2,
            ) as client:  # fmt: skip
                with pytest.raises(WiringError, match="for set 'k'"):
                    client.set(b"value", "k")
                with pytest.raises(WiringError, match="for delete 'k'"):
                    client.delete("k")
        finally:
            other.join(5)


def test_a_name_in_a_log_line_can_not_act_on_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            raise ValueError("no")

    asked = PalmMessage(function="\x1b[2J\x00.foo")
    with caplog.at_level(logging.ERROR):
        list(Failing("worker").answers(asked))
    (record,) = caplog.records
    assert record.getMessage() == r"worker: \x1b[2J\x00.foo failed"
