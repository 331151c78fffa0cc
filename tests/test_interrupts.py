"""A stepped run that is left in the middle, in whatever way: it ends at once and leaves nothing."""

from __future__ import annotations

import _thread
import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from processes import Script, within
from stepped import make

import pylm_lab as lab
from pylm_lab.errors import LabError, RunError
from pylm_lab.hook import Hook, Port
from pylm_lab.scenarios import Greeter
from pylm_lab.tasks import Task

#: Seconds within which it ends; the aim is 2, on a machine where nobody else works.
DEADLINE = 5.0
WAYS = ("an exception", "leaving the block", "stop", "Ctrl-C at a hop", "Ctrl-C at a line")


class LeftError(Exception):
    """Why a block is left."""


class Busy(Greeter):
    """Asks the cache, and sleeps."""

    def foo(self, payload: bytes) -> bytes:
        self.get("key")
        self.clock.sleep(10)
        return super().foo(payload)


class Interrupts(Hook):
    """Presses Ctrl-C at the n-th hop from now on."""

    left = 0

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                _thread.interrupt_main()

    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        self._count()

    def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
        self._count()


def interrupt_at_line(count: int) -> None:
    """Press Ctrl-C at the n-th line that the main thread runs in the rooms of the gate."""
    rooms = ("stepping.py", "turnstile.py", "turns.py", "schedule.py", "moves.py")

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if Path(frame.f_code.co_filename).name not in rooms:
            return None
        if event == "line":
            count -= 1
            if count == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)


def begin(cluster: lab.Cluster, chance: random.Random) -> list[Task]:
    """Some calls, each of which is at its beginning."""
    cluster.add(lab.Master("server"))
    cluster.add(Busy("worker1"))
    cluster.add(Greeter("worker2"))
    first, second = cluster.client(), cluster.client()

    def many() -> list[bytes]:
        first.set(b"value", "key")
        return list(first.job("server.foo", [b"x"] * 3, 3))

    def nested() -> object:
        return cluster.start(second.eval, "server.foo", b"x"), second.clock.time()

    tasks = [cluster.start(many)]
    if chance.random() < 0.5:
        tasks.append(cluster.start(nested))
    return tasks


def leave(cluster: lab.Cluster, way: str, steps: int, interrupts: Interrupts) -> None:
    """Go so many steps, then leave in this way."""
    if way == "Ctrl-C at a hop":
        interrupts.left = steps
        while cluster.step(5):
            pass
        return  # it had come to its end before
    if way == "Ctrl-C at a line":
        interrupt_at_line(steps * 20)
        while cluster.step():
            pass
        return
    cluster.step(steps)
    if way == "an exception":
        raise LeftError
    if way == "stop":
        with within(DEADLINE, "the stop"):
            assert cluster.stop()


@pytest.mark.timeout(300)
def test_a_stepped_run_left_at_any_point_ends_at_once_and_leaves_nothing(scale: int) -> None:
    chance = random.Random("left at any point")
    worst, early = 0.0, 0
    for n in range(50 if scale < 5 else 200):
        way, steps, interrupts = WAYS[n % len(WAYS)], chance.randrange(1, 130), Interrupts()
        told = f"repetition {n}, {way} after {steps} steps"
        caught: BaseException | None = None
        ended = 0.0
        try:
            with lab.Cluster(schedule="stepped", seed=n).attach(interrupts) as cluster:
                tasks = begin(cluster, chance)
                try:
                    leave(cluster, way, steps, interrupts)
                finally:
                    sys.settrace(None)
                    ended = time.monotonic()
        except (LeftError, KeyboardInterrupt) as error:
            caught = error
        took = time.monotonic() - ended
        worst = max(worst, took)
        early += not all(task.done and task.error is None for task in tasks)
        assert took < DEADLINE, f"{told}: {took:.2f} s"
        assert "ended" in repr(cluster), told
        assert all(task.done for task in tasks), told
        if way in WAYS[:1]:
            assert isinstance(caught, LeftError), told
        trace = cluster.trace
        assert trace.events, told
        assert [h for h in trace.hops if h.received is not None and h.sent is None] == [], told
        assert trace.check() is not None, told
        with make() as another:
            task = another.start(another.client().eval, "server.foo", b"x")
            another.run()
            assert task.result() == b"worker1 processed x", told
    print(f"the slowest end took {worst:.3f} s")
    assert early > 25, "most are left before their calls have ended"


@pytest.mark.parametrize("steps", range(4, 80, 4))
def test_whatever_is_lost_when_a_stepped_run_is_left_is_named(steps: int) -> None:
    with make(seed=20) as cluster:
        cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 5, 5)), cluster.client())
        cluster.step(steps)
    found = [f.sentence for f in cluster.trace.check() if f.name == "conservation"]
    assert found == []


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 12, 20, 30])
@pytest.mark.parametrize("raising", [False, True])
def test_a_call_that_is_left_fails_with_an_error_that_can_be_caught(
    steps: int, raising: bool
) -> None:
    try:
        with make() as cluster:
            task = cluster.start(cluster.client().job, "server.foo", [b"x"] * 9, 9)
            if steps > 1:
                cluster.step(steps - 1)
            if raising:
                raise LeftError
    except LeftError:
        pass
    assert task.done
    with pytest.raises(RunError, match=r"call 1 was ended|client"):
        task.result()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("steps", range(1, 15, 3))
def test_a_call_that_is_making_a_client_ends_too(steps: int) -> None:
    with within(DEADLINE, "the end"), make() as cluster:
        first = cluster.client()

        def play() -> object:
            return first.eval("server.foo", b"x"), cluster.client()

        task = cluster.start(play)
        cluster.run_until(kind="request")
        cluster.step(steps)
        assert steps > 12 or not task.done
    assert task.done


def moved_on(move: Callable[[], object]) -> str:
    """Why it can't move on: because it was interrupted, and nothing else; empty if it has moved."""
    told = ""
    try:
        move()
    except LabError as error:
        told = str(error)
    assert not told or "interrupted" in told, told
    return told


@pytest.mark.parametrize("where", ["a hop", "a line"])
@pytest.mark.parametrize("moment", [1, 3, 10, 17])
def test_after_an_interrupted_cell_the_cluster_can_still_be_stopped(
    where: str, moment: int
) -> None:
    interrupts = Interrupts()
    cluster = make().attach(interrupts)
    task = cluster.start(cluster.client().job, "server.foo", [b"x"] * 3, 3)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - a loop, as in a cell
        if where == "a hop":
            interrupts.left = moment
        else:
            interrupt_at_line(moment * 40)
        try:
            while cluster.step():
                pass
        finally:
            sys.settrace(None)
    assert moved_on(cluster.step) is not None
    assert cluster.pending is not None
    assert cluster.waiting() is not None
    with within(DEADLINE, "the stop"):
        assert cluster.stop()
    assert cluster.stop()
    assert task.done
    assert len(cluster.trace.events) > 40


@pytest.mark.timeout(30)
def test_ctrl_c_at_any_line_of_a_step_leaves_a_run_that_goes_on_or_says_so(scale: int) -> None:
    lines = 250 * scale
    count = 0
    for line in range(1, lines):
        interrupted = False
        with within(DEADLINE, f"line {line}"), make() as cluster:
            task = cluster.start(cluster.client().eval, "server.foo", b"x")
            interrupt_at_line(line)
            try:
                while found := cluster.pending:
                    cluster.step(found[-1])
            except KeyboardInterrupt:
                interrupted = True
                count += 1
            finally:
                sys.settrace(None)
            # Where nobody else had the turn, it just goes on.
            if moved_on(cluster.run) == "":
                assert task.result() == b"worker1 processed x", f"line {line}"
            else:
                assert interrupted
        assert "ended" in repr(cluster)
    assert count > lines // 2


def test_a_second_stop_and_a_late_question_find_an_end() -> None:
    cluster = make()
    task = cluster.start(cluster.client().eval, "server.foo", b"x")
    cluster.step(5)
    with within(DEADLINE, "the stops"):
        assert cluster.stop()
        assert cluster.stop()
    for ask in (lambda: cluster.pending, cluster.step, cluster.run, lambda: cluster.start(int)):
        with pytest.raises(RunError, match="the cluster has ended"):
            ask()
    assert not cluster.waiting()
    with pytest.raises(RunError):
        task.result()


def test_a_stepped_cluster_that_is_forgotten_ends() -> None:
    before = threading.active_count()
    cluster: lab.Cluster | None = make()
    assert cluster is not None
    task: Any = cluster.start(cluster.client().eval, "server.foo", b"x")
    cluster.step(5)
    assert threading.active_count() > before
    with within(DEADLINE, "the end"):
        del cluster
        gc.collect()
    assert task.done
    assert threading.active_count() == before


# --------------------------------------------------------------------- in a process of its own

SCRIPT = """
import itertools, sys
import pylm_lab as lab
cluster = lab.Cluster(schedule="stepped", record=False)
cluster.add(lab.Master("server"))
cluster.add(lab.Worker("worker1"))
client = cluster.client()
{call}
print("up", flush=True)
{rest}
"""
FOR_EVER = 'cluster.start(client.job, "server.echo", itertools.repeat(b"x"))'
#: How the script goes on, and its exit code.
ENDS = {
    "the end of the file": ("cluster.step(9)", 0),
    "exit": ("cluster.step(9); sys.exit(3)", 3),
    "an error": ("cluster.step(9); 1 / 0", 1),
    "in a block": ("with cluster:\n    cluster.step(9)\n    1 / 0", 1),
}


@pytest.mark.parametrize("how", list(ENDS))
def test_a_process_that_leaves_a_stepped_run_ends(how: str) -> None:
    rest, code = ENDS[how]
    with Script(SCRIPT.format(call=FOR_EVER, rest=rest)) as script:
        assert script.line() == "up"
        with within(DEADLINE, how):
            assert script.wait(how) == code, script.errors
        assert ("ZeroDivisionError" in script.errors) == (code == 1)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT, which only POSIX systems can")
@pytest.mark.parametrize(
    "rest",
    [
        "cluster.run()",
        "cluster.run_until(when=lambda move: False)",
        "while cluster.step(): pass",
        "with cluster:\n    cluster.run()",
        "while True: cluster.step(choice=len(cluster.pending))",
    ],
)
def test_one_ctrl_c_ends_a_script_that_steps_for_ever(rest: str) -> None:
    with Script(SCRIPT.format(call=FOR_EVER, rest=rest)) as script:
        assert script.line() == "up"
        script.interrupt()
        with within(DEADLINE, rest):
            assert script.wait(rest) == -signal.SIGINT, script.errors
        assert "KeyboardInterrupt" in script.errors.splitlines(), script.errors
