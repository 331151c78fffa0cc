"""Filter: the part of a trace that somebody asks about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.draw.layout import router_scene
from pylm_lab.errors import LabError, UnknownName
from pylm_lab.trace import Hop, Trace
from pylm_lab.trace.file import writing


@pytest.fixture(scope="module")
def cache() -> Trace:
    """Three messages to a worker that asks the cache about each."""
    return lab.scenarios["cache"].run(seed=1)


@pytest.fixture(scope="module")
def scatter() -> Trace:
    """Each message becomes three."""
    return lab.scenarios["scatter"].run(seed=1)


def told(trace: Trace) -> list[tuple[str, str, str, str, int]]:
    """What each hop of a trace says, in words that are the same in a part of it."""
    return [
        (hop.kind, hop.message, hop.source, hop.target, trace.events[hop.begins].at)
        for hop in trace.hops
    ]


def assert_part(part: Trace, whole: Trace, keep: Callable[[Hop], bool]) -> None:
    """The part has exactly the hops that are kept, with all of their events."""
    kept = [hop for hop in whole.hops if keep(hop)]
    assert len(part.hops) == len(kept) > 0
    for own, hop in zip(part.hops, kept, strict=True):
        for end in ("sent", "received", "dropped"):
            a, b = getattr(own, end), getattr(hop, end)
            assert (a is None) == (b is None)
            assert a is None or part.events[a] == whole.events[b]
        assert (own.kind, own.message, own.link) == (hop.kind, hop.message, hop.link)


def test_by_actor_a_hop_is_kept_with_both_of_its_ends(scatter: Trace) -> None:
    part = scatter.filter(actor="worker1")
    assert_part(part, scatter, lambda hop: "worker1" in hop.link)
    ends = [n for hop in part.hops for n in (hop.sent, hop.received) if n is not None]
    actors = {part.events[n].actor for n in ends}
    assert actors >= {"worker1", "server.WorkerPush", "server.WorkerPull"}


def test_an_actor_is_called_by_its_id_or_by_its_label(scatter: Trace) -> None:
    assert told(scatter.filter(actor="Pull")) == told(scatter.filter(actor="server.Pull"))


def test_of_several_values_any_will_do_and_several_conditions_all_hold(scatter: Trace) -> None:
    two = scatter.filter(actor=["worker1", "worker2"], kind="message")
    assert_part(
        two,
        scatter,
        lambda hop: bool({"worker1", "worker2"} & {*hop.link}) and hop.kind == "message",
    )
    assert told(two) == told(scatter.filter(kind="message").filter(actor=("worker2", "worker1")))


def test_by_part_only_what_servers_consist_of_is_known(scatter: Trace) -> None:
    assert_part(
        scatter.filter(part="WorkerPush"), scatter, lambda hop: "server.WorkerPush" in hop.link
    )
    with pytest.raises(UnknownName, match="no part 'worker1'"):
        scatter.filter(part="worker1")


def test_a_message_comes_with_what_was_made_of_it(scatter: Trace) -> None:
    part = scatter.filter(message="2")
    family = {scatter.ids_by_number[number] for number in ("2", "2.1", "2.2")}
    assert_part(part, scatter, lambda hop: hop.message in family)
    assert told(part) == told(scatter.filter(message=2))
    assert told(part) == told(scatter.filter(message=scatter.ids_by_number["2"]))
    assert told(part) == told(scatter.filter(message=scatter.messages[2]))
    alone = scatter.filter(message="2.1")
    assert {hop.message for hop in alone.hops} == {scatter.ids_by_number["2.1"]}


def test_a_message_comes_with_what_was_asked_on_its_behalf(cache: Trace) -> None:
    part = cache.filter(message=1)
    (request,) = cache.messages[1].requests
    kinds = [hop.kind for hop in part.hops]
    assert kinds.count("request") == kinds.count("answer") == 1
    assert request.id in {hop.message for hop in part.hops}


def test_by_time_whatever_was_under_way(scatter: Trace) -> None:
    def under_way(hop: Hop) -> bool:
        at = [scatter.events[n].at for n in (hop.sent, hop.received, hop.dropped) if n is not None]
        return min(at) <= 120 and max(at) >= 100

    assert_part(scatter.filter(between=(100, 120)), scatter, under_way)
    early, late = scatter.filter(between=(None, 99)), scatter.filter(between=(100, None))
    both = len(scatter.filter(between=(99, 100)).hops)
    assert len(early.hops) + len(late.hops) >= len(scatter.hops) > 0
    assert both > 0


def test_messages_keep_their_numbers(scatter: Trace) -> None:
    part = scatter.filter(message=["3", "2.1"])
    assert set(part.numbers.values()) == {"3", "3.1", "3.2", "2.1"}
    assert all(scatter.numbers[id] == number for id, number in part.numbers.items())
    assert [line.split()[1] for line in repr(part).splitlines()[3:6]] == ["3", "2.1", "2.1"]
    assert [m.number for m in part.filter(message=3).messages] == ["3", "3.1", "3.2"]


def test_a_message_of_a_part_is_that_of_the_whole(scatter: Trace) -> None:
    part = scatter.filter(message=2)
    assert part.messages[2] == scatter.messages[2]
    assert part.messages[2].latency == scatter.messages[2].latency
    assert scatter.messages[2] in part.messages
    assert scatter.messages[1] not in part.messages
    with pytest.raises(UnknownName, match="no message 1"):
        part.messages[1]


def test_what_was_declared_is_what_it_was(scatter: Trace) -> None:
    part = scatter.filter(message=1)
    assert part.actors == scatter.actors
    assert set(part.wiring.edges) == set(scatter.wiring.edges)
    kept = [event for event in scatter.events if event.what not in ("send", "receive", "drop")]
    assert [e for e in part.events if e.what not in ("send", "receive", "drop")] == kept


def test_a_part_tells_that_it_is_one_and_calls_nothing_lost(scatter: Trace) -> None:
    part = scatter.filter(actor="worker1").filter(kind="message")
    assert part.whole is scatter
    assert part.left_out == len(scatter.events) - len(part.events) > 0
    assert f"({part.left_out:,} more left out)" in repr(part).splitlines()[0]
    assert {finding.name for finding in part.check()} <= {"complete"}
    assert scatter.check() == []


def test_who_asks_for_nothing_gets_the_trace(scatter: Trace) -> None:
    assert scatter.filter() is scatter
    assert scatter[:] is scatter


def test_of_a_publication_only_those_are_kept_who_are_asked_for() -> None:
    tee = lab.scenarios["tee"].run(seed=1)
    part = tee.filter(actor="pipeline2.Sub", kind="message")
    assert {hop.link for hop in part.hops} == {
        ("server.Pub", "pipeline2.Sub"),
        ("pipeline2.Sub", "pipeline2.router"),
    }
    assert all(hop.received is not None for hop in part.hops)


def test_a_fault_stays_with_what_it_struck() -> None:
    build = Build().link("a:push", "b:pull")
    for id in (1, 2):
        build.send("a:push", message(id)).fault("b:pull", "drop", message(id), why="a rule")
    part = build.end().filter(message=2)
    assert [event.what for event in part.events].count("fault") == 1
    (hop,) = part.hops
    assert hop.lost
    assert list(part.faults.dropped) == [hop.dropped]


def test_the_empty_part() -> None:
    trace = Build().link("a:push", "b:pull").cross("a:push", "b:pull", message(1)).end()
    part = trace.filter(kind="credit")
    assert len(part.hops) == len(part.messages) == len(part.links) == 0
    assert part.numbers == {}
    for thing in (part, part.messages, part.links, part.activity):
        assert repr(thing)
        assert "nan" not in repr(thing)


def test_a_slice_is_of_hops(scatter: Trace) -> None:
    part = scatter[10:20]
    assert told(part) == told(scatter)[10:20]
    assert told(scatter[-5:]) == told(scatter)[-5:]
    assert told(scatter[::7]) == told(scatter)[::7]
    assert scatter[10] == scatter.hops[10]
    assert part.whole is scatter


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"actor": "wrker1"}, "no actor 'wrker1': did you mean 'worker1'?"),
        ({"actor": ["worker1", "?"]}, "no actor '?': there are router, Pull, "),
        ({"part": "Pul"}, "no part 'Pul': did you mean 'Pull'?"),
        ({"message": "2.11"}, "no message '2.11': did you mean '2.1'?"),
        ({"message": 99}, "no message 99: there are r1, r2"),
        ({"message": True}, "no message True"),
        ({"message": None, "kind": "mesage"}, "no kind 'mesage': did you mean 'message'?"),
        ({"kind": ""}, "no kind '': there are message, credit, request, answer, ready"),
        ({"between": 3}, r"between=3: two times \(start, end\) in steps"),
        ({"between": (5, 4)}, r"between=\(5, 4\): two times"),
        ({"between": ("a", None)}, "two times"),
    ],
)
def test_a_name_that_means_nothing_is_one_clear_error(
    scatter: Trace, wrong: dict[str, Any], text: str
) -> None:
    with pytest.raises(LabError, match=text.replace("?", r"\?")):
        scatter.filter(**wrong)


def test_a_part_is_saved_as_what_it_is(scatter: Trace, tmp_path: Path) -> None:
    part = scatter.filter(actor="worker1", kind="message")
    again = Trace.load(part.save(tmp_path / "part.jsonl"))
    assert again.left_out == part.left_out
    assert again == part
    assert again.numbers == part.numbers
    assert again.whole is None
    assert (
        again.filter(message="3").left_out
        == scatter.filter(actor="worker1", kind="message", message="3").left_out
    )
    assert {finding.name for finding in again.check()} <= {"complete"}


def test_a_part_whose_messages_were_made_of_each_other_for_long_is_saved(tmp_path: Path) -> None:
    build = Build().link("a:push", "b:pull")
    for n in range(1, 141):
        data = message(n, parent=n - 1)
        build.send("a:push", data).receive("b:pull", data)
    part = build.end().filter(between=(0, 250))
    again = Trace.load(part.save(tmp_path / "part.jsonl"))
    assert again.numbers == part.numbers
    assert again.numbers[f"{101:016x}"] == ".".join("1" * 101)


def test_a_part_s_first_line_is_never_too_long_to_be_read(
    scatter: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = scatter.filter(actor="worker1", kind="message")
    path = part.save(tmp_path / "part.jsonl")
    size = len(path.read_bytes().partition(b"\n")[0])
    monkeypatch.setattr(writing, "LONGEST", size)
    part.save(path)
    assert len(path.read_bytes().partition(b"\n")[0]) < size
    assert Trace.load(path) == part


def test_numbers_may_be_those_of_a_column(scatter: Trace) -> None:
    start, end = scatter.columns.at[10], scatter.columns.at[20]
    assert told(scatter.filter(between=(start, end))) == told(
        scatter.filter(between=(int(start), int(end)))
    )
    number: Any = np.int64(3)
    assert scatter.messages[number] == scatter.messages[3]


def test_a_picture_of_a_part_says_what_it_is(scatter: Trace) -> None:
    part = scatter.filter(actor="worker1", kind="message")
    told = f"{part.left_out} events are left out."
    for made in (router_scene(part), router_scene(part, format="slide")):
        assert f"A part of a run: {told}" in made.alt
        assert told in [getattr(item, "text", "") for item in made.items]
    assert told in part.spacetime()._repr_html_()
    assert told in part.export("mermaid")
    assert "left out" not in router_scene(scatter).alt


def test_a_part_with_other_events_has_the_names_of_the_whole(scatter: Trace) -> None:
    part = scatter.filter(message=3)
    changed = dataclasses.replace(part, events=[*part.events])
    assert changed.whole is None
    assert changed.numbers == scatter.numbers
    assert [one.number for one in changed.messages] == ["3", "3.1", "3.2"]
    assert all(one.latency.total == one.ends - one.begins for one in changed.messages)
    cut = dataclasses.replace(part, events=part.events[:80])
    assert cut.whole is scatter
    assert set(cut.numbers.values()) <= {"3", "3.1", "3.2"}


def test_a_part_without_messages_counts_all_that_crosses() -> None:
    requests = lab.scenarios["parallel"].run(seed=1)[:5]
    assert "5 hops, " in repr(requests)
