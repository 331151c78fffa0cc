"""A stepped run: nothing moves but what is told to, and all of it can be told."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stepped import kinds, make, sentences, walk

import pylm_lab as lab
from pylm_lab.errors import Deadlock, RunError, WiringError
from pylm_lab.hook import Hook
from pylm_lab.moves import Move, Moves
from pylm_lab.scenarios import Greeter


def test_nothing_moves_by_itself() -> None:
    moved = threading.Event()

    class Hears(Hook):
        def hop_sent(self, *_: Any) -> None:
            moved.set()

        def hop_received(self, *_: Any) -> None:
            moved.set()

    with make().attach(Hears()) as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        steps = len(cluster.trace.decisions)
        moved.clear()
        assert not moved.wait(0.1)
        assert len(cluster.trace.decisions) == steps
        assert not task.done
        cluster.run()
        assert moved.is_set()
        assert task.result() == b"worker1 processed x"


def test_steps_in_any_portion_make_the_same_run() -> None:
    traces = []
    for portion in (1, 2, 7, 1000):
        with make(workers=2) as cluster:
            cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client())
            sizes = []
            while moves := cluster.step(portion):
                sizes.append(len(moves))
                assert [move.number for move in moves] == list(range(1, len(moves) + 1))
            assert set(sizes[:-1]) <= {portion}
            assert sizes[-1] <= portion
            assert cluster.step(portion) == []  # past the end
            traces.append(cluster.trace)
    assert all(trace.decisions == traces[0].decisions for trace in traces)


def test_run_goes_to_the_end_and_a_second_time_finds_nothing_to_do() -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        assert len(cluster.run()) == 26
        assert task.done
        assert cluster.run() == []
        assert cluster.pending == []


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"part": "WorkerPush"}, "WorkerPush receives message 1 from the router."),
        ({"part": "server.WorkerPush"}, "WorkerPush receives message 1 from the router."),
        ({"part": "worker1", "kind": "send"}, "worker1 sends message 1 to WorkerPull."),
        ({"message": 2}, "client sends message 2 to Pull."),
        ({"message": "2", "part": "Pub"}, "Pub receives message 2 from the router."),
        ({"kind": "ready"}, "Pub tells client that its subscription is known."),
        ({"kind": "unsubscribe"}, "client wants no more answers."),
        (
            {"kind": "receive", "message": 1, "part": "router", "when": lambda m: "Push" in m.link},
            None,
        ),
        ({"when": lambda move: move.link == "router→Pub"}, "the router sends message 1 to Pub."),
    ],
)
def test_run_until_stops_right_after_what_is_asked_for(
    options: dict[str, Any], last: str | None
) -> None:
    with make() as cluster:
        task = cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 2, 2)), cluster.client())
        if last is None:
            with pytest.raises(RunError, match="it never came to part='router', message=1, kind="):
                cluster.run_until(**options)
            assert task.done  # what could move has moved
            return
        moves = cluster.run_until(**options)
        assert moves[-1].sentence == last
        assert last not in sentences(moves)[:-1]
        assert not task.done
        cluster.run()
        assert len(task.result()) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, r"run_until\(\) of what\? Say part=, message=, kind= or when="),
        ({"part": "Pul"}, "part='Pul' takes no part: did you mean 'Pull'"),
        ({"part": "worker2"}, "part='worker2' takes no part: did you mean 'worker1'"),
        ({"part": "?"}, "takes no part: there are router, Pull"),
        ({"kind": "sent"}, "kind='sent': it is one of start, connect, .*send, .*message, credit"),
        ({"when": 3}, "when=3"),
    ],
)
def test_what_run_until_can_not_know_is_refused_before_anything_moves(
    options: dict[str, Any], text: str
) -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        before = kinds(cluster)
        with pytest.raises(WiringError, match=text):
            cluster.run_until(**options)
        assert kinds(cluster) == before
        cluster.run()
        assert task.done


@pytest.mark.parametrize("wait", [1, 9])
def test_a_question_that_fails_is_told_to_who_asked_and_disturbs_nothing(wait: int) -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        seen: list[Move] = []

        def when(move: Move) -> bool:
            seen.append(move)
            return len(seen) == wait and bool(1 / 0)

        with pytest.raises(ZeroDivisionError):
            cluster.run_until(when=when)
        cluster.run()
        assert task.result() == b"worker1 processed x"


def test_a_question_may_look_at_the_cluster() -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        moves = cluster.run_until(
            when=lambda _: len(list(cluster.trace.hops_of("message"))) == 4 and cluster.waiting()
        )
        assert moves[-1].sentence == "WorkerPush sends message 1 to worker1."
        # It is refused or answered what could happen next.
        with contextlib.suppress(RunError):
            cluster.run_until(when=lambda _: len(cluster.pending) > 50)
        cluster.run()
        assert task.done


def test_what_never_comes_is_said_with_how_far_it_went() -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        cluster.step(20)
        with pytest.raises(
            RunError, match="it never came to message=7: nothing can move any more after 6 more st"
        ):
            cluster.run_until(message=7)
        assert task.done


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (lambda c: c.step(0), "n=0: how many operations"),
        (lambda c: c.step(-1), "n=-1: how many operations"),
        (lambda c: c.step(True), "n=True"),
        (lambda c: c.step("1"), "n='1'"),
        (lambda c: c.step(1.0), r"n=1\.0"),
        (lambda c: c.step(choice=0), "choice=0: the number of what is pending"),
        (lambda c: c.step(choice=2), "choice=2: there are 1, from 1 on. See cluster.pending"),
        (lambda c: c.step(choice="1"), "choice='1'"),
        (lambda c: c.step(choice=True), "choice=True"),
    ],
)
def test_a_wrong_step_is_refused_and_moves_nothing(
    step: Callable[[lab.Cluster], object], text: str
) -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        before = kinds(cluster)
        with pytest.raises(WiringError, match=text):
            step(cluster)
        assert kinds(cluster) == before
        cluster.run()
        assert task.done


def test_where_nothing_is_pending_nothing_can_be_chosen() -> None:
    with make() as cluster:
        with pytest.raises(WiringError, match="choice=1: nothing can move"):
            cluster.step(choice=1)
        assert cluster.step() == []


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.eval("server.foo", b"x"),
        lambda client: list(client.job("server.foo", [b"x"])),
        lambda client: client.get("key"),
        lambda client: client.clock.sleep(1),
    ],
)
def test_a_call_that_would_wait_says_how_to_begin_it(call: Callable[[Any], object]) -> None:
    with make() as cluster:
        client = cluster.client()
        before = kinds(cluster)
        with pytest.raises(
            RunError, match=r"the cluster is stepped\. Begin the call with cluster\."
        ):
            call(client)
        assert kinds(cluster) == before
        task = cluster.start(client.eval, "server.foo", b"x")
        cluster.run()
        assert task.result() == b"worker1 processed x"


LOOKS: list[Callable[[lab.Cluster], object]] = [
    lambda cluster: cluster.pending,
    lambda cluster: cluster.step(),
    lambda cluster: cluster.run(),
    lambda cluster: cluster.run_until(kind="send"),
]


@pytest.mark.parametrize("look", LOOKS[:3])
def test_before_anything_was_added_there_is_nothing_to_move(
    look: Callable[[lab.Cluster], object],
) -> None:
    with lab.Cluster(schedule="stepped") as cluster:
        assert look(cluster) == []
        cluster.add(lab.Master("server"))
        assert look(cluster) == []
        cluster.add(Greeter("worker1"))
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        cluster.run()
        assert task.done


@pytest.mark.parametrize("look", LOOKS[:3])
def test_the_first_look_starts_what_has_been_added(look: Callable[[lab.Cluster], object]) -> None:
    with make() as cluster:
        assert "not started" in repr(cluster)
        assert look(cluster) == []
        assert "running" in repr(cluster)
        assert "worker1" in {event.actor for event in cluster.trace.events}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("mode", ["stepped", "free"])
def test_after_the_end_and_in_a_free_cluster_steps_are_refused(
    mode: str, look: Callable[[lab.Cluster], object]
) -> None:
    with make(mode) as cluster:
        cluster.client()
        if mode == "free":
            with pytest.raises(RunError, match=r"runs free.* make one with schedule='stepped'"):
                look(cluster)
    with pytest.raises(RunError, match="the cluster has ended" if mode == "stepped" else "free"):
        look(cluster)


def test_two_calls_overlap_as_told() -> None:
    with make(workers=2) as cluster:
        one, two = cluster.client(), cluster.client()
        first = cluster.start(one.eval, "server.foo", b"1")
        second = cluster.start(two.eval, "server.foo", b"2")
        cluster.run_until(part="worker1", kind="receive")
        assert not first.done
        assert not second.done
        # The second overtakes the first, which stays where it is.
        while not second.done:
            cluster.step(next(m for m in cluster.pending if m.actor != "worker1"))
        assert not first.done
        cluster.run()
        assert {first.result(), second.result()} == {b"worker1 processed 1", b"worker2 processed 2"}


@pytest.mark.parametrize(
    "name", [name for name in lab.scenarios if not lab.scenarios[name].free_only]
)
def test_a_whole_scenario_can_be_begun_and_walked_through(name: str) -> None:
    scenario = lab.scenarios[name]
    with scenario.cluster(schedule="stepped") as cluster:
        task = cluster.start(scenario.play, cluster)
        assert not task.done
        walk(cluster, random.Random(name), lambda *_: None)
        answers = task.result()
    assert len(answers) >= 3
    assert cluster.trace.check() == []


def test_who_joins_in_the_middle_moves_nobody_else() -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        cluster.step(9)
        before, hops = cluster.pending, len(list(cluster.trace.hops_of("message")))
        cluster.client()
        cluster.add(Greeter("late"))
        assert cluster.pending == before
        assert len(list(cluster.trace.hops_of("message"))) == hops
        cluster.run()
        assert task.done


def test_the_same_cell_run_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    saved = []
    for n in range(2):
        with make(workers=2) as cluster:
            for _ in range(2):
                cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client())
            walk(cluster, random.Random(4), lambda *_: None)
        saved.append(cluster.trace.save(tmp_path / f"{n}.jsonl").read_bytes())
    assert saved[0] == saved[1]


def test_who_takes_his_time_between_steps_gets_the_same_run() -> None:
    """What the machine's clock says, and what happens between steps, reaches nothing."""
    traces = []
    for pause in (0.0, 0.003):
        with make() as cluster:
            task = cluster.start(cluster.client(timeout=0.01).eval, "server.foo", b"x")
            while cluster.step():
                threading.Event().wait(pause)
            assert task.result() == b"worker1 processed x"
        traces.append(cluster.trace)
    assert traces[0].events == traces[1].events
    assert traces[0].decisions == traces[1].decisions


def test_every_thread_is_an_actor_s_or_a_call_s() -> None:
    before = set(threading.enumerate())
    with make() as cluster:
        cluster.start(cluster.client().eval, "server.foo", b"x")
        cluster.step(5)
        new = {thread.name for thread in threading.enumerate() if thread not in before}
        actors = {actor.id for actor in cluster.trace.actors if actor.role != "client"}
        assert new == actors | {"call 1"}


def test_at_a_standstill_a_stepped_run_is_looked_at_mended_and_goes_on() -> None:
    with lab.Cluster(schedule="stepped") as cluster:
        cluster.add(lab.Master("server"))
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        with pytest.raises(Deadlock, match="nothing can move any more at step") as caught:
            cluster.run()
        waits = caught.value.waits
        assert waits is not None
        assert waits == cluster.waiting()
        assert [wait.actor for wait in waits.blocked] == ["server.WorkerPush", "client"]
        for look in LOOKS[1:]:
            with pytest.raises(Deadlock):
                look(cluster)
        assert cluster.pending == []
        assert not task.done
        cluster.add(Greeter("late"))
        assert sentences(cluster.pending) == ["WorkerPush sends message 1 to late."]
        moves: Moves = cluster.run()
        assert moves[0].sentence == "WorkerPush sends message 1 to late."
        assert task.result() == b"late processed x"
