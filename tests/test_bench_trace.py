"""The bench group about traces: what it measures is a whole run, and what it counts is there."""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from pylm_lab.bench import recorded, variants
from pylm_lab.bench.job import GivenUp, Job
from pylm_lab.bench.memory import held
from pylm_lab.bench.suite import Suite
from pylm_lab.bench.variants import GROUPS
from pylm_lab.cli import main
from pylm_lab.errors import RunError
from pylm_lab.hook import Actor, Hook, Port
from pylm_lab.servers import Worker
from pylm_lab.trace import Recorder

SUBSCRIBING = "one by one, each time subscribing"


def test_it_runs_only_when_it_is_named() -> None:
    assert "trace" in GROUPS
    assert "trace" not in [group.name for group in Suite(1, 1).groups]
    assert [group.name for group in Suite(1, 1, ["trace"]).groups] == ["trace"]


def test_every_figure_is_there_with_its_unit(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    arguments = ["--messages", "40", "--rounds", "1", "--only", "trace", "--json", str(path)]
    assert main(["bench", *arguments]) == 0
    (group,) = json.loads(path.read_text(encoding="utf-8"))["groups"]
    assert group["messages"] == 40
    found = {row["what"]: row for row in group["rows"]}
    for step, _ in recorded.STEPS:
        assert found[step]["unit"] == "µs/hop"
        assert found[f"{step}, at the most"]["unit"] == "B/hop"
        assert found[f"{step}, at the most"]["median"] > 0
    for what in ("sent together", "payloads of 1,000 bytes", "sent one by one", SUBSCRIBING):
        assert found[f"the Recorder's rows, {what}"]["median"] > 0
        assert found[f"the messages' bytes in them, {what}"]["median"] > 0
    long, short = (
        found[f"the messages' bytes in them, {what}"]["median"]
        for what in ("payloads of 1,000 bytes", "sent together")
    )
    assert long > short
    assert found["the run, nobody listens"]["ratio"] == 1
    assert found["held by the Recorder, all"]["ratio"] == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_library_that_is_not_installed_is_said_to_be(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "has_spans", lambda: there)
    group = variants._trace()
    named = [figure.what for variant in group.variants for figure in variant.figures]
    assert ("OpenTelemetry's SDK is not installed" in group.title) is not there
    assert ("held by the spans" in named) is there
    assert any("OpenTelemetry" in what for what in named) is there


def test_whether_it_is_installed_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export.in_memory_span_exporter", None)
    assert recorded.has_spans() is False


# What is compared does the same


def both(hook: Hook) -> Any:
    """The record of a run that the hook hears too."""

    class Both(Recorder):
        def hops_sent(self, port: Port, batch: list[list[bytes]], at: Any) -> None:
            super().hops_sent(port, batch, at)
            hook.hops_sent(port, batch, at)

        def hops_received(self, port: Port, batch: list[list[bytes]], at: Any) -> None:
            super().hops_received(port, batch, at)
            hook.hops_received(port, batch, at)

    heard = Both()
    recorded.run(Job(50), heard)
    return heard.trace


def stamped(trace: Any) -> list[Any]:
    return [hop for hop in trace.hops if hop.message]


def test_the_graph_that_grows_has_an_edge_for_each_hop_and_says_what_the_trace_says() -> None:
    edges = recorded.Edges()
    trace = both(edges)
    hops = stamped(trace)
    assert edges.count == edges.graph.number_of_edges() == len(hops) > 50 * recorded.HOPS
    ours = next(data for *_, data in trace.graph.edges(data=True) if data["kind"] == "message")
    theirs = next(iter(edges.graph.edges(data=True)))[2]
    assert list(theirs) == list(ours)
    ids = sorted(hop.message for hop in hops)
    assert sorted(data["message_id"] for *_, data in edges.graph.edges(data=True)) == ids


def test_each_hop_is_a_span() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra library is not installed")
    spans = recorded.Spans()
    trace = both(spans)
    finished = spans.exporter.get_finished_spans()
    hops = stamped(trace)
    assert len(finished) == spans.count == len(hops)
    assert sorted(span.attributes["message_id"] for span in finished) == sorted(
        hop.message for hop in hops
    )
    assert {span.attributes["kind"] for span in finished} == {"message", "request"}


# A run that is not whole has no figure


class Failing(Hook):
    def hops_sent(self, port: Port, batch: list[list[bytes]], at: Any) -> None:
        raise ZeroDivisionError


def test_a_hook_that_fails_has_no_figure() -> None:
    with pytest.raises(RunError, match="the hook failed"):
        recorded.time_of_run(Job(10), Failing)


def test_a_wrong_answer_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "echo", lambda self, payload: payload[1:])
    with pytest.raises(RunError, match="answer 0 of 3 is b'0000"):
        recorded.run(Job(3), None)


def test_a_run_that_is_given_up_ends_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_BETWEEN", 1)
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(GivenUp):
        recorded.run(Job(1_000, given_up), Recorder())


def test_the_clock_runs_on_each_step_in_order() -> None:
    assert len(recorded.step_times(Job(5))) == len(recorded.STEPS)
    assert all(spent > 0 for spent in recorded.step_times(Job(5)))


def test_memory_is_no_longer_counted_afterwards() -> None:
    import tracemalloc

    assert recorded.memory(Job(20), Recorder) > 0
    assert not tracemalloc.is_tracing()


# What is counted


def test_each_object_counts_once_and_bytes_are_told_apart() -> None:
    frame = b"x" * 100
    inner = [frame, 1 << 70]
    outer = (inner, inner, frame)
    rows = sum(map(sys.getsizeof, (outer, inner, 1 << 70)))
    assert held(outer) == (rows, sys.getsizeof(frame))


def test_what_is_somebody_elses_does_not_count() -> None:
    actor = Actor(id="a" * 1000, label="a", role="worker", kind="Worker")
    port = Port(id="a:push", actor="a", socket="PUSH", binds=False, outer=True)
    assert held((actor, port)) == (sys.getsizeof((actor, port)), 0)


def test_a_cycle_ends() -> None:
    found: list[Any] = [deque([1])]
    found.append(found)
    assert held(found).rows > sys.getsizeof(found)
    found.clear()
    gc.collect()


@pytest.mark.parametrize(
    "how", [{}, {"size": recorded.LONG}, {"alone": True}, {"alone": True, "size": recorded.LONG}]
)
def test_a_recorder_keeps_at_most_64_bytes_a_hop_beside_the_messages(how: dict[str, Any]) -> None:
    assert recorded.rows(Job(1_000), **how)[0] <= 64


def test_what_a_recorder_holds_grows_with_the_run() -> None:
    sizes = []
    for count in (100, 1_000):
        recorder = Recorder()
        recorded.run(Job(count), recorder)
        sizes.append(held(recorder))
    assert sizes[1].rows > 3 * sizes[0].rows
    assert sizes[1].frames > 3 * sizes[0].frames
