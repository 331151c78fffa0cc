"""Controlled runs: one operation at a time, in an order that the seed alone decides."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from stepped import MODES, finish, kinds, make

import pylm_lab as lab
from pylm_lab.choices import Chosen
from pylm_lab.errors import Deadlock, Endless, NoAnswer, RunError, WiringError
from pylm_lab.scenarios import Greeter
from pylm_lab.schedule import Gate, Operation


def test_a_gate_gives_turns_one_at_a_time_in_the_order_that_is_chosen() -> None:
    """Two threads that only count: what they did is one list, the one that was chosen."""
    done: list[str] = []
    gate = Gate(Chosen(lambda possible: len(possible) - 1))  # always the last that may move

    def work(owner: object, name: str) -> None:
        gate.begin(owner)
        for position in range(3):
            gate.ask(owner, always=Operation(name, "count"))
            done.append(f"{name}{position}")
        gate.end(owner)

    threads = []
    for name in "ab":
        owner = object()
        gate.announce(owner, name, thread=True)
        threads.append(threading.Thread(target=work, args=(owner, name)))
        threads[-1].start()
    gate.rest()
    assert done == ["b0", "b1", "b2", "a0", "a1", "a2"]
    for thread in threads:
        thread.join(2)
        assert not thread.is_alive()
    assert gate.step == 8  # two starts, and six counts


def test_the_steps_of_a_seeded_trace_rise_and_are_unique() -> None:
    trace = lab.scenarios["parallel"].run(seed=5)
    steps = [event.at for event in trace.events]
    assert steps == sorted(set(steps))


def test_different_seeds_give_different_orders_and_the_same_answers() -> None:
    traces = [lab.scenarios["parallel"].run(seed=seed) for seed in range(10)]
    orders = {tuple((hop.source, hop.message) for hop in trace.hops) for trace in traces}
    assert len(orders) == 10
    for trace in traces:
        assert trace.check() == []


def test_when_nothing_can_move_the_waiting_call_says_who_waits_for_what() -> None:
    with lab.Cluster(seed=1) as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client()
        with pytest.raises(Deadlock, match="client waits for a message at client:sub"):
            client.eval("server.foo", b"nobody works")
        # The run goes on: whoever comes later takes what waited.
        cluster.add(Greeter("late"))
        with pytest.raises(Deadlock):
            client.eval("server.foo", b"x", messages=2)


def test_a_timeout_comes_when_nothing_else_can_and_takes_no_time() -> None:
    with lab.Cluster(seed=1) as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client(timeout=3600)
        with pytest.raises(NoAnswer, match="within 3600 s"):
            client.eval("server.foo", b"nobody works")


def test_a_call_from_a_second_thread_is_refused() -> None:
    found: list[BaseException] = []
    with lab.Cluster(seed=1) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        client = cluster.client()

        def call() -> None:
            try:
                client.eval("server.foo", b"x")
            except RunError as error:
                found.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join(5)
        assert "second thread" in str(found[0])
        assert client.eval("server.foo", b"x") == b"worker1 processed x"


def test_a_seeded_run_ends_when_everything_has_come_to_rest() -> None:
    with lab.Cluster(seed=2) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        job = cluster.client().job("server.foo", [b"x"] * 5)
        next(job)
    # All five were worked on, though only one was waited for.
    works = [h for h in cluster.trace.hops_of("message") if h.source == "worker1"]
    assert len(works) == 5
    stops = [event.actor for event in cluster.trace.events if event.what == "stop"]
    assert sorted(stops) == sorted(
        actor.id for actor in cluster.trace.actors if actor.role != "client"
    )


# ------------------------------------------------------------------ a schedule that is a function


def test_a_function_is_given_what_is_possible_and_says_what_comes() -> None:
    asked: list[list[Operation]] = []

    def last(possible: Sequence[Operation]) -> int:
        asked.append(list(possible))
        return len(possible) - 1

    with make(schedule=last, workers=2) as cluster:
        client = cluster.client()
        begun = len(kinds(cluster))
        assert asked == []  # that somebody joins is no choice
        list(client.job("server.foo", [b"x"] * 3, 3))
    made = [d for d in cluster.trace.decisions[begun:] if d.kind != "quiet"]
    assert [(d.actor, d.kind, d.port) for d in made] == [possible[-1].name for possible in asked]
    assert max(map(len, asked)) > 1
    for possible in asked:
        assert len({operation.name for operation in possible}) == len(possible)
        assert {operation.kind for operation in possible} <= {
            "subscribe",
            "unsubscribe",
            "send",
            "receive",
        }
        assert all(operation.port is not None for operation in possible)
    assert (cluster.trace.schedule, cluster.trace.clock) == ("chosen", "step")
    assert cluster.trace.check() == []


@pytest.mark.parametrize("wrong", [None, -1, 99, "0", 0.0, [0], True])
def test_what_is_no_position_is_said_to_who_calls(wrong: Any) -> None:
    calls = iter(range(1000))
    with make(schedule=lambda possible: wrong if next(calls) == 8 else 0) as cluster:
        client = cluster.client()
        with pytest.raises(WiringError) as caught:
            client.eval("server.foo", b"x")
        text = f"the schedule chose {wrong!r} of 1 operations: it has to return a position, from 0"
        assert text in str(caught.value)
        with pytest.raises(RunError, match="client can do nothing more: the schedule chose"):
            client.eval("server.foo", b"x")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit])
@pytest.mark.parametrize("thread", ["call 1", "server.Pull"])
def test_a_function_that_fails_ends_the_run_and_is_told_to_who_calls(
    kind: type[BaseException], thread: str
) -> None:
    raised: list[str] = []

    def schedule(possible: Sequence[Operation]) -> int:
        if threading.current_thread().name == thread and not raised:
            raised.append(thread)
            raise kind("planned")
        return 0

    with make(schedule=schedule) as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        with pytest.raises(kind, match="planned"):
            task.result()
        assert raised
        with pytest.raises(RunError):
            cluster.client()


def test_the_schedule_has_to_be_one_that_is_there() -> None:
    for options, text in (
        ({"schedule": "steped"}, "schedule='steped': choose 'free', 'seeded' or 'stepped'"),
        ({"schedule": "seeded"}, "schedule='seeded' needs a seed"),
        ({"schedule": "free", "seed": 1}, "seed=1 and schedule='free': a free run has no seed"),
        ({"schedule": "stepped", "transport": "tcp"}, "a stepped run needs transport='inproc'"),
        ({"schedule": len, "transport": "tcp"}, "a chosen run needs transport='inproc'"),
        ({"schedule": "stepped", "seed": "1"}, "seed='1': a seed is a whole number"),
    ):
        with pytest.raises(WiringError, match=text):
            lab.Cluster(**options)


# --------------------------------------------------------------------------------- no end to it


def for_ever(client: lab.Client) -> None:
    for _ in client.job("server.foo", iter(lambda: b"x", b"")):
        pass


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "free"])
def test_what_does_not_end_is_given_up_at_its_limit(mode: str) -> None:
    with make(mode, limit=150) as cluster:
        task = cluster.start(for_ever, cluster.client())
        with pytest.raises(Endless) as caught:
            finish(cluster, task)
        assert len(cluster.trace.decisions) <= 150
        text = str(caught.value)
        assert text.startswith("still moving after 150 steps: client waits for a message at client")
        with pytest.raises(Endless, match=r"150 steps: [a-z]"):
            cluster.step()
    assert task.done


@pytest.mark.parametrize("mode", list(MODES))
def test_what_ends_before_its_limit_is_not_troubled(mode: str) -> None:
    with make(mode, limit=2000) as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        assert finish(cluster, task) == b"worker1 processed x"


# ----------------------------------------------------------------------------- the same decisions


def play(cluster: lab.Cluster) -> None:
    """Two calls at once, one of them with a client of its own."""
    tasks = [
        cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client()),
        cluster.start(lambda: cluster.client().eval("server.foo", b"y")),
    ]
    for task in tasks:
        finish(cluster, task)


@pytest.mark.parametrize("seed", range(10))
def test_stepped_with_a_seed_is_the_seeded_run(seed: int) -> None:
    found = []
    for options in ({"seed": seed}, {"seed": seed, "schedule": "stepped"}):
        with make("free", workers=2, **options) as cluster:
            play(cluster)
        decisions = [d for d in cluster.trace.decisions if d.kind != "quiet"]
        found.append((decisions, cluster.trace.events, cluster.trace.check()))
    assert found[0] == found[1]
    assert found[0][2] == []


def test_stepped_without_a_seed_takes_the_first_that_is_possible() -> None:
    found = []
    for schedule in ("stepped", lambda possible: 0):
        with make("free", workers=2, schedule=schedule) as cluster:
            play(cluster)
        found.append([d for d in cluster.trace.decisions if d.kind != "quiet"])
    assert found[0] == found[1]


def test_looking_at_what_is_pending_takes_nothing_from_a_seed() -> None:
    found = []
    for looks in (False, True):
        with make("stepped with a seed", workers=2) as cluster:
            cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client())
            while cluster.step():
                assert not looks or cluster.pending is not None
        found.append(cluster.trace.decisions)
    assert found[0] == found[1]


STEPS = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from stepped import make, walk
for seed in range(int(sys.argv[3])):
    with make(workers=2) as cluster:
        for _ in range(2):
            cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client())
        walk(cluster, random.Random(seed), lambda *_: None)
    cluster.trace.save(Path(sys.argv[2]) / f"{seed}.jsonl")
"""


def test_the_same_steps_write_the_same_bytes_whatever_the_hash_seed(
    tmp_path: Path, scale: int
) -> None:
    count = 5 * scale
    found: list[list[str]] = []
    for hash_seed in ("0", "4711"):
        folder = tmp_path / hash_seed
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", STEPS, str(Path(__file__).parent), str(folder), str(count)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            timeout=300,
        )
        files = [folder / f"{seed}.jsonl" for seed in range(count)]
        found.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert found[0] == found[1]
    assert len(set(found[0])) == count
