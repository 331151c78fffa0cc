"""Scripts of the documented style: a blocking start in the main thread, its log, and its Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from typing import Any

import pytest
import zmq
from processes import Script, free_ports

from pylm_lab.foreground import Foreground, Interrupted
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.servers import Master, Worker

posix = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - pylm_lab\.%s - INFO - %s "

START = """
import sys
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import PullService
from pylm_lab.servers import *
place, other = sys.argv[1:]
template = ServerTemplate()
template.register_inbound(PullService, "Pull", place)
{}.start()
"""
#: Blocking starts, each with an address to bind, or to look for a server at.
STARTS = {
    "template": "template",
    "master": 'Master("server", place)',
    "server": 'Server("server", pull_address=place)',
    "pipeline": 'Pipeline("server", pub_address=place, sub_address=other, previous="x")',
    "hub": 'Hub("server", pub_address=place, sub_address=other, previous="x")',
    "sink": 'Sink("server", pub_address=place, sub_addresses=[other], previous=["x"])',
    "worker": 'Worker("server", other)',
}


@posix
@pytest.mark.parametrize("which", list(STARTS))
def test_one_ctrl_c_ends_a_script_with_130_in_silence_and_nothing_stays_bound(which: str) -> None:
    place, other = free_ports(2)
    with Script(START.format(STARTS[which]), place, other) as script:
        assert re.match(LINE % ("server", "server"), script.line())
        script.interrupt()
        assert script.wait(which) == 130, script.errors
        assert script.errors == ""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.bind(place)


@posix
def test_ctrl_c_tells_which_function_never_returns() -> None:
    text = """
import threading
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.servers import Server
import zmq
class Stuck(Server):
    def stop(self, timeout=0.2, linger=0.1):
        return super().stop(timeout, linger)
    def foo(self, payload):
        print("it runs", flush=True)
        threading.Event().wait()
stuck = Stuck("server", log_level=30)
stuck.open()
push = zmq.Context.instance().socket(zmq.PUSH)
push.connect(stuck.inbound_components["Pull"].listen_to.address)
push.send(PalmMessage(function="server.foo", client="c", payload=b"x").SerializeToString())
push.close()
stuck.start()
"""
    with Script(text) as script:
        assert script.line() == "it runs"
        script.interrupt()
        told = "still running after 2 s, and left to themselves: server.Pub (waits for its"
        assert f"{told} function foo to return)" in script.line()
        assert script.wait("a function that never returns") == 130, script.errors


@posix
def test_ctrl_c_while_a_start_begins_ends_it_the_same_way() -> None:
    text = """
import os, signal
from pylm_lab.servers import Master
class Early(Master):
    def open(self):
        os.kill(os.getpid(), signal.SIGINT)
        super().open()
Early("server").start()
"""
    with Script(text) as script:
        script.line()
        assert script.wait("an early Ctrl-C") == 130, script.errors
        assert script.errors == ""


def test_ctrl_c_is_taken_down_and_raised_in_the_end() -> None:
    before = signal.getsignal(signal.SIGINT)
    passed = False
    with pytest.raises(KeyboardInterrupt) as caught, Foreground() as here:  # noqa: PT012 - it is one block
        signal.raise_signal(signal.SIGINT)
        passed = here.interrupted
        # What has become of it meanwhile tells nobody anything.
        raise RuntimeError("release unlocked lock")
    assert passed
    assert isinstance(caught.value, Interrupted)
    assert caught.value.code == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_is_raised_at_once() -> None:
    reached = 0
    with pytest.raises(Interrupted), Foreground():  # noqa: PT012 - it is one block
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
            reached += 1
    assert reached == 1


def test_a_start_within_a_start_hears_ctrl_c_and_ends_both() -> None:
    with pytest.raises(Interrupted), Foreground() as outer:  # noqa: PT012 - it is one block
        with Foreground() as inner:
            signal.raise_signal(signal.SIGINT)
            assert inner.interrupted
        raise AssertionError("not reached")
    assert not outer.interrupted


def test_in_an_interactive_session_ctrl_c_does_not_end_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with pytest.raises(KeyboardInterrupt) as caught, Foreground():
        signal.raise_signal(signal.SIGINT)
    assert not isinstance(caught.value, SystemExit)


def test_a_handler_of_the_application_s_own_stays() -> None:
    heard: list[int] = []

    def own(number: int, frame: Any) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGINT, own)
    try:
        with Foreground() as here:
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    assert not here.interrupted


def test_a_start_in_another_thread_leaves_signals_and_log_alone() -> None:
    server = Master("server")
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=server.start)
    thread.start()
    while not server.is_running:
        thread.join(0.01)
    assert signal.getsignal(signal.SIGINT) is before
    server.stop()
    thread.join(5)


class Asked(Worker):
    """Presses Ctrl-C, where a message asks for it, or before it answers."""

    answers_late = False

    def foo(self, payload: bytes) -> bytes:
        """Press it, and wait."""
        signal.raise_signal(signal.SIGINT)
        threading.Event().wait(30)
        return payload

    def bar(self, payload: bytes) -> bytes:
        """Let it be pressed before the answer leaves."""
        self.answers_late = True
        return payload

    def emit(self, port: Any, frames: list[bytes]) -> None:
        if self.answers_late:
            signal.raise_signal(signal.SIGINT)
        super().emit(port, frames)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("function", "answers"), [("foo", 0), ("bar", 1)])
def test_ctrl_c_ends_a_function_at_once_and_lets_an_answer_leave(
    function: str, answers: int
) -> None:
    message = PalmMessage(function=f"server.{function}", payload=b"x")
    with (
        zmq.Context() as context,
        context.socket(zmq.PUSH) as out,
        context.socket(zmq.PULL) as back,
    ):
        out.bind("inproc://out")
        back.bind("inproc://back")
        worker = Asked("w", "", "inproc://out", "inproc://back", context=context)
        # It leaves as soon as the worker is there.
        sends = threading.Thread(target=out.send, args=(message.SerializeToString(),))
        sends.start()
        with pytest.raises(KeyboardInterrupt):
            worker.start()
        sends.join(5)
        assert not worker.is_open
        assert back.poll(1000 * answers) == (zmq.POLLIN if answers else 0)


LOGS = """
import logging, sys
from pylm_lab.servers import Worker
import pylm_lab as lab
{}
for name in ("one", "two"):
    Worker(name, "", "inproc://a", "inproc://b", messages=0).start()
with lab.Cluster() as cluster:
    cluster.add(lab.Master("server"))
    cluster.client().set(b"x")
logging.getLogger("pylm_lab.one").info("nobody hears it")
print("end", flush=True)
"""


def lines(text: str) -> list[str]:
    """What a script prints, to its end."""
    with Script(text) as script:
        found = [script.line()]
        while found[-1] != "end":
            found.append(script.line())
        assert script.wait("a script") == 0
        assert script.errors == ""
        return found[:-1]


def test_a_script_tells_its_log_once_and_a_cluster_none() -> None:
    first, second = lines(LOGS.format(""))
    assert re.match(LINE % ("one", "one has started;"), first)
    assert re.match(LINE % ("two", "two has started;"), second)


def test_the_log_of_the_application_stays_as_it_is() -> None:
    own = 'logging.basicConfig(format="own %(message).3s", stream=sys.stdout)'
    assert lines(LOGS.format(own))[:2] == ["own one", "own two"]


def test_a_handler_of_the_package_s_logger_tells_alone() -> None:
    own = (
        "handler = logging.StreamHandler(sys.stdout)\n"
        'handler.setFormatter(logging.Formatter("own %(message).3s"))\n'
        'logging.getLogger("pylm_lab").addHandler(handler)'
    )
    assert lines(LOGS.format(own))[:2] == ["own one", "own two"]


def test_a_level_is_obeyed() -> None:
    quiet = LOGS.replace("messages=0", "messages=0, log_level=logging.WARNING")
    assert lines(quiet.format("")) == []
