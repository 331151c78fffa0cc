"""Ports and the loop: the door, waiting, stopping, and what a stamp says."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import zmq

from pylm_lab import wire
from pylm_lab.actor import Actor
from pylm_lab.errors import NoAnswer, RunError
from pylm_lab.hook import Hook, Port
from pylm_lab.loop import Ids

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


def test_ids_come_from_the_seed_the_actor_and_the_count() -> None:
    one, same, other, seeded = Ids(1, "a"), Ids(1, "a"), Ids(1, "b"), Ids(2, "a")
    first = [one.text() for _ in range(3)]
    assert first == [same.text() for _ in range(3)]
    assert len({*first, other.text(), seeded.text()}) == 5
    assert {len(id) for id in first} == {16}
    assert Ids(None, "a").text() != Ids(None, "a").text()


def test_what_goes_on_keeps_its_id_and_every_further_copy_is_a_child(context: Context) -> None:
    actor = Echo(context)
    actor.open()
    try:
        came = actor.mark(wire.write_stamp(b"x", wire.Stamp(id=7, parent=0, clock=10)))
        sent = [wire.read_stamp(actor.stamp(came, outer=True)) for _ in range(3)]
        new = wire.read_stamp(actor.stamp(b"made up", outer=True))
    finally:
        actor.cleanup()
    assert [stamp and stamp.parent for stamp in sent] == [0, 7, 7]
    assert sent[0]
    assert sent[0].id == 7
    assert [stamp and stamp.clock for stamp in (*sent, new)] == [12, 13, 14, 15]
    assert new
    assert new.parent == 7


def test_a_message_from_a_stranger_is_given_an_id(context: Context) -> None:
    actor = Echo(context)
    actor.open()
    try:
        stamp = wire.read_stamp(actor.mark(b"no stamp"))
    finally:
        actor.cleanup()
    assert stamp
    assert stamp.id
