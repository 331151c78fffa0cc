"""A record that is not whole: what it can't tell is said once, and all else is checked."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.trace import Finding, Trace


def unsure(found: list[Finding]) -> list[str]:
    return [finding.sentence for finding in found if finding.unsure]


def sure(found: list[Finding]) -> list[str]:
    return [finding.sentence for finding in found if not finding.unsure]


# ----------------------------------------------------------------------------- events are forgotten


def half_forgotten() -> Build:
    """Thirty messages there and back, of which only the end is kept."""
    build = Build(limit=40).master(workers=1)
    for id in range(1, 31):
        build.run(id)
    return build


def test_what_was_lost_cannot_be_told_where_events_are_forgotten() -> None:
    trace = half_forgotten().run(31, until="worker1:pull").end()
    (found,) = trace.check()
    assert (found.name, found.unsure, found.hops) == ("complete", True, ())
    assert found.sentence.startswith(f"{trace.forgotten:,} earlier events were forgotten")
    assert "whether anything was lost or never answered can't be told" in found.sentence


def test_what_can_be_told_all_the_same_is() -> None:
    build = half_forgotten()
    for id in (41, 42):
        build.run(id, until="client:push")
    for id in (42, 41):
        build.run(id, since="server.Pull:listen_to")
    build.run(43, until="server.WorkerPush:listen_to")
    build.fault("worker1:pull", "drop", message(43), why="a rule drops it")
    build.run(44).run(44, since="server.Pub:listen_to")
    build.hook.actor_failed("worker1", ValueError("planted"), build.tick())
    trace = build.end()
    found = trace.check()
    assert len(unsure(found)) == 1
    assert [finding.name for finding in found[1:]] == [
        "conservation",
        "failures",
        "answers",
        "order",
    ]
    numbers = {id: trace.numbers[f"{id:016x}"] for id in (41, 42, 43, 44)}
    assert sure(found) == [
        f"Message {numbers[43]} is lost between WorkerPush and worker1: a rule drops it.",
        "worker1 failed: ValueError: planted.",
        f"Message {numbers[44]} reached client twice.",
        f"Message {numbers[42]} overtook message {numbers[41]} between client and Pull.",
    ]


def test_asked_for_what_can_be_told_it_is_sure() -> None:
    trace = half_forgotten().end()
    assert trace.check(only=["order", "failures", "bypass", "stages", "declared links"]) == []
    assert len(unsure(trace.check(only="conservation"))) == 1


# ------------------------------------------------------------------------- a record that ends early


def test_what_was_lost_at_an_actor_whose_record_ends_early_is_not_claimed() -> None:
    build = Build().master(workers=2)
    build.run(1, until="server.WorkerPush:listen_to").run(2, worker="worker2", until="worker2:pull")
    build.run(3, worker="worker1", until="worker1:pull")
    trace = build.end()
    assert [f.name for f in trace.check()] == ["conservation", "answers", "answers"]
    for cut, says in (
        (("worker1",), "The record of worker1 ends early. "),
        (("worker1", "worker2"), "The records of worker1 and worker2 end early. "),
    ):
        found = dataclasses.replace(trace, cut=cut).check()
        assert found[0].name == "complete"
        assert unsure(found)[0].startswith(says)
        assert "there can't be told" in unsure(found)[0]
        assert sure(found) == (
            ["Message 2 never came back to client: worker2 received it and never answered."]
            if cut == ("worker1",)
            else []
        )


def test_all_else_is_claimed() -> None:
    build = Build().master(workers=1).run(1, until="client:push").run(2, until="worker1:pull")
    build.run(3, since="server.Pub:listen_to").run(3, since="server.Pub:listen_to")
    trace = dataclasses.replace(build.end(), cut=("worker1",))
    assert sure(trace.check()) == [
        "Message 1 was sent by client and never received: it is lost between client and Pull.",
        "Message 3 reached client twice.",
    ]


def test_what_came_from_whoever_is_cut_may_have_been_sent() -> None:
    trace = Build().master(workers=1).run(1, since="worker1:pull").end()
    assert len(sure(trace.check())) == 1
    assert sure(dataclasses.replace(trace, cut=("server.WorkerPush",)).check()) == []


def test_a_client_that_is_cut_has_missed_nothing_for_sure() -> None:
    trace = Build().master().run(1, until="worker1:pull").end()
    assert len(sure(trace.check())) == 1
    assert sure(dataclasses.replace(trace, cut=("client",)).check()) == []


# ------------------------------------------------------------------------------- a part of a record


@pytest.fixture(scope="module")
def dropped() -> Trace:
    """A run of the parallel cluster, in which a message was dropped."""
    made = lab.scenarios["parallel"]
    fault = faults.drop("WorkerPush→worker1", nth=2)
    with made.cluster(1, faults=[fault]) as cluster, suppress(lab.LabError):
        made.play(cluster)
    return cluster.trace


def test_a_part_claims_nothing_about_what_was_left_out(dropped: Trace) -> None:
    for part in (dropped.filter(actor="client"), dropped.filter(message="1")):
        (found,) = part.check()
        assert found.unsure
        assert f"{part.left_out:,} events are left out" in found.sentence
        assert part.check(only="order") == []


def test_what_a_fault_did_in_it_is_found(dropped: Trace) -> None:
    found = dropped.filter(actor="worker1").check()
    assert len(unsure(found)) == 1
    assert sure(found) == [
        "Message 3 is lost between WorkerPush and worker1: a rule drops the 2nd message."
    ]
