"""Who waits for what; pairs that never answer, parts that fail and workers that end."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

import pytest
import zmq

import pylm_lab as lab
from pylm_lab.errors import Deadlock, NoAnswer, PairTimeout, RunError, WiringError
from pylm_lab.hook import Hook, Port
from pylm_lab.loop import Wait
from pylm_lab.parts.core import BypassOutbound, Outbound, Router, zmq_context
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PullService,
    PushService,
    WorkerPullService,
    WorkerPushService,
)

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


def message(payload: bytes) -> bytes:
    return PalmMessage(client="c", cache="k", payload=payload).SerializeToString()


def seen(look: Callable[[], Iterable[Wait]], *parts: str) -> list[str]:
    """The sentences, without their times, as soon as each of these parts of them is there."""
    pause = threading.Event()
    for _ in range(1000):
        found = [str(wait).rpartition(", for ")[0] for wait in look()]
        if all(any(part in text for text in found) for part in parts):
            return found
        pause.wait(0.005)
    raise AssertionError(f"{parts} never all in {found}")


class Asking(Outbound):
    """A blocking part: its pair answers, or should."""

    def __init__(self, name: str, listen_address: str, **options: Any) -> None:
        super().__init__(name, listen_address, zmq.REQ, reply=True, **options)


def asking(context: Context, **options: Any) -> ServerTemplate:
    """PULL → router → REQ, which waits for its pair."""
    server = ServerTemplate(name="server", context=context)
    server.register_inbound(PullService, "Pull", "inproc://in", route="Ask")
    server.register_outbound(Asking, "Ask", "inproc://pair", **options)
    return server


def test_who_waits_is_said_with_what_for_and_how_long(context: Context) -> None:
    with (
        context.socket(zmq.REP) as pair,
        context.socket(zmq.PUSH) as push,
        asking(context) as server,
    ):
        pair.bind("inproc://pair")
        push.connect("inproc://in")
        idle = seen(server.waiting, "router", "Pull", "Ask")
        assert sorted(idle) == [
            "server.Ask waits for a message at server.Ask:broker",
            "server.Pull waits for a message at server.Pull:listen_to"
            " or credit at server.Pull:broker",
            "server.router waits for a message at server.router:inbound"
            " or credit at server.router:outbound",
        ]
        for n in range(2):
            push.send(message(b"%d" % n))
        pair.recv()
        # The window of one that a blocking part is handed its messages in is the router's hold.
        held = seen(server.waiting, "feedback of Ask", "an answer at")
        assert "server.Ask waits for an answer at server.Ask:listen_to" in held
        assert "server.router waits for the feedback of Ask, and forwards nothing meanwhile" in held
        first = next(wait for wait in server.waiting() if wait.actor == "server.Ask")
        threading.Event().wait(0.05)
        later = next(wait for wait in server.waiting() if wait.actor == "server.Ask")
        assert later.lasting > first.lasting > 0
        assert (later.unit, later.ports) == ("s", ("server.Ask:listen_to",))
        for _ in range(2):
            pair.send(b"done")
            if not _:
                pair.recv()


def test_a_full_window_is_what_its_part_waits_for(context: Context) -> None:
    server = ServerTemplate(name="server", context=context, window=3)
    server.register_inbound(PullService, "Pull", "inproc://in", route="Push")
    server.register_outbound(PushService, "Push", "inproc://out")
    with context.socket(zmq.PUSH) as push, server:
        push.connect("inproc://in")
        for n in range(9):
            push.send(message(b"%d" % n))
        found = seen(server.waiting, "credit at server.Pull:broker (", "room to send")
        assert "server.Pull waits for credit at server.Pull:broker (3 of its messages are not " in (
            " ".join(found)
        )
        assert "server.Push waits for room to send at server.Push:listen_to" in found


def test_a_seeded_run_says_it_too_in_steps() -> None:
    with lab.Cluster(seed=1) as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client()
        assert cluster.waiting()
        with pytest.raises(Deadlock):
            client.eval("server.foo", b"x")
        found = cluster.waiting()
    assert {wait.unit for wait in found} == {"steps"}
    assert "server.WorkerPush waits for room to send at server.WorkerPush:listen_to, for " in str(
        found
    )


@pytest.mark.parametrize("bad", ["1", -1, True])
def test_a_timeout_is_a_time(context: Context, bad: object) -> None:
    with pytest.raises(WiringError, match=f"timeout={bad!r}: a time in seconds, or None"):
        asking(context, timeout=bad)


def test_a_pair_that_never_answers_ends_its_server_if_there_is_a_timeout(context: Context) -> None:
    drops: list[str] = []

    class Drops(Hook):
        def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
            drops.append(f"{port.id}: {cause}")

    with context.socket(zmq.REP) as pair, context.socket(zmq.PUSH) as push:
        pair.bind("inproc://pair")
        push.connect("inproc://in")
        server = asking(context, timeout=0.1)
        server.attach(Drops())
        for n in range(2):
            push.send(message(b"%d" % n))
        with pytest.raises(
            PairTimeout,
            match=r"server\.Ask has waited 0\.1 s for the answer of its pair at inproc://pair",
        ):
            server.start()
    assert isinstance(server.reason, PairTimeout)
    # The first is with the pair; the second has not gone further than the server.
    assert drops == ["server.router:inbound: router ended before it received it"]


def test_a_bypass_part_can_wait_for_its_pair_for_a_while(context: Context) -> None:
    found: list[BaseException] = []

    class Asks(BypassOutbound):
        def run(self) -> None:
            try:
                self.send(b"question", timeout=0.05)
            except PairTimeout as error:
                found.append(error)

    part = Asks("Asks", "inproc://pair", zmq.REQ, context=context)
    with context.socket(zmq.REP) as pair:
        pair.bind("inproc://pair")
        part.start()
    assert "Asks has waited 0.05 s for the answer of its pair" in str(found[0])


class Broken(lab.Master):
    """Its push side fails at the third message."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        push = self.outbound_components["WorkerPush"]
        whole, count = push.emit, iter(range(9))

        def hand_out(frames: list[bytes]) -> None:
            if next(count) == 2:
                raise ZeroDivisionError("planned")
            whole(push.listen_to, frames)

        push.hand_out = hand_out  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_part_that_fails_ends_its_server_and_every_call_that_waits_for_it(
    seed: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    with lab.Cluster(seed) as cluster:
        server = cluster.add(Broken("server"))
        cluster.add(lab.Worker("worker1"))
        client = cluster.client()
        with pytest.raises(RunError) as error:
            list(client.job("server.echo", [b"x"] * 5, messages=5))
        told = "the server 'server' has ended: server.WorkerPush failed with ZeroDivisionError: "
        assert f"{told}planned" in str(error.value)
        assert isinstance(error.value.__cause__, ZeroDivisionError)
        with pytest.raises(RunError, match="the server 'server' has ended"):
            client.eval("server.echo", b"x")
        with pytest.raises(RunError):
            cluster.client("server")
        server.stop()  # what ends it by itself has done so
        assert not any(actor.is_running for actor in server.actors)
    assert isinstance(server.reason, ZeroDivisionError)
    assert [r.levelname for r in caplog.records if "planned" in r.getMessage()] == ["ERROR"]


def test_what_was_not_answered_is_named_by_its_position() -> None:
    class Choosy(lab.Worker):
        def half(self, payload: bytes) -> bytes:
            return payload

    class Dropping(lab.Master):
        def scatter(self, message: PalmMessage) -> Iterator[PalmMessage]:
            if int(message.payload) % 2:
                yield message

    with lab.Cluster() as cluster:
        cluster.add(Dropping("server"))
        cluster.add(Choosy("worker1"))
        client = cluster.client()
        got: list[bytes] = []
        answers = client.job(
            "server.half", (b"%d" % n for n in range(30)), messages=30, timeout=0.3
        )
        with pytest.raises(NoAnswer) as error:
            got.extend(answers)  # what comes before the error stays
        assert sorted(map(int, got)) == list(range(1, 30, 2))
        assert error.value.missing == tuple(range(1, 31, 2))  # positions count from 1
        text = str(error.value)
        assert "15 of 30 answers, and no other within 0.3 s" in text
        assert "payloads 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, … (15 in all)" in text
        # The user's own field tells nothing apart.
        with pytest.raises(NoAnswer) as error:
            client.eval("server.half", b"0", cache="mine", timeout=0.05)
        assert error.value.missing == ()
        assert client.eval("server.half", b"1", timeout=5) == b"1"


def test_where_everything_that_was_sent_is_answered_the_error_says_how_much_that_was() -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(lab.Worker("worker1"))
        answers = cluster.client().job("server.echo", [b"x"] * 3, messages=5, timeout=0.2)
        with pytest.raises(NoAnswer, match="Only 3 payloads were sent, and each has had its ans"):
            list(answers)


def test_a_part_that_fails_at_once_is_named_at_once() -> None:
    class Broken(PullService):
        def run(self) -> None:
            raise ZeroDivisionError("planned")

    for workers in (0, 1):
        server = lab.ServerTemplate(name="server")
        server.register_inbound(Broken, "Pull", route="Push")
        server.register_outbound(WorkerPushService, "Push")
        server.register_inbound(WorkerPullService, "WorkerPull")
        server.register_bypass(CacheService, "Cache")
        with lab.Cluster() as cluster:
            cluster.add(server)
            for n in range(workers):
                cluster.add(lab.Worker(f"worker{n}"))
            with pytest.raises(
                RunError, match=r"server\.Pull failed with ZeroDivisionError: planned"
            ):
                cluster.client().eval("server.echo", b"x")


@pytest.mark.parametrize("count", [1, 3, 300])
def test_feedback_is_heard_once_for_each_message(context: Context, count: int) -> None:
    heard: list[bytes] = []

    class Hearing(PullService):
        def handle_feedback(self, message_data: bytes) -> None:
            heard.append(message_data)

    server = ServerTemplate(name="server", context=context)
    server.register_inbound(Hearing, "Pull", "inproc://in", route="Push")
    server.register_outbound(PushService, "Push", "inproc://out")
    with (
        context.socket(zmq.PUSH) as push,
        context.socket(zmq.PULL) as pull,
        server,
    ):
        push.connect("inproc://in")
        pull.connect("inproc://out")
        for n in range(count):
            push.send(message(b"%d" % n))
        for _ in range(count):
            pull.recv()
        pause = threading.Event()
        while len(heard) < count:  # the test's own limit of time ends it
            pause.wait(0.002)
    assert heard == [b"1"] * count


def test_a_worker_that_is_in_a_function_of_its_own_says_in_which() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(lab.Worker):
        def long(self, payload: bytes) -> bytes:
            inside.set()
            go_on.wait(10)
            return payload

    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Slow("worker1"))
        client = cluster.client()
        thread = threading.Thread(target=lambda: client.eval("server.long", b"x"))
        thread.start()
        assert inside.wait(10)
        (found,) = [str(wait) for wait in cluster.waiting() if wait.actor == "worker1"]
        assert found.startswith("worker1 waits for its function long to return, for ")
        go_on.set()
        thread.join(10)


def test_a_stop_tells_whether_all_have_ended_and_keeps_its_deadline(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Stuck(lab.Worker):
        def long(self, payload: bytes) -> bytes:
            inside.set()
            go_on.wait(20)
            return payload

    cluster = lab.Cluster()
    cluster.add(lab.Master("server"))
    stuck = cluster.add(Stuck("worker1"))
    client = cluster.client()
    calling = threading.Thread(target=lambda: [None for _ in _quietly(client)])
    calling.start()
    assert inside.wait(10)
    begun = time.monotonic()
    assert not cluster.stop(1.0)
    assert time.monotonic() - begun < 1.8
    assert "left to themselves: worker1" in caplog.text
    go_on.set()
    assert stuck.join(10)
    calling.join(10)
    with pytest.raises(WiringError, match="timeout='1': a time in seconds"):
        cluster.stop("1")  # type: ignore[arg-type]
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        cluster.client()
        assert cluster.stop()


def _quietly(client: lab.Client) -> Iterator[bytes]:
    with contextlib.suppress(RunError):  # the cluster ends meanwhile
        yield from client.job("server.long", [b"x"], messages=1)


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("method", ["scatter", "gather", "handle_stream"])
def test_what_a_master_s_own_method_has_failed_at_is_found_and_named(
    method: str, seed: int | None
) -> None:
    def fail(self: lab.Master, message: PalmMessage) -> Iterator[PalmMessage]:
        if message.payload == b"2":
            raise KeyError("planned")
        if method == "handle_stream":
            return message.client, message  # type: ignore[return-value]
        return iter([message])

    fail.__name__ = method
    with lab.Cluster(seed) as cluster:
        cluster.add(type("Failing", (lab.Master,), {method: fail})("server"))
        cluster.add(lab.Worker("worker1"))
        client = cluster.client()
        answers = client.job("server.echo", [b"0", b"2", b"1"], messages=3, timeout=0.3)
        with pytest.raises(NoAnswer):
            list(answers)
    found = [finding.sentence for finding in cluster.trace.check()]
    assert any(f"{method} failed: KeyError: 'planned'" in text for text in found), found


def test_a_recorder_that_is_attached_tells_of_the_run_what_it_is() -> None:
    recorder = lab.Recorder()
    with lab.Cluster(7, record=False) as cluster:
        cluster.attach(recorder)
        cluster.add(lab.Master("server"))
        cluster.client()
    assert (recorder.trace.schedule, recorder.trace.seed, recorder.trace.clock) == (
        "seeded",
        7,
        "step",
    )


def test_a_stop_of_the_server_ends_the_calls_that_wait_for_it() -> None:
    with lab.Cluster() as cluster:
        server = cluster.add(lab.Master("server"))
        client = cluster.client()
        found: list[str] = []

        def call() -> None:
            try:
                client.eval("server.echo", b"x")
            except RunError as error:
                found.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        seen(cluster.waiting, "client waits for a message at client:sub")
        server.stop()
        thread.join(10)
        assert found == ["the server 'server' was stopped"]


@pytest.mark.parametrize("seed", [None, 1])
def test_exit_in_a_user_s_method_is_that_message_s_trouble(seed: int | None) -> None:
    class Leaving(lab.Master):
        def scatter(self, message: PalmMessage) -> Iterator[PalmMessage]:
            if message.payload == b"1":
                raise SystemExit(1)
            yield message

    with lab.Cluster(seed) as cluster:
        cluster.add(Leaving("server"))
        cluster.add(lab.Worker("worker1"))
        client = cluster.client()
        answers = client.job("server.echo", [b"0", b"1", b"2"], messages=2, timeout=5)
        assert sorted(answers) == [b"0", b"2"]
    texts = [event.text for event in cluster.trace.events if event.what == "drop"]
    assert "scatter failed: SystemExit: 1" in texts


def test_feedback_that_goes_on_is_waited_for_and_all_of_it_is_found() -> None:
    recorder = lab.Recorder()
    server = ServerTemplate(name="server", router_messages=20)
    server.register_inbound(PullService, "Pull", "inproc://feedback.in", route="First")
    server.register_outbound(PushService, "First", "inproc://feedback.first", route="Second")
    server.register_outbound(PushService, "Second", "inproc://feedback.second")
    server.attach(recorder)
    context = zmq_context
    with (
        context.socket(zmq.PUSH) as push,
        context.socket(zmq.PULL) as first,
        context.socket(zmq.PULL) as second,
    ):
        push.connect("inproc://feedback.in")
        first.connect("inproc://feedback.first")
        second.connect("inproc://feedback.second")
        for n in range(20):
            push.send(message(b"%d" % n))
        server.start()
        assert all(first.poll(1000) and first.recv() for _ in range(20))
        assert all(second.poll(1000) and second.recv() for _ in range(20))
    assert [f.sentence for f in recorder.trace.check()] == []


def test_answers_of_which_nobody_knows_the_question_claim_no_position() -> None:
    class Making(lab.Master):
        def scatter(self, message: PalmMessage) -> Iterator[PalmMessage]:
            made = PalmMessage()
            made.CopyFrom(message)
            made.cache = "the user's own"
            yield made

    with lab.Cluster() as cluster:
        cluster.add(Making("server"))
        cluster.add(lab.Worker("worker1"))
        answers = cluster.client().job("server.echo", [b"x"] * 5, messages=6, timeout=0.2)
        with pytest.raises(NoAnswer) as error:
            list(answers)
    assert error.value.missing == ()


def test_clients_that_are_closed_are_forgotten() -> None:
    with lab.Cluster() as cluster:
        server = cluster.add(lab.Master("server"))
        cluster.add(lab.Worker("worker1"))
        for n in range(5):
            client = cluster.client(timeout=5)
            assert client.id == ("client" if n == 0 else f"client{n + 1}")
            assert client.eval("server.echo", b"x") == b"x"
            client.close()
        assert "client" not in repr(cluster)
        assert server.on_failure == []


@pytest.mark.skipif(not hasattr(sys, "settrace"), reason="interrupts at a line")
@pytest.mark.parametrize("line", range(1, 60, 3))
def test_ctrl_c_at_any_line_of_a_start_leaves_nothing(line: int) -> None:
    """An interrupt at the n-th line of `ServerTemplate.launch`; the leak check looks after it."""
    left = line

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if "pylm_lab" not in frame.f_code.co_filename:
            return None
        if event == "line" and frame.f_code.co_name in ("launch", "open", "_agree", "_trust"):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    server = lab.Master("server")
    sys.settrace(trace)
    try:
        server.launch()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    server.stop()
    assert not any(actor.is_running for actor in server.actors)


def test_a_worker_that_has_done_its_messages_is_dealt_no_more() -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        short = cluster.add(lab.Worker("short", messages=2))
        client = cluster.client(timeout=5)
        for n in range(2):
            assert client.eval("server.echo", b"%d" % n) == b"%d" % n
        assert short.join(5)
        cluster.add(lab.Worker("long"))
        # The push side hears of the end a moment later; what it has dealt by then is lost.
        early = 0
        for _ in range(5):
            try:
                client.eval("server.echo", b"early", timeout=0.5)
            except NoAnswer:
                early += 1
        found = list(client.job("server.echo", (b"%d" % n for n in range(50)), messages=50))
        assert sorted(map(int, found)) == list(range(50))
    assert early < 3, "every second one still goes to the worker that has ended"
    sentences = [f.sentence for f in cluster.trace.check() if f.name == "conservation"]
    assert len(sentences) == bool(early)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lab.Worker(messages="2"), "messages='2': how many messages to end after"),  # type: ignore[arg-type]
        (lambda: lab.Cluster(limit="x"), "limit='x': steps after which"),  # type: ignore[arg-type]
        (lambda: lab.Cluster(1, limit=0), "limit=0: steps after which"),
        (lambda: Router(messages=2.5), "messages=2.5: how many messages to end after"),  # type: ignore[arg-type]
        (lambda: lab.Client("s", "inproc://x", timeout="1"), "timeout='1': a time in seconds"),  # type: ignore[arg-type]
    ],
)
def test_numbers_that_are_none_are_one_clear_error(make: Callable[[], object], text: str) -> None:
    with pytest.raises(WiringError, match=text):
        make()
