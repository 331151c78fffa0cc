"""A recorded run once more: the same run, or the first step that a change of code has changed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from planted import PAYLOADS, Play, ask, recorded

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.choices import Operation
from pylm_lab.errors import Deadlock, LabError, NoAnswer, RunError
from pylm_lab.hook import Decision
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.rerun import Replay, replay
from pylm_lab.scenarios import Greeter, Tripling
from pylm_lab.trace import Trace


def chosen(trace: Trace) -> list[Decision]:
    """What was decided, but for the note that nothing can move any more: a replay looks."""
    return [decision for decision in trace.decisions if decision.kind != "quiet"]


def assert_same(again: Replay, trace: Trace) -> None:
    assert again.divergence is None
    assert again.trace.events == trace.events
    assert again.trace.schedule == "replayed"
    assert repr(again).startswith(f"The same run, in all of {len(trace.events):,} events.")


# ------------------------------------------------------------------------- what runs the same again


@pytest.mark.parametrize(
    "name", [name for name in lab.scenarios if not lab.scenarios[name].free_only]
)
def test_a_loaded_scenario_runs_the_same_again_and_so_does_that_record(
    name: str, tmp_path: Path
) -> None:
    with lab.scenarios[name].cluster(5, messages=4) as cluster:
        answers = lab.scenarios[name].play(cluster, messages=4)
    trace = Trace.load(cluster.trace.save(tmp_path / "one.jsonl"))
    again = replay(trace)
    assert_same(again, trace)
    assert again.trace.decisions == trace.decisions
    assert (again.error, again.result) == (None, answers)
    once_more = replay(Trace.load(again.trace.save(tmp_path / "two.jsonl")))
    assert_same(once_more, trace)
    # Only the schedule's name tells the record of a replay from the first one.
    one, two = ((tmp_path / file).read_text("utf-8") for file in ("one.jsonl", "two.jsonl"))
    assert one.replace('"seeded"', '"replayed"') == two


def crosswise(possible: Sequence[Operation]) -> int:
    """The last that is possible, or the first of many."""
    return 0 if len(possible) > 3 else len(possible) - 1


def two_tasks(cluster: lab.Cluster) -> list[bytes]:
    cluster.add(lab.Master("server"))
    cluster.add(Greeter("worker1"))
    cluster.add(Greeter("worker2"))
    one, two = cluster.client(), cluster.client()
    tasks = [cluster.start(c.job, "server.foo", [b"a", b"b"], messages=2) for c in (one, two)]
    return [answer for task in tasks for answer in task.result()]


class Nested(Greeter):
    """Writes to the cache, which the client reads."""

    def foo(self, payload: bytes) -> bytes:
        self.set(payload, "last")
        return payload


def cached(cluster: lab.Cluster) -> bytes | None:
    cluster.add(lab.Master("server"))
    cluster.add(Nested("worker1"))
    client = cluster.client()
    client.eval("server.foo", b"x")
    return client.get("last")


DROP = faults.drop("WorkerPush→worker1", nth=2)
SAME: list[tuple[str, Play, dict[str, Any], type[Exception] | None]] = [
    ("a job", ask(), {}, None),
    ("a function chose", ask(), {"seed": None, "schedule": crosswise}, None),
    ("two tasks", two_tasks, {"seed": 8}, None),
    ("the cache", cached, {}, None),
    ("a window of 1", ask(window=1), {}, None),
    ("a timeout that is not needed", ask(timeout=5), {}, None),
    ("deadlock", ask(workers=()), {}, Deadlock),
    ("no answer", ask(workers=(), timeout=3), {}, NoAnswer),
    ("a worker hears nothing", ask(), {"faults": [faults.drop("Cache→worker1")]}, Deadlock),
    ("dropped", ask(), {"faults": [DROP]}, Deadlock),
    ("dropped, with a timeout", ask(timeout=2), {"faults": [DROP]}, NoAnswer),
    ("each is doubled", ask(), {"faults": [faults.duplicate("Pub→client", nth=0)]}, None),
    ("each is late", ask(), {"faults": [faults.delay("client→Pull", nth=0, by=2)]}, None),
    ("overtaken", ask(), {"faults": [faults.reorder("client→Pull", nth=2)]}, None),
    ("changed", ask(), {"faults": [faults.corrupt("client→Pull", "payload", b"", nth=2)]}, None),
    ("by chance", ask(timeout=1), {"faults": [faults.drop("*→*", chance=0.1, seed=0)]}, LabError),
    ("a server crashes", ask(), {"faults": [faults.crash("Pub", nth=2)]}, RunError),
    ("a worker crashes", ask(), {"faults": [faults.crash("worker2")]}, Deadlock),
    ("a router stops", ask(), {"faults": [faults.stop("router", nth=3)]}, Deadlock),
    ("a client crashes", ask(), {"faults": [faults.crash("client", nth=3)]}, RunError),
    ("parted", ask(timeout=9), {"faults": [faults.part("worker1", "WorkerPull")]}, NoAnswer),
    (
        "several on one link",
        ask(),
        {"faults": [faults.delay("client→Pull", nth=1), faults.duplicate("client→Pull", nth=1)]},
        None,
    ),
]


@pytest.mark.parametrize(
    ("play", "options", "error"), [s[1:] for s in SAME], ids=[s[0] for s in SAME]
)
def test_it_runs_the_same_again(
    play: Play, options: dict[str, Any], error: type[Exception] | None
) -> None:
    trace = recorded(play, **options)
    again = replay(trace, play)
    assert_same(again, trace)
    assert isinstance(again.error, error) if error else again.error is None


def test_a_replay_of_a_faulty_run_saves_the_same_decisions() -> None:
    trace = recorded(ask(), faults=[DROP])
    assert replay(trace, ask()).trace.decisions == trace.decisions


@pytest.mark.parametrize("seed", [None, 4])
def test_a_stepped_run_that_was_left_in_the_middle_runs_as_far_again(seed: int | None) -> None:
    def build(cluster: lab.Cluster) -> lab.Client:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        return cluster.client()

    chance = random.Random(seed)
    for steps in (1, 7, 25, 40):
        with lab.Cluster(seed, schedule="stepped") as cluster:
            client = build(cluster)
            cluster.start(client.eval, "server.foo", b"x")
            for _ in range(steps):
                pending = cluster.pending
                if pending:
                    cluster.step(choice=1 + int(chance.random() * len(pending)))
        trace = cluster.trace
        assert trace.schedule == "stepped"
        again = replay(trace, lambda cluster: build(cluster).eval("server.foo", b"x"))
        assert_same(again, trace)
        assert chosen(again.trace) == chosen(trace)
        assert again.error is None


def test_faults_that_were_injected_and_healed_by_hand_are_so_again() -> None:
    def build(cluster: lab.Cluster) -> lab.Client:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        return cluster.client(timeout=3)

    def job(client: lab.Client) -> list[bytes]:
        return list(client.job("server.foo", [b"a", b"b", b"c"], messages=3))

    with lab.Cluster(2, schedule="stepped") as cluster:
        client = build(cluster)
        task = cluster.start(job, client)
        cluster.run_until(part="worker1", kind="receive")
        cut = cluster.inject(faults.part("worker1", "WorkerPush"))
        cluster.run_until(part="WorkerPull", kind="receive")
        cluster.heal(cut)
        cluster.inject(faults.delay("Pub→client", by=1))
        cluster.run()
    assert task.done
    trace = cluster.trace
    assert [d.kind for d in trace.decisions if d.text] == ["inject", "heal", "inject"]
    again = replay(trace, lambda cluster: job(build(cluster)))
    assert_same(again, trace)
    assert chosen(again.trace) == chosen(trace)


# ------------------------------------------------------------------------ what a change has changed


class Louder(Greeter):
    def foo(self, payload: bytes) -> bytes:
        return super().foo(payload).upper()


class Longer(Greeter):
    def foo(self, payload: bytes) -> bytes:
        return super().foo(payload) + (b"!" if payload == b"c" else b"")


class Looking(Greeter):
    def foo(self, payload: bytes) -> bytes:
        self.get("something")
        return super().foo(payload)


class Failing(Greeter):
    def foo(self, payload: bytes) -> bytes:
        raise ValueError(payload)


class Losing(lab.Master):
    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        if message.payload != b"c":
            yield message


def step(trace: Trace, what: str, actor: str, number: int = 1, kind: str = "message") -> int:
    """The step of the n-th time that the actor does this."""
    actor = actor if "worker" in actor or actor == "client" else f"server.{actor}"
    found = [
        event.at
        for event in trace.events
        if (event.what, event.actor) == (what, actor) and (not kind or event.kind == kind)
    ]
    return found[number - 1]


def working_on(trace: Trace, payload: str) -> tuple[int, str]:
    """The step at which a worker sends the answer to this payload, and who."""
    return next(
        (event.at, event.actor)
        for event in trace.events
        if event.what == "send" and event.excerpt.endswith(f"processed {payload}")
    )


TRACE = recorded(ask())
FIRST = min(step(TRACE, "send", name) for name in ("worker1", "worker2"))
FIRST_WORKER = next(e.actor for e in TRACE.events if e.at == FIRST)
CHANGED: list[tuple[str, Play, int, list[str]]] = [
    ("another payload", ask(Louder), FIRST, [f"{FIRST_WORKER} sends message 1", "A'"]),
    (
        "one answer is longer",
        ask(Longer),
        working_on(TRACE, "c")[0],
        [f"{working_on(TRACE, 'c')[1]} sends message 3 to WorkerPull", "processed c!'"],
    ),
    ("a look-up more", ask(Looking), FIRST, [f"now {FIRST_WORKER} sends request r8 to Cache"]),
    ("an exception", ask(Failing), FIRST, [f"{FIRST_WORKER} sends message 1", "now it is '0'"]),
    (
        "a message is lost by scatter",
        ask(server=Losing),
        step(TRACE, "receive", "Pull", 3) + 1,
        ["now Pull gives up message 3: its function gave nothing for it"],
    ),
    (
        "a message becomes three",
        ask(server=Tripling),
        step(TRACE, "receive", "Pull", 2),
        ["Pull receives message 2", "now Pull sends message 1.1 to the router"],
    ),
    (
        "a message fewer",
        ask(payloads=PAYLOADS[:3]),
        step(TRACE, "send", "client", 4),
        ["recorded that client sends message 4 to Pull", "client waits for a message"],
    ),
    (
        "a message more",
        ask(payloads=(*PAYLOADS, b"e")),
        # Until then it only sends nothing yet: all that was chosen is possible.
        step(TRACE, "unsubscribe", "client", 1, ""),
        ["client wants no more answers", "now client sends message 5 to Pull"],
    ),
    ("asked for something else", ask(payloads=(b"a", b"b", b"x", b"d")),
     step(TRACE, "send", "client", 3), ["client sends message 3 to Pull ('c'", "now it is 'x'"]),
    ("a worker fewer", ask(workers=("worker1",)),
     step(TRACE, "connect", "worker2", 1, ""), ["worker2"]),
    ("a worker more", ask(workers=("worker1", "worker2", "worker3")),
     step(TRACE, "start", "worker1", 1, ""), ["worker3"]),
    ("the other order", ask(workers=("worker2", "worker1")),
     step(TRACE, "connect", "worker1", 1, ""), ["worker1 connects", "now worker2 connects"]),
    ("a renamed worker", ask(workers=("worker1", "helper")),
     step(TRACE, "connect", "worker2", 1, ""), ["worker2 connects", "now helper connects"]),
    ("a renamed client", ask(client="asker"),
     step(TRACE, "connect", "client", 1, ""), ["client connects", "now asker connects"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("play", "at", "words"), [c[1:] for c in CHANGED], ids=[c[0] for c in CHANGED]
)
def test_a_change_is_named_at_its_step(play: Play, at: int, words: list[str]) -> None:
    again = replay(TRACE, play)
    assert again.divergence is not None
    assert (again.divergence.step, again.divergence.sentence[:8]) == (at, "recorded")
    for word in words:
        assert word in again.divergence.sentence
    assert str(again.divergence) in repr(again)
    # All before it is as it was.
    same = [event for event in TRACE.events if event.at < at]
    assert list(again.trace.events[: len(same)]) == same


@pytest.mark.parametrize("seed", range(5))
def test_a_changed_line_is_named_at_its_step_whatever_the_seed(seed: int) -> None:
    trace = recorded(ask(), seed)
    again = replay(trace, ask(Longer))
    at, worker = working_on(trace, "c")
    assert again.divergence is not None
    assert again.divergence.step == at
    assert f"{worker} sends message 3 to WorkerPull" in again.divergence.sentence
    assert len(again.result) == 4


def test_a_cluster_may_follow_a_trace_itself() -> None:
    for worker, at in ((Greeter, None), (Louder, FIRST)):
        with lab.Cluster(replay=TRACE) as cluster:
            ask(worker)(cluster)
        assert (cluster.divergence and cluster.divergence.step) == at


class Unready(Greeter):
    def run(self) -> None:
        raise ValueError("it never works")


def test_what_a_play_fails_with_is_told() -> None:
    def fails(cluster: lab.Cluster) -> None:
        ask()(cluster)
        raise KeyError("in the play")

    again = replay(TRACE, fails)
    assert isinstance(again.error, KeyError)
    assert "KeyError" in repr(again)
    for _ in range(5):
        assert isinstance(replay(TRACE, ask(Unready)).error, ValueError)
