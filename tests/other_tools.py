"""Other people's formats, read as their tools read them; what breaks a rule is an AssertionError.

Nothing here knows how an exporter writes. Where the rules come from:

- ShiViz: `js/model/parser.js`, `modelGraph.js` and `js/util/regexp.js` of its source.
- Chrome: the trace event format, and how Perfetto reads it (`importers/json`, `flow_tracker.cc`).
- OTLP: `trace.proto` with the JSON encoding of the OTLP specification.
- Mermaid: `sequenceDiagram.jison`, and what is done to a text before and after it.
- CSV: RFC 4180.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

__all__ = ["Arrow", "Flow", "read_chrome", "read_csv", "read_mermaid", "read_otlp", "read_shiviz"]

Place = tuple[str, int]


# ------------------------------------------------------------------------------------------ ShiViz


def read_shiviz(log: str) -> tuple[dict[Place, str], set[tuple[Place, Place]]]:
    """The events by host and number, and the edges between hosts."""
    parser, delimiter, text = log.split("\n", 2)
    assert not delimiter.strip()
    for group in ("event", "host", "clock"):
        assert f"(?<{group}>" in parser
    # In JavaScript `.` stops at these line ends, `\S` at these spaces.
    pattern = parser.replace("(?<", "(?P<").replace(r"\S", r"[^\s\ufeff]")
    pattern = pattern.replace(".*", "[^\n\r\u2028\u2029]*")
    found = list(re.finditer(f"^{pattern}$", text, re.MULTILINE))
    assert found, "ShiViz reads no log without an event"
    assert "".join(f"{m[0]}\n" for m in found) == text, "every line is read"
    clocks: dict[Place, dict[str, int]] = {}
    events: dict[Place, str] = {}
    counts: dict[str, int] = defaultdict(int)
    for match in found:
        host, clock = match["host"], json.loads(match["clock"])
        assert host
        assert host not in ("constructor", "toString", "valueOf", "__proto__", "hasOwnProperty")
        counts[host] += 1
        assert clock[host] == counts[host], "starts at 1, rises by 1"
        assert 0 not in clock.values()
        clocks[host, counts[host]] = clock
        events[host, counts[host]] = match["event"]
    edges: set[tuple[Place, Place]] = set()
    for (host, number), clock in clocks.items():
        before = clocks.get((host, number - 1), {})
        news = []
        for other, time in clock.items():
            assert other in counts, "every host logs something"
            assert time <= counts[other]
            assert time >= before.get(other, 0), "nobody forgets"
            if other != host and time > before.get(other, 0):
                news.append((other, time))
                assert clocks[other, time].get(host, 0) < number, "nothing comes before its cause"
        expected = dict(before) | {host: number}
        for place in news:
            for other, time in clocks[place].items():
                expected[other] = max(expected.get(other, 0), time)
        assert clock == expected, "whoever knows an event knows what came before it"
        for place in news:
            others = [clocks[p] for p in news if p != place]
            if all(o.get(place[0], 0) < place[1] for o in others):
                edges.add((place, (host, number)))
    senders = [source for source, _ in edges]
    assert len(senders) == len(set(senders)), "one send for each destination"
    return events, edges


# ------------------------------------------------------------------------------------------ Chrome


class Flow(NamedTuple):
    """The slices that a flow goes through, each with its thread."""

    category: str
    name: str
    slices: list[tuple[str, str]]


def read_chrome(text: str) -> tuple[list[dict[str, Any]], list[Flow]]:
    """The slices, each with its thread under `thread`, and the flows."""
    document = json.loads(text, parse_float=Decimal)
    assert set(document) <= {"traceEvents", "displayTimeUnit", "otherData"}
    assert document["displayTimeUnit"] in ("ms", "ns")
    assert all(isinstance(told, str) for told in document["otherData"].values())
    events = document["traceEvents"]
    names: dict[tuple[str, Any], str] = {}
    for event in events:
        assert isinstance(event["pid"], int)
        if event["ph"] == "M":
            key = ("tid", event["tid"]) if "tid" in event else ("pid", event["pid"])
            assert event["name"] in (
                "process_name",
                "process_sort_index",
                "thread_name",
                "thread_sort_index",
            )
            if event["name"].endswith("_name"):
                assert key not in names
                names[key] = event["args"]["name"]
                assert names[key]
    kinds = {number for _, number in names}
    assert len(kinds) == len(names), "a thread numbered as a process would be its main thread"
    timed = sorted((e for e in events if e["ph"] != "M"), key=lambda e: e["ts"])
    slices: list[dict[str, Any]] = []
    stacks: dict[int, list[dict[str, Any]]] = defaultdict(list)
    #: What began last on a thread: flows are bound to it.
    latest: dict[int, dict[str, Any]] = {}
    flows: dict[tuple[Any, str, str], Flow] = {}
    ended: set[tuple[Any, str, str]] = set()
    for event in timed:
        thread, ts, kind = event["tid"], event["ts"], event["ph"]
        assert ts >= 0
        assert ts * 1000 == int(ts * 1000), "Perfetto keeps whole nanoseconds"
        assert ("tid", thread) in names
        assert ("pid", event["pid"]) in names
        if kind == "X":
            assert event["dur"] > 0
            stack = stacks[thread]
            while stack and stack[-1]["ts"] + stack[-1]["dur"] <= ts:
                stack.pop()
            end = ts + event["dur"]
            assert not stack or end <= stack[-1]["ts"] + stack[-1]["dur"], "slices nest"
            event["thread"] = names["tid", thread]
            stack.append(event)
            slices.append(event)
            latest[thread] = event
        elif kind == "i":
            assert event["s"] in "tp"
            if event["s"] == "t":
                latest[thread] = {"ts": ts, "dur": 0}
        else:
            assert kind in "stf"
            flow = event["id"], event["cat"], event["name"]
            inside = latest[thread]
            assert inside["dur"] > 0
            assert inside["ts"] <= ts <= inside["ts"] + inside["dur"], "a flow is inside a slice"
            if kind == "s":
                assert flow not in flows
                flows[flow] = Flow(event["cat"], event["name"], [])
            assert flow in flows, "a flow begins before it goes on"
            assert flow not in ended
            if kind == "f":
                assert event["bp"] == "e"
                ended.add(flow)
            flows[flow].slices.append((inside["thread"], inside["name"]))
    assert ended == set(flows), "a flow that begins ends"
    assert len({number for number, _, _ in flows}) == len(flows)
    return slices, list(flows.values())


# -------------------------------------------------------------------------------------------- OTLP

_SPAN = {
    "traceId",
    "spanId",
    "parentSpanId",
    "name",
    "kind",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "attributes",
    "links",
    "droppedLinksCount",
    "status",
}


def read_otlp(text: str) -> list[dict[str, Any]]:
    """The spans, their attributes as dicts, the name of their service under `service`."""
    document = json.loads(text)
    assert set(document) == {"resourceSpans"}
    # Protobuf's texts are UTF-8, so half of a surrogate pair is an error.
    json.dumps(document, ensure_ascii=False).encode("utf-8")
    spans: list[dict[str, Any]] = []
    services = []
    for resource in document["resourceSpans"]:
        assert set(resource) == {"resource", "scopeSpans"}
        about = _attributes(resource["resource"]["attributes"])
        services.append(about["service.name"])
        for scope in resource["scopeSpans"]:
            assert set(scope) == {"scope", "spans"}
            assert scope["scope"]["name"]
            for span in scope["spans"]:
                assert set(span) <= _SPAN
                spans.append({**span, "attributes": _attributes(span["attributes"])})
                spans[-1]["service"] = about["service.name"]
    assert len(services) == len(set(services)), "one resource a server"
    known = {(span["traceId"], span["spanId"]): span for span in spans}
    assert len(known) == len(spans), "ids are unique"
    for span in spans:
        _id(span["traceId"], 32)
        _id(span["spanId"], 16)
        assert span["name"]
        assert type(span["kind"]) is int
        assert span["kind"] in range(1, 6)
        start, end = (span[f"{edge}TimeUnixNano"] for edge in ("start", "end"))
        assert re.fullmatch("[1-9][0-9]*", start)
        assert re.fullmatch("[1-9][0-9]*", end)
        assert int(start) <= int(end)
        if "parentSpanId" in span:
            parent = known[span["traceId"], span["parentSpanId"]]
            assert int(parent["startTimeUnixNano"]) <= int(start)
        for link in span.get("links", ()):
            assert set(link) <= {"traceId", "spanId", "attributes"}
            assert (link["traceId"], link["spanId"]) in known
            _attributes(link.get("attributes", []))
        if "status" in span:
            assert set(span["status"]) <= {"code", "message"}
            assert span["status"]["code"] in (0, 1, 2)
    return spans


def _id(value: str, digits: int) -> None:
    assert re.fullmatch(f"[0-9a-f]{{{digits}}}", value)
    assert int(value, 16)


def _attributes(told: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in told:
        assert set(attribute) == {"key", "value"}
        ((kind, value),) = attribute["value"].items()
        assert kind in ("stringValue", "intValue", "boolValue")
        if kind == "intValue":
            assert re.fullmatch("-?[0-9]+", value), "64-bit integers are decimal strings"
        assert attribute["key"] not in found
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found


# ----------------------------------------------------------------------------------------- Mermaid


class Arrow(NamedTuple):
    """An arrow of a sequence diagram, between participants by what they are called."""

    source: str
    how: str
    target: str
    text: str


def read_mermaid(text: str) -> tuple[list[str], list[Arrow], list[str]]:
    """What the participants are called, the arrows, and the notes."""
    assert len(text) <= 50_000, "maxTextSize"
    first, *lines = text.splitlines()
    assert first == "sequenceDiagram"
    called: dict[str, str] = {}
    arrows: list[Arrow] = []
    notes: list[str] = []
    in_box = False
    for line in map(str.strip, lines):
        if match := re.fullmatch(r"box transparent (.*)", line):
            assert not in_box
            in_box = True
            _shown(match[1])
        elif line == "end":
            assert in_box
            in_box = False
        elif match := re.fullmatch(r"participant (\w+) as (.+)", line):
            assert match[1] not in called
            called[match[1]] = _shown(match[2])
        elif match := re.fullmatch(r"Note over (\w+)(?:,(\w+))?: (.+)", line):
            assert not in_box
            assert {match[1], match[2] or match[1]} <= set(called)
            notes.append(_shown(match[3]))
        else:
            match = re.fullmatch(r"(\w+)(->>|-->|-x)(\w+): (.+)", line)
            assert match, line
            assert not in_box
            arrows.append(Arrow(called[match[1]], match[2], called[match[3]], _shown(match[4])))
    assert not in_box
    assert called, "a diagram has somebody in it"
    return list(called.values()), arrows, notes


def _shown(text: str) -> str:
    """What is on the screen for a text of the source."""
    bare = re.sub(r"#\d+;", "", text)
    # Ends of a text, comments and directives, `wrap:`, line breaks, markup, formulas.
    for harmful in ("#", ";", "\n", "%%", "{", "}", ":", "\\", "<", ">", "&", "$$"):
        assert harmful not in bare, text
    assert not re.search(r"\bend\b", text, re.IGNORECASE), text
    return re.sub(r"#(\d+);", lambda code: chr(int(code[1])), text)


# --------------------------------------------------------------------------------------------- CSV


def read_csv(text: str) -> list[list[str]]:
    """The lines, each as its fields."""
    lines: list[list[str]] = []
    fields: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            match = re.compile(r'"((?:[^"]|"")*)"').match(text, at)
            assert match, "a quote that opens closes"
            fields.append(match[1].replace('""', '"'))
        else:
            match = re.compile(r'[^",\r\n]*').match(text, at)
            assert match
            fields.append(match[0])
        at = match.end()
        if text.startswith(",", at):
            at += 1
        else:
            assert text.startswith("\r\n", at), "a line ends in CR LF"
            at += 2
            lines.append(fields)
            fields = []
    assert not fields
    assert len({len(line) for line in lines}) == 1, "as many fields in each line"
    return lines
