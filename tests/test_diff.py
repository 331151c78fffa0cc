"""Diff: how two traces differ, in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.trace import Trace

SEEDED = [name for name in lab.scenarios if not lab.scenarios[name].free_only]


def three(
    *, workers: tuple[str, ...] = ("worker1", "worker2", "worker1"), lost: bool = False
) -> Build:
    """Three messages through a master, by these workers; the last stays there, if lost."""
    build = Build().master()
    for id, worker in enumerate(workers, 1):
        build.run(id, worker=worker, until="worker1:pull" if lost and id == 3 else "")
    return build


@pytest.mark.parametrize("name", SEEDED)
def test_the_same_seed_makes_no_difference(name: str, tmp_path: Path) -> None:
    one, other = (lab.scenarios[name].run(seed=1) for _ in range(2))
    found = one.diff(other)
    assert not found
    assert (found.first, found.at, found.differences) == ("", None, ())
    assert repr(found) == "No difference."
    assert "No difference." in found._repr_html_()
    assert [*found] == []
    assert not one.diff(Trace.load(one.save(tmp_path / "trace.jsonl")))


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_differs_at_the_first_event_that_does(name: str) -> None:
    one, other = lab.scenarios[name].run(seed=1), lab.scenarios[name].run(seed=2)
    found, back = one.diff(other), other.diff(one)
    if not found:
        assert one.events == other.events
        return
    assert found.at == back.at
    n = found.at
    assert n is not None
    told = [
        [(e.at, e.what, e.actor, e.port, t.numbers.get(e.message), e.excerpt) for e in t.events]
        for t in (one, other)
    ]
    assert told[0][:n] == told[1][:n]
    assert told[0][n] != told[1][n]
    assert found.first.startswith(f"The first {n} events agree: here at step {one.events[n].at} ")


def test_a_message_that_went_another_way_is_named_with_both_ways() -> None:
    found = three().end().diff(three(workers=("worker1", "worker1", "worker1")).end())
    assert found.first == (
        "The first 54 events agree: here at step 55 worker2 receives message 2 from WorkerPush, "
        "there at step 55 worker1 receives message 2 from WorkerPush."
    )
    assert found.differences == (
        "WorkerPush → worker1: 2 sent here, 3 sent there.",
        "worker1 → WorkerPull: 2 sent here, 3 sent there.",
        "WorkerPush → worker2: 1 sent here, 0 sent there.",
        "worker2 → WorkerPull: 1 sent here, 0 sent there.",
        "Message 2 went by worker2 here, by worker1 there.",
    )
    assert [*found] == [found.first, *found.differences]
    assert repr(found) == "\n".join(found)
    assert len(found) == 6


def test_what_was_not_answered_is_told() -> None:
    found = three(lost=True).end().diff(three().end())
    assert "Message 3 was answered only there." in found.differences
    assert any(line.startswith("Message 3 went client → server.Pull") for line in found)
    assert "Message 3 was answered only here." in three().end().diff(three(lost=True).end())


def test_a_lost_hop_on_the_same_way_is_told() -> None:
    sides = []
    for cause in ("", "a rule"):
        build = Build().link("a:push", "b:pull").send("a:push", message(1))
        sides.append(build.drop("b:pull", message(1), cause=cause).end() if cause else build.end())
    found = sides[0].diff(sides[1])
    assert (
        "a → b: 1 sent, 0 received and 1 in flight here, 1 sent, 0 received and 1 dropped there."
        in (found.differences)
    )
    assert found.first.startswith(
        "The first 3 events agree: here at step 4 a stops, there at step 4 b "
    )


def test_a_fault_that_acts_in_one_only_is_told_with_what_it_acts_on() -> None:
    sides = []
    for faults in ((), (lab.faults.duplicate("client→Pull"),)):
        with lab.Cluster(1, faults=faults) as cluster:
            lab.scenarios["parallel"].play(cluster, messages=2)
        sides.append(cluster.trace)
    first = sides[0].diff(sides[1]).first
    assert first.endswith(
        "there at step 79 Pull meets a fault with message 1 (a rule doubles the 1st message)."
    )


def test_who_took_part_and_how_they_were_wired_is_told() -> None:
    one, other = Build().master(workers=1).end(), Build().master(workers=2, clients=2).end()
    found = one.diff(other)
    assert found.differences[0] == "Only there: actors worker2 and other."
    assert found.differences[1].startswith("Only there: wires server.")
    assert other.diff(one).differences[0] == "Only here: actors worker2 and other."
    kinds = [
        Build().actor("a", role, kind=kind).trace
        for role, kind in (("worker", "W"), ("client", "C"))
    ]
    assert kinds[0].diff(kinds[1]).differences == ("a is W (worker) here, C (client) there.",)


def test_another_row_of_the_table_is_told() -> None:
    trace = Build().master().end()
    other = dataclasses.replace(trace, routes=trace.routes[:1])
    assert trace.diff(other).differences == ("Only here: route server.WorkerPull → server.Pub.",)


def test_another_payload_and_another_function_are_told() -> None:
    def run(payload: bytes, function: str) -> Trace:
        build = Build().link("a:push", "b:pull").link("b:push", "a:pull")
        data = message(1, payload=payload, function=function)
        build.cross("a:push", "b:pull", data)
        return build.cross("b:push", "a:pull", message(1, payload=payload + b"!")).end()

    found = run(b"x", "s.foo").diff(run(b"y", "s.foo"))
    assert found.first == (
        "The first 4 events agree: a sends message 1 to b with another payload: "
        "'x' here, 'y' there."
    )
    assert found.differences == (
        "Message 1 asked with 'x' here, 'y' there.",
        "Message 1 was answered with 'x!' here, 'y!' there.",
    )
    assert run(b"x", "s.foo").diff(run(b"x", "s.bar")).differences == (
        "Message 1 asked for 's.foo' here, 's.bar' there.",
    )


def test_what_lies_beyond_an_excerpt_is_told_by_its_size() -> None:
    sides = [
        Build().link("a:push", "b:pull").cross("a:push", "b:pull", message(1, payload=payload))
        for payload in (b"x" * 1_000, b"x" * 2_000)
    ]
    first = sides[0].trace.diff(sides[1].trace).first
    assert "with another number of bytes: '1056' here, '2056' there" in first


def test_messages_that_are_in_one_only_are_told() -> None:
    found = three().end().diff(three(workers=("worker1", "worker2")).end())
    assert "Only here: message 3." in found.differences
    assert found.first.endswith("there at step 64 router stops.")


def test_a_trace_that_ends_early_says_so() -> None:
    build = three()
    whole = build.trace
    found = whole.diff(dataclasses.replace(whole, events=whole.events[:-1]))
    assert found.at == len(whole.events) - 1
    assert found.first.endswith("client receives message 3 from Pub, there nothing more happens.")
    assert not whole.diff(whole)


def test_free_runs_are_compared_actor_by_actor_and_by_numbers() -> None:
    def run(first: int, *, swapped: bool, until: str = "") -> Trace:
        build = Build(clock="ns").link("a:push", "b:pull").link("c:push", "d:pull")
        pairs = [("a:push", "b:pull", first), ("c:push", "d:pull", first + 1)]
        for source, _, id in pairs:
            build.send(source, message(id))
        for _, target, id in reversed(pairs) if swapped else pairs:
            if target != until:
                build.receive(target, message(id))
        return build.trace

    assert not run(1, swapped=False).diff(run(5, swapped=True))
    found = run(1, swapped=False).diff(run(5, swapped=True, until="d:pull"))
    assert found.first == (
        "d did 1 thing alike; then here d receives message 2 from c, there nothing more happens."
    )
    assert found.differences == (
        "c → d: 1 sent here, 1 sent, 0 received and 1 in flight there.",
        "Message 2 went c → d here, c there.",
    )


def test_many_differences_stay_few_sentences() -> None:
    sides = []
    for n in (0, 1):
        build = Build().link("a:push", "b:pull").link("a:up", "c:pull")
        for id in range(1, 400):
            source, target = ("a:push", "b:pull") if id % 2 == n else ("a:up", "c:pull")
            build.cross(source, target, message(id, payload=b"%d %d" % (id, n)))
        sides.append(build.end())
    found = sides[0].diff(sides[1])
    assert len(found) < 10
    assert "199 more messages took another way." in found.differences
    assert any("399 messages asked with something else" in line for line in found)
    assert max(map(len, found)) < 300


def test_what_is_no_trace_is_an_error() -> None:
    with pytest.raises(TypeError, match="a trace can be compared with a trace, not with 3"):
        Trace().diff(3)  # type: ignore[arg-type]


def test_two_empty_traces_are_alike() -> None:
    assert not Trace().diff(Trace())
    assert Trace().diff(three().end())


def test_what_only_one_of_the_records_does_not_tell_is_told() -> None:
    trace = three().end()
    found = trace.diff(dataclasses.replace(trace, forgotten=12))
    assert found.differences == ("There: 12 earlier events are forgotten.",)
    assert list(trace[:1].diff(trace))[1].startswith("Here: ")


def test_an_actor_that_never_did_the_same_begins_otherwise() -> None:
    found = three().end().diff(Trace())
    assert found.first.split(":")[0].endswith(" begins otherwise")
    assert "there nothing more happens" in found.first
