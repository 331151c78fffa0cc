"""Exports: what each tool makes of them, held to the tool's own rules and to the trace."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from builder import Build, message
from export_cases import NASTY, READERS, lossy, lossy_build, nasty, published, scenario
from google.protobuf import json_format
from other_tools import read_chrome, read_mermaid, read_otlp, read_shiviz

import pylm_lab as lab
from pylm_lab.hook import GAVE_NOTHING
from pylm_lab.trace.exports import FORMATS


def test_there_is_a_reader_for_each_format() -> None:
    assert set(READERS) == set(FORMATS)


@pytest.mark.parametrize("to", READERS)
@pytest.mark.parametrize("name", [*lab.scenarios])
def test_every_scenario_is_what_its_tool_reads(name: str, to: str) -> None:
    trace = scenario(name)
    text = trace.export(to)
    READERS[to](text)
    assert trace.export(to) == text


@pytest.mark.parametrize("to", READERS)
def test_no_name_and_no_payload_breaks_a_format(tmp_path: Path, to: str) -> None:
    READERS[to](nasty().export(to))
    path = nasty().export(to, tmp_path / "out")
    READERS[to](path.read_bytes().decode("utf-8"))


@pytest.mark.parametrize("to", READERS)
def test_no_id_breaks_a_format(to: str) -> None:
    trace = scenario("scatter")
    ids = {id: text for id, text in zip(trace.numbers, NASTY, strict=False) if text}
    events = [replace(event, message=ids.get(event.message, "")) for event in trace.events]
    READERS[to](replace(trace, events=events).export(to))


@pytest.mark.parametrize("to", READERS)
def test_a_trace_without_events_is_something_that_its_tool_opens(to: str) -> None:
    READERS[to](lab.Trace().export(to))
    READERS[to](Build().actor("a", "worker").trace.export(to))


@pytest.mark.parametrize("to", READERS)
def test_a_saved_trace_gives_the_same_bytes(tmp_path: Path, to: str) -> None:
    trace = scenario("scatter")
    path = trace.export(to, tmp_path / "out")
    loaded = lab.Trace.load(trace.save(tmp_path / "trace.jsonl"))
    assert loaded.export(to, tmp_path / "again").read_bytes() == path.read_bytes()
    assert path.read_bytes().decode("utf-8") == trace.export(to)


# ------------------------------------------------------------------------------------------ ShiViz


def test_shiviz_shows_each_hop_as_an_edge() -> None:
    trace = scenario("parallel")
    events, edges = read_shiviz(trace.export("shiviz"))
    received = [hop for hop in trace.hops if hop.received is not None and hop.sent is not None]
    seen = Counter((source[0], target[0]) for source, target in edges)
    assert seen == Counter(tuple(trace.labels[end] for end in hop.link) for hop in received)
    for source, target in edges:
        assert events[source].startswith("sends ")
        assert events[target].startswith("receives ")
        # sends message 1 to Pull: a message / receives message 1 from client: a message
        what = events[source].removeprefix("sends ").partition(" to ")[0]
        assert events[target].startswith(f"receives {what} from {source[0]}")


def test_shiviz_logs_a_publication_once_for_each_subscriber() -> None:
    trace = published()
    events, edges = read_shiviz(trace.export("shiviz"))
    sends = [told for (host, _), told in events.items() if host == "pub" and "sends" in told]
    assert sends == ["sends message 1 to one: a message", "sends message 1 to two: a message"]
    assert {(s[0], t[0]) for s, t in edges} == {("pub", "one"), ("pub", "two")}


def test_shiviz_draws_no_edge_for_what_is_lost() -> None:
    events, edges = read_shiviz(lossy().export("shiviz"))
    assert [told for told in events.values() if told.startswith("gives up")] == [
        "gives up message 2: a rule"
    ]
    assert len(edges) == 1


# ------------------------------------------------------------------------------------------ Chrome


def test_a_flow_goes_where_its_message_went() -> None:
    trace = scenario("parallel")
    _, flows = read_chrome(trace.export("chrome"))
    ways = {flow.name: flow for flow in flows if flow.category == "message"}
    assert len(ways) == 10
    for id, number in trace.numbers.items():
        if not number.startswith("r"):
            passed = [thread for thread, _ in ways[f"message {number}"].slices]
            way = [thread for n, thread in enumerate(passed) if passed[n - 1 : n] != [thread]]
            assert way == [trace.labels[actor] for actor in trace.path(id)]


def test_further_ways_of_a_message_are_flows_of_their_own() -> None:
    _, flows = read_chrome(published().export("chrome"))
    assert [[thread for thread, _ in flow.slices] for flow in flows] == [
        ["pub", "one"],
        ["pub", "two"],
    ]


def test_work_lasts_from_a_receive_to_the_send_of_it() -> None:
    build = Build(clock="ns").link("a:out", "b:in").link("b:out", "c:in")
    build.send("a:out", message(1), at=1_000).receive("b:in", message(1), at=2_500)
    build.send("b:out", message(1, clock=2), at=9_000)
    build.receive("c:in", message(1, clock=2), at=9_250)
    slices, flows = read_chrome(build.end().export("chrome"))
    assert [flow.slices for flow in flows] == [
        [
            ("a", "send message 1"),
            ("b", "receive message 1"),
            ("b", "send message 1"),
            ("c", "receive message 1"),
        ]
    ]
    start = float(slices[0]["ts"])
    assert [(s["thread"], s["name"], float(s["ts"]) - start, float(s["dur"])) for s in slices] == [
        ("a", "send message 1", 0, 1),
        ("b", "work on message 1", 1.5, 6.5),
        ("b", "receive message 1", 1.5, 1),
        ("b", "send message 1", 8, 1),
        ("c", "receive message 1", 8.25, 1),
    ]


def test_what_is_done_at_one_reading_of_the_clock_is_one_slice() -> None:
    build = Build(clock="ns").link("a:out", "b:in").link("b:out", "c:in")
    for n in (1, 2):
        build.send("a:out", message(n), at=1_000)
    for n in (1, 2):
        build.receive("b:in", message(n), at=2_000)
    for n in (1, 2):
        build.send("b:out", message(n, clock=2), at=2_000)
    build.drop("b:out", message(3), at=2_400)
    slices, flows = read_chrome(build.end().export("chrome"))
    assert [(s["name"], float(s["dur"])) for s in slices] == [
        ("send 2", 1),
        ("receive 2, send 2", 0.4),
        ("give up message 3", 1),
    ]
    assert len(flows) == 2


def test_no_arrow_points_back_where_clocks_disagree() -> None:
    build = Build(clock="ns").link("a:out", "b:in").link("b:out", "a:in")
    build.cross("a:out", "b:in", message(1)).cross("b:out", "a:in", message(2))
    trace, times = build.trace, iter((9_000, 2_000, 3_000, 9_500))
    events = [replace(event, at=next(times) if event.kind else 0) for event in trace.events]
    trace = replace(trace, events=events)
    _, flows = read_chrome(trace.export("chrome"))
    assert len(flows) == 2
    told = json.loads(trace.export("chrome"))["otherData"]
    assert told["moved"] == "7000 ns at the most, since clocks disagree"
    read_otlp(trace.export("otlp"))


# -------------------------------------------------------------------------------------------- OTLP


def test_the_spans_of_a_message_are_one_trace_along_its_way() -> None:
    trace = scenario("parallel")
    spans = read_otlp(trace.export("otlp"))
    hops = [hop for hop in trace.hops if hop.kind in ("message", "request", "answer")]
    assert Counter(span["kind"] for span in spans) == {4: len(hops), 5: len(hops)}
    roots = [span for span in spans if "parentSpanId" not in span]
    assert len(roots) == len({span["traceId"] for span in spans}) == len(trace.numbers)
    assert {span["service"] for span in spans} == {"server", "worker1", "worker2", "client"}
    root = next(s for s in roots if s["attributes"]["pylm_lab.kind"] == "message")
    id = root["attributes"]["messaging.message.id"]
    way, at = [root], root
    children = {span.get("parentSpanId"): span for span in spans}
    while at["spanId"] in children:
        at = children[at["spanId"]]
        way.append(at)
    actors = [span["attributes"]["messaging.client.id"] for span in way]
    assert [a for n, a in enumerate(actors) if actors[n - 1 : n] != [a]] == trace.path(id)


def test_children_of_a_message_are_in_its_trace() -> None:
    trace = scenario("scatter")
    spans = read_otlp(trace.export("otlp"))
    names = {id: number.partition(".")[0] for id, number in trace.numbers.items()}
    by_message: dict[str, set[str]] = {}
    for span in spans:
        id = span["attributes"].get("messaging.message.id")
        if id:
            by_message.setdefault(names[id], set()).add(span["traceId"])
    assert all(len(traces) == 1 for traces in by_message.values())
    roots = [span["attributes"] for span in spans if "parentSpanId" not in span]
    assert not any("." in trace.numbers[root["messaging.message.id"]] for root in roots)


def test_a_publication_is_one_span_with_a_child_for_each_subscriber() -> None:
    spans = read_otlp(published().export("otlp"))
    (root,) = [span for span in spans if span["kind"] == 4]
    assert root["name"] == "send pub"
    assert [span["parentSpanId"] for span in spans if span["kind"] == 5] == [root["spanId"]] * 2


def test_what_a_function_gave_nothing_for_is_linked_to_what_was_sent_next() -> None:
    build = Build().link("a:out", "b:in").link("b:out", "c:in")
    for n in (1, 2):
        build.cross("a:out", "b:in", message(n)).drop("b:in", message(n), cause=GAVE_NOTHING)
    build.cross("a:out", "b:in", message(3)).cross("b:out", "c:in", message(3, clock=2))
    build.cross("a:out", "b:in", message(4)).cross("b:out", "c:in", message(4, clock=2))
    spans = read_otlp(build.end().export("otlp"))
    (linked,) = [span for span in spans if "links" in span]
    assert linked["attributes"]["messaging.message.id"] == f"{3:016x}"
    by_id = {span["spanId"]: span for span in spans}
    ids = [by_id[link["spanId"]]["attributes"]["messaging.message.id"] for link in linked["links"]]
    assert ids == [f"{1:016x}", f"{2:016x}"]
    assert not any("status" in span for span in spans)


def test_what_is_lost_is_an_error() -> None:
    spans = read_otlp(lossy().export("otlp"))
    assert [span["status"] for span in spans if "status" in span] == [
        {"code": 2, "message": "lost on its way to b: a rule"}
    ]


def test_protobuf_reads_every_span() -> None:
    proto = pytest.importorskip("opentelemetry.proto.trace.v1.trace_pb2")

    def binary(value: str) -> str:
        # OTLP has ids in hexadecimal, where protobuf's own JSON has base64.
        return b64encode(bytes.fromhex(value)).decode()

    for trace in (scenario("scatter"), nasty(), lossy()):
        document = json.loads(trace.export("otlp"))
        for resource in document["resourceSpans"]:
            for span in resource["scopeSpans"][0]["spans"]:
                for part in (span, *span.get("links", ())):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        part |= {key: binary(part[key])} if key in part else {}
        read = json_format.ParseDict(document, proto.TracesData())
        count = sum(len(r.scope_spans[0].spans) for r in read.resource_spans)
        assert count == len(read_otlp(trace.export("otlp")))


# ----------------------------------------------------------------------------------------- Mermaid


def test_mermaid_shows_every_name_and_payload_as_it_is_shown_elsewhere() -> None:
    people, arrows, _ = read_mermaid(nasty().export("mermaid"))
    assert len(arrows) == len(NASTY)
    for name in ("end", "a;b", "wrap: me", "<br/>", "été 漢字 😀", "a\\nb", "$$x^2$$", "(no name)"):
        assert name in people
    assert "message 2 · a;b (given up: a;b)" in [arrow.text for arrow in arrows]


def test_mermaid_crosses_out_what_is_lost_and_dots_what_did_not_arrive() -> None:
    build = lossy_build().send("a:out", message(3))
    _, arrows, _ = read_mermaid(build.trace.export("mermaid"))
    assert [(arrow.how, arrow.text) for arrow in arrows] == [
        ("->>", "message 1 · a message"),
        ("-x", "message 2 · a message (lost: a rule)"),
        ("-->", "message 3 · a message (not received)"),
    ]


def test_mermaid_tells_how_much_it_leaves_out() -> None:
    trace = scenario("parallel")
    _, arrows, notes = read_mermaid(trace.export("mermaid", limit=30))
    assert len(arrows) == 30
    assert notes == [f"{len(trace.hops) - 30} more hops are not drawn"]
    _, _, notes = read_mermaid(replace(trace, forgotten=7).export("mermaid"))
    assert notes == ["7 earlier events are forgotten."]


def test_mermaid_leaves_out_what_it_would_not_accept() -> None:
    build = Build().link("a:out", "b:in")
    for n in range(1, 400):
        build.cross("a:out", "b:in", message(n, payload=b";" * 100))
    _, arrows, notes = read_mermaid(build.trace.export("mermaid", limit=399))
    assert 100 < len(arrows) < 399
    assert notes == [f"{399 - len(arrows)} more hops are not drawn"]
    assert build.trace.export("mermaid", limit=None).count("->>") == 399


def test_mermaid_draws_acknowledgements_only_when_asked() -> None:
    build = Build().master(workers=1).run(1)
    back, there = "server.router:inbound", "server.Pull:broker"
    build.send(back, b"Pull", b"", b"1").receive(there, b"", b"1")
    trace = build.end()
    plain, asked = (read_mermaid(trace.export("mermaid", credits=c))[1] for c in (False, True))
    assert [arrow.text for arrow in asked if arrow not in plain] == ["an acknowledgement · 1"]
