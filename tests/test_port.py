"""Ports and the loop: the door, waiting, stopping, and what a stamp says."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import zmq

from pylm_lab import wire
from pylm_lab.actor import Actor
from pylm_lab.errors import NoAnswer, RunError
from pylm_lab.hook import Hook, Port
from pylm_lab.trace import Recorder

Context = zmq.Context[zmq.Socket[bytes]]


class Echo(Actor):
    """Sends back whatever it receives, with the ports used as if they were sockets."""

    role = "worker"

    def __init__(self, context: Context) -> None:
        super().__init__("echo", context=context)
        self.front = self.add_port(
            "front",
            zmq.REP,
            binds=True,
            receives="request",
            sends="answer",
            address="inproc://echo",
        )

    def run(self) -> None:
        while True:
            self.front.send(self.front.recv())


class Pusher(Actor):
    """Sends one message at a port that nobody is connected to."""

    role = "client"

    def __init__(self, context: Context) -> None:
        super().__init__("pusher", context=context)
        self.out = self.add_port(
            "out", zmq.PUSH, binds=True, sends="message", address="inproc://pusher"
        )

    def run(self) -> None:
        self.emit(self.out, [b"x"])


class Log(Hook):
    """Writes down the events that it hears."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.waiting = threading.Event()

    def actor_waiting(self, actor: str, ports: tuple[Port, ...], at: int) -> None:
        self.waiting.set()

    def actor_started(self, actor: str, at: int) -> None:
        self.events.append(f"{actor} started")

    def actor_stopped(self, actor: str, at: int) -> None:
        self.events.append(f"{actor} stopped")

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        self.events.append(f"{port.id} dropped {frames}: {cause}")


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


def test_a_port_can_be_used_like_the_socket_that_it_holds(context: Context) -> None:
    with Echo(context), context.socket(zmq.REQ) as asks:
        asks.rcvtimeo = 2000
        asks.connect("inproc://echo")
        for text in (b"one", b"two"):
            asks.send(text)
            assert asks.recv() == text


def test_a_stop_is_heard_while_nothing_can_be_sent_and_the_message_is_not_lost_in_silence(
    context: Context,
) -> None:
    log = Log()
    pusher = Pusher(context).attach(log)
    with pusher:
        assert log.waiting.wait(2)
    assert [event.partition(" [")[0] for event in log.events] == [
        "pusher started",
        "pusher:out dropped",
        "pusher stopped",
    ]
    assert "pusher was stopped before it could be sent" in log.events[1]


def test_waiting_has_an_end_if_a_timeout_is_given(context: Context) -> None:
    echo = Echo(context)
    echo.open()
    try:
        with pytest.raises(
            NoAnswer, match=r"nothing came to echo:front \(inproc://echo\) within 0"
        ):
            echo.next((echo.front,), timeout=0.01)
    finally:
        echo.cleanup()


def test_a_port_that_is_not_open_says_so(context: Context) -> None:
    echo = Echo(context)
    with pytest.raises(RunError, match="start echo first"):
        _ = echo.front.socket
    with pytest.raises(RunError, match="not open"):
        echo.front.put([b"x"])


def test_an_actor_can_be_stopped_twice_and_run_again(context: Context) -> None:
    echo = Echo(context)
    for _ in range(3):
        echo.launch()
        echo.stop()
        echo.stop()
        assert echo.join()
        echo.cleanup()
        echo.cleanup()


class Source(Actor):
    """Has somewhere to send."""

    role = "worker"

    def __init__(self, context: Context) -> None:
        super().__init__("source", context=context)
        self.push = self.add_port("push", zmq.PUSH, binds=False, sends="message")

    def open_ports(self) -> None:
        self.push.open(self.context, sndhwm=2)
        self.push.join("inproc://sink")


@pytest.mark.parametrize("precise", [False, True])
def test_of_a_batch_that_has_no_room_the_beginning_is_sent_and_told(
    context: Context, precise: bool
) -> None:
    heard = Recorder(precise=precise)
    source = Source(context)
    source.attach(heard)
    with context.socket(zmq.PULL) as sink:
        sink.rcvhwm = 2
        sink.bind("inproc://sink")
        source.open()
        try:
            batch = [[b"%d" % n] for n in range(9)]
            sent = source.push.put_many(batch)
            assert 0 < sent < 9
            assert batch[sent:] == [[b"%d" % n] for n in range(sent, 9)]  # as it was
            with pytest.raises(zmq.Again):
                source.push.put_many(batch[sent:])
            came = [sink.recv() for _ in range(sent)]
            assert [wire.strip_stamp(data) for data in came] == [b"%d" % n for n in range(sent)]
        finally:
            source.cleanup()
    assert heard.totals() == {("source:push", "send"): sent}
    stamps = [wire.read_stamp(data) for data in came]
    ids = [e.message for e in heard.trace.events if e.what == "send"]
    assert ids == [f"{stamp.id:016x}" for stamp in stamps if stamp]


def test_every_hop_has_its_own_time_if_a_hook_asks_for_it(context: Context) -> None:
    times: list[int | list[int]] = []

    class Precise(Hook):
        precise = True

        def hops_sent(self, port: object, batch: object, at: int | list[int]) -> None:
            times.append(at)

    source = Source(context)
    source.attach(Precise())
    with context.socket(zmq.PULL) as sink:
        sink.bind("inproc://sink")
        source.open()
        try:
            source.push.put_many([[b"one"], [b"two"], [b"three"]])
        finally:
            source.cleanup()
    (each,) = times
    assert isinstance(each, list)
    assert each == sorted(each)
    assert len(each) == 3


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_who_runs_still_says_so_after_ctrl_c_in_a_join(context: Context) -> None:
    echo = Echo(context)
    echo.launch()
    try:
        alarm = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        alarm.start()
        with pytest.raises(KeyboardInterrupt):
            echo.join(5)
        assert echo.is_running
        assert not echo.join(0.01)
        alarm.join()
    finally:
        echo.stop()
        assert echo.join()
        echo.cleanup()
    assert not echo.is_running
