"""Trace: what is derived from the events, and how it shows itself."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from builder import Build, message
from hypothesis import given
from hypothesis import strategies as st

from pylm_lab.trace import Event, Hop, Trace
from pylm_lab.trace.show.excerpt import columns, excerpt


def ten(**about: Any) -> Trace:
    """Ten messages over two workers."""
    build = Build(**about).master()
    for n in range(1, 11):
        build.run(n, worker=f"worker{2 - n % 2}")
    return build.end()


def ids(*numbers: int) -> list[str]:
    return [f"{number:016x}" for number in numbers]


# --------------------------------------------------------------------------------- what is derived


def test_messages_are_numbered_as_they_appear() -> None:
    build = Build().master()
    build.cross("client:db", "server.Cache:listen_to", message(900))
    build.send("client:push", message(70)).send("client:push", message(60))
    build.send("worker1:push", message(71, parent=70)).send("worker1:push", message(72, parent=70))
    build.send("worker1:push", message(73, parent=72)).send("worker2:push", message(99, parent=5))
    build.cross("worker1:db", "server.Cache:listen_to", message(901, parent=70))
    assert build.trace.numbers == dict(
        zip(
            ids(900, 70, 60, 71, 72, 73, 99, 901),
            ["r1", "1", "2", "1.1", "1.2", "1.2.1", "3", "r2"],
            strict=True,
        )
    )


def test_a_path_names_the_actors_in_the_order_of_the_visit() -> None:
    trace = Build().master().run(1, worker="worker2").end()
    assert trace.path(ids(1)[0]) == [
        "client",
        "server.Pull",
        "server.router",
        "server.WorkerPush",
        "worker2",
        "server.WorkerPull",
        "server.router",
        "server.Pub",
        "client",
    ]
    assert trace.path("no such id") == []


def test_the_path_of_what_is_lost_ends_where_it_was_sent() -> None:
    trace = Build().master().run(1, until="server.WorkerPush:listen_to").end()
    assert trace.path(ids(1)[0])[-2:] == ["server.router", "server.WorkerPush"]


def test_an_actor_is_called_by_its_label_unless_two_share_it() -> None:
    build = Build().master(workers=1)
    build.actor("other.Pull", "inbound", server="other")
    labels = build.trace.labels
    assert labels["server.Pub"] == "Pub"
    assert (labels["server.Pull"], labels["other.Pull"]) == ("server.Pull", "other.Pull")
    assert build.trace.actor("server.Pub").kind == "Outbound"
    with pytest.raises(KeyError):
        build.trace.actor("nobody")


def test_hops_can_be_asked_for_by_kind() -> None:
    build = Build().master().cross("client:db", "server.Cache:listen_to", message(5)).run(1)
    assert [hop.kind for hop in build.trace.hops_of("request")] == ["request"]
    assert len(list(build.trace.hops_of("message", "request"))) == len(build.trace.hops) == 9


def test_a_trace_cannot_be_changed() -> None:
    trace = ten()
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        trace.events[0] = trace.events[1]  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        trace.columns.at[0] = 7
    with pytest.raises(TypeError):
        trace.hops[0] = trace.hops[1]  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        trace.hops.sent[0] = 7
    assert trace.hops is trace.hops


def test_a_trace_loads_no_library_to_draw_or_to_send() -> None:
    code = (
        "import sys; from pylm_lab.trace import Trace; repr(Trace()); Trace().check(); "
        "print([m for m in ('zmq', 'networkx', 'matplotlib', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


# -------------------------------------------------------------------------------------- as a table


def test_a_trace_shows_itself_as_a_table() -> None:
    lines = repr(ten(schedule="seeded", seed=1)).splitlines()
    assert lines[:6] == [
        "Trace: 200 events, 80 hops of 10 messages, 9 actors, seeded 1 (steps)",
        "",
        "step  message  from         to          function    payload      bytes",
        "  32  1        client     → Pull        server.foo  a message       65",
        "  34  1        Pull       → router      server.foo  a message     0+65",
        "  36  1        router     → WorkerPush  server.foo  a message  10+0+65",
    ]
    assert len(lines) == 2 + 1 + 20 + 1
    assert lines[-1] == "… 60 more"


def test_a_free_run_is_shown_in_microseconds() -> None:
    trace = (
        Build(clock="ns").link("a:push", "b:pull").send("a:push", message(1), at=1_234_568).trace
    )
    lines = repr(trace).splitlines()
    assert lines[0].endswith("free (nanoseconds)")
    assert lines[2].split()[0] == "µs"
    assert lines[3].split()[0] == "1,234.6"


def test_what_did_not_arrive_says_so() -> None:
    build = Build().link("a:push", "b:pull").link("a:up", "c:pull")
    build.send("a:push", message(1)).drop("a:push", message(2), cause="a rule")
    build.cross("a:push", "b:pull", message(3)).drop("b:pull", message(3), cause="bad")
    build.receive("b:pull", message(4))
    build.actor("d", "worker").port("d:push", "PUSH", sends="message").send("d:push", message(5))
    rows = [line.partition("server.foo")[0].split()[2:] for line in repr(build.trace).splitlines()]
    assert [" ".join(row) for row in rows[3:]] == [
        "a → b (not received)",
        "a → b (lost: a rule)",
        "a → b (given up: bad)",
        "? → b",
        "d → ? (not received)",
    ]


def test_an_empty_trace_is_one_line() -> None:
    assert repr(Trace()) == "Trace: 0 events, 0 hops of 0 messages, 0 actors, free (nanoseconds)"
    assert "<table" not in Trace()._repr_html_()


def test_one_is_not_many() -> None:
    build = Build().actor("a", "worker").port("a:push", "PUSH", sends="message")
    title = repr(build.send("a:push", message(1)).trace).splitlines()[0]
    assert title == "Trace: 1 event, 1 hop of 1 message, 1 actor, free (steps)"


NASTY = "<i>&\x1b\n\u202e\u2028<script>alert(1)</script>\ud800" + "界" * 200 + "e\u0301" * 50


def nasty() -> Trace:
    """Texts of every kind are hostile here."""
    trace = Build().master(workers=1).run(1).end()
    events = tuple(
        dataclasses.replace(e, function=NASTY, excerpt=NASTY, text=NASTY) for e in trace.events
    )
    actors = []
    for actor in trace.actors:
        copy = {field.name: getattr(actor, field.name) for field in dataclasses.fields(actor)}
        actors.append(type(actor)(**{**copy, "label": NASTY + actor.id}))
    return dataclasses.replace(trace, actors=tuple(actors), events=events, scenario=NASTY)


def test_whatever_was_in_a_message_the_table_stays_a_table() -> None:
    text = repr(nasty())
    lines = text.splitlines()
    assert len(lines) == 2 + 1 + 8
    assert text.count("\n") == len(lines) - 1
    assert {unicodedata.category(c) for c in text} <= {
        *("Ll", "Lu", "Lo", "Mn", "Nd", "Pc", "Pd", "Po", "Ps", "Pe", "Sc", "Sk", "Sm", "Zs", "So"),
        "Cc",
    }
    assert {c for c in text if unicodedata.category(c) == "Cc"} == {"\n"}
    assert max(map(columns, lines)) <= 140
    assert {columns(line) for line in lines[2:]} <= set(range(100, 141))
    text.encode("utf-8")


def test_columns_stand_below_each_other_whatever_their_letters() -> None:
    build = Build().link("界界:push", "e\u0301:pull").link("a:push", "e\u0301:pull")
    for source in ("界界:push", "a:push"):
        build.cross(source, "e\u0301:pull", message(build.step + 1))
    rows = repr(build.trace).splitlines()[3:]
    for mark in ("→", "server.foo"):
        assert len({columns(row.partition(mark)[0]) for row in rows}) == 1


class Page(HTMLParser):
    """What a browser makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if set(self.open) & {"td", "th"}:
            self.cells[-1] += data


def test_a_notebook_shows_the_same_table() -> None:
    trace = ten(schedule="seeded", seed=1)
    page = Page()
    page.feed(trace._repr_html_())
    assert not page.open
    assert page.cells[:7] == ["step", "message", "from", "to", "function", "payload", "bytes"]
    assert page.cells[7:14] == ["32", "1", "client", "Pull", "server.foo", "a message", "65"]
    assert len(page.cells) == 7 * 21
    heads = [attributes.get("scope") for tag, attributes in page.tags if tag == "th"]
    assert heads == ["col"] * 7 + ["row"] * 20
    assert "60 more" in trace._repr_html_()


def test_the_table_takes_its_colours_from_the_page_around_it() -> None:
    page = Page()
    page.feed(ten()._repr_html_())
    assert not {tag for tag, _ in page.tags} & {"style", "script", "link"}
    styles = {
        part.split(":")[0].strip()
        for _, a in page.tags
        for part in (a.get("style") or "").split(";")
    }
    assert styles <= {"", "text-align", "caption-side", "opacity"}
    assert not {name for _, a in page.tags for name in a} & {"class", "id", "bgcolor", "color"}


def test_nothing_in_a_message_reaches_the_page_as_markup() -> None:
    page = Page()
    page.feed(nasty()._repr_html_())
    assert not page.open
    assert {tag for tag, _ in page.tags} == {
        *("table", "caption", "thead", "tbody", "tr", "th", "td", "bdi")
    }
    assert page.cells[7 + 5] == "<i>&\\x1b\\n\\u202e\\u2028<…"


def test_a_long_trace_is_shown_without_being_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    build = Build().link("a:push", "b:pull").cross("a:push", "b:pull", message(1))
    events = build.trace.events
    long = dataclasses.replace(build.trace, events=(*events[:2], *tuple(events[2:]) * 500_000))
    read: list[int] = []
    whole = Trace.hops.func  # type: ignore[attr-defined]

    def hops(trace: Trace) -> tuple[Hop, ...]:
        read.append(len(trace.events))
        return whole(trace)  # type: ignore[no-any-return]

    monkeypatch.setattr(Trace, "hops", property(hops))
    lines = repr(long).splitlines()
    assert max(read) <= 50_000
    assert lines[0] == "Trace: 1,000,002 events, 1 message, 2 actors, free (steps)"
    assert len(lines) == 3 + 20 + 1
    assert lines[-1].startswith("… and many more")


def test_a_hop_that_ends_beyond_what_was_read_is_not_called_lost() -> None:
    build = Build().link("a:push", "b:pull").cross("a:push", "b:pull", message(1))
    *wired, sent, received = build.trace.events
    tick = Event(at=4, what="start", actor="a")
    trace = dataclasses.replace(build.trace, events=(*wired, sent, *[tick] * 60_000, received))
    assert "not received" not in repr(trace)


# ---------------------------------------------------------------------------------------- excerpts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a message", "a message"),
        ("naïve — 界 ✓", "naïve — 界 ✓"),
        (b"caf\xc3\xa9\xff", "café\\xff"),
        ("a\nb\tc\r\0\x1b\x7f\x85", "a\\nb\\tc\\r\\x00\\x1b\\x7f\\x85"),
        ("\u202eabc\u2066\u200f", "\\u202eabc\\u2066\\u200f"),
        ("a\u2028b\u2029\ufeff\u200b", "a\\u2028b\\u2029\\ufeff\\u200b"),
        ("\ud800\udfff\ufffe\uffff", "\\ud800\\udfff\\ufffe\\uffff"),
        ("\U000e0041", "\\U000e0041"),
        ("e\u0301", "e\u0301"),
        ("e" + "\u0301" * 5, "e\u0301\u0301\u0301\\u0301\\u0301"),
    ],
)
def test_an_excerpt_shows_what_is_harmless_and_escapes_the_rest(
    text: str | bytes, shown: str
) -> None:
    assert excerpt(text, 60) == shown


@pytest.mark.parametrize(
    ("limit", "end", "middle"),
    [
        (13, "server.Worker", "server.Worker"),
        (12, "server.Work…", "server…orker"),
        (5, "serv…", "se…er"),
        (2, "s…", "s…"),
        (1, "…", "…"),
    ],
)
def test_an_excerpt_is_cut_at_its_end_or_in_its_middle(limit: int, end: str, middle: str) -> None:
    assert excerpt("server.Worker", limit) == end
    assert excerpt("server.Worker", limit, middle=True) == middle


def test_an_escape_is_not_cut_in_two() -> None:
    assert excerpt("abc\u202edef", 9) == "abc…"
    assert excerpt("abc\u202edef", 10) == "abc\\u202e…"


def test_wide_characters_count_twice() -> None:
    assert columns("界a") == 3
    assert columns("e\u0301") == 1
    assert excerpt("界界界", 5) == "界界…"
    assert excerpt("界界界", 4) == "界…"
    assert excerpt("界界界", 6) == "界界界"


def test_of_a_huge_text_little_is_looked_at() -> None:
    text = "a" * 50_000_000
    assert excerpt(text, 10) == "aaaaaaaaa…"
    assert excerpt(text, 10, middle=True) == "aaaaa…aaaa"
    assert excerpt("x" + "\u0301" * 1_000_000, 10) == "x\u0301\u0301\u0301\\u0301…"


@given(st.text(alphabet=st.characters(), max_size=60), st.integers(1, 60), st.booleans())
def test_any_excerpt_is_short_and_fit_for_xml(text: str, limit: int, middle: bool) -> None:
    shown = excerpt(text, limit, middle=middle)
    assert columns(shown) <= limit
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert not any(unicodedata.bidirectional(c) in BIDI for c in shown)
    root = ElementTree.Element("text")
    root.text = shown
    assert ElementTree.fromstring(ElementTree.tostring(root)).text == (shown or None)
    if columns(text) <= limit and text.isprintable():
        assert "…" not in shown or "…" in text


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.binary(max_size=60))
def test_any_bytes_have_an_excerpt(data: bytes) -> None:
    assert columns(excerpt(data, 20)) <= 20
