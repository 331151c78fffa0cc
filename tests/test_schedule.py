"""Controlled runs: one operation at a time, in an order that the seed alone decides."""

from __future__ import annotations

import threading

import pytest

import pylm_lab as lab
from pylm_lab.errors import Deadlock, NoAnswer, RunError
from pylm_lab.scenarios import Greeter
from pylm_lab.schedule import Gate, Operation


def test_a_gate_gives_turns_one_at_a_time_in_the_order_that_is_chosen() -> None:
    """Two threads that only count: what they did is one list, the one that was chosen."""
    done: list[str] = []
    gate = Gate(lambda possible: len(possible) - 1)  # always the last of those that may move
    gate.orderly = False

    def work(owner: object, name: str) -> None:
        gate.begin(owner)
        for position in range(3):
            gate.ask(owner, always=Operation(name, "count"))
            done.append(f"{name}{position}")
        gate.end(owner)

    me = object()
    gate.announce(me, "me", thread=False)
    threads = []
    for name in "ab":
        owner = object()
        gate.announce(owner, name, thread=True)
        threads.append(threading.Thread(target=work, args=(owner, name)))
        threads[-1].start()
    gate.settle(me)
    assert done == ["b0", "b1", "b2", "a0", "a1", "a2"]
    for thread in threads:
        thread.join(2)
        assert not thread.is_alive()
    assert gate.step == 9  # two starts, six counts, and the quiet after them


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
