"""Calls that were begun: their results, their errors, and what they may do to each other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from stepped import MODES, finish, kinds, make

import pylm_lab as lab
from pylm_lab.errors import Deadlock, NoAnswer, RunError, WiringError

NOTHING: dict[str, object] = {}

every_mode = pytest.mark.parametrize("mode", list(MODES))
in_turn = pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "free"])


@every_mode
def test_a_task_has_the_result_of_its_call(mode: str) -> None:
    with make(mode) as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", payload=b"x")
        assert repr(task).startswith("<call 1: ")
        assert finish(cluster, task) == b"worker1 processed x"
        assert task.result() == b"worker1 processed x"
        assert (task.done, task.error, repr(task)) == (True, None, "<call 1: done>")
    assert task.result() == b"worker1 processed x"


@every_mode
def test_what_a_generator_gives_is_collected(mode: str) -> None:
    with make(mode) as cluster:
        client, other = cluster.client(), cluster.client()

        def giving() -> Iterator[object]:
            yield 1
            yield other.eval("server.foo", b"x")

        job = cluster.start(client.job, "server.foo", (b"%d" % n for n in range(3)), messages=3)
        given = cluster.start(giving)
        assert sorted(finish(cluster, job)) == [b"worker1 processed %d" % n for n in range(3)]
        assert finish(cluster, given) == [1, b"worker1 processed x"]


@every_mode
def test_a_function_that_fails_fails_where_its_result_is_asked_for(mode: str) -> None:
    with make(mode) as cluster:
        client, other = cluster.client(), cluster.client()

        def fail(late: bool) -> object:
            return (late and client.eval("server.foo", b"x")), NOTHING["missing"]

        early, late = cluster.start(fail, False), cluster.start(fail, True)
        whole = cluster.start(other.eval, "server.foo", b"x")
        assert finish(cluster, whole) == b"worker1 processed x"
        for task in (early, late):
            with pytest.raises(KeyError, match="missing"):
                finish(cluster, task)
            assert (task.done, repr(task.error)) == (True, "KeyError('missing')")
            assert "failed, KeyError('missing')" in repr(task)


@every_mode
def test_a_function_that_touches_nothing_is_done_at_once_and_moves_nothing(mode: str) -> None:
    with make(mode) as cluster:
        cluster.client()
        before = kinds(cluster)
        task = cluster.start(sorted, "cab", reverse=True)
        assert task.result(10) == ["c", "b", "a"]
        assert kinds(cluster) == before


@every_mode
def test_what_is_no_function_is_refused(mode: str) -> None:
    with make(mode) as cluster:
        cluster.client()
        with pytest.raises(WiringError, match=r"start\(b'x'\): give it a function and its argumen"):
            cluster.start(b"x")  # type: ignore[arg-type]
        assert cluster.start(int).result(10) == 0
    with pytest.raises(RunError, match="the cluster has ended"):
        cluster.start(int)


@every_mode
def test_a_call_may_make_who_takes_part(mode: str) -> None:
    with lab.Cluster(**MODES[mode]) as cluster:
        task = cluster.start(lab.scenarios["scatter"].play, cluster, messages=2)
        assert len(finish(cluster, task)) == 6
    assert cluster.trace.check() == []


@every_mode
def test_a_call_may_begin_another_and_wait_for_it(mode: str) -> None:
    with make(mode) as cluster:
        one, two = cluster.client(), cluster.client()

        def play() -> object:
            inner = cluster.start(two.eval, "server.foo", b"inner")
            return one.eval("server.foo", b"outer"), inner.result(10)

        task = cluster.start(play)
        assert finish(cluster, task) == (b"worker1 processed outer", b"worker1 processed inner")


@in_turn
def test_two_calls_may_each_wait_for_another(mode: str) -> None:
    with make(mode, workers=2) as cluster:
        clients = [cluster.client() for _ in range(4)]

        def play(first: lab.Client, second: lab.Client) -> object:
            inner = cluster.start(second.eval, "server.foo", b"inner")
            return inner.result(), first.eval("server.foo", b"outer")

        tasks = [cluster.start(play, *clients[n : n + 2]) for n in (0, 2)]
        for task in tasks:
            assert len(finish(cluster, task)) == 2


@every_mode
def test_many_calls_at_once_all_end(mode: str) -> None:
    count = 8
    with make(mode, workers=2) as cluster:
        tasks = [
            cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 5, 5)), cluster.client())
            for _ in range(count)
        ]
        for task in tasks:
            assert len(finish(cluster, task)) == 5
    assert cluster.trace.check() == []


@pytest.mark.timeout(10)
@pytest.mark.parametrize("steps", [0, 1, 2, 4, 5, 6, 7, 12, 20])
def test_a_client_in_a_call_refuses_a_second_one_and_the_first_goes_on(steps: int) -> None:
    with make() as cluster:
        client = cluster.client()
        first = cluster.start(client.eval, "server.foo", b"1")
        if steps:
            cluster.step(steps)
        second = cluster.start(client.eval, "server.foo", b"2")
        cluster.run()
        assert first.result() == b"worker1 processed 1"
        with pytest.raises(RunError, match=r"client is in a call already: .* make a second client"):
            second.result()
        third = cluster.start(client.eval, "server.foo", b"3")
        cluster.run()
        assert third.result() == b"worker1 processed 3"
    assert cluster.trace.check() == []


@pytest.mark.timeout(10)
@pytest.mark.parametrize("steps", [0, 1, 5, 6, 12])
def test_a_client_in_a_call_refuses_to_ask_the_cache(steps: int) -> None:
    with make() as cluster:
        client = cluster.client()
        first = cluster.start(client.eval, "server.foo", b"1")
        if steps:
            cluster.step(steps)
        second = cluster.start(client.get, "key")
        cluster.run()
        assert first.result() == b"worker1 processed 1"
        with pytest.raises(RunError, match="client is in a call already"):
            second.result()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("steps", [1, 8])
def test_a_client_may_be_closed_while_a_call_of_its_own_waits(steps: int) -> None:
    with make() as cluster:
        with cluster.client() as client:
            task = cluster.start(client.eval, "server.foo", b"x")
            cluster.step(steps)
        assert task.done
        with pytest.raises(RunError):
            task.result()
        other = cluster.start(cluster.client().eval, "server.foo", b"y")
        cluster.run()
        assert other.result() == b"worker1 processed y"


def test_a_result_of_a_stepped_run_says_how_to_come_to_it() -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        assert repr(task) == "<call 1: not done yet>"
        with pytest.raises(
            RunError, match=r"call 1 has not ended: .* cluster\.step\(\) or cluster\."
        ):
            task.result()


@in_turn
def test_a_result_after_the_end_says_that_it_is_over(mode: str) -> None:
    cluster = make(mode)
    task = cluster.start(cluster.client().eval, "server.foo", b"x")
    with pytest.raises(ZeroDivisionError), cluster:
        raise ZeroDivisionError
    assert task.done
    with pytest.raises(RunError):
        task.result()


def test_a_thread_that_was_not_begun_here_is_refused_and_disturbs_nothing() -> None:
    found: list[str] = []
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")

        def look() -> None:
            for ask in (lambda: cluster.pending, cluster.step, lambda: cluster.start(int)):
                try:
                    ask()
                except RunError as error:
                    found.append(str(error))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(10)
        assert len(found) == 3
        assert all("only the thread that made the cluster may call" in text for text in found)
        assert len(cluster.run()) == 26
        assert task.done


# ------------------------------------------------------------------------------------- a free run


class Patient(lab.Worker):
    """Answers when it is told to."""

    def __init__(self, name: str, go_on: threading.Event) -> None:
        super().__init__(name)
        self.go_on = go_on

    def foo(self, payload: bytes) -> bytes:
        self.go_on.wait(20)
        return payload


def test_a_free_result_is_waited_for_so_long_and_no_longer() -> None:
    go_on = threading.Event()
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Patient("worker1", go_on))
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        for timeout in (0, 0.05):
            with pytest.raises(NoAnswer, match=f"call 1 has not ended within {timeout:g} s"):
                task.result(timeout)
        with pytest.raises(WiringError, match="timeout='1': a time in seconds"):
            task.result("1")  # type: ignore[arg-type]
        assert not task.done
        go_on.set()
        assert task.result() == b"x"


def test_calls_that_wait_when_a_free_cluster_ends_end_with_an_error() -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        tasks = [cluster.start(cluster.client().eval, "server.foo", b"x") for _ in range(4)]
        assert not any(task.done for task in tasks)
    for task in tasks:
        with pytest.raises(RunError, match=r"was stopped while a call waited|is closed"):
            task.result(10)


@in_turn
def test_a_call_that_nobody_answers_is_a_deadlock_with_who_waits_for_whom(mode: str) -> None:
    with lab.Cluster(**MODES[mode]) as cluster:
        cluster.add(lab.Master("server"))
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        with pytest.raises(Deadlock, match="nothing can move any more at step") as caught:
            finish(cluster, task)
    waits = caught.value.waits
    assert waits is not None
    assert {wait.unit for wait in waits} == {"steps"}
    found = {wait.actor: wait.on for wait in waits.blocked}
    assert found["client"] == ("server.Pub",)
    assert found["server.WorkerPush"] == ()
    assert "client waits for a message at client:sub from server.Pub, for" in str(caught.value)


def test_a_failure_that_nobody_asked_for_is_told_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make() as cluster:
        cluster.start(lambda: NOTHING["one"])
        asked = cluster.start(lambda: NOTHING["two"])
        with pytest.raises(KeyError):
            asked.result()
        cluster.start(cluster.client().eval, "server.foo", b"x")
        cluster.run()
    found = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(found) == 1
    assert "call 1 failed" in found[0]
    assert "'one'" in found[0]


def test_a_task_may_be_given_anything() -> None:
    with make() as cluster:
        client = cluster.client()
        found: list[Any] = []
        task = cluster.start(found.append, client)
        assert (task.result(), found) == (None, [client])
